//! HTTP/1.1 on a plain socket. The bytes that a test writes are sent as they are, well-formed or
//! not.
//!
//! It follows no redirect, keeps no cookie, retries nothing and has no TLS.

use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::eventually::PATIENCE;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    is_framed: bool,
}

impl Request {
    /// A request without headers of its own and without a body.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_owned(),
            headers: Vec::new(),
            body: None,
            is_framed: false,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds a body and declares its length. The type is left to [`Request::header`].
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds the bytes after the head unchanged. A header of the test declares where they end.
    pub fn raw_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Some(body.into()),
            is_framed: true,
            ..self
        }
    }

    /// A JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Whether the answer has no body.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The request as it is sent. Its host is `localhost` unless it names another one, and it
    /// closes the connection.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target].concat();
        bytes.extend(b" HTTP/1.1\r\n");
        if !self.headers.iter().any(|(name, _)| name == "host") {
            bytes.extend(b"host: localhost\r\n");
        }
        bytes.extend(b"connection: close\r\n");
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        match &self.body {
            Some(body) if self.is_framed => {
                bytes.extend(b"\r\n");
                bytes.extend(body);
            }
            Some(body) => {
                bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend(body);
            }
            None => bytes.extend(b"\r\n"),
        }
        bytes
    }

    /// Sends the request over a connection of its own.
    pub fn send(&self, to: SocketAddr) -> Result<Answer> {
        exchange(to, &self.bytes(), self.is_head())
    }

    /// Sends the request over a connection of its own that comes from this address.
    pub fn send_from(&self, from: IpAddr, to: SocketAddr) -> Result<Answer> {
        let stream = connect_from(from, to)?;
        converse(stream, &self.bytes(), self.method == "HEAD")
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in the order of the wire, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// A connection with the patience of a test.
pub fn connect(to: SocketAddr) -> Result<TcpStream> {
    patient(TcpStream::connect(to)?)
}

/// A connection from another address of this machine. All of 127.0.0.0/8 belong to it, so one test
/// can be many peers.
pub fn connect_from(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    patient(stream)
}

fn patient(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends these bytes over a connection of their own and reads one response.
///
/// A server that answers early may close its side. Bytes that could then no longer be written are
/// no failure if there is an answer.
pub fn exchange(to: SocketAddr, bytes: &[u8], is_head: bool) -> Result<Answer> {
    converse(connect(to)?, bytes, is_head)
}

fn converse(mut stream: TcpStream, bytes: &[u8], is_head: bool) -> Result<Answer> {
    let written = stream.write_all(bytes);
    match read_answer(&mut BufReader::new(stream), is_head) {
        Err(unread) => Err(written.err().unwrap_or(unread)),
        answer => answer,
    }
}

/// Reads one response. Interim responses before it are skipped.
pub fn read_answer(stream: &mut impl BufRead, is_head: bool) -> Result<Answer> {
    loop {
        let (status, headers) = read_head(stream)?;
        if (100..200).contains(&status) {
            continue;
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let has_body = !is_head && status != 204 && status != 304;
        let length = answer.header("content-length").map(str::to_owned);
        match (has_body, length) {
            (false, _) => {}
            (true, Some(length)) => {
                let length = length.parse().map_err(|_| malformed(&length))?;
                answer.body.resize(length, 0);
                stream.read_exact(&mut answer.body)?;
            }
            (true, None) if answer.header("transfer-encoding").is_some() => {
                answer.body = read_chunks(stream)?;
            }
            (true, None) => drop(stream.read_to_end(&mut answer.body)?),
        }
        return Ok(answer);
    }
}

type Head = (u16, Vec<(String, String)>);

fn read_head(stream: &mut impl BufRead) -> Result<Head> {
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| malformed(&first))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| malformed(&line))?;
        let start = body.len();
        body.resize(start + length, 0);
        stream.read_exact(&mut body[start..])?;
        read_line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(Error::new(
            ErrorKind::UnexpectedEof,
            "the connection ended before the response did",
        ));
    };
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn malformed(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not HTTP: {line:?}"))
}
