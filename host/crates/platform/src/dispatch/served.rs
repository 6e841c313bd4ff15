//! Serves requests that a tool answers over HTTP. The answer streams to the client without the
//! secrets that were released for it, and every end is recorded.
//!
//! Only a tail that could still become a secret is held back; nothing is collected. The caller
//! decides what the request is and who may send it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use wasmtime_wasi_http::WasiBody;

use super::binding::UNUSABLE;
use super::{Dispatch, Refusals};
use tavora_egress::{MAX_EMPTY_CHUNKS, carries_json};
use tavora_scrub::StreamScrubber;
use tavora_telemetry::activity::CANCELLED;
use tavora_wasm::bindings::ToolError;
use tavora_wasm::tool::{Running, ToolComponent, ToolFailure};

impl Dispatch {
    /// Lets a tool answer a request. The turn is freed when the answer ends.
    pub(crate) async fn serve(
        self,
        tool: Arc<ToolComponent>,
        request: Request<WasiBody>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Response<AnswerBody>, ToolFailure> {
        let span = tracing::info_span!(
            "tool_call",
            tool = &*tool.name,
            operation = "http",
            outcome = Empty,
        );
        let idle = Duration::from_millis(tool.limits().stream.idle_ms);
        let mut call = ServedCall {
            span: span.clone(),
            started: Instant::now(),
            outcome: CANCELLED,
            leaked: Vec::new(),
            is_recorded: false,
            dispatch: self,
            tool,
            _turn: turn,
        };
        let run = &call.dispatch.0;
        let refusals = Arc::new(Refusals::new(Arc::clone(&run.trail)));
        let binding = run.binding(&call.tool, refusals.clone());
        let started = span.in_scope(|| call.tool.serve(binding, request));
        let head = match started {
            Ok(serving) => serving.head().await,
            Err(failure) => Err(failure),
        };
        let (response, running) = match head {
            Ok(answer) => answer,
            Err(failure) => {
                call.dispatch.0.failed(&call.tool, &failure);
                call.end("failed").await;
                return Err(failure);
            }
        };
        let (mut parts, inner) = response.into_parts();
        call.scrub(&mut parts.headers);
        let outcome = if parts.status.as_u16() < 400 {
            "ok"
        } else {
            "refused"
        };
        let refused = parts.status.as_u16() >= 400;
        let words = refused.then(|| refusals.words(&call.tool)).flatten();
        let instead = words.map(|words| {
            let json = HeaderValue::from_static("application/json");
            parts.headers.insert(CONTENT_TYPE, json);
            parts.headers.remove(CONTENT_LENGTH);
            if words.code == UNUSABLE {
                parts.status = StatusCode::BAD_REQUEST;
            }
            refusal(&words)
        });
        let scrubber = call.dispatch.0.released.scrubber();
        let body = AnswerBody {
            instead,
            scrubber: if carries_json(&parts.headers) {
                StreamScrubber::of_json(scrubber)
            } else {
                StreamScrubber::new(scrubber)
            },
            revision: call.dispatch.0.released.revision(),
            idle,
            silence: Box::pin(tokio::time::sleep(idle)),
            is_waiting: false,
            kept: None,
            phase: Phase::Streaming {
                inner,
                running,
                call,
                outcome,
            },
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// The body of an answer. Dropping it early ends the tool's instance and everything that the
/// instance waits for.
pub struct AnswerBody {
    phase: Phase,
    /// The text that replaces the tool's answer, sent after the tool has ended.
    instead: Option<Bytes>,
    scrubber: StreamScrubber,
    /// The revision of the released secrets that the scrubber has.
    revision: u64,
    idle: Duration,
    /// The timer of silence. It runs only while the tool is waited for.
    silence: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// A guard of the caller's, kept as long as the body.
    kept: Option<Box<dyn Send>>,
}

enum Phase {
    Streaming {
        inner: WasiBody,
        running: Running,
        call: ServedCall,
        /// The outcome to record if the answer is complete.
        outcome: &'static str,
    },
    /// The tool sends nothing more. The end of its instance is awaited and recorded, because an
    /// instance that was stopped leaves a body that looks complete.
    Ending(Pin<Box<dyn Future<Output = Wholeness> + Send>>),
    Ended,
}

/// The answer broke off, or fell silent for longer than `limits.stream.idle_ms`.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokenOff;

/// Whether an answer is complete.
enum Wholeness {
    Whole,
    Broken,
}

/// The next step of a body.
enum Step {
    Pass(Bytes),
    Whole,
    Broken,
    Silent,
    /// The caller ended the answer.
    Cut,
}

impl AnswerBody {
    /// Keeps a guard until the body is dropped.
    pub fn keep(&mut self, guard: impl Send + 'static) {
        self.kept = Some(Box::new(guard));
    }

    /// Ends an answer that is not complete. The body must still be polled to its end, which records
    /// the outcome. Returns whether the answer was cut.
    pub fn cut(&mut self) -> bool {
        let is_streaming = matches!(self.phase, Phase::Streaming { .. });
        self.end(&Step::Cut);
        is_streaming
    }

    fn step(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let Phase::Streaming { inner, call, .. } = &mut self.phase else {
            return Poll::Ready(None);
        };
        for passed_over in 0.. {
            if passed_over == MAX_EMPTY_CHUNKS {
                // A tool that writes endless empty chunks counts as silent.
                context.waker().wake_by_ref();
                break;
            }
            let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(context) else {
                break;
            };
            let data = match frame {
                None => return Poll::Ready(Some(Step::Whole)),
                Some(Err(_)) => return Poll::Ready(Some(Step::Broken)),
                Some(Ok(frame)) => frame.into_data(),
            };
            // Trailers of the tool's answer are not passed on.
            let Ok(data) = data else { continue };
            if self.instead.is_some() {
                continue;
            }
            self.is_waiting &= data.is_empty();
            let released = &call.dispatch.0.released;
            if released.revision() != self.revision {
                self.revision = released.revision();
                self.scrubber.set_scrubber(released.scrubber());
            }
            let clean = self.scrubber.push(data);
            if !clean.is_empty() {
                return Poll::Ready(Some(Step::Pass(clean)));
            }
        }
        if !self.is_waiting {
            self.is_waiting = true;
            let due = tokio::time::Instant::now() + self.idle;
            self.silence.as_mut().reset(due);
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Some(Step::Silent))
    }

    fn end(&mut self, how: &Step) {
        let Phase::Streaming {
            running,
            mut call,
            outcome,
            ..
        } = std::mem::replace(&mut self.phase, Phase::Ended)
        else {
            return;
        };
        call.leaked
            .extend(self.scrubber.blocked().map(str::to_owned));
        let has_ended = matches!(how, Step::Whole);
        let is_silent = matches!(how, Step::Silent);
        let is_cut = matches!(how, Step::Cut);
        let end = async move {
            let failure = if is_cut {
                drop(running);
                None
            } else if is_silent {
                drop(running);
                call.dispatch.0.metrics.limit_hit("limits.stream.idle_ms");
                tracing::warn!(
                    tool = &*call.tool.name,
                    "an answer fell silent for limits.stream.idle_ms and was ended"
                );
                None
            } else {
                running.ended().await
            };
            if let Some(failure) = &failure {
                call.dispatch.0.failed(&call.tool, failure);
            }
            if has_ended && failure.is_none() {
                call.end(outcome).await;
                Wholeness::Whole
            } else {
                call.end("broken").await;
                Wholeness::Broken
            }
        };
        self.phase = Phase::Ending(Box::pin(end));
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let body = &mut *self;
        match ready!(body.step(context)) {
            Some(Step::Pass(clean)) => return Poll::Ready(Some(Ok(Frame::data(clean)))),
            Some(end) => {
                let rest = match end {
                    Step::Whole => match body.instead.take() {
                        Some(instead) => instead,
                        None => body.scrubber.finish(),
                    },
                    _ => Bytes::new(),
                };
                body.end(&end);
                if !rest.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
            }
            None => {}
        }
        let Phase::Ending(end) = &mut body.phase else {
            return Poll::Ready(None);
        };
        let wholeness = ready!(end.as_mut().poll(context));
        body.phase = Phase::Ended;
        Poll::Ready(match wholeness {
            Wholeness::Whole => None,
            Wholeness::Broken => Some(Err(BrokenOff)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Streaming { mut call, .. } => {
                call.leaked
                    .extend(self.scrubber.blocked().map(str::to_owned));
            }
            Phase::Ending(end) => spawn(async move {
                end.await;
            }),
            Phase::Ended => {}
        }
    }
}

/// Returns the policy's refusal in the form that clients of OpenAI and others read.
fn refusal(words: &ToolError) -> Bytes {
    let ToolError { code, message } = words;
    let kind = match code.as_str() {
        UNUSABLE => "invalid_request_error",
        _ => "server_error",
    };
    let error = json!({ "message": message, "type": kind, "param": null, "code": code });
    json!({ "code": code, "message": message, "error": error })
        .to_string()
        .into()
}

/// The state of a request that is being answered, until it is recorded.
struct ServedCall {
    dispatch: Dispatch,
    tool: Arc<ToolComponent>,
    span: Span,
    started: Instant,
    outcome: &'static str,
    /// The names of secrets that were removed.
    leaked: Vec<String>,
    is_recorded: bool,
    _turn: OwnedSemaphorePermit,
}

impl ServedCall {
    /// Removes secrets from the head.
    fn scrub(&mut self, headers: &mut HeaderMap) {
        let released = &self.dispatch.0.released;
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|name| !is_ordinary(name))
            .cloned()
            .collect();
        for name in names {
            // Header names are in lower case, so the secret is compared without case.
            if let Some(secret) = released
                .scrubber_of_names()
                .contains(name.as_str().as_bytes())
            {
                self.leaked.push(secret.to_owned());
                headers.remove(name);
            }
        }
        let scrubber = released.scrubber();
        for value in headers.values_mut() {
            let scrubbed = scrubber.scrub_bytes(value.as_bytes());
            if scrubbed.blocked.is_empty() {
                continue;
            }
            let clean = HeaderValue::from_bytes(&scrubbed.bytes);
            let clean = clean.expect("names of secrets can stand in a header's value");
            self.leaked.extend(scrubbed.blocked);
            *value = clean;
        }
    }

    async fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
        self.is_recorded = true;
        let record = self.record();
        record.await;
    }

    /// Writes the audit entries of the request.
    fn record(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let mut leaked = std::mem::take(&mut self.leaked);
        leaked.sort();
        leaked.dedup();
        let (dispatch, tool) = (self.dispatch.clone(), Arc::clone(&self.tool));
        let record = async move {
            let context = dispatch.0.context(&tool);
            for secret in leaked {
                tracing::warn!(
                    tool = &*tool.name,
                    "a tool's answer held a credential; it was taken out"
                );
                dispatch.0.trail.leak_blocked(&context, &secret).await;
            }
            dispatch.0.trail.write_denials(&context).await;
        };
        record.instrument(self.span.clone())
    }
}

impl Drop for ServedCall {
    fn drop(&mut self) {
        self.span.record("outcome", self.outcome);
        let tool = Some(&*self.tool.name);
        let metrics = &self.dispatch.0.metrics;
        metrics.tool_call_ended(tool, self.outcome, self.started.elapsed());
        if !self.is_recorded {
            // The client disconnected.
            spawn(self.record());
        }
    }
}

/// Whether this is a common header name. Comparing names is faster than looking for secrets in
/// them.
fn is_ordinary(name: &HeaderName) -> bool {
    const RATES: [&str; 6] = [
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    ];
    [CONTENT_TYPE, CONTENT_LENGTH, RETRY_AFTER].contains(name) || RATES.contains(&name.as_str())
}

/// Runs work whose caller is gone. Without a runtime the process is ending, and the work is
/// dropped.
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}
