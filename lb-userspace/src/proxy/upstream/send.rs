//! A request over a connection, up to the head of its answer. A body that comes bit by bit goes
//! on being sent while the answer comes.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{Conn, upload::Upload, upload::UploadError, write};
use crate::proxy::{
    Exchange,
    alarm::{Alarm, Elapsed},
    body::{Body, BodyError},
    framing::{self, Framing},
    head::{Head, parse},
    worker::Worker,
};

/// Bounds on a server's head.
const LIMITS: parse::Limits = parse::Limits { bytes: 1 << 20, fields: parse::MOST_FIELDS };
/// Bodies up to this size go out together with the head.
const TOGETHER: usize = 4096;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection failed before a byte of an answer: where it was kept alive, it may have
    /// been closed before the request was there.
    Closed,
    /// The server broke off, or its answer is malformed: the reason.
    Bad(&'static str),
    /// It took too long.
    Timeout,
    /// The client's body broke off.
    Client(BodyError),
}

/// The head of the answer is in the exchange; what follows it.
pub(crate) struct Sent {
    pub(crate) conn: Conn,
    pub(crate) framing: Framing,
    /// What is still to be sent of the request.
    pub(crate) upload: Option<Upload>,
    /// Whether the server takes another request over this connection.
    pub(crate) keeps: bool,
}

/// Sends the exchange's request over `conn` and waits for the head of the answer, for `patience`
/// (0: for ever). A body that comes bit by bit is taken out of the exchange.
///
/// # Errors
/// See [`SendError`].
pub(crate) async fn send(
    worker: &Rc<Worker>,
    mut conn: Conn,
    exchange: &mut Exchange,
    towards: write::Towards<'_>,
    alarm: &Alarm,
    patience: Duration,
) -> Result<Sent, SendError> {
    let is_head = exchange.request.is_method("HEAD");
    alarm.set(patience);
    let mut upload = begin(worker, &mut conn, exchange, towards, alarm).await?;
    let mut is_broken = false;
    let head = &mut exchange.answer.head;
    let waiting = poll_fn(|cx| {
        if let Some(sending) = &mut upload {
            match sending.poll(cx, &mut conn) {
                Poll::Ready(Err(UploadError::Client(error))) => {
                    return Poll::Ready(Err(SendError::Client(error)));
                }
                // The server takes no more: its answer may be there all the same.
                Poll::Ready(Err(UploadError::Server)) => {
                    (upload, is_broken) = (None, true);
                }
                Poll::Ready(Ok(())) => upload = None,
                Poll::Pending => {}
            }
        }
        poll_head(cx, &mut conn, worker, head)
    });
    let done = alarm.guard(waiting).await;
    alarm.clear();
    match done {
        Err(Elapsed) => return Err(SendError::Timeout),
        Ok(result) => result?,
    }
    if head.status == 101 {
        return match towards.upgrade {
            true => Ok(Sent { conn, framing: Framing::Close, upload: None, keeps: false }),
            false => Err(SendError::Bad("unasked_upgrade")),
        };
    }
    let framing = framing::of_response(head, is_head).map_err(|why| SendError::Bad(why.reason))?;
    let keeps = !is_broken && framing != Framing::Close && head.persists();
    Ok(Sent { conn, framing, upload, keeps })
}

/// Writes the head, and a body that is all there and small. What is left of the body.
async fn begin(
    worker: &Rc<Worker>,
    conn: &mut Conn,
    exchange: &mut Exchange,
    towards: write::Towards<'_>,
    alarm: &Alarm,
) -> Result<Option<Upload>, SendError> {
    let framing = match &exchange.body {
        Body::Empty if !expects_a_body(&exchange.request) => Framing::None,
        body => body.length().map_or(Framing::Chunked, Framing::Length),
    };
    let mut out = worker.buffers.small();
    write::head(&mut out, exchange, towards, framing);
    let upload = match &exchange.body {
        Body::Empty => None,
        Body::Full(bytes) if bytes.len() <= TOGETHER => {
            out.extend_from_slice(bytes);
            None
        }
        // It stays in the exchange: the request can be sent again.
        Body::Full(bytes) => Some(Upload::new(Body::Full(bytes.clone()), false)),
        Body::Stream(_) => {
            let body = std::mem::take(&mut exchange.body);
            exchange.body_was_taken = true;
            Some(Upload::new(body, framing == Framing::Chunked))
        }
    };
    let mut done = 0;
    let writing = poll_fn(|cx| {
        while done < out.len() {
            match ready!(conn.poll_write(cx, &out[done..])) {
                Ok(count) if count > 0 => done += count,
                _ => return Poll::Ready(Err(())),
            }
        }
        conn.poll_write(cx, &[]).map(|flushed| flushed.map(drop).map_err(drop))
    });
    let written = alarm.guard(writing).await;
    worker.buffers.give_back(out);
    match written {
        Err(Elapsed) => Err(SendError::Timeout),
        Ok(Err(())) => Err(SendError::Closed),
        Ok(Ok(())) => Ok(upload),
    }
}

/// Methods whose requests say `Content-Length: 0` when they have no body (RFC 9110 §8.6).
fn expects_a_body(request: &Head) -> bool {
    ["POST", "PUT", "PATCH"].iter().any(|method| request.is_method(method))
}

/// Reads the head of the final answer; interim ones are read over, save for 101.
fn poll_head(
    cx: &mut Context<'_>,
    conn: &mut Conn,
    worker: &Worker,
    head: &mut Head,
) -> Poll<Result<(), SendError>> {
    loop {
        if !conn.unused().is_empty() {
            match parse::response(conn.unused(), LIMITS, head) {
                Err(why) => return Poll::Ready(Err(SendError::Bad(why.reason))),
                Ok(Some(length)) => {
                    conn.consume(length);
                    if !(100..200).contains(&head.status) || head.status == 101 {
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
                Ok(None) => {}
            }
        }
        let is_silent = conn.unused().is_empty();
        match ready!(conn.poll_fill(cx, &worker.buffers)) {
            Ok(count) if count > 0 => {}
            _ if is_silent => return Poll::Ready(Err(SendError::Closed)),
            _ => return Poll::Ready(Err(SendError::Bad("server_closed"))),
        }
    }
}

/// For `?` where a reading failed.
impl From<io::Error> for SendError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}
