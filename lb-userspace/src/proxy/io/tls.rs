//! TLS over a [`Plain`] connection, as server and as client.

use std::{
    io::{self, BufRead, IoSlice, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    ClientConfig, ClientConnection, Connection, ProtocolVersion, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use tokio::io::{AsyncWrite, ReadBuf};

use super::Plain;

/// A TLS connection.
#[derive(Debug)]
pub struct Tls {
    conn: Connection,
    plain: Plain,
    is_closing: bool,
}

impl Tls {
    /// Shakes hands as the server.
    pub(super) async fn accept(plain: Plain, config: Arc<ServerConfig>) -> io::Result<Self> {
        let conn = ServerConnection::new(config).map_err(invalid)?;
        Self::shake(Self { conn: conn.into(), plain, is_closing: false }).await
    }

    /// Shakes hands as the client.
    pub(super) async fn connect(
        plain: Plain,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let conn = ClientConnection::new(config, name).map_err(invalid)?;
        Self::shake(Self { conn: conn.into(), plain, is_closing: false }).await
    }

    async fn shake(mut self) -> io::Result<Self> {
        std::future::poll_fn(|cx| self.poll_handshake(cx)).await?;
        Ok(self)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn plain(&self) -> &Plain {
        &self.plain
    }

    /// Decrypted bytes, the end, or bytes that were read ahead.
    pub(super) fn has_buffered(&self) -> bool {
        !self.conn.wants_read() || self.plain.has_prefix()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.conn.is_handshaking() {
            ready!(self.poll_send(cx))?;
            if self.conn.is_handshaking() && ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        if self.sends_tickets_alone() { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    /// What a TLS 1.3 server sends last are session tickets. The client doesn't wait for them:
    /// they go with the first bytes of the answer, which saves a system call.
    fn sends_tickets_alone(&self) -> bool {
        matches!(self.conn, Connection::Server(_))
            && self.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // From where it stands: `read` would want the buffer's whole room zeroed first.
            let mut reader = self.conn.reader();
            match reader.fill_buf() {
                Ok(here) => {
                    let count = here.len().min(buf.remaining());
                    buf.put_slice(&here[..count]);
                    reader.consume(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// Takes in what the socket has; 0 at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let count = match self.conn.read_tls(&mut Blocking { plain: &mut self.plain, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            done => done?,
        };
        if let Err(error) = self.conn.process_new_packets() {
            // The alert that says why; nobody waits for it.
            let _sent = self.poll_send(cx);
            return Poll::Ready(Err(invalid(error)));
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_empty = bufs.iter().all(|buf| buf.is_empty());
        loop {
            let taken = match bufs {
                [one] => self.conn.writer().write(one)?,
                _ => self.conn.writer().write_vectored(bufs)?,
            };
            match self.poll_send(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                _ if taken > 0 || is_empty => return Poll::Ready(Ok(taken)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// Sends all that is encrypted already.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.conn.wants_write() {
            match self.conn.write_tls(&mut Blocking { plain: &mut self.plain, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing follows (`close_notify`), then ends this half of the connection.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            self.is_closing = true;
            self.conn.send_close_notify();
        }
        ready!(self.poll_send(cx))?;
        Pin::new(self.plain.tcp_mut()).poll_shutdown(cx)
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Polling in the guise of what rustls calls: not ready is [`io::ErrorKind::WouldBlock`].
struct Blocking<'a, 'b> {
    plain: &'a mut Plain,
    cx: &'a mut Context<'b>,
}

fn would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Blocking<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        would_block(self.plain.poll_read(self.cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl Write for Blocking<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        would_block(Pin::new(self.plain.tcp_mut()).poll_write(self.cx, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            // Usually one record waits; sending it is less work for the kernel than a list of one.
            [one] => self.write(one),
            _ => would_block(Pin::new(self.plain.tcp_mut()).poll_write_vectored(self.cx, bufs)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
