//! The trace that an exchange is a part of: from where its route is known to its end.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    attributes::{self, Ended},
    context::{Context, SpanId},
    encode::{self, Attributes},
    queue::{self, Spans},
};
use crate::{
    model::Observability,
    proxy::{
        Exchange,
        table::{Entry, EntryTable, Route, Target},
        worker::Worker,
    },
};

/// Fields of `ScopeSpans`, `Span` and `Status` (opentelemetry/proto/trace/v1).
const SPANS: u32 = 2;
const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const TRACE_STATE: u32 = 3;
const PARENT: u32 = 4;
const NAME: u32 = 5;
const KIND: u32 = 6;
const START: u32 = 7;
const END: u32 = 8;
const ATTRIBUTES: u32 = 9;
const STATUS: u32 = 15;
const FLAGS: u32 = 16;
const STATUS_WORDS: u32 = 2;
const STATUS_CODE: u32 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;
/// It is known whether the parent is of another process, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
#[derive(Clone, Copy)]
enum Kind {
    Server = 2,
    Client = 3,
}

/// Of an exchange: nothing unless it is recorded.
#[derive(Default)]
pub(crate) struct Current(Option<Box<Trace>>);

struct Trace {
    spans: Arc<Spans>,
    clock: Clock,
    /// The span of whoever asks.
    parent: Option<SpanId>,
    own: Context,
    /// `tracestate`.
    state: Vec<u8>,
    /// What the request was like before filters changed it, encoded.
    request: Vec<u8>,
    /// The attempt that is being made, and since when.
    asking: Option<(Context, Instant)>,
    /// Attempts made, encoded.
    asked: Vec<u8>,
    attempts: u64,
}

/// Tells when by the wall an instant was, the same way for all spans of a request.
#[derive(Clone, Copy)]
struct Clock(u64, Instant);

impl Clock {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX), Instant::now())
    }

    /// Nanoseconds since 1970.
    fn nanos(&self, at: Instant) -> u64 {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match at.checked_duration_since(self.1) {
            Some(later) => self.0.saturating_add(nanos(later)),
            None => self.0.saturating_sub(nanos(self.1 - at)),
        }
    }
}

/// A request has its route, or has none: it becomes a span where that is asked for, and whoever gets
/// it is told so.
#[inline]
pub(crate) fn begin(
    entry: &Entry,
    table: &EntryTable,
    route: Option<&Route>,
    exchange: &mut Exchange,
) {
    if queue::is_any() {
        decide(entry, table, route, exchange);
    }
}

#[inline(never)]
fn decide(entry: &Entry, table: &EntryTable, route: Option<&Route>, exchange: &mut Exchange) {
    let observing = entry.observing.load();
    let Some(spans) = &observing.spans else { return };
    let of_route = route.map_or(Observability::default(), |route| route.observability);
    let (_, _, is_wanted) = of_route.over(&table.options.observability);
    let is_internal = route.is_some_and(|route| matches!(route.target, Target::Internal(_)));
    if !is_wanted || is_internal && !spans.settings().internals {
        return;
    }
    let parent = Context::of(&exchange.request);
    let own = match &parent {
        // Nobody records this trace: what the client says of it is passed on as it is.
        Some(parent) if !parent.is_sampled() => return,
        Some(parent) => parent.child(),
        None => {
            exchange.request.remove("tracestate");
            Context::root(spans.bound)
        }
    };
    exchange.request.set("traceparent", own.text());
    if own.is_sampled() {
        let parent = parent.map(|parent| parent.span);
        exchange.span = Current(Some(Box::new(Trace::new(spans, parent, own, exchange))));
    }
}

/// A server is about to be asked: it becomes the child of a span of its own.
#[inline]
pub(crate) fn asks(exchange: &mut Exchange) {
    if let Some(trace) = &mut exchange.span.0 {
        let context = trace.own.child();
        trace.asking = Some((context, Instant::now()));
        exchange.request.set("traceparent", context.text());
    }
}

/// It has answered, or has not for the reason given.
#[inline]
pub(crate) fn asked(exchange: &mut Exchange, failure: Option<&'static str>) {
    if let Some(mut trace) = exchange.span.0.take() {
        trace.asked(exchange, failure);
        exchange.span.0 = Some(trace);
    }
}

/// An exchange is over.
#[inline]
pub(in super::super) fn finished(worker: &Worker, route: Option<&Route>, exchange: &Exchange) {
    if let Some(trace) = &exchange.span.0 {
        let whole = trace.whole(route, exchange);
        worker.spans.borrow_mut().add(&trace.spans, &whole, trace.attempts as usize + 1);
    }
}

impl Trace {
    fn new(spans: &Arc<Spans>, parent: Option<SpanId>, own: Context, exchange: &Exchange) -> Self {
        let mut request = Vec::with_capacity(512);
        let mut out = Attributes { out: &mut request, field: ATTRIBUTES };
        attributes::request(&mut out, exchange, spans.settings());
        let states: Vec<&[u8]> = exchange.request.values("tracestate").collect();
        Self {
            spans: Arc::clone(spans),
            clock: Clock::now(),
            parent,
            own,
            state: states.join(&b","[..]),
            request,
            asking: None,
            asked: Vec::new(),
            attempts: 0,
        }
    }

    fn asked(&mut self, exchange: &Exchange, failure: Option<&'static str>) {
        let Some((context, since)) = self.asking.take() else { return };
        let mut described = Vec::with_capacity(512);
        let mut out = Attributes { out: &mut described, field: ATTRIBUTES };
        let settings = self.spans.settings();
        let ended = attributes::attempt(&mut out, exchange, settings, self.attempts, failure);
        self.attempts += 1;
        let span = Span {
            kind: Kind::Client,
            context,
            parent: Some(self.own.span),
            times: (since, Instant::now()),
            attributes: &[&described],
            ended,
        };
        let mut asked = std::mem::take(&mut self.asked);
        self.write(&mut asked, &span, exchange);
        self.asked = asked;
    }

    /// All spans of the exchange.
    fn whole(&self, route: Option<&Route>, exchange: &Exchange) -> Vec<u8> {
        let mut answer = Vec::with_capacity(256);
        let mut out = Attributes { out: &mut answer, field: ATTRIBUTES };
        let ended = attributes::answer(&mut out, route, exchange, self.spans.settings());
        let span = Span {
            kind: Kind::Server,
            context: self.own,
            parent: self.parent,
            times: (exchange.started, Instant::now()),
            attributes: &[&self.request, &answer],
            ended,
        };
        let mut out = Vec::with_capacity(self.asked.len() + self.request.len() + 512);
        out.extend_from_slice(&self.asked);
        self.write(&mut out, &span, exchange);
        out
    }

    fn write(&self, out: &mut Vec<u8>, span: &Span<'_>, exchange: &Exchange) {
        encode::message(out, SPANS, |out| {
            encode::bytes(out, TRACE_ID, &span.context.trace);
            encode::bytes(out, SPAN_ID, &span.context.span);
            if !self.state.is_empty() {
                encode::text(out, TRACE_STATE, &self.state);
            }
            if let Some(parent) = &span.parent {
                encode::bytes(out, PARENT, parent);
            }
            encode::text(out, NAME, attributes::name(exchange).as_bytes());
            encode::number(out, KIND, span.kind as u64);
            encode::fixed64(out, START, self.clock.nanos(span.times.0));
            encode::fixed64(out, END, self.clock.nanos(span.times.1));
            span.attributes.iter().for_each(|some| out.extend_from_slice(some));
            if let Ended::Badly(words) = &span.ended {
                encode::message(out, STATUS, |out| {
                    encode::text(out, STATUS_WORDS, words.as_bytes());
                    encode::number(out, STATUS_CODE, ERROR);
                });
            }
            let is_remote = matches!(span.kind, Kind::Server) && span.parent.is_some();
            let remote = if is_remote { IS_REMOTE } else { 0 };
            let flags = u32::from(span.context.flags) | HAS_IS_REMOTE | remote;
            encode::fixed32(out, FLAGS, flags);
        });
    }
}

/// What is to be said of a span.
struct Span<'a> {
    kind: Kind,
    context: Context,
    parent: Option<SpanId>,
    /// From when to when.
    times: (Instant, Instant),
    /// Encoded.
    attributes: &'a [&'a [u8]],
    ended: Ended,
}
