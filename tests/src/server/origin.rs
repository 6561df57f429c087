//! An HTTP/1.1 origin that streams: what a proxy in front of it is tested with.
//!
//! | path | answers |
//! |---|---|
//! | `/head` | the request's head as it came |
//! | `/echo` | the body in chunks as it comes, and its trailers |
//! | `/sink/N` | `same` where the body is N bytes of [`crate::pattern`] seeded by N |
//! | `/big/N`, `/chunks/N`, `/close/N` | such bytes: with a length, in chunks, until the end of the connection |
//! | `/drip/COUNT/MS` | so many lines with pauses between them |
//! | `/slow/MS` | the name after so many milliseconds |
//! | `/status/N` | the name with this status |
//! | `/die` | nothing: the connection ends |
//! | `/upgrade` | 101, then every byte back |
//! | `/health` | the name with the status set |
//! | any other | the name, unless a [`Hook`] knows better |

mod message;

use std::{
    io::{BufRead, BufReader, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use message::{Body, Request};

use super::TcpServer;
use crate::{Namespace, pattern};

/// An origin; control it through `tcp`.
pub struct Origin {
    /// Its listener and connections.
    pub tcp: TcpServer,
    /// Its name.
    pub name: String,
    state: Arc<State>,
}

/// Answers instead of the table above: status and body by method and path; `None` leaves it to the
/// table.
pub type Hook = dyn Fn(&str, &str) -> Option<(u16, Vec<u8>)> + Send + Sync;

struct State {
    name: String,
    hook: Option<Box<Hook>>,
    health: AtomicU16,
    requests: AtomicU64,
    checks: AtomicU64,
}

impl Origin {
    /// Listens on `address` inside `ns`.
    pub fn start(ns: &Namespace, address: SocketAddr, name: &str) -> anyhow::Result<Self> {
        Self::hooked(ns, address, name, None)
    }

    /// As [`Self::start`], with answers of the caller's own.
    pub fn hooked(
        ns: &Namespace,
        address: SocketAddr,
        name: &str,
        hook: Option<Box<Hook>>,
    ) -> anyhow::Result<Self> {
        let state = Arc::new(State {
            name: name.to_owned(),
            hook,
            health: AtomicU16::new(200),
            requests: AtomicU64::new(0),
            checks: AtomicU64::new(0),
        });
        let serving = Arc::clone(&state);
        let handler = move |stream: TcpStream| {
            // A client that goes away is no fault of the server.
            let _ = serve(&stream, &serving);
        };
        let tcp = TcpServer::start(ns, address, Arc::new(handler))?;
        Ok(Self { tcp, name: name.to_owned(), state })
    }

    /// What `/health` answers from now on; 200 at first.
    pub fn set_health(&self, status: u16) {
        self.state.health.store(status, Ordering::Relaxed);
    }

    /// Requests so far, those for `/health` left out.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Requests for `/health` so far.
    pub fn checks(&self) -> u64 {
        self.state.checks.load(Ordering::Relaxed)
    }
}

fn serve(stream: &TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = message::read(&mut reader)? {
        let count = if request.path == "/health" { &state.checks } else { &state.requests };
        count.fetch_add(1, Ordering::Relaxed);
        if request.expects {
            (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let goes_on = answer(&mut request, &mut reader, stream, state)?;
        while request.body.piece(&mut reader)?.is_some() {}
        if !goes_on || request.close {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether another request may follow.
fn answer(
    request: &mut Request,
    reader: &mut BufReader<&TcpStream>,
    mut writer: &TcpStream,
    state: &State,
) -> Result<bool> {
    let path = request.path.split('?').next().unwrap_or_default().to_owned();
    let mut words = path.trim_start_matches('/').split('/');
    let word = words.next().unwrap_or_default();
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let (first, second) = (number(words.next()), number(words.next()));
    let bytes = || pattern::bytes(first as usize, first);
    let name = format!("{}\n", state.name).into_bytes();
    let length = |status: u16, body: Vec<u8>| whole(status, &body, request, &state.name);
    if let Some((status, body)) = state.hook.as_ref().and_then(|hook| hook(&request.method, &path))
    {
        writer.write_all(&length(status, body))?;
        return Ok(true);
    }
    match word {
        "head" => writer.write_all(&length(200, request.head.clone()))?,
        "health" => writer.write_all(&length(state.health.load(Ordering::Relaxed), name))?,
        "status" => writer.write_all(&length(first as u16, name))?,
        "big" => writer.write_all(&length(200, bytes()))?,
        "slow" => {
            std::thread::sleep(Duration::from_millis(first));
            writer.write_all(&length(200, name))?;
        }
        "die" => return Ok(false),
        "chunks" => {
            let pieces: Vec<Vec<u8>> = bytes().chunks(4096).map(<[u8]>::to_vec).collect();
            chunked(writer, pieces.into_iter().map(Ok), &state.name)?;
        }
        "close" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            writer.write_all(&bytes())?;
            return Ok(false);
        }
        "drip" => {
            let lines = (0..first).map(|n| {
                std::thread::sleep(Duration::from_millis(second));
                Ok(format!("{n}\n").into_bytes())
            });
            chunked(writer, lines, &state.name)?;
        }
        "echo" => echo(request, reader, writer, &state.name)?,
        "sink" => {
            let text = sink(&mut request.body, reader, first)?;
            let out = whole(200, text.as_bytes(), request, &state.name);
            writer.write_all(&out)?;
        }
        "upgrade" => {
            upgrade(request, reader, writer)?;
            return Ok(false);
        }
        _ => writer.write_all(&length(200, name))?,
    }
    Ok(true)
}

fn whole(status: u16, body: &[u8], request: &Request, name: &str) -> Vec<u8> {
    let connection = if request.close { "connection: close\r\n" } else { "" };
    let mut out = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{connection}x-server: {name}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if request.method != "HEAD" {
        out.extend_from_slice(body);
    }
    out
}

fn chunked(
    mut writer: &TcpStream,
    pieces: impl Iterator<Item = Result<Vec<u8>>>,
    name: &str,
) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-server: {name}\r\n\r\n");
    writer.write_all(head.as_bytes())?;
    for piece in pieces {
        writer.write_all(&chunk(&piece?))?;
    }
    writer.write_all(b"0\r\n\r\n")
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

fn echo(
    request: &mut Request,
    reader: &mut BufReader<&TcpStream>,
    mut writer: &TcpStream,
    name: &str,
) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-server: {name}\r\n\r\n");
    writer.write_all(head.as_bytes())?;
    while let Some(piece) = request.body.piece(reader)? {
        writer.write_all(&chunk(&piece))?;
    }
    writer.write_all(b"0\r\n")?;
    for trailer in request.body.trailers() {
        writer.write_all(format!("{trailer}\r\n").as_bytes())?;
    }
    writer.write_all(b"\r\n")
}

fn sink(body: &mut Body, reader: &mut BufReader<&TcpStream>, size: u64) -> Result<String> {
    let mut all = Vec::with_capacity(size as usize);
    while let Some(piece) = body.piece(reader)? {
        all.extend_from_slice(&piece);
    }
    let wanted = pattern::bytes(size as usize, size);
    Ok(match pattern::first_difference(&wanted, &all) {
        None => "same\n".to_owned(),
        Some(at) => format!("{} bytes came, byte {at} differs\n", all.len()),
    })
}

fn upgrade(
    request: &Request,
    reader: &mut BufReader<&TcpStream>,
    mut writer: &TcpStream,
) -> Result<()> {
    let protocol = request.upgrade.as_deref().unwrap_or("none");
    let head =
        format!("HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\nhello\n");
    writer.write_all(head.as_bytes())?;
    loop {
        let piece = reader.fill_buf()?.to_vec();
        if piece.is_empty() {
            return Ok(());
        }
        reader.consume(piece.len());
        writer.write_all(&piece)?;
    }
}
