//! The one reply to a client's request: an error, a whole body, or a body piece by piece.
//!
//! Other modules decide what it says.

use crate::exchange::Unanswered;
use crate::refusal::Refusal;
use trusted_tool::bindings::wasi::http::types::{
    Fields, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use trusted_tool::bindings::wasi::io::streams::OutputStream;

/// The place of the one reply to a request.
pub struct Reply(ResponseOutparam);

impl Reply {
    /// The reply that the host waits for.
    pub fn to(response: ResponseOutparam) -> Self {
        Self(response)
    }

    /// Replies with an error of the router.
    pub fn refuse(self, refusal: &Refusal) {
        self.refuse_with(refusal, Vec::new());
    }

    /// Replies with the reason why no provider answered.
    pub fn fail(self, unanswered: Unanswered) {
        match unanswered {
            Unanswered::Failed(error) => self.refuse(&error.into()),
            Unanswered::Error(error) => {
                let (refusal, headers) = error.refusal();
                self.refuse_with(&refusal, headers);
            }
        }
    }

    /// Replies with an error and the provider's headers, except their type.
    fn refuse_with(self, refusal: &Refusal, headers: Vec<(String, Vec<u8>)>) {
        let mut all = json_type();
        all.extend(
            headers
                .into_iter()
                .filter(|(name, _)| name != "content-type"),
        );
        if !refusal.can_retry && refusal.status != 429 {
            all.push(("x-should-retry".to_owned(), b"false".to_vec()));
        }
        self.whole(refusal.status, all, refusal.body().to_string().as_bytes());
    }

    /// Replies with a whole body.
    pub fn whole(self, status: u16, headers: Vec<(String, Vec<u8>)>, body: &[u8]) {
        if let Some(mut reply) = self.begin(status, headers)
            && reply.write(body)
        {
            reply.finish();
        }
    }

    /// Sends the head. The body follows. `None` when the host refuses the head.
    pub fn begin(self, status: u16, headers: Vec<(String, Vec<u8>)>) -> Option<ReplyBody> {
        let response = OutgoingResponse::new(Fields::from_list(&headers).ok()?);
        response.set_status_code(status).ok()?;
        let body = response.body().ok()?;
        let stream = body.write().ok()?;
        ResponseOutparam::set(self.0, Ok(response));
        Some(ReplyBody { stream, body })
    }
}

/// The body of a reply that has begun. If it is dropped before it is finished, it breaks off.
pub struct ReplyBody {
    // Dropped in this order, because the stream is a part of the body.
    stream: OutputStream,
    body: OutgoingBody,
}

impl ReplyBody {
    /// Hands `bytes` to the host as fast as it takes them. Returns whether the client is still
    /// there.
    pub fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Ok(room) = self.stream.check_write() else {
                return false;
            };
            if room == 0 {
                self.stream.subscribe().block();
                continue;
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            if self.stream.write(piece).is_err() {
                return false;
            }
            bytes = rest;
        }
        true
    }

    /// Ends the body as whole.
    pub fn finish(self) {
        let Self { stream, body } = self;
        drop(stream);
        // An error here means that the client has left.
        let _ = OutgoingBody::finish(body, None);
    }
}

/// The headers of a reply of JSON.
pub fn json_type() -> Vec<(String, Vec<u8>)> {
    vec![("content-type".to_owned(), b"application/json".to_vec())]
}
