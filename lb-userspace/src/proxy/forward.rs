//! From a request that was routed to the answer of a server: filters, balancer, connection,
//! and another try where that is safe.

use std::{rc::Rc, sync::Arc, time::Instant};

use super::{
    Answer, Body, BodyError, Exchange, Outcome, Reply, Retry, Step,
    alarm::Alarm,
    http2, mirror,
    observe::spans,
    table::{Balanced, Route, Slot, Target, key},
    upstream::{
        self, ConnectError, SendError, UpstreamBody,
        write::{self, Towards},
    },
    worker::Worker,
};
use crate::{
    balance::{NoServer, Server, Ticket},
    model::Scheme,
};

/// Servers that a request is offered to when they can't be connected to, the first included.
const REDISPATCHES: usize = 3;

/// Takes the exchange through the route's filters and to a server. The answer is in the exchange
/// then; nothing fails without one.
pub(crate) async fn run(
    worker: &Rc<Worker>,
    route: &Arc<Route>,
    exchange: &mut Exchange,
    alarm: &Alarm,
) -> usize {
    let mut reached = 0;
    let mut early = None;
    for filter in &route.filters {
        reached += 1;
        let outcome = match filter.request(exchange) {
            Step::Next => continue,
            Step::Reply(reply) => Outcome::Reply(reply),
            Step::Wait(wait) => wait.await,
        };
        if let Outcome::Reply(reply) = outcome {
            early = Some(reply);
            break;
        }
    }
    match early {
        Some(reply) => exchange.answer = reply.into(),
        None => answer(worker, route, exchange, alarm).await,
    }
    for filter in route.filters[..reached].iter().rev() {
        let outcome = match filter.response(exchange) {
            Step::Next => continue,
            Step::Reply(reply) => Outcome::Reply(reply),
            Step::Wait(wait) => wait.await,
        };
        if let Outcome::Reply(reply) = outcome {
            exchange.answer = reply.into();
        }
    }
    reached
}

/// The answer of whom the route leads to.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    route: &Arc<Route>,
    exchange: &mut Exchange,
    alarm: &Alarm,
) {
    match &route.target {
        Target::Service(slot) => slot_answer(worker, slot, exchange, alarm).await,
        Target::Internal(internal) => Box::pin(internal.answer(exchange)).await,
    }
}

/// The answer of a service, or of the one of those that it is made of whose turn it is.
pub(crate) async fn slot_answer(
    worker: &Rc<Worker>,
    slot: &Slot,
    exchange: &mut Exchange,
    alarm: &Alarm,
) {
    let resolved = match slot.resolve(&key(exchange)) {
        Ok(resolved) => resolved,
        Err(why) => {
            exchange.answer = Answer::from(no_server(why));
            return;
        }
    };
    if !resolved.mirrors.is_empty() {
        Box::pin(mirror::send(worker, resolved.mirrors, exchange)).await;
    }
    service_answer(worker, &resolved.service, exchange, alarm).await;
    for cookie in &resolved.set_cookies {
        exchange.answer.head.add("Set-Cookie", cookie);
    }
}

/// The answer of servers, with the retries that a middleware asks for.
async fn service_answer(
    worker: &Rc<Worker>,
    service: &Arc<Balanced>,
    exchange: &mut Exchange,
    alarm: &Alarm,
) {
    exchange.service = Some(Arc::clone(service));
    let retry = exchange.retry.take();
    if let Some(retry) = &retry {
        retry.budget.deposit();
    }
    let begun = retry.is_some().then(Instant::now);
    let mut avoid = Vec::new();
    for attempt in 1.. {
        let tried = attempt_once(worker, service, exchange, alarm, &mut avoid).await;
        let (Some(retry), Some(begun)) = (&retry, begun) else { return settle(exchange, tried) };
        let (is_safe, status) = match &tried {
            Ok(()) => (retry.may_repeat(exchange), Some(exchange.answer.head.status())),
            Err(failure) => {
                let is_safe = failure.is_network && retry.may_repeat(exchange);
                (failure.is_safe || is_safe, None)
            }
        };
        if !is_safe || !again(retry, attempt, status, begun).await {
            return settle(exchange, tried);
        }
        exchange.answer = Answer::default();
        exchange.retries += 1;
    }
}

/// What an attempt came to is the answer.
fn settle(exchange: &mut Exchange, tried: Result<(), Failure>) {
    if let Err(failure) = tried {
        exchange.network_error = failure.is_network;
        exchange.answer = Answer::from(failure.reply);
    }
}

impl Retry {
    /// Whether a request may reach a server twice.
    fn may_repeat(&self, exchange: &Exchange) -> bool {
        !exchange.body_was_taken && (self.any_method || is_idempotent(exchange.request.method()))
    }
}

/// Whether another attempt is wanted and granted; waits for its time.
async fn again(retry: &Retry, attempt: u32, status: Option<u16>, begun: Instant) -> bool {
    let is_late = || retry.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
    if attempt >= retry.attempts
        || !retry.when.wants(attempt, status)
        || is_late()
        || !retry.budget.withdraw()
    {
        return false;
    }
    let pause = retry.initial_interval.saturating_mul(1 << (attempt - 1).min(16));
    if !pause.is_zero() {
        // Half of it at random, so that retries of many don't come together.
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
    true
}

/// An attempt that came to nothing.
struct Failure {
    reply: Reply,
    /// Whether the request may be sent again: no server can have acted on it, or it may act twice.
    is_safe: bool,
    is_network: bool,
}

fn failure(status: u16, reason: &'static str, text: &str, is_safe: bool) -> Failure {
    Failure { reply: Reply::text(status, reason, text), is_safe, is_network: true }
}

async fn attempt_once(
    worker: &Rc<Worker>,
    service: &Arc<Balanced>,
    exchange: &mut Exchange,
    alarm: &Alarm,
    avoid: &mut Vec<u64>,
) -> Result<(), Failure> {
    for dispatch in 1.. {
        let ticket = pick(service, exchange, avoid).await?;
        spans::asks(exchange);
        let tried = over(worker, service, ticket, exchange, alarm).await;
        spans::asked(exchange, tried.as_ref().err().map(Tried::reason));
        match tried {
            Err(Tried::Unreachable(server, why)) => {
                avoid.push(server);
                if dispatch >= REDISPATCHES || avoid.len() >= service.group().len() {
                    let text = "the server can't be reached";
                    let status = if why == "connect_timeout" { 504 } else { 502 };
                    return Err(failure(status, why, text, true));
                }
            }
            Err(Tried::Failed(failure)) => return Err(failure),
            Ok(()) => return Ok(()),
        }
    }
    Ok(())
}

async fn pick(
    service: &Arc<Balanced>,
    exchange: &mut Exchange,
    avoid: &[u64],
) -> Result<Ticket, Failure> {
    let picked = service.pick(exchange, avoid).await;
    picked.map_err(|why| Failure { reply: no_server(why), is_safe: false, is_network: false })
}

fn no_server(why: NoServer) -> Reply {
    match why {
        NoServer::None => Reply::text(503, "no_server", "no server is available"),
        NoServer::Full => Reply::text(503, "queue_full", "all servers are busy"),
        NoServer::Timeout => Reply::text(503, "queue_timeout", "all servers are busy"),
    }
}

enum Tried {
    /// This server can't be connected to, for this reason: nothing was sent.
    Unreachable(u64, &'static str),
    Failed(Failure),
}

impl Tried {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_, reason) => reason,
            Self::Failed(failure) => failure.reply.reason,
        }
    }
}

/// One server, on a connection kept alive or a new one.
///
/// What few requests need is in boxes here: the future of every request would be as large as the
/// largest of them, and is moved as a whole.
async fn over(
    worker: &Rc<Worker>,
    service: &Arc<Balanced>,
    ticket: Ticket,
    exchange: &mut Exchange,
    alarm: &Alarm,
) -> Result<(), Tried> {
    let server = ticket.server().clone();
    exchange.server = Some(server.clone());
    let settings = &service.transport.settings;
    let patience = server.options().timeout.unwrap_or(settings.response_header_timeout);
    let is_upgrade = exchange.wants_upgrade();
    loop {
        if !is_upgrade && let Some(sender) = worker.senders.get(server.id()) {
            let sent = http2::forward(sender, service, ticket, exchange, alarm, patience);
            return Box::pin(sent).await.map_err(|error| sent_badly(exchange, error));
        }
        let conn = match worker.pool.take(server.id()) {
            Some(conn) => conn,
            None => Box::pin(connect(service, &ticket, &server, alarm, is_upgrade)).await?,
        };
        if server.options().scheme == Scheme::H2c || conn.stream.alpn() == Some(b"h2") {
            let (stream, _) = conn.into_parts();
            let adopted = http2::adopt(worker, service, server.id(), stream);
            Box::pin(adopted).await.map_err(|error| sent_badly(exchange, error))?;
            continue;
        }
        let is_reused = conn.is_reused;
        let own = write::host_of(server.name(), server.options().scheme);
        let towards = Towards {
            host: (!service.pass_host).then_some(own),
            path: &server.options().path,
            upgrade: is_upgrade,
        };
        let begun = Instant::now();
        match upstream::send(worker, conn, exchange, towards, alarm, patience).await {
            Ok(sent) => {
                let took = begun.elapsed();
                exchange.server_time = Some(took);
                ticket.finished(exchange.answer.head.status(), took);
                if let Some(cookie) = ticket.set_cookie() {
                    exchange.answer.head.add("Set-Cookie", cookie);
                }
                let keeping = (settings.max_idle, settings.idle_timeout);
                let body = UpstreamBody::new(sent, worker, Some(ticket), keeping);
                exchange.answer.body =
                    if body.is_over() { Body::Empty } else { Body::Stream(Box::new(body)) };
                exchange.answer.reason = None;
                return Ok(());
            }
            // Kept alive, and closed by the server before the request was there.
            Err(SendError::Closed) if is_reused && may_repeat(exchange) => {}
            Err(error) => {
                ticket.failed();
                return Err(sent_badly(exchange, error));
            }
        }
    }
}

async fn connect(
    service: &Balanced,
    ticket: &Ticket,
    server: &Server,
    alarm: &Alarm,
    is_upgrade: bool,
) -> Result<upstream::Conn, Tried> {
    let tls = service.transport.tls_for(server, is_upgrade);
    let patience = service.transport.settings.dial_timeout;
    let made = upstream::connect(server.address(), tls, alarm, patience).await;
    made.map_err(|error: ConnectError| {
        ticket.failed();
        Tried::Unreachable(server.id(), error.reason())
    })
}

fn sent_badly(exchange: &Exchange, error: SendError) -> Tried {
    let is_safe = may_repeat(exchange);
    Tried::Failed(match error {
        SendError::Closed => {
            failure(502, "server_closed", "the server closed the connection", is_safe)
        }
        SendError::Bad(reason) => {
            failure(502, reason, "the server's answer can't be used", is_safe)
        }
        SendError::Timeout => failure(504, "server_timeout", "the server took too long", is_safe),
        SendError::Client(BodyError::Timeout) => Failure {
            is_network: false,
            ..failure(408, "client_body_timeout", "the request's body took too long", false)
        },
        SendError::Client(_) => Failure {
            is_network: false,
            ..failure(400, "client_body_broken", "the request's body broke off", false)
        },
    })
}

/// Whether a request may be sent twice: its method is idempotent (RFC 9110 §9.2.2) and its body,
/// if it has one, is still there.
fn may_repeat(exchange: &Exchange) -> bool {
    !exchange.body_was_taken && is_idempotent(exchange.request.method())
}

/// RFC 9110 §9.2.2.
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
