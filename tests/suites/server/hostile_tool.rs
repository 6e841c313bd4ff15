//! A hostile trusted tool that makes the host work for nothing, with the binary as an operator runs
//! it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use tavora_tests::load::memory::{Sampler, resident_bytes};
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

use super::tls::certificate;

/// An HTTP/2 SETTINGS frame without settings.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// An upstream that accepts HTTP/2 but reads nothing. Returns its port.
async fn start_deaf_upstream(folder: &TempDir) -> u16 {
    let file = |name| folder.path().join(name);
    let certificate = CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("supported")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let socket = TcpSocket::new_v4().expect("it can be had");
    // Buffers of the system do not count as the host's memory.
    socket.set_recv_buffer_size(4_096).expect("it can be set");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a free port");
    let listener = socket.listen(16).expect("it is bound");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.expect("it speaks TLS");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            stream.write_all(&SETTINGS).await.expect("it reads");
            stream.flush().await.expect("it reads");
            open.push(stream);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_chunks_without_end_take_no_memory_and_end_at_a_limit() {
    let folder = TempDir::new().expect("there is room");
    certificate(folder.path());
    let port = start_deaf_upstream(&folder).await;
    let origin = format!("https://localhost:{port}");
    let component = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../guest-tools/target/components/smuggler.wasm"
    );
    let authority = folder.path().join("cert.pem");
    let serving = Serving::start(&format!(
        "[egress]\nallow_private_origins = [{origin:?}]\nextra_ca_file = {authority:?}\n\
         [limits.tool]\ncpu_ms = 10_000\n[tools.smuggler]\ncomponent = {component:?}\n\
         reveal = [\"hostile_key\"]\norigins = [{origin:?}]\n"
    ));
    let app = serving.make_app("shop");
    let ask = |method: &str, path: &str, body| {
        let request = Request::new(method, path).header("x-api-key", &app.key);
        serving.send(&request.json(&body))
    };
    let vault = ask("POST", "/api/sdk/secret-vaults", json!({ "name": "main" })).json();
    let vault = vault["id"].as_str().expect("an id");
    ask("PUT", "/api/sdk/app/vault", json!({ "vault_id": vault }));
    let path = format!("/api/sdk/secret-vaults/{vault}/secrets/hostile_key");
    ask("PUT", &path, json!({ "value": "a-credential-of-nobody" }));

    let before = resident_bytes(serving.process_id()).expect("it runs");
    let sampler = Sampler::start(serving.process_id(), Duration::from_millis(20));
    let input = json!({ "to": origin, "part": "nothing, again and again", "form": "raw" });
    let code = format!("return tools.call('smuggler', 'send', {input})");
    let answer = ask("POST", "/api/sdk/sandbox/execute", json!({ "code": code }));
    let samples = sampler.stop().expect("it runs");

    let text = answer.text();
    assert!(text.contains("limits.tool.cpu_ms"), "{text}");
    let most = samples.iter().map(|it| it.bytes).max().expect("sampled");
    let growth = most.saturating_sub(before);
    println!("it grew by {} MiB", growth >> 20);
    // This includes the memory that every run needs.
    assert!(growth <= 32 << 20, "it grew by {growth} bytes");
}
