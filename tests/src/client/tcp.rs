//! TCP clients of [`crate::server::echo`].

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Socket, Type};

use super::Spread;
use crate::pattern;

/// Longest wait for anything of a connection.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to an echo server, and the server's name.
#[derive(Debug)]
pub struct Echo {
    /// The stream.
    pub stream: TcpStream,
    /// What the server called itself.
    pub server: String,
}

impl Echo {
    /// Connects and reads the name.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::connect_within(address, PATIENCE)
    }

    /// As [`Self::connect`], waiting at most `patience` for each step.
    pub fn connect_within(address: SocketAddr, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)
            .with_context(|| format!("connecting to {address}"))?;
        Self::over(stream, patience)
    }

    /// As [`Self::connect`], from an address of the client's; port 0 lets the system choose.
    pub fn connect_from(source: SocketAddr, address: SocketAddr) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Chosen at connect, for this destination alone: more than one for each port (ip(7)).
        setsockopt(&socket, IpBindAddressNoPort, &(source.port() == 0))?;
        socket.set_reuse_address(true)?;
        socket.bind(&source.into()).with_context(|| format!("binding to {source}"))?;
        socket
            .connect_timeout(&address.into(), PATIENCE)
            .with_context(|| format!("connecting from {source} to {address}"))?;
        Self::over(socket.into(), PATIENCE)
    }

    /// Reads the name from a stream connected already.
    pub fn over(mut stream: TcpStream, patience: Duration) -> Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        let server = read_line(&mut stream).context("reading the server's name")?;
        Ok(Self { stream, server })
    }

    /// Sends bytes and compares what comes back.
    pub fn ping(&mut self, payload: &[u8]) -> Result<()> {
        self.stream.write_all(payload).context("sending")?;
        let mut back = vec![0; payload.len()];
        self.stream.read_exact(&mut back).context("reading the echo")?;
        compare(payload, &back)
    }

    /// Sends `len` bytes while reading them back, compares every one, and ends
    /// both directions in order.
    pub fn transfer(mut self, len: usize, seed: u64) -> Result<()> {
        let sent = pattern::bytes(len, seed);
        let mut sending = self.stream.try_clone()?;
        let received = std::thread::scope(|scope| -> Result<Vec<u8>> {
            let writer = scope.spawn(|| -> std::io::Result<()> {
                sending.write_all(&sent)?;
                sending.shutdown(Shutdown::Write)
            });
            let mut received = Vec::with_capacity(len);
            let read = self.stream.read_to_end(&mut received);
            let written = writer.join().expect("the sending thread panicked");
            written.context("sending")?;
            read.with_context(|| format!("after {} of {len} bytes", received.len()))?;
            Ok(received)
        })?;
        compare(&sent, &received)
    }

    /// Ends as a client does that waits for the server's end too.
    pub fn close(mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        ensure!(rest.is_empty(), "{} bytes came after the end", rest.len());
        Ok(())
    }
}

/// Connects, transfers and compares; returns the server's name.
pub fn transfer(address: SocketAddr, len: usize, seed: u64) -> Result<String> {
    let echo = Echo::connect(address)?;
    let server = echo.server.clone();
    echo.transfer(len, seed)?;
    Ok(server)
}

/// `count` connections one after the other, each to its orderly end.
pub fn short_connections(address: SocketAddr, count: usize) -> Result<Spread> {
    let mut spread = Spread::new();
    for n in 0..count {
        let echo = Echo::connect(address).with_context(|| format!("connection {n}"))?;
        *spread.entry(echo.server.clone()).or_default() += 1;
        echo.close().with_context(|| format!("closing connection {n}"))?;
    }
    Ok(spread)
}

fn compare(sent: &[u8], received: &[u8]) -> Result<()> {
    match pattern::first_difference(sent, received) {
        None => Ok(()),
        Some(at) => bail!("byte {at} differs: {} sent, {} received", sent.len(), received.len()),
    }
}

fn read_line(stream: &mut TcpStream) -> Result<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        ensure!(stream.read(&mut byte)? == 1, "the connection ended after {line:?}");
        if byte[0] == b'\n' {
            return Ok(String::from_utf8(line)?);
        }
        line.push(byte[0]);
    }
}
