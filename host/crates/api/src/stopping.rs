//! Tells clients that the host stops before their answers are complete: 503 if no answer has begun,
//! and a final event in a stream of events.
//!
//! `server` decides when the time is up, and ends connections.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Frame;

use super::error::ApiError;
use tavora_platform::{AnswerBody, BrokenOff};
use tavora_server::Stopping;

/// Middleware that gives up on an answer when the time is up.
pub async fn answer_in_time(request: Request, next: Next) -> Response {
    let Some(stopping) = request.extensions().get::<Stopping>().cloned() else {
        return next.run(request).await;
    };
    let uri = request.uri().clone();
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = stopping.time_is_up() => {
            let message = "the host stopped before this was done; if it was a change, look whether it was made, and ask again";
            let refusal = stopped(message).retry_after(1);
            refusal.for_path(&uri).into_response()
        }
    }
}

fn stopped(message: &str) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
}

/// A stream of events that ends when the host stops. Its last event then says that the answer is
/// incomplete. The tool's answer is ended and recorded before the stream ends.
pub struct Events {
    inner: AnswerBody,
    time_is_up: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_cut: bool,
    /// The last bytes that were passed on.
    tail: [u8; 4],
}

impl Events {
    /// Wraps an answer that is a stream of events.
    pub fn new(inner: AnswerBody, stopping: Stopping) -> Self {
        Self {
            inner,
            time_is_up: Box::pin(stopping.time_is_up()),
            is_cut: false,
            tail: *b"\r\n\r\n",
        }
    }

    /// Returns the last event. If an event is incomplete, it is closed first.
    fn last_words(&self) -> Bytes {
        let message = "the host stopped before the answer was whole; ask again";
        let event = format!("data: {}\n\n", stopped(message).for_openai().into_json());
        let is_between = self.tail.ends_with(b"\n\n") || self.tail == *b"\r\n\r\n";
        match is_between {
            true => event.into(),
            false => format!("\n\n{event}").into(),
        }
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let body = &mut *self;
        if !body.is_cut && body.time_is_up.as_mut().poll(context).is_ready() {
            body.is_cut = body.inner.cut();
            if body.is_cut {
                return Poll::Ready(Some(Ok(Frame::data(body.last_words()))));
            }
            // The answer is already complete, and its end is being recorded.
            body.time_is_up = Box::pin(std::future::pending());
        }
        let frame = ready!(Pin::new(&mut body.inner).poll_frame(context));
        if body.is_cut {
            return Poll::Ready(None);
        }
        if let Some(data) = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref()) {
            for byte in data.iter().rev().take(self.tail.len()).rev() {
                self.tail.rotate_left(1);
                self.tail[3] = *byte;
            }
        }
        Poll::Ready(frame)
    }
}
