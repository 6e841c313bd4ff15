//! A server in the test's process, with a router that the test made, and a very plain client.

use std::net::SocketAddr;

use axum::Router;
use tavora_host::config::Config;
use tavora_host::server::Server;
pub use tavora_tests::eventually::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A running server.
pub struct Served {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    cut: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    /// Serves `router` with these settings, the text of a `tavora.toml`.
    pub async fn start(settings: &str, router: Router) -> Self {
        let mut config = Config::parse(settings)
            .expect("the test's settings are valid")
            .server;
        config.listen = "127.0.0.1:0".parse().expect("an address");
        let server = Server::bind(config).await.expect("there is a free port");
        let (_, address) = server
            .url()
            .split_once("://")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("a URL");
        let (stop, stopped) = oneshot::channel();
        let (cut, cut_off) = oneshot::channel();
        let task = tokio::spawn(server.serve(router, told(stopped), told(cut_off)));
        Self {
            address: address.parse().expect("the host is an address"),
            stop: Some(stop),
            cut: Some(cut),
            task,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends `GET` on a connection of its own and reads to the end.
    pub async fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut stream = self.connect().await;
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        rest(&mut stream).await
    }

    pub fn stop(&mut self) {
        let stop = self.stop.take().expect("it is stopped once");
        stop.send(()).expect("it runs");
    }

    pub fn cut(&mut self) {
        let cut = self.cut.take().expect("it is cut once");
        cut.send(()).expect("it runs");
    }

    /// Waits for the end of `serve`.
    pub async fn ended(self) {
        let ended = timeout(PATIENCE, self.task).await;
        ended.expect("it ends in time").expect("it does not panic");
    }
}

/// Reads everything up to the end of the connection. A reset counts as an end.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // Bytes that were read before a reset count.
    let _ = read.expect("the connection ends in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer with a body of `Content-Length`, on a connection that stays open.
pub async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().expect("a number"));
                if body.len() >= length {
                    return text;
                }
            }
            let read = stream.read_buf(&mut bytes).await.expect("it answers");
            assert!(read > 0, "the connection ended: {text}");
        }
    };
    timeout(PATIENCE, reading)
        .await
        .expect("it answers in time")
}

async fn told(receiver: oneshot::Receiver<()>) {
    if receiver.await.is_err() {
        std::future::pending().await
    }
}
