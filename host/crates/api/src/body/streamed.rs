//! A request's body that is passed on as it arrives, up to its length limit. The receiver cannot
//! tell the client what is wrong with the body, so the fault is kept beside it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use http_body::Frame;

use super::{ApiError, LengthLimit, check_declared, incomplete, json, refuse_compressed, too_long};

pub struct StreamedBody {
    inner: Body,
    passed_bytes: usize,
    limit: LengthLimit,
    fault: Fault,
    /// The number of bytes of a byte order mark seen at the beginning. `None` after that.
    marked: Option<usize>,
}

/// Why the body is incomplete. Clones refer to the same body.
#[derive(Clone, Default)]
pub struct Fault(Arc<Mutex<Option<ApiError>>>);

/// The body ended too early.
#[derive(Debug, thiserror::Error)]
#[error("the body ended before it was whole")]
pub struct Incomplete;

impl StreamedBody {
    /// # Errors
    /// The body is compressed, or its declared length is over the limit.
    pub(crate) fn new(
        headers: &HeaderMap,
        inner: Body,
        limit: LengthLimit,
    ) -> Result<(Self, Fault), ApiError> {
        refuse_compressed(headers)?;
        check_declared(headers, limit)?;
        let fault = Fault::default();
        let body = Self {
            inner,
            passed_bytes: 0,
            limit,
            fault: fault.clone(),
            marked: Some(0),
        };
        Ok((body, fault))
    }

    fn check(
        &mut self,
        frame: Result<Frame<Bytes>, axum::Error>,
    ) -> Result<Frame<Bytes>, ApiError> {
        let frame = frame.map_err(|error| incomplete(&error))?;
        self.passed_bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.passed_bytes > self.limit.bytes {
            return Err(too_long(self.limit));
        }
        match frame.into_data() {
            Ok(data) => Ok(Frame::data(self.without_mark(data)?)),
            Err(frame) => Ok(frame),
        }
    }

    /// Removes a byte order mark, which can arrive in parts, and refuses UTF-16.
    fn without_mark(&mut self, data: Bytes) -> Result<Bytes, ApiError> {
        let Some(marked) = self.marked else {
            return Ok(data);
        };
        if marked == 0 && json::is_utf16(&data) {
            return Err(json::utf16());
        }
        let expected = &json::BYTE_ORDER_MARK[marked..];
        let pairs = data.iter().zip(expected);
        let same = pairs.take_while(|(one, other)| one == other).count();
        if same == expected.len() {
            self.marked = None;
            return Ok(data.slice(same..));
        }
        if same == data.len() {
            self.marked = Some(marked + same);
            return Ok(Bytes::new());
        }
        self.marked = None;
        match marked {
            0 => Ok(data),
            // The bytes were another character with the same first bytes as the mark.
            _ => Ok([&json::BYTE_ORDER_MARK[..marked], &data].concat().into()),
        }
    }
}

impl Fault {
    /// Takes the error for the client, if there is one.
    pub fn take(&self) -> Option<ApiError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl http_body::Body for StreamedBody {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(self.check(frame).map_err(|error| {
            let mut fault = self.fault.0.lock().unwrap_or_else(PoisonError::into_inner);
            *fault = Some(error);
            Incomplete
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::BodyExt;

    use super::*;

    async fn passed(parts: &[&[u8]]) -> Result<Vec<u8>, String> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| Bytes::copy_from_slice(part))
            .collect();
        let parts = stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
        let limit = LengthLimit {
            key: "limit",
            bytes: 100,
        };
        let new = StreamedBody::new(&HeaderMap::new(), Body::from_stream(parts), limit);
        let (body, fault) = new.map_err(|error| error.message().to_owned())?;
        match body.collect().await {
            Ok(whole) => Ok(whole.to_bytes().to_vec()),
            Err(_) => Err(fault
                .take()
                .map_or(String::new(), |it| it.message().to_owned())),
        }
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_taken_off_however_it_comes() {
        for (parts, whole) in [
            (&[b"\xef\xbb\xbf{}".as_slice()][..], b"{}".as_slice()),
            (&[b"\xef", b"\xbb", b"\xbf", b"{}"], b"{}"),
            (&[b"\xef\xbb", b"\xbf{", b"}"], b"{}"),
            (&[b"\xef\xbb", b"\xbe{}"], b"\xef\xbb\xbe{}"),
            (&[b"{\"\xef\xbb\xbf\"}"], b"{\"\xef\xbb\xbf\"}"),
            (&[b"{", b"\xef\xbb\xbf}"], b"{\xef\xbb\xbf}"),
            (&[b"", b"{}"], b"{}"),
        ] {
            assert_eq!(passed(parts).await.as_deref(), Ok(whole), "{parts:?}");
        }
    }

    #[tokio::test]
    async fn utf_16_is_named() {
        for part in [
            b"\xff\xfe{\0".as_slice(),
            b"\xfe\xff\0{",
            b"{\0}\0",
            b"\0{\0}",
        ] {
            let refused = passed(&[part]).await.expect_err("UTF-16");
            assert!(refused.contains("UTF-16"), "{refused}");
        }
    }
}
