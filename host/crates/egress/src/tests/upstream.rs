//! Upstreams for tests: real servers on loopback that record the requests they get.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Origin, origin};

/// A request that an upstream received.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) origin: Origin,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    /// Answers every request in the same way, over HTTP/1.1.
    pub(super) async fn answering(
        answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::answering_at("127.0.0.1:0", answer).await
    }

    pub(super) async fn answering_at(
        address: &str,
        answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let answer = Arc::new(answer);
        let store = received.clone();
        let mut upstream = Self::serving(address, move |stream| {
            let (answer, store) = (answer.clone(), store.clone());
            async move {
                let service = service_fn(move |request| {
                    let (answer, store) = (answer.clone(), store.clone());
                    async move {
                        let Some(received) = receive(request).await else {
                            return Ok(Response::new(Full::default()));
                        };
                        store.lock().expect("not poisoned").push(received.clone());
                        Ok::<_, Infallible>(answer(&received))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.await;
            }
        })
        .await;
        upstream.received = received;
        upstream
    }

    /// Answers `200 ok`.
    pub(super) async fn fine() -> Self {
        Self::answering(|_| Response::new(Full::from("ok"))).await
    }

    /// Reads the head of a request, writes these bytes and closes.
    pub(super) async fn writing(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::scripted(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
            }
        })
        .await
    }

    /// Reads the head of a request and answers nothing.
    pub(super) async fn silent() -> Self {
        Self::scripted(|stream| async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Reads the head of a request, then runs `script`.
    pub(super) async fn scripted<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script = Arc::new(script);
        Self::serving("127.0.0.1:0", move |mut stream| {
            let script = script.clone();
            async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                script(stream).await;
            }
        })
        .await
    }

    /// Handles every connection with a function.
    pub(super) async fn serving<F>(
        address: &str,
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            origin: origin(&format!("http://{address}")),
            connections,
            received: Arc::default(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }
}

/// Receives a request with its whole body, or nothing if the request broke off.
async fn receive(request: Request<Incoming>) -> Option<Received> {
    let (parts, body) = request.into_parts();
    Some(Received {
        path: parts.uri.path_and_query()?.to_string(),
        headers: parts.headers,
        body: body.collect().await.ok()?.to_bytes(),
    })
}
