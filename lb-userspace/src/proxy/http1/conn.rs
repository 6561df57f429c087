//! A client's connection: one request after the other.

use std::{
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::{
    answer,
    body::{ClientBody, State},
    io::{ClientIo, SharedIo, linger, write_both},
    tunnel,
};
use crate::proxy::{
    Body, Client, Exchange, Reply,
    alarm::{Alarm, Elapsed},
    forward,
    framing::Framing,
    head::{
        Class, Head,
        parse::{self, Refusal},
    },
    http2,
    io::Stream,
    observe,
    table::{Entry, EntryTable, Route},
    worker::{Counted, Worker},
};

/// What a connection is made of.
pub(crate) struct Conn {
    pub(super) io: SharedIo,
    pub(super) client: Arc<Client>,
    pub(super) entry: Arc<Entry>,
    pub(super) worker: Rc<Worker>,
    pub(super) alarm: Alarm,
    served: u64,
    since: Instant,
    /// Counts the connection where nobody else does.
    _counted: Option<Counted>,
}

/// What comes after an exchange.
enum Next {
    /// Another request may follow.
    Request,
    /// The connection ends in order.
    Close,
    /// It is of no use any more.
    Broken,
    /// It speaks HTTP/2 by prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// How long an idle client may still ask when connections are to end: a request that is on its way is
/// answered, with `Connection: close`, where closing at once would reset it.
const LAST_REQUEST: Duration = Duration::from_millis(300);

/// How a connection that speaks HTTP/2 begins (RFC 9113 §3.4), up to the first line's end.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
const IS_HTTP2: Refusal = parse::refusal(505, "http2", "HTTP/2 begins a connection or not at all");

/// Serves a connection until it ends.
pub(crate) fn serve(
    stream: Stream,
    client: Arc<Client>,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
    counted: Option<Counted>,
) -> impl Future<Output = ()> + 'static {
    let alarm = worker.alarms.alarm();
    let io = Rc::new(std::cell::RefCell::new(ClientIo::new(stream)));
    let since = Instant::now();
    let mut conn = Conn { io, client, entry, worker, alarm, served: 0, since, _counted: counted };
    // Not an async function, whose arguments would stand in the future a second time.
    async move {
        loop {
            if !conn.idle().await {
                return;
            }
            // In a box, and made there rather than moved: an idle connection is not to hold the
            // memory of a busy one.
            let exchange = Box::write(Box::new_uninit(), conn.exchange());
            match Box::into_pin(exchange).await {
                Next::Request => {}
                Next::Close => return Box::pin(linger(&conn.io, &conn.alarm)).await,
                Next::Broken => return,
                Next::Http2 => return Box::pin(conn.hand_over()).await,
            }
        }
    }
}

impl Conn {
    /// What was read, and the connection, go to the other engine.
    async fn hand_over(self) {
        let Self { io, client, entry, worker, .. } = self;
        let Ok(io) = Rc::try_unwrap(io) else { return };
        let io = io.into_inner();
        let prefix = bytes::Bytes::copy_from_slice(io.unused());
        if let Stream::Plain(plain) = io.stream {
            let (tcp, _) = plain.into_parts();
            http2::serve(Stream::with_prefix(tcp, prefix), client, entry, worker).await;
        }
    }

    /// Waits for the first byte of a request. Whether there is one.
    async fn idle(&mut self) -> bool {
        let has_more = !self.io.borrow().unused().is_empty();
        if has_more {
            return true;
        }
        let idle = self.entry.table.load().options.timeouts.idle;
        self.alarm.set(idle);
        let (worker, io, alarm) = (&self.worker, &self.io, &self.alarm);
        let mut is_draining = false;
        let filled = poll_fn(|cx| {
            if let Poll::Ready(read) = io.borrow_mut().poll_fill(cx, worker) {
                return Poll::Ready(matches!(read, Ok(count) if count > 0));
            }
            if !is_draining && worker.is_draining() {
                is_draining = true;
                alarm.set(LAST_REQUEST);
            }
            alarm.poll(cx).map(|Elapsed| false)
        })
        .await;
        self.alarm.clear();
        filled
    }

    /// One request and its answer.
    async fn exchange(&mut self) -> Next {
        let table = self.entry.table.load_full();
        let mut head = self.worker.heads.take();
        let framing = match self.read_head(&table, &mut head).await {
            Ok(Some(framing)) => framing,
            Ok(None) => return Next::Broken,
            Err(refusal) if refusal == IS_HTTP2 && self.may_be_http2() => return Next::Http2,
            Err(refusal) => {
                self.worker.heads.give_back(head);
                return Box::pin(self.refuse(refusal)).await;
            }
        };
        self.io.borrow_mut().rest(&self.worker);
        self.served += 1;
        let persists = self.persists(&head, &table);
        let (body, state) = self.body(&head, framing, &table);
        let mut exchange = Exchange::new(Arc::clone(&self.client), head, body);
        exchange.answer.head = self.worker.heads.take();
        let next = self.respond(&table, &mut exchange, state.as_deref(), persists).await;
        self.worker.heads.give_back(exchange.request);
        self.worker.heads.give_back(exchange.answer.head);
        next
    }

    /// Reads until a head is complete. `None`: the client is gone.
    async fn read_head(
        &mut self,
        table: &EntryTable,
        head: &mut Head,
    ) -> Result<Option<Framing>, Refusal> {
        let limits =
            parse::Limits { bytes: table.options.max_head, fields: table.options.max_headers };
        self.alarm.set(table.options.timeouts.head);
        let (io, worker) = (&self.io, &self.worker);
        let reading = poll_fn(|cx| {
            let mut io = io.borrow_mut();
            loop {
                if io.unused().starts_with(PREFACE) {
                    return Poll::Ready(Err(IS_HTTP2));
                }
                if !io.unused().is_empty()
                    && let Some((length, framing)) = parse::request(io.unused(), limits, head)?
                {
                    io.consume(length);
                    return Poll::Ready(Ok(Some(framing)));
                }
                match io.poll_fill(cx, worker) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Ok(None)),
                    Poll::Pending => {
                        io.park(worker);
                        return Poll::Pending;
                    }
                }
            }
        });
        let read = self.alarm.guard(reading).await;
        self.alarm.clear();
        read.unwrap_or(Err(parse::refusal(408, "head_timeout", "the request's head took too long")))
    }

    /// By prior knowledge: in the clear, and from the first byte on.
    fn may_be_http2(&self) -> bool {
        self.served == 0 && self.client.tls.is_none()
    }

    fn body(&self, head: &Head, framing: Framing, table: &EntryTable) -> (Body, Option<Rc<State>>) {
        let expects = head.fields.iter().any(|field| field.class == Class::Expect);
        let patience = table.options.timeouts.read;
        match ClientBody::new(framing, expects, &self.io, &self.worker, patience) {
            Some((body, state)) => (Body::Stream(Box::new(body)), Some(state)),
            None => (Body::Empty, None),
        }
    }

    /// Whether the client, and the settings, let another request follow (RFC 9112 §9.3).
    fn persists(&self, head: &Head, table: &EntryTable) -> bool {
        let options = &table.options;
        let is_old =
            !options.keep_alive_time.is_zero() && self.since.elapsed() >= options.keep_alive_time;
        let is_used =
            options.keep_alive_requests != 0 && self.served >= options.keep_alive_requests;
        head.persists() && !is_old && !is_used && !self.worker.is_draining()
    }

    async fn respond(
        &mut self,
        table: &Arc<EntryTable>,
        exchange: &mut Exchange,
        state: Option<&State>,
        persists: bool,
    ) -> Next {
        table.prepare(exchange);
        let route = table.route(exchange);
        observe::spans::begin(&self.entry, table, route.map(|route| &**route), exchange);
        let reached = match route {
            Some(route) => forward::run(&self.worker, route, exchange, &self.alarm).await,
            None => {
                exchange.answer = Reply::text(404, "no_router", "404 page not found").into();
                0
            }
        };
        // A body that nobody asked for would have to be read to its end before the next request.
        let is_unread = state.is_some_and(|state| !state.is_done.get());
        let keeps = persists && !is_unread && !self.worker.is_draining();
        let sent = if exchange.answer.head.status() == 101 {
            Box::pin(tunnel::run(self, exchange)).await
        } else {
            answer::send(self, exchange, table.options.timeouts.write, keeps).await
        };
        let is_read = state.is_none_or(|state| state.is_done.get());
        self.finish(table, exchange, route.map(|route| &**route), reached, state, &sent);
        match sent {
            Ok(sent) if sent.keeps && keeps && is_read => Next::Request,
            Ok(_) => Next::Close,
            Err(_) => Next::Broken,
        }
    }

    /// Tells filters, counters and log.
    fn finish(
        &self,
        table: &EntryTable,
        exchange: &mut Exchange,
        route: Option<&Route>,
        reached: usize,
        state: Option<&State>,
        sent: &Result<answer::Done, answer::Broken>,
    ) {
        exchange.bytes_in = state.map_or(0, |state| state.bytes.get());
        match sent {
            Ok(done) => exchange.bytes_out = done.bytes,
            Err(broken) => {
                exchange.bytes_out = broken.bytes;
                exchange.broke = Some(broken.reason);
            }
        }
        for filter in route.into_iter().flat_map(|route| &route.filters[..reached]) {
            filter.done(exchange);
        }
        observe::finished(&self.worker, &self.entry, table, route, exchange);
    }

    /// Answers what can't be a request, and ends the connection.
    async fn refuse(&mut self, refusal: Refusal) -> Next {
        observe::refused(&self.entry, refusal.reason);
        let text = self.worker.clock.date(|date| {
            format!(
                "HTTP/1.1 {} {}\r\nDate: {date}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{}\n",
                refusal.status,
                answer::phrase(refusal.status),
                refusal.text.len() + 1,
                refusal.text
            )
        });
        self.alarm.set(Duration::from_secs(5));
        let written = write_both(&self.io, text.as_bytes(), &[], &self.alarm, |_| {}).await;
        if written.is_ok() { Next::Close } else { Next::Broken }
    }
}

/// For callers that bound a wait and have nothing to say about it.
impl From<Elapsed> for Refusal {
    fn from(_: Elapsed) -> Self {
        parse::refusal(408, "timeout", "it took too long")
    }
}
