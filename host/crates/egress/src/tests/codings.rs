//! Tests of responses that are compressed, or only claim to be.

use async_compression::tokio::write::{
    BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::upstream::Upstream;
use super::*;

const TEXT: &str = r#"{"choices":[{"message":{"content":"hello"}}]}"#;

/// Encodes these pieces one after the other.
macro_rules! packed {
    ($encoder:ident, $pieces:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        write(&mut encoder, $pieces).await;
        encoder.into_inner()
    }};
}

async fn write(encoder: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) {
    for piece in pieces {
        encoder.write_all(piece).await.expect("memory");
        encoder.flush().await.expect("memory");
    }
    encoder.shutdown().await.expect("memory");
}

/// Fetches an answer with this coding and body from an upstream.
async fn fetch(coding: &str, body: Vec<u8>, limits: &str) -> Result<(String, bool), WasiError> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let upstream = Upstream::writing([head.into_bytes(), body].concat()).await;
    let bench = Bench::new(settings_with(&[&upstream.origin], limits));
    let mut tool = bench.tool(&[&upstream.origin]);
    let response = send(&mut tool, get(upstream.url("/"))).await?;
    assert!(!response.headers().contains_key("content-encoding"));
    let has_length = response.headers().contains_key("content-length");
    Ok((text(response).await?, has_length))
}

#[tokio::test]
async fn each_compression_is_undone_and_no_length_is_left() {
    let text = [TEXT.as_bytes()];
    let gzip = packed!(GzipEncoder, &text);
    let twice = packed!(BrotliEncoder, &[&gzip]);
    for (coding, body) in [
        ("gzip", gzip.clone()),
        ("X-GZIP", gzip.clone()),
        ("identity, gzip", gzip.clone()),
        ("deflate", packed!(ZlibEncoder, &text)),
        ("deflate", packed!(DeflateEncoder, &text)),
        ("br", packed!(BrotliEncoder, &text)),
        ("zstd", packed!(ZstdEncoder, &text)),
        ("gzip, br", twice),
        (
            "gzip",
            [gzip.clone(), packed!(GzipEncoder, &[b"!"])].concat(),
        ),
    ] {
        let (text, has_length) = fetch(coding, body, "").await.expect(coding);
        assert_eq!(text.trim_end_matches('!'), TEXT, "{coding}");
        assert!(!has_length, "{coding}");
    }
}

#[tokio::test]
async fn a_header_that_names_no_compression_or_a_wrong_one_refuses_nothing() {
    for coding in [
        "",
        ",",
        "identity",
        "utf-8",
        "UTF-8",
        "none",
        "aws-chunked",
        "windows-1252",
        "x-unheard-of",
        "gzip",
        "br",
        "zstd",
        "deflate",
    ] {
        let answer = fetch(coding, TEXT.into(), "").await.expect(coding);
        assert_eq!(answer, (TEXT.to_owned(), true), "{coding}");
        let empty = fetch(coding, Vec::new(), "").await.expect(coding);
        assert_eq!(empty.0, "", "{coding}");
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_told_by_its_name() {
    let gzip = packed!(GzipEncoder, &[TEXT.as_bytes()]);
    let mut damaged = gzip.clone();
    damaged[12] ^= 0xff;
    for (coding, body) in [
        ("compress", b"\x1f\x9d\x90\x7b\x44\x8c".to_vec()),
        ("x-unheard-of", b"\x00\x01\x02".to_vec()),
        ("gzip", b"\x01\x02\x03\x04".to_vec()),
        ("zstd", gzip.clone()),
        ("gzip", damaged),
        ("gzip, gzip, gzip, gzip, gzip", gzip.clone()),
    ] {
        match fetch(coding, body, "").await {
            Err(WasiError::HttpResponseContentCoding(Some(named))) => assert_eq!(named, coding),
            other => panic!("{coding}: {other:?}"),
        }
    }
    let cut = gzip[..gzip.len() - 12].to_vec();
    assert!(matches!(
        fetch("gzip", cut, "").await,
        Err(WasiError::HttpResponseIncomplete)
    ));
}

#[tokio::test]
async fn what_comes_out_has_the_limit_of_a_body_and_so_has_what_comes_in() {
    let long = vec![b'x'; 1 << 20];
    let limit = "max_response_body_bytes = 65536";
    // Empty blocks: they decompress to nothing, however many there are.
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let nothing = [&head[..], &[0, 0, 0, 0xff, 0xff].repeat(100_000)].concat();
    for (coding, body) in [
        ("gzip, gzip", packed!(GzipEncoder, &[&nothing])),
        ("gzip", packed!(GzipEncoder, &[&long])),
        ("deflate", packed!(ZlibEncoder, &[&long])),
        ("br", packed!(BrotliEncoder, &[&long])),
        ("zstd", packed!(ZstdEncoder, &[&long])),
        ("gzip", vec![0x1f; 70_000]),
    ] {
        match fetch(coding, body, limit).await {
            Err(WasiError::HttpResponseBodySize(Some(bytes))) => {
                assert!(bytes < 1 << 18, "{coding}: {bytes} came out at once");
            }
            other => panic!("{coding}: {:?}", other.map(|(text, _)| text.len())),
        }
    }
}

#[tokio::test]
async fn a_compressed_stream_passes_piece_by_piece() {
    let events = [&b"data: the first one\n\n"[..], b"data: the second\n\n"];
    let mut encoder = GzipEncoder::new(Vec::new());
    let mut pieces = Vec::new();
    for event in events {
        encoder.write_all(event).await.expect("memory");
        encoder.flush().await.expect("memory");
        pieces.push(std::mem::take(encoder.get_mut()));
    }
    let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
    let script = Mutex::new(Some((pieces, wait)));
    let upstream = Upstream::scripted(move |mut stream| {
        let script = script.lock().expect("not poisoned").take();
        async move {
            let Some((pieces, wait)) = script else { return };
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&pieces[0]).await;
            let _ = wait.await;
            let _ = stream.write_all(&pieces[1]).await;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let bench = Bench::allowing(&[&upstream.origin]);
    let mut tool = bench.tool(&[&upstream.origin]);
    let response = send(&mut tool, get(upstream.url("/"))).await;
    let mut body = response.expect("a head").into_body();
    let mut next = async || {
        let frame = body.frame().await.expect("a piece").expect("no error");
        frame.into_data().expect("data")
    };
    assert_eq!(next().await, events[0]);
    go_on.send(()).expect("it waits");
    assert_eq!(next().await, events[1]);
}
