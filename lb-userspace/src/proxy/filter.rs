//! What a middleware is to a request: it reads and edits the head on the way in, may answer
//! itself, and reads and edits the response's head on the way out.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

use super::{Exchange, Head};

/// A future that may hold what it was made from; the workers are single-threaded.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A middleware at work. One is made for each router that names it and lives as long as both
/// stay the same, so that its state (buckets, counts) outlives reloads. Shared by all workers.
pub trait Filter: Send + Sync {
    /// On the way in, in the order of the configuration.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let _ = exchange;
        Step::Next
    }

    /// On the way out, in the opposite order, for all whose [`Self::request`] was called: the
    /// answer is `exchange.answer`, be it the server's, another filter's or lb's own.
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let _ = exchange;
        Step::Next
    }

    /// After the last byte was sent, or the exchange broke off: to count. Called for all whose
    /// [`Self::request`] was called.
    fn done(&self, exchange: &Exchange) {
        let _ = exchange;
    }
}

/// What a filter wants to happen next.
pub enum Step<'a> {
    /// The next one's turn.
    Next,
    /// This is the answer: on the way in no filter behind this one, and no server, sees the
    /// request; on the way out it replaces the answer there was.
    Reply(Reply),
    /// Known later.
    Wait(Wait<'a, Outcome>),
}

/// What a [`Step::Wait`] comes to.
pub enum Outcome {
    /// As [`Step::Next`].
    Next,
    /// As [`Step::Reply`].
    Reply(Reply),
}

/// An answer made here.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Status and fields; the framing is added when it is sent.
    pub head: Head,
    /// The whole body.
    pub body: Bytes,
    /// Why lb and not a server answers: the label of `lb_proxy_replies_total`, shown by the
    /// access log.
    pub reason: &'static str,
}

impl Reply {
    /// An answer of one line of text.
    pub fn text(status: u16, reason: &'static str, body: impl Into<String>) -> Self {
        let mut body = body.into();
        body.push('\n');
        let mut head = Head::response(status);
        head.add("Content-Type", "text/plain; charset=utf-8");
        head.add("X-Content-Type-Options", "nosniff");
        Self { head, body: body.into(), reason }
    }

    /// An answer without a body.
    pub fn empty(status: u16, reason: &'static str) -> Self {
        Self { head: Head::response(status), body: Bytes::new(), reason }
    }
}
