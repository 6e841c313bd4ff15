//! Providers behind TLS: the host talks only to a certificate that the platform or `[egress]
//! extra_ca_file` trusts.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use vault_core::KekTrouble;

use crate::fixture::{IMPATIENT, expect, keyring, works};
use crate::moto::Moto;
use crate::openbao::{OpenBao, ROOT_TOKEN};
use crate::rerun;
use crate::transit::table;

/// Terminates TLS as 127.0.0.1 and passes on the content. Returns its URL, and its certificate as
/// PEM.
async fn tls_in_front_of(server: SocketAddr) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut inside) = acceptor.accept(stream).await {
                    let mut outside = TcpStream::connect(server).await.unwrap();
                    // The first direction that ends closes the connection.
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                }
            });
        }
    });
    (url, made.cert.pem())
}

async fn only_a_trusted_certificate_is_talked_to(server: SocketAddr, kek: impl Fn(&str) -> String) {
    let (url, pem) = tls_in_front_of(server).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let trust = format!("[egress]\nextra_ca_file = {:?}\n", ca.display().to_string());
    let config = [&kek(&url), IMPATIENT].concat();
    let trusting = keyring(&[&*config, &trust].concat(), &[]);
    works(&trusting).await.unwrap();
    let other = keyring(&config, &[]);
    expect(&other, works(&other).await, KekTrouble::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn transit_is_talked_to_behind_a_trusted_certificate_only() {
    let Some(bao) = OpenBao::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    only_a_trusted_certificate_is_talked_to(bao.server.address, |url| {
        let table = table("main", url, folder.path(), ROOT_TOKEN, "key = \"tavora\"");
        format!("[kek]\nprovider = \"transit\"\n{table}")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kms_is_talked_to_behind_a_trusted_certificate_only() {
    if !rerun::is_inside() {
        let test = "tls::kms_is_talked_to_behind_a_trusted_certificate_only";
        return rerun::inside(test, &crate::aws_kms::CREDENTIAL);
    }
    let Some(moto) = Moto::start() else { return };
    let key = moto.make_key();
    only_a_trusted_certificate_is_talked_to(moto.server.address, |url| {
        format!(
            "[kek]\nprovider = \"aws_kms\"\n[kek.aws_kms.main]\nkey = {key:?}\nendpoint = {url:?}\n"
        )
    })
    .await;
}
