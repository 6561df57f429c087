//! A TCP server that says its name and a newline, then echoes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use anyhow::Result;

use super::TcpServer;
use crate::Namespace;

/// Starts one. A client that ends its side gets the rest and then the end.
pub fn start(ns: &Namespace, address: SocketAddr, name: &str) -> Result<TcpServer> {
    let banner = format!("{name}\n");
    TcpServer::start(
        ns,
        address,
        Arc::new(move |stream| {
            // A client that goes away is no fault of the server.
            let _ = echo(stream, banner.as_bytes());
        }),
    )
}

fn echo(mut stream: TcpStream, banner: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(banner)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}
