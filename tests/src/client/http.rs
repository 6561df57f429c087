//! A small HTTP/1.1 client of [`crate::server::http`] and of lb's own API.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};

use super::{Spread, tcp::PATIENCE};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text without the space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// A connection kept alive.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// `GET path`, leaving the connection open.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, &[], "keep-alive")
    }

    /// `POST path` with a body, leaving the connection open.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Result<Response> {
        self.request("POST", path, body, "keep-alive")
    }

    fn request(&mut self, method: &str, path: &str, body: &[u8], then: &str) -> Result<Response> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: lb\r\nconnection: {then}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        head.extend_from_slice(body);
        self.stream.get_mut().write_all(&head).context("sending a request")?;
        read_response(&mut self.stream).with_context(|| format!("{method} {path}"))
    }
}

/// `GET path` on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    Connection::open(address)?.request("GET", path, &[], "close")
}

/// `count` requests for `/`, each on a connection of its own.
pub fn spread(address: SocketAddr, count: usize) -> Result<Spread> {
    let mut spread = Spread::new();
    for n in 0..count {
        let response = get(address, "/").with_context(|| format!("request {n}"))?;
        ensure!(response.status == 200, "request {n} was answered {}", response.status);
        *spread.entry(response.text()).or_default() += 1;
    }
    Ok(spread)
}

/// Reads one answer with a `content-length`.
pub fn read_response(stream: &mut impl BufRead) -> Result<Response> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = status.with_context(|| format!("no status in {line:?}"))?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("reading the body")?;
    Ok(Response { status, body })
}
