//! A stream of bytes under HTTP: it tells the connection's pace what comes in, keeps heads from the
//! library that are malformed, and outlives the library that uses it.
//!
//! TLS or not is no difference here.

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

/// Plain or encrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream on loan to hyper, which consumes what it is given.
pub(super) struct Socket {
    /// `None` only while it is dropped.
    stream: Option<Box<dyn Stream>>,
    pace: Arc<Pace>,
    gate: Arc<Gate>,
    /// Its place among those that wait at the gate.
    ticket: Option<u64>,
    /// What is left of [`FIRST_BYTES`].
    first_left: usize,
    /// For a stranger that speaks HTTP/2.
    seat: Seat,
    control_frames: ControlFrames,
    intake: Intake,
    back: Option<oneshot::Sender<Box<dyn Stream>>>,
}

/// Where the stream comes back to.
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
    /// Waits until the connection may speak what it speaks: a stranger needs a seat for HTTP/2.
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
        // A credential is looked for again behind the gate, because it may be seen meanwhile.
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

/// What a connection that has not asked for anything yet may say whatever the gate says, in all: an
/// ordinary head, and no more than a few of HTTP/2.
const FIRST_BYTES: usize = 256;

const DISCARD_BUFFER_BYTES: usize = 8_192;

/// Closes a stream whose client may still be sending. What it sends is read and dropped for a
/// while: a socket that is closed with unread bytes is reset, and the client's system then throws
/// away the answer with them (RFC 9112, 9.6).
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
    // However it ends, the stream is closed next.
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
                // The answer to what was refused is the last thing on this connection.
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
                // The library must not see that it is HTTP/2 before there is a seat.
                socket.intake.ready.extend(came);
            }
            buffer.set_filled(before);
        }
    }
}

/// What comes in, until it can be given to the library.
struct Intake {
    framing: Framing,
    /// Heads that were given.
    heads: u64,
    /// What may be of a head that is malformed.
    held: Vec<u8>,
    ready: VecDeque<u8>,
    is_over: bool,
}

/// What a head that is malformed begins with for the library, if nothing of it was given yet.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n";
/// How it ends. The router answers in its own words, because `pace` has what is wrong.
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

    /// Gives what is ready; whether there was something.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let bytes = self.ready.len().min(buffer.remaining());
        let (front, back) = self.ready.as_slices();
        let of_front = bytes.min(front.len());
        buffer.put_slice(&front[..of_front]);
        buffer.put_slice(&back[..bytes - of_front]);
        self.ready.drain(..bytes);
        bytes > 0
    }

    /// Takes what came; whether all of it can be given as it is. Otherwise, what can be is ready.
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

/// What is kept of the room for heads between them.
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
            // Where nobody waits for it, it is closed.
            let _ = back.send(stream);
        }
    }
}
