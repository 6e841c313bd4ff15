//! Counts the HTTP/2 frames that request nothing: pings, settings, window updates, priorities,
//! resets, and data without a byte. A connection without a valid credential may send a limited
//! number of them for each request. Each one takes processor time, and the library counts only some
//! of them.
//!
//! Only the heads of frames are read here, and only for the count. The library reads the frames
//! themselves.

use std::io;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;

/// Counts the control frames of one connection since its last request.
#[derive(Debug)]
pub(super) struct ControlFrames {
    most: usize,
    count: usize,
    last_stream: u32,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// The bytes of the preface that have arrived.
    Preface(usize),
    /// The bytes of a frame's head that have arrived, and their number.
    Head([u8; HEAD_BYTES], usize),
    /// The bytes of a frame that are still to come.
    Payload(usize),
    /// The connection does not speak HTTP/2.
    Elsewhere,
}

/// The client sent more control frames than `server.limits.http2_max_control_frames` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client sent more frames without a request than server.limits.http2_max_control_frames ({0}) allows"
)]
pub(super) struct TooMany(usize);

impl From<TooMany> for io::Error {
    fn from(too_many: TooMany) -> Self {
        Self::new(io::ErrorKind::InvalidData, too_many)
    }
}

impl ControlFrames {
    /// Allows `most` control frames between two requests.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            count: 0,
            last_stream: 0,
            place: Place::Preface(0),
        }
    }

    /// Counts the control frames in the next bytes of the connection.
    ///
    /// # Errors
    /// Fails if there are too many of them.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        while !bytes.is_empty() {
            let taken = match &mut self.place {
                Place::Elsewhere => return Ok(()),
                Place::Preface(came) => {
                    let left = &PREFACE[*came..];
                    let taken = left.len().min(bytes.len());
                    *came += taken;
                    if bytes[..taken] != left[..taken] {
                        self.place = Place::Elsewhere;
                    } else if *came == PREFACE.len() {
                        self.place = Place::Head([0; HEAD_BYTES], 0);
                    }
                    taken
                }
                Place::Head(head, came) => {
                    let taken = (HEAD_BYTES - *came).min(bytes.len());
                    head[*came..*came + taken].copy_from_slice(&bytes[..taken]);
                    *came += taken;
                    if *came == HEAD_BYTES {
                        let head = *head;
                        self.begin(head)?;
                    }
                    taken
                }
                Place::Payload(left) => {
                    let taken = (*left).min(bytes.len());
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::Head([0; HEAD_BYTES], 0);
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn begin(&mut self, head: [u8; HEAD_BYTES]) -> Result<(), TooMany> {
        let [a, b, c, kind, _, stream @ ..] = head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        self.place = match length {
            0 => Place::Head([0; HEAD_BYTES], 0),
            length => Place::Payload(length),
        };
        if kind == HEADERS && stream > self.last_stream {
            self.last_stream = stream;
            self.count = 0;
        } else if kind != DATA || length == 0 {
            self.count += 1;
        }
        match self.count > self.most {
            true => Err(TooMany(self.most)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 0x6;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        let head = [0, 0, length, kind, 0, 0, 0, 0, stream];
        [&head[..], payload].concat()
    }

    /// Returns how many frames are accepted. They arrive whole or byte by byte, with the same
    /// result.
    fn taken(frames: &[Vec<u8>]) -> usize {
        let mut counts = [ControlFrames::new(2), ControlFrames::new(2)];
        let [whole, split] = &mut counts;
        whole.take(PREFACE).expect("no frame");
        PREFACE
            .chunks(1)
            .for_each(|byte| split.take(byte).expect("no frame"));
        let mut taken = 0;
        for frame in frames {
            let is_taken = whole.take(frame).is_ok();
            let is_taken_split = frame.chunks(1).all(|byte| split.take(byte).is_ok());
            assert_eq!(is_taken, is_taken_split);
            if !is_taken {
                return taken;
            }
            taken += 1;
        }
        taken
    }

    #[test]
    fn frames_without_a_request_are_counted_until_the_next_one() {
        let ping = || frame(PING, 0, b"12345678");
        let request = |stream| frame(HEADERS, stream, b"head");
        let others = [2, 3, 4, 8, 9, 0x20].map(|kind| frame(kind, 1, b"1234"));
        for other in others.into_iter().chain([frame(DATA, 1, b""), ping()]) {
            assert_eq!(taken(&[ping(), ping(), other]), 2);
        }
        let body = || frame(DATA, 1, b"some");
        assert_eq!(taken(&[ping(), body(), body(), body(), ping(), body()]), 6);
        let frames = [ping(), ping(), request(1), ping(), ping(), request(3)];
        assert_eq!(taken(&frames), 6);
        // Trailers, and a head of a stream that has ended, are no new request.
        assert_eq!(taken(&[request(3), ping(), request(3), request(1)]), 3);
    }

    #[test]
    fn what_is_not_http2_is_not_counted() {
        let mut frames = ControlFrames::new(0);
        for text in ["PRI", " * HTTP/1.1\r\n", "\r\n", "\0\0\0\0\0\0\0\0\0\0\0"] {
            assert_eq!(frames.take(text.as_bytes()), Ok(()));
        }
        let mut frames = ControlFrames::new(0);
        frames.take(PREFACE).expect("no frame");
        assert_eq!(frames.take(&frame(PING, 0, b"")), Err(TooMany(0)));
    }
}
