//! Lets a trusted tool answer an HTTP request. One fresh instance serves one request of one app,
//! and runs until its answer has been streamed.
//!
//! The instance sees only the request that the caller made for it, and no connection. Its answer is
//! not scrubbed here.

use std::time::Duration;

use http::{Request, Response};
use tokio::sync::oneshot;
use tracing::Instrument as _;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use super::{ToolBinding, ToolComponent, ToolFailure, ToolState};
use crate::limits::{StreamLimits, within};

/// A request that an instance is answering. Dropping it ends the instance and the instance's own
/// requests.
pub struct Serving {
    head: oneshot::Receiver<Result<Response<WasiBody>, ErrorCode>>,
    running: Running,
    idle_ms: u64,
}

/// The instance behind an answer.
pub struct Running(AbortOnDropJoinHandle<Option<ToolFailure>>);

impl ToolComponent {
    /// Starts an instance on a request. Returns `Unanswered` if the tool answers no HTTP requests.
    pub fn serve(
        &self,
        binding: ToolBinding,
        request: Request<WasiBody>,
    ) -> Result<Serving, ToolFailure> {
        let pre = self.http.clone().ok_or(ToolFailure::Unanswered)?;
        self.start(pre, binding, request)
            .map_err(ToolFailure::Trapped)
    }

    fn start(
        &self,
        pre: ProxyPre<ToolState>,
        binding: ToolBinding,
        request: Request<WasiBody>,
    ) -> wasmtime::Result<Serving> {
        let mut store = self.store(binding);
        let (head_sender, head) = oneshot::channel();
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let reply = http.new_response_outparam(head_sender)?;
        let StreamLimits {
            wall_clock_ms,
            idle_ms,
            ..
        } = self.limits.stream;
        let work = async move {
            let handled = async {
                let guest = pre.instantiate_async(&mut store).await?;
                let handler = guest.wasi_http_incoming_handler();
                handler.call_handle(&mut store, request, reply).await
            };
            match within(wall_clock_ms, "limits.stream.wall_clock_ms", handled).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(ToolFailure::of(error, &store.data().meter)),
                Err(hit) => Some(hit.into()),
            }
        };
        Ok(Serving {
            head,
            running: Running(spawn(work.in_current_span())),
            idle_ms,
        })
    }
}

impl Serving {
    /// Waits for the head of the answer.
    pub async fn head(self) -> Result<(Response<WasiBody>, Running), ToolFailure> {
        let Self {
            head,
            running,
            idle_ms,
        } = self;
        match within(idle_ms, "limits.stream.idle_ms", head).await? {
            Ok(Ok(response)) => Ok((response, running)),
            Ok(Err(_)) => Err(ToolFailure::Unanswered),
            // The instance ended without an answer.
            Err(_) => Err(running.0.await.unwrap_or(ToolFailure::Unanswered)),
        }
    }
}

impl Running {
    /// Waits briefly for the end of an instance that has sent its answer. Returns the cause if the
    /// instance did not end by itself.
    pub async fn ended(self) -> Option<ToolFailure> {
        const PATIENCE: Duration = Duration::from_secs(1);
        tokio::time::timeout(PATIENCE, self.0).await.ok().flatten()
    }
}
