//! A TCP connection, of which bytes may have been read already.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

/// A TCP connection and what was read of it ahead: a ClientHello, the bytes behind a PROXY
/// protocol header.
#[derive(Debug)]
pub struct Plain {
    tcp: TcpStream,
    prefix: Bytes,
}

impl From<TcpStream> for Plain {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, prefix: Bytes::new() }
    }
}

impl Plain {
    /// `prefix` comes before what the socket still has.
    pub fn with_prefix(tcp: TcpStream, prefix: Bytes) -> Self {
        Self { tcp, prefix }
    }

    /// Whether bytes are left that the socket no longer has.
    pub fn has_prefix(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The socket and what was read ahead.
    pub fn into_parts(self) -> (TcpStream, Bytes) {
        (self.tcp, self.prefix)
    }

    pub(super) fn tcp_ref(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let count = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..count]);
        self.prefix.advance(count);
        if self.prefix.is_empty() {
            // Its memory goes back now, not with the connection.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}
