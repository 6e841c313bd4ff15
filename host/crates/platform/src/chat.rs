//! Chat completions: requests that the tool `llm-router` answers directly, each for one app.
//!
//! The HTTP API decides who may send them and on which paths.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::Error as WasiError;

use super::Platform;
use crate::dispatch::{AnswerBody, RunIdentity, Tools};
use tavora_wasm::builtin::{MissingGuest, ROUTER};
use tavora_wasm::limits::LimitHit;
use tavora_wasm::tool::ToolFailure;

/// Why a request got no answer from the tool.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Missing(#[from] MissingGuest),
    /// All places are taken.
    #[error("the host answers as many requests as {limit} allows; try again")]
    Busy {
        /// The limit's key in `tavora.toml`, with its section.
        limit: &'static str,
    },
    /// A limit ended the request.
    #[error("the request was stopped: {0}")]
    Limit(LimitHit),
    /// The tool failed. The log has the details.
    #[error("the tool stopped unexpectedly")]
    Failed,
}

impl Platform {
    /// Lets `llm-router` answer a request to one of its paths. The answer is streamed and scrubbed
    /// of the secrets that were released for it. It goes on as long as its body is read.
    pub async fn complete_chat<B>(
        &self,
        identity: RunIdentity,
        request: Request<B>,
    ) -> Result<Response<AnswerBody>, ServeError>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let router = self.tools.get(ROUTER).ok_or(MissingGuest(ROUTER))?;
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            let limit = "limits.stream.max_concurrent";
            self.metrics.limit_hit(limit);
            return Err(ServeError::Busy { limit });
        };
        // The body's owner keeps its errors and reports them.
        let request = request.map(|body| {
            body.map_err(|_| WasiError::HttpProtocolError)
                .boxed_unsync()
        });
        let answer = self
            .dispatch(Tools::new(), identity, None)
            .serve(Arc::clone(router), request, turn)
            .await;
        answer.map_err(|failure| match failure {
            ToolFailure::Limit(hit) => ServeError::Limit(hit),
            ToolFailure::Busy(_) => ServeError::Busy {
                limit: "limits.max_instances",
            },
            ToolFailure::Trapped(_) | ToolFailure::BadDescription(_) | ToolFailure::Unanswered => {
                ServeError::Failed
            }
        })
    }
}
