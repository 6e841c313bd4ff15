//! A TCP relay between two programs on loopback. It passes data on, changes its target, keeps
//! silent or cuts.
//!
//! The relay does not look into the data. It runs on a thread of its own, so that any test can use
//! it.

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A running relay. Dropping it ends its connections.
pub struct Relay {
    /// The address that it listens on.
    pub address: SocketAddr,
    orders: watch::Sender<Orders>,
    runtime: Option<Runtime>,
}

#[derive(Clone, Copy)]
struct Orders {
    target: SocketAddr,
    mood: Mood,
    /// Connections of an older generation are cut.
    generation: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Passing,
    Silent,
    WithholdingAnswers,
    Refusing,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    ToTarget,
    FromTarget,
}

impl Relay {
    /// Starts a relay to a server.
    pub fn start(target: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .expect("a thread can be had");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let orders = watch::Sender::new(Orders {
            target,
            mood: Mood::Passing,
            generation: 0,
        });
        runtime.spawn(accept(listener, orders.subscribe()));
        Self {
            address,
            orders,
            runtime: Some(runtime),
        }
    }

    /// Directs new connections to another server. Open connections stay; [`Self::reset`] ends them.
    pub fn go_to(&self, target: SocketAddr) {
        self.orders.send_modify(|orders| orders.target = target);
    }

    /// Passes everything on again, including the data that was held back.
    pub fn pass(&self) {
        self.be(Mood::Passing);
    }

    /// Keeps silent, as if packets were lost: connections stay and new ones are accepted, but no
    /// data gets through.
    pub fn keep_silent(&self) {
        self.be(Mood::Silent);
    }

    /// Passes on what clients send and holds back the answers, so that no client knows whether its
    /// request was done.
    pub fn withhold_answers(&self) {
        self.be(Mood::WithholdingAnswers);
    }

    /// Resets every connection. New ones are passed on. Data that was held back is lost.
    pub fn reset(&self) {
        self.orders.send_modify(|orders| orders.generation += 1);
    }

    /// Resets every connection, and every new one, until [`Self::pass`].
    pub fn cut(&self) {
        self.orders.send_modify(|orders| {
            orders.mood = Mood::Refusing;
            orders.generation += 1;
        });
    }

    fn be(&self, mood: Mood) {
        self.orders.send_modify(|orders| orders.mood = mood);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the end is impossible here: a test's own runtime does not allow it.
            runtime.shutdown_background();
        }
    }
}

impl Orders {
    fn let_through(&self, direction: Direction) -> bool {
        match self.mood {
            Mood::Passing => true,
            Mood::WithholdingAnswers => direction == Direction::ToTarget,
            Mood::Silent | Mood::Refusing => false,
        }
    }
}

async fn accept(listener: std::net::TcpListener, orders: watch::Receiver<Orders>) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(serve(client, orders.clone()));
    }
}

async fn serve(mut client: TcpStream, mut orders: watch::Receiver<Orders>) -> Result<()> {
    let generation = orders.borrow().generation;
    let mut later = orders.clone();
    let is_cut = |now: &Orders| now.mood == Mood::Refusing || now.generation != generation;
    let ended = tokio::select! {
        biased;
        _ = later.wait_for(is_cut) => None,
        ended = pass_on(&mut client, &mut orders) => Some(ended),
    };
    match ended {
        Some(Ok(())) => Ok(()),
        // A connection that is dropped now is reset, not closed.
        _ => client.set_zero_linger(),
    }
}

/// Passes data on in both directions until one of them ends.
async fn pass_on(client: &mut TcpStream, orders: &mut watch::Receiver<Orders>) -> Result<()> {
    allowed(orders, Direction::ToTarget).await;
    let target = orders.borrow().target;
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_says, client_hears) = client.split();
    let (server_says, server_hears) = server.split();
    tokio::select! {
        ended = copy(client_says, server_hears, orders.clone(), Direction::ToTarget) => ended,
        ended = copy(server_says, client_hears, orders.clone(), Direction::FromTarget) => ended,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Orders>,
    direction: Direction,
) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        // The end of a stream is held back too.
        allowed(&mut orders, direction).await;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn allowed(orders: &mut watch::Receiver<Orders>, direction: Direction) {
    // The wait fails when the relay and its runtime are dropped.
    let _ = orders
        .wait_for(|orders| orders.let_through(direction))
        .await;
}
