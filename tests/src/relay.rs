//! What may stand between two programs on loopback: a TCP relay that passes on, goes elsewhere, keeps silent or cuts.
//!
//! It does not look into what it passes on. It runs on a thread of its own, so that any test can use it.

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A running relay. Its connections end when it goes.
pub struct Relay {
    /// Where it listens.
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
    /// A relay to a server.
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

    /// From now on, new connections go to this server. Those that are there stay; [`Self::reset`] ends them.
    pub fn go_to(&self, target: SocketAddr) {
        self.orders.send_modify(|orders| orders.target = target);
    }

    /// Passes everything on again, also what was held back.
    pub fn pass(&self) {
        self.be(Mood::Passing);
    }

    /// Keeps silent: connections stay and new ones are taken, and nothing comes through, as if packets were lost.
    pub fn keep_silent(&self) {
        self.be(Mood::Silent);
    }

    /// Passes on what clients say and holds back what is answered, so that nobody knows whether it was done.
    pub fn withhold_answers(&self) {
        self.be(Mood::WithholdingAnswers);
    }

    /// Ends every connection by a reset; new ones are passed on. What was held back is lost.
    pub fn reset(&self) {
        self.orders.send_modify(|orders| orders.generation += 1);
    }

    /// Ends every connection by a reset, and every new one, until [`Self::pass`].
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
            // Not by waiting for it, which a test's own runtime does not allow.
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
        // What is dropped now is reset, not closed.
        _ => client.set_zero_linger(),
    }
}

/// Passes on in both directions until one of them ends.
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
        // The end too is kept back.
        allowed(&mut orders, direction).await;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn allowed(orders: &mut watch::Receiver<Orders>, direction: Direction) {
    // It fails when the relay goes, and its runtime with it.
    let _ = orders
        .wait_for(|orders| orders.let_through(direction))
        .await;
}
