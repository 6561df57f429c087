//! The server behind every balancer: threads that accept and answer, as cheap
//! as sockets allow, so that what lies between weighs more.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use anyhow::Result;
use lb_tests::Namespace;

/// Connections served at a time.
const THREADS: usize = 64;
/// Bytes of `/mb`.
const MB: usize = 1 << 20;

/// Serves `/` and `/mb` on `address` until the process ends.
pub(crate) fn start(ns: &Namespace, address: SocketAddr) -> Result<()> {
    let listener = Arc::new(ns.run(|| TcpListener::bind(address))?);
    let pages = Arc::new([page(&[b'.'; 100]), page(&vec![b'.'; MB])]);
    for n in 0..THREADS {
        let (listener, pages) = (Arc::clone(&listener), Arc::clone(&pages));
        // The threads live as long as the process: nobody waits for them.
        ns.spawn(&format!("server-{n}"), move || {
            loop {
                if let Ok((stream, _)) = listener.accept() {
                    // A client that goes away is no fault of the server.
                    let _ = serve(stream, &pages);
                }
            }
        })?;
    }
    Ok(())
}

/// An answer without and with `Connection: close`.
fn page(body: &[u8]) -> [Vec<u8>; 2] {
    ["", "Connection: close\r\n"].map(|header| {
        let head = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    })
}

fn serve(mut stream: TcpStream, pages: &[[Vec<u8>; 2]; 2]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..])?;
        if n == 0 {
            return Ok(());
        }
        filled += n;
        let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = &buffer[..end];
        let closes = head.windows(17).any(|w| w.eq_ignore_ascii_case(b"connection: close"));
        let is_big = head.starts_with(b"GET /mb ");
        stream.write_all(&pages[usize::from(is_big)][usize::from(closes)])?;
        if closes {
            return Ok(());
        }
        buffer.copy_within(end + 4..filled, 0);
        filled -= end + 4;
    }
}
