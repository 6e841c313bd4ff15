//! Removes the `Content-Encoding` of a response, so that the scrubber and the tool see the content.
//! Requests ask for no encoding, but some gateways compress answers, or name an encoding that is
//! not applied.
//!
//! The decompressed body has the limit of a body, however short the compressed one is.

use std::io;
use std::pin::Pin;

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::{AsyncBufRead, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::body::ResponseBody;

/// The size of a decompressed piece, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// Limits the bytes of a body that are examined to recognise its format.
const TELLING_BYTES: usize = 16;
/// The most codings on one body. More than one is rare.
const MAX_CODINGS: usize = 4;
/// The largest window that a response may use (RFC 9659), as a power of two.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Values of the header that people write, and that mean no compression.
const PLAIN: [&str; 9] = [
    "identity",
    "none",
    "utf-8",
    "utf8",
    "aws-chunked",
    "chunked",
    "binary",
    "8bit",
    "7bit",
];

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// A supported compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Returns the body without the codings that the headers name.
///
/// # Errors
/// The compression is unknown, or the body breaks off at its beginning.
pub(super) async fn decoded(
    headers: &mut HeaderMap,
    mut body: ResponseBody,
    max_bytes: u64,
) -> Result<WasiBody, WasiError> {
    let names = named(headers);
    headers.remove(CONTENT_ENCODING);
    let Some(outermost) = names.last() else {
        return Ok(body.boxed_unsync());
    };
    if names.len() > MAX_CODINGS {
        return Err(unknown(&names.join(", ")));
    }
    let beginning = beginning(&mut body).await?;
    if beginning.is_empty() || !is_packed(outermost, &beginning)? {
        let first = stream::iter([Ok(Frame::data(beginning.freeze()))]);
        let rest = stream::unfold(body, async |mut body| {
            let frame = body.frame().await?;
            Some((frame, body))
        });
        return Ok(StreamBody::new(first.chain(rest)).boxed_unsync());
    }
    headers.remove(CONTENT_LENGTH);
    let mut is_raw = !is_zlib(&beginning);
    let mut reader = packed(beginning.freeze(), body);
    for name in names.iter().rev() {
        let layer = unpacked(coding(name).ok_or_else(|| unknown(name))?, is_raw, reader);
        reader = bounded(layer, max_bytes);
        is_raw = false;
    }
    let pieces = ReaderStream::with_capacity(reader, PIECE_BYTES);
    let frames = pieces.map(move |piece| {
        let piece = piece.map_err(|error| broken(error, &names))?;
        Ok(Frame::data(piece))
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

/// Limits the output of one coding. Without a limit on each, a bomb inside another coding could
/// take hours and produce almost no output.
fn bounded(reader: Reader, max_bytes: u64) -> Reader {
    let mut bytes = 0_u64;
    let pieces = ReaderStream::with_capacity(reader, PIECE_BYTES).map(move |piece| {
        let piece = piece?;
        bytes = bytes.saturating_add(piece.len() as u64);
        match bytes > max_bytes {
            true => Err(io::Error::other(WasiError::HttpResponseBodySize(Some(
                bytes,
            )))),
            false => Ok(piece),
        }
    });
    Box::pin(StreamReader::new(Box::pin(pieces)))
}

/// Returns the codings that the headers name, in the order in which they were applied.
fn named(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && !PLAIN.contains(&name.as_str()))
        .collect()
}

fn coding(name: &str) -> Option<Coding> {
    match name {
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        "deflate" | "x-deflate" | "zlib" => Some(Coding::Deflate),
        "br" | "brotli" => Some(Coding::Brotli),
        "zstd" => Some(Coding::Zstd),
        _ => None,
    }
}

/// Reads the first bytes of a body, enough to recognise its format. A short body has fewer.
async fn beginning(body: &mut ResponseBody) -> Result<BytesMut, WasiError> {
    let mut beginning = BytesMut::new();
    while beginning.len() < TELLING_BYTES {
        match body.frame().await {
            None => break,
            Some(frame) => {
                if let Ok(data) = frame?.into_data() {
                    beginning.extend_from_slice(&data);
                }
            }
        }
    }
    Ok(beginning)
}

/// Whether a body is compressed as its header says. Some proxies decompress it and keep the header.
fn is_packed(name: &str, beginning: &[u8]) -> Result<bool, WasiError> {
    let is_text = is_text(beginning);
    let is_packed = match coding(name) {
        Some(Coding::Gzip) => beginning.starts_with(b"\x1f\x8b"),
        Some(Coding::Zstd) => beginning.starts_with(b"\x28\xb5\x2f\xfd"),
        Some(Coding::Deflate) => is_zlib(beginning) || !is_text,
        Some(Coding::Brotli) => !is_text,
        None => false,
    };
    match is_packed || is_text {
        true => Ok(is_packed),
        false => Err(unknown(name)),
    }
}

/// Whether the bytes begin with the header of RFC 1950. Some servers take `deflate` for RFC 1951,
/// which has none.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [method, flags, ..]
        if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

/// Whether the bytes begin a text, such as JSON, events or HTML.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character may be incomplete.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text
        .chars()
        .any(|char| char.is_control() && !"\t\r\n".contains(char))
}

fn packed(beginning: Bytes, body: ResponseBody) -> Reader {
    let rest = stream::unfold(body, async |mut body| {
        let frame = body.frame().await?;
        Some((frame.map_err(io::Error::other), body))
    });
    // Trailers are dropped: there is no place for them in the decompressed body.
    let rest = rest.filter_map(async |frame| match frame.map(Frame::into_data) {
        Ok(Ok(data)) => Some(Ok(data)),
        Ok(Err(_)) => None,
        Err(error) => Some(Err(error)),
    });
    let all = stream::iter([Ok(beginning)]).chain(rest);
    Box::pin(StreamReader::new(Box::pin(all)))
}

fn unpacked(coding: Coding, is_raw: bool, reader: Reader) -> Reader {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(BufReader::new(decoder))
        }
        Coding::Deflate if is_raw => Box::pin(BufReader::new(DeflateDecoder::new(reader))),
        Coding::Deflate => Box::pin(BufReader::new(ZlibDecoder::new(reader))),
        Coding::Brotli => Box::pin(BufReader::new(BrotliDecoder::new(reader))),
        Coding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
            Box::pin(BufReader::new(ZstdDecoder::with_params(reader, &window)))
        }
    }
}

/// Returns why the body broke off: the connection failed, or the compressed data is invalid.
fn broken(error: io::Error, names: &[String]) -> WasiError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => WasiError::HttpResponseIncomplete,
        _ => match error.downcast::<WasiError>() {
            Ok(error) => error,
            Err(_) => unknown(&names.join(", ")),
        },
    }
}

fn unknown(name: &str) -> WasiError {
    WasiError::HttpResponseContentCoding(Some(name.to_owned()))
}
