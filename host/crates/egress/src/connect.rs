//! Opens connections: resolves the name, checks every address, and connects to a checked address
//! without a second look-up. It does not know which tool sends the request, so grants are checked
//! before.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::address::refused_range;
use super::counted::Counted;
use super::{DenialReason, Origin, OriginError, Resolve};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Why there is no connection, for causes that no network error describes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    #[error("the address is refused")]
    Refused(DenialReason),
    #[error("the name of the host was not resolved")]
    Unresolved(#[source] Option<io::Error>),
    #[error("connecting took too long")]
    TooLong,
    #[error("the connection is not for an origin")]
    NoOrigin(#[source] OriginError),
}

/// Connects to origins within a time limit, with TLS if the scheme is https.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<CheckedTcp>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        resolver: Arc<dyn Resolve>,
        allow_private: Arc<BTreeSet<Origin>>,
        tls: ClientConfig,
        timeout: Duration,
    ) -> Self {
        let checked = CheckedTcp {
            resolver,
            allow_private,
        };
        Self {
            https: HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(checked),
            timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Counted<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.https.call(uri);
        let timeout = self.timeout;
        Box::pin(async move {
            let stream = tokio::time::timeout(timeout, connecting)
                .await
                .map_err(|_| ConnectFailure::TooLong)??;
            Ok(TokioIo::new(Counted::new(TokioIo::new(stream))))
        })
    }
}

/// The TCP part, which checks addresses.
#[derive(Clone)]
struct CheckedTcp {
    resolver: Arc<dyn Resolve>,
    allow_private: Arc<BTreeSet<Origin>>,
}

impl CheckedTcp {
    async fn checked_addresses(&self, origin: &Origin) -> Result<Vec<IpAddr>, ConnectFailure> {
        let addresses = match origin.address() {
            Some(address) => vec![address],
            None => self
                .resolver
                .addresses(&origin.host())
                .await
                .map_err(|error| ConnectFailure::Unresolved(Some(error)))?,
        };
        if addresses.is_empty() {
            return Err(ConnectFailure::Unresolved(None));
        }
        if !self.allow_private.contains(origin) {
            // All addresses must be public: a name that leads inside a network has one bad address
            // among good ones.
            for &address in &addresses {
                if let Some(range) = refused_range(address) {
                    let refused = DenialReason::AddressRefused { address, range };
                    return Err(ConnectFailure::Refused(refused));
                }
            }
        }
        Ok(addresses)
    }
}

impl Service<Uri> for CheckedTcp {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let origin = Origin::of_uri(&uri).map_err(ConnectFailure::NoOrigin)?;
            let addresses = this.checked_addresses(&origin).await?;
            let mut tcp = HttpConnector::new_with_resolver(Checked(addresses));
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            Ok(tcp.call(uri).await?)
        })
    }
}

/// A resolver that returns the checked addresses for any name.
#[derive(Clone)]
struct Checked(Vec<IpAddr>);

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        // The connector replaces port 0 by the port of the URI.
        let addresses: Vec<_> = self.0.iter().map(|&ip| SocketAddr::new(ip, 0)).collect();
        ready(Ok(addresses.into_iter()))
    }
}
