//! An HTTP/1.1 server that answers its name.
//!
//! `/` answers the name, `/health` the status set, `/big/N` N bytes of
//! [`crate::pattern`] seeded by N, `/slow/MS` the name after so many
//! milliseconds; a `POST` is answered by its body. `Connection: close` is honoured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::Result;

use super::TcpServer;
use crate::{Namespace, pattern};

/// An HTTP server; control it through `tcp`.
pub struct HttpServer {
    /// Its listener and connections.
    pub tcp: TcpServer,
    health: Arc<AtomicU16>,
}

impl HttpServer {
    /// Listens on `address` inside `ns`.
    pub fn start(ns: &Namespace, address: SocketAddr, name: &str) -> Result<Self> {
        let health = Arc::new(AtomicU16::new(200));
        let (name, status) = (name.to_owned(), Arc::clone(&health));
        let handler = move |stream: TcpStream| {
            // A client that goes away is no fault of the server.
            let _ = serve(&stream, &name, &status);
        };
        Ok(Self { tcp: TcpServer::start(ns, address, Arc::new(handler))?, health })
    }

    /// What `/health` answers from now on; 200 at first.
    pub fn set_health(&self, status: u16) {
        self.health.store(status, Ordering::Relaxed);
    }
}

struct Request {
    method: String,
    path: String,
    close: bool,
    body: Vec<u8>,
}

fn serve(stream: &TcpStream, name: &str, health: &AtomicU16) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let (status, body) = answer(&request, name, health);
        let connection = if request.close { "close" } else { "keep-alive" };
        let mut reply = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: {connection}\r\nx-server: {name}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if request.method != "HEAD" {
            reply.extend_from_slice(&body);
        }
        let mut writer = stream;
        writer.write_all(&reply)?;
        if request.close {
            return Ok(());
        }
    }
    Ok(())
}

fn answer(request: &Request, name: &str, health: &AtomicU16) -> (u16, Vec<u8>) {
    let text = format!("{name}\n").into_bytes();
    if request.method == "POST" {
        return (200, request.body.clone());
    }
    let path = request.path.split('?').next().unwrap_or_default();
    if path == "/health" {
        return (health.load(Ordering::Relaxed), text);
    }
    if let Some(Ok(size)) = path.strip_prefix("/big/").map(str::parse::<usize>) {
        return (200, pattern::bytes(size, size as u64));
    }
    if let Some(Ok(ms)) = path.strip_prefix("/slow/").map(str::parse) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    (200, text)
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        close: words.next().as_deref() == Some("HTTP/1.0"),
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        request.close |= header == "connection: close";
    }
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
