//! After `101 Switching Protocols`: bytes both ways until both sides have ended (RFC 9110 §7.8).

use std::{cell::Cell, future::poll_fn, time::Duration};

use super::{
    answer::{Broken, Done},
    conn::Conn,
    io::write_both,
};
use crate::{
    balance::Ticket,
    proxy::{
        Body, Exchange,
        io::Stream,
        relay::{self, Meter, Relay, Tools},
        upstream::write,
    },
};

/// Sends the answer's head, then relays until the end.
pub(super) async fn run(conn: &mut Conn, exchange: &mut Exchange) -> Result<Done, Broken> {
    let body = std::mem::take(&mut exchange.answer.body);
    let Body::Stream(mut source) = body else {
        return Err(Broken { bytes: 0, reason: "server_gone" });
    };
    let Some((server, ticket)) = source.upstream().and_then(|body| body.take_tunnel()) else {
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
    let sent = Sent(Cell::new(ahead.len() as u64));
    let ended = tunnel(conn, stream, ticket.as_ref(), &sent).await;
    let bytes = sent.0.get();
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

/// Bytes that the client got.
struct Sent(Cell<u64>);

impl Meter for Sent {
    fn passed(&self, _from_client: u64, to_client: u64) {
        self.0.set(self.0.get() + to_client);
    }
}

/// Until both sides have ended, or the server is there no more.
async fn tunnel(
    conn: &Conn,
    mut server: Stream,
    ticket: Option<&Ticket>,
    sent: &Sent,
) -> Result<(), relay::Broken> {
    let worker = &*conn.worker;
    let tools = Tools { buffers: &worker.buffers, pipes: &worker.pipes, cuts: &worker.cuts };
    let cut = ticket.map(|ticket| {
        let server = ticket.server().clone();
        worker.cuts.watch(move || server.must_end())
    });
    let ahead = {
        let mut io = conn.io.borrow_mut();
        let ahead = io.unused().to_vec();
        io.consume(ahead.len());
        ahead
    };
    let mut relay = Relay::new(ahead, Duration::MAX, tools, cut.as_ref(), sent);
    poll_fn(|cx| relay.poll(cx, &mut conn.io.borrow_mut().stream, &mut server)).await
}
