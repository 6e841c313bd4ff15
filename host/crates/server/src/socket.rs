//! The byte stream under hyper. It tells the connection's pace that bytes arrive, keeps malformed
//! heads from hyper, and outlives hyper's connection.
//!
//! It is the same with and without TLS.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;

use super::frames::ControlFrames;
use super::framing::{Framing, Malformed};
use super::gate::{Gate, Pass};
use super::pace::Pace;
use super::seats::Seat;
use super::settings::ServerLimits;
use super::shared::head_bytes;

/// A plain or encrypted byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream on loan to hyper. Hyper consumes the socket; the stream inside comes back.
pub(super) struct Socket {
    /// `None` only during drop.
    stream: Option<Box<dyn Stream>>,
    pace: Arc<Pace>,
    gate: Arc<Gate>,
    /// The connection's ticket at the gate while it waits.
    ticket: Option<u64>,
    /// The unused part of [`FIRST_BYTES`].
    first_left: usize,
    /// The seat that a stranger needs for HTTP/2.
    seat: Seat,
    control_frames: ControlFrames,
    intake: Intake,
    back: Option<oneshot::Sender<Box<dyn Stream>>>,
}

/// Receives the stream when the socket is dropped.
pub(super) type Returned = oneshot::Receiver<Box<dyn Stream>>;

impl Socket {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        pace: &Arc<Pace>,
        gate: &Arc<Gate>,
        seat: Seat,
        limits: &ServerLimits,
    ) -> (Self, Returned) {
        let (back, returned) = oneshot::channel();
        let socket = Self {
            stream: Some(stream),
            pace: Arc::clone(pace),
            gate: Arc::clone(gate),
            ticket: None,
            first_left: FIRST_BYTES,
            seat,
            control_frames: ControlFrames::new(limits.http2_max_control_frames),
            intake: Intake::new(head_bytes(limits)),
            back: Some(back),
        };
        (socket, returned)
    }

    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        let stream = self.stream.as_deref_mut();
        Pin::new(stream.expect("it is there until it is dropped"))
    }
}

impl Socket {
    /// Waits until a stranger that speaks HTTP/2 has a seat.
    fn poll_seat(&mut self, context: &Context<'_>) -> Poll<()> {
        if !self.intake.framing.is_http2() {
            return Poll::Ready(());
        }
        if self.pace.is_known() {
            self.seat.leave();
            return Poll::Ready(());
        }
        if !self.seat.is_taken() {
            ready!(self.seat.poll_take(context));
            self.pace.multiplexes();
        }
        Poll::Ready(())
    }

    /// Reads from the stream, if the gate is open for this connection.
    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pass = match self.pace.is_known() {
            true => Poll::Ready(Pass::All),
            false => self.gate.poll_open(&mut self.ticket, context),
        };
        // Checked again after the gate, because a credential may have been seen meanwhile.
        if pass == Poll::Ready(Pass::All) || self.pace.poll_known(context) {
            return self.stream().poll_read(context, buffer);
        }
        match pass {
            Poll::Ready(_) => self.first_left = FIRST_BYTES,
            Poll::Pending if self.pace.has_asked() || self.first_left == 0 => return Poll::Pending,
            Poll::Pending => {}
        }
        let mut bytes = [0; FIRST_BYTES];
        let room = buffer.remaining().min(self.first_left);
        let mut first = ReadBuf::new(&mut bytes[..room]);
        ready!(self.stream().poll_read(context, &mut first))?;
        self.first_left -= first.filled().len();
        buffer.put_slice(first.filled());
        Poll::Ready(Ok(()))
    }
}

/// Limits the bytes that a connection may send before its first request while the gate is closed.
/// They are enough for an ordinary head, or for a few of HTTP/2.
const FIRST_BYTES: usize = 256;

const DISCARD_BUFFER_BYTES: usize = 8_192;

/// Closes a stream whose client may still be sending. The client's bytes are read and dropped for a
/// while: a socket that is closed with unread bytes is reset, and the client's system then discards
/// the answer (RFC 9112, 9.6).
pub(super) async fn close_gently(mut stream: Box<dyn Stream>, limits: &ServerLimits) {
    let discarding = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; DISCARD_BUFFER_BYTES];
        let mut left = limits.max_discarded_bytes;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
        io::Result::Ok(())
    };
    // The stream is closed next, also after an error or a timeout.
    let _ = tokio::time::timeout(limits.discard_timeout(), discarding).await;
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut *self;
        loop {
            ready!(socket.poll_seat(context));
            if socket.intake.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            if socket.intake.is_over {
                // The answer to the refused head is the last thing on this connection.
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            ready!(socket.poll_more(context, buffer))?;
            let came = &buffer.filled()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            socket.pace.received(Instant::now());
            if !socket.pace.is_known() {
                socket.control_frames.take(came)?;
            }
            let was_http2 = socket.intake.framing.is_http2();
            if socket.intake.take(came, &socket.pace)? {
                if was_http2 == socket.intake.framing.is_http2() {
                    return Poll::Ready(Ok(()));
                }
                // Hyper must not see that this is HTTP/2 before there is a seat.
                socket.intake.ready.extend(came);
            }
            buffer.set_filled(before);
        }
    }
}

/// Checks incoming bytes before they are passed to hyper.
struct Intake {
    framing: Framing,
    /// The number of heads passed to hyper.
    heads: u64,
    /// Bytes of a line that may still turn out malformed.
    held: Vec<u8>,
    ready: VecDeque<u8>,
    is_over: bool,
}

/// The request line that hyper gets for a malformed head, if nothing of the head was passed yet.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n";
/// The end of that head. The router answers with its own message, because `pace` has the fault.
const STAND_IN_END: &[u8] = b"connection: close\r\n\r\n";

impl Intake {
    fn new(max_head_bytes: usize) -> Self {
        Self {
            framing: Framing::new(max_head_bytes),
            heads: 0,
            held: Vec::new(),
            ready: VecDeque::new(),
            is_over: false,
        }
    }

    /// Passes ready bytes to hyper. Returns whether there were any.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let bytes = self.ready.len().min(buffer.remaining());
        let (front, back) = self.ready.as_slices();
        let of_front = bytes.min(front.len());
        buffer.put_slice(&front[..of_front]);
        buffer.put_slice(&back[..bytes - of_front]);
        self.ready.drain(..bytes);
        bytes > 0
    }

    /// Checks new bytes. Returns whether all of them can be passed on unchanged. Otherwise, the
    /// good part is put into `ready`.
    fn take(&mut self, came: &[u8], pace: &Pace) -> io::Result<bool> {
        if self.framing.is_http2() {
            return Ok(true);
        }
        let was_held = !self.held.is_empty();
        if was_held {
            self.held.extend_from_slice(came);
        }
        let bytes = if was_held { &self.held[..] } else { came };
        match self.framing.read(bytes, came.len()) {
            Ok(read) => {
                self.heads += read.heads;
                if !was_held && read.passed == came.len() {
                    return Ok(true);
                }
                self.ready.extend(&bytes[..read.passed]);
                match was_held {
                    true => drop(self.held.drain(..read.passed)),
                    false => self.held.extend_from_slice(&came[read.passed..]),
                }
            }
            Err((Malformed::Chunk, _)) => return Err(io::ErrorKind::InvalidData.into()),
            Err((malformed, read)) => {
                self.ready.extend(&bytes[..read.passed]);
                if !self.framing.is_amid_head() {
                    self.ready.extend(STAND_IN);
                }
                self.ready.extend(STAND_IN_END);
                self.held = Vec::new();
                self.is_over = true;
                pace.refuse_head(self.heads + read.heads + 1, malformed);
            }
        }
        if self.held.is_empty() {
            self.held.shrink_to(HELD_BYTES);
        }
        Ok(false)
    }
}

/// The capacity that the buffer of heads keeps between heads.
const HELD_BYTES: usize = 1_024;

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|it| it.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.give_up(ticket);
        }
        if let (Some(back), Some(stream)) = (self.back.take(), self.stream.take()) {
            // If nobody waits for the stream, it is closed.
            let _ = back.send(stream);
        }
    }
}
