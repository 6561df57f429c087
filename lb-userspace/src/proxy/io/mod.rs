//! Connections to clients and to servers, with TLS or without.
//!
//! [`Stream`] owns no buffer of its own: in the clear an idle connection is a socket. To keep
//! it so, read inside of `poll_fn` into a buffer that is borrowed for the poll alone, or await
//! [`Stream::readable`] before one is borrowed for [`Stream::try_read`].

mod plain;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use rustls::{ClientConfig, Connection, ServerConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop,
};

pub use plain::Plain;
pub use tls::Tls;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// As TCP brings it.
    Plain(Plain),
    /// Encrypted, as server or as client.
    Tls(Box<Tls>),
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(Plain::from(tcp))
    }
}

impl Stream {
    /// One of which bytes were read already: those come first.
    pub fn with_prefix(tcp: TcpStream, prefix: Bytes) -> Self {
        Self::Plain(Plain::with_prefix(tcp, prefix))
    }

    /// Shakes hands as the server. Bound its time from outside.
    ///
    /// # Errors
    /// The handshake failed: [`io::Error::get_ref`] is a [`rustls::Error`] where TLS is why.
    pub async fn accept(plain: Plain, config: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self::Tls(Box::new(Tls::accept(plain, config).await?)))
    }

    /// Shakes hands as the client. Bound its time from outside.
    ///
    /// # Errors
    /// As for [`Self::accept`].
    pub async fn connect(
        plain: Plain,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        Ok(Self::Tls(Box::new(Tls::connect(plain, config, name).await?)))
    }

    /// Waits until [`Self::try_read`] may have something: bytes, the end or an error. It may
    /// turn out to have nothing yet, in the middle of a TLS record.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn readable(&self) -> io::Result<()> {
        // A connection that is never out of data must not starve the worker's others.
        coop::consume_budget().await;
        if self.has_buffered() { Ok(()) } else { self.plain().tcp_ref().readable().await }
    }

    /// Whether bytes are there that the socket no longer has.
    pub fn has_buffered(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.has_prefix(),
            Self::Tls(tls) => tls.has_buffered(),
        }
    }

    /// Reads what is there; 0 at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there yet; those of socket and TLS.
    pub fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(tcp) = self.tcp() {
            // Nobody is to be woken by this: whoever is registered stays so.
            return tcp.try_read(buf);
        }
        let mut buf = ReadBuf::new(buf);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(self).poll_read(&mut cx, &mut buf) {
            Poll::Ready(done) => done.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The other side's address.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.plain().tcp_ref().peer_addr()
    }

    /// This side's address.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain().tcp_ref().local_addr()
    }

    /// The socket, where its bytes are the connection's (no TLS, nothing read ahead): splice(2)
    /// may be used on it.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(plain) if !plain.has_prefix() => Some(plain.tcp_ref()),
            _ => None,
        }
    }

    /// The socket, for its options alone.
    pub fn socket(&self) -> &TcpStream {
        self.plain().tcp_ref()
    }

    /// What TLS knows; `None` in the clear.
    pub fn tls(&self) -> Option<&Connection> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.connection()),
        }
    }

    /// What ALPN agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls()?.alpn_protocol()
    }

    /// `TCP_NODELAY`.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.plain().tcp_ref().set_nodelay(nodelay)
    }

    /// Has the socket closed by RST once it is dropped, so that the other side can't take what
    /// it got for the whole.
    pub fn reset_on_drop(&self) {
        let _closes_by_fin_then = self.plain().tcp_ref().set_zero_linger();
    }

    fn plain(&self) -> &Plain {
        match self {
            Self::Plain(plain) => plain,
            Self::Tls(tls) => tls.plain(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => plain.poll_read(cx, buf),
            Self::Tls(tls) => tls.poll_read(cx, buf),
        }
    }
}

/// With TLS, bytes that were taken may wait here until the next write or flush: flush what has
/// to arrive.
impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain.tcp_mut()).poll_write(cx, buf),
            Self::Tls(tls) => tls.poll_write(cx, &[io::IoSlice::new(buf)]),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain.tcp_mut()).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => tls.poll_write(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_send(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain.tcp_mut()).poll_shutdown(cx),
            Self::Tls(tls) => tls.poll_shutdown(cx),
        }
    }
}
