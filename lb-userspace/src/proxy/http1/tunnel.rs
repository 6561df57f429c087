//! After `101 Switching Protocols`: bytes both ways until either side ends (RFC 9110 §7.8).

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::{
    answer::{Broken, Done},
    conn::Conn,
    io::{SharedIo, poll_read_into, write_both},
};
use crate::proxy::{Body, Exchange, buffers::Buffers, io::Stream, upstream::write, worker::Worker};

/// Sends the answer's head, then relays until the end.
pub(super) async fn run(conn: &mut Conn, exchange: &mut Exchange) -> Result<Done, Broken> {
    let body = std::mem::take(&mut exchange.answer.body);
    let Body::Stream(mut source) = body else {
        return Err(Broken { bytes: 0, reason: "server_gone" });
    };
    let Some((server, _ticket)) = source.upstream().and_then(|body| body.take_tunnel()) else {
        return Err(Broken { bytes: 0, reason: "server_gone" });
    };
    let mut out = conn.worker.buffers.small();
    head(&mut out, exchange);
    let (stream, ahead) = server.into_parts();
    let written = write_both(&conn.io, &out, &ahead, &conn.alarm, |_| {}).await;
    conn.worker.buffers.give_back(out);
    if written.is_err() {
        return Err(Broken { bytes: 0, reason: "client_gone" });
    }
    let mut tunnel = Tunnel::new(stream, &conn.io);
    let (io, worker) = (&conn.io, &conn.worker);
    let ended = poll_fn(|cx| tunnel.poll(cx, io, worker)).await;
    let bytes = tunnel.down.bytes + ahead.len() as u64;
    match ended {
        Ok(()) => Ok(Done { bytes, keeps: false }),
        Err(_) => Err(Broken { bytes, reason: "tunnel_broken" }),
    }
}

fn head(out: &mut Vec<u8>, exchange: &Exchange) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    let answer = &exchange.answer.head;
    for (name, value) in answer.iter() {
        let is_of_hop = ["connection", "content-length", "transfer-encoding", "keep-alive"];
        if !is_of_hop.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            write::line(out, name, value);
        }
    }
    out.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
}

/// Both directions.
struct Tunnel {
    server: Stream,
    up: Way,
    down: Way,
}

/// One direction: what was read and not written yet.
#[derive(Debug, Default)]
struct Way {
    buffer: Vec<u8>,
    written: usize,
    is_over: bool,
    is_shut: bool,
    bytes: u64,
}

impl Tunnel {
    fn new(server: Stream, io: &SharedIo) -> Self {
        let mut io = io.borrow_mut();
        let ahead = io.unused().to_vec();
        io.consume(ahead.len());
        Self { server, up: Way { buffer: ahead, ..Way::default() }, down: Way::default() }
    }

    /// Ready when both directions have ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &SharedIo,
        worker: &Worker,
    ) -> Poll<io::Result<()>> {
        let mut io = io.borrow_mut();
        let up = self.up.poll(cx, &mut io.stream, &mut self.server, &worker.buffers)?;
        let down = self.down.poll(cx, &mut self.server, &mut io.stream, &worker.buffers)?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        buffers: &Buffers,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.buffer.len() {
                let count =
                    ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.written..]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += count;
                self.bytes += count as u64;
            }
            self.written = 0;
            self.buffer.clear();
            if self.is_over {
                if !self.is_shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.is_shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            if self.buffer.capacity() == 0 {
                self.buffer = buffers.small();
            }
            match poll_read_into(from, cx, &mut self.buffer) {
                Poll::Ready(Ok(0)) => self.is_over = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // A silent tunnel holds no buffer.
                    buffers.give_back(std::mem::take(&mut self.buffer));
                    let _on_its_way = Pin::new(&mut *to).poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }
}
