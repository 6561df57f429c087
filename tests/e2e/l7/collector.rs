//! A collector's end of OTLP over HTTP. What arrives is read by the types that OpenTelemetry
//! generates from its own definitions.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering::Relaxed},
    },
};

use lb_tests::{Daemon, Namespace, server::TcpServer};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::kit::PATIENCE;

/// A span that arrived, as tests compare it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: String,
    pub(crate) span: String,
    /// Empty for none.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) flags: u32,
    /// From when to when, in nanoseconds.
    pub(crate) times: (u64, u64),
    pub(crate) attributes: BTreeMap<String, String>,
    /// What is said of the error, if it is one.
    pub(crate) error: Option<String>,
    /// Attributes of what sent it.
    pub(crate) resource: BTreeMap<String, String>,
}

impl Seen {
    /// An attribute; empty for none.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// A collector; control it through `tcp`.
pub(crate) struct Collector {
    pub(crate) tcp: TcpServer,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    status: AtomicU16,
    /// Spans to be rejected of the next request that is taken.
    rejects: AtomicU64,
    refused: AtomicU64,
    heads: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    pub(crate) fn start(ns: &Namespace, address: SocketAddr) -> anyhow::Result<Self> {
        let state = Arc::new(State { status: AtomicU16::new(200), ..State::default() });
        let serving = Arc::clone(&state);
        let handler = move |stream: TcpStream| {
            // A client that goes away is no fault of the server.
            let _ = serve(&stream, &serving);
        };
        Ok(Self { tcp: TcpServer::start(ns, address, Arc::new(handler))?, state })
    }

    /// What is answered from now on; what isn't 200 isn't taken.
    pub(crate) fn answer(&self, status: u16) {
        self.state.status.store(status, Relaxed);
    }

    /// So many spans of the next request are told to be rejected.
    pub(crate) fn reject(&self, count: u64) {
        self.state.rejects.store(count, Relaxed);
    }

    /// Requests that weren't taken.
    pub(crate) fn refused(&self) -> u64 {
        self.state.refused.load(Relaxed)
    }

    /// Heads of the requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        lock(&self.state.heads).clone()
    }

    /// Spans that were taken.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// Waits until a request of this path has come to its end, and returns all spans until then: the
    /// server's of a request comes behind the others.
    pub(crate) fn until(&self, daemon: &Daemon<'_>, path: &str) -> anyhow::Result<Vec<Seen>> {
        let ended = |span: &Seen| span.kind == SpanKind::Server && span.get("url.path") == path;
        daemon.wait_for("the span has arrived", PATIENCE, |_| Ok(self.seen().iter().any(ended)))?;
        Ok(self.seen())
    }
}

fn serve(stream: &TcpStream, state: &State) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        lock(&state.heads).push(head);
        let status = state.status.load(Relaxed);
        let mut answer = Vec::new();
        if status == 200 {
            let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
            lock(&state.seen).extend(flat(request));
            answer = told(state.rejects.swap(0, Relaxed));
        } else {
            state.refused.fetch_add(1, Relaxed);
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        (&*stream).write_all(&[head.as_bytes(), &answer].concat())?;
    }
}

fn told(rejected: u64) -> Vec<u8> {
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: rejected as i64,
        error_message: "too many".to_owned(),
    });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

fn flat(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut all = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(&of_resource.resource.expect("a resource").attributes);
        for of_scope in of_resource.scope_spans {
            assert_eq!(of_scope.scope.expect("a scope").name, "lb");
            assert!(of_scope.schema_url.starts_with("https://opentelemetry.io/schemas/"));
            all.extend(of_scope.spans.into_iter().map(|span| seen(span, &resource)));
        }
    }
    all
}

fn seen(span: Span, resource: &BTreeMap<String, String>) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let status = span.status.clone().unwrap_or_default();
    Seen {
        kind: span.kind(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state,
        flags: span.flags,
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: attributes(&span.attributes),
        error: (status.code() == StatusCode::Error).then_some(status.message),
        name: span.name,
        resource: resource.clone(),
    }
}

/// Each once.
fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let mut named = BTreeMap::new();
    for one in all {
        let value = text(one.value.as_ref().expect("a value"));
        assert_eq!(named.insert(one.key.clone(), value), None, "{} stands twice", one.key);
    }
    named
}

fn text(value: &AnyValue) -> String {
    match value.value.as_ref().expect("a value") {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(list) => list.values.iter().map(text).collect::<Vec<_>>().join("|"),
        other => panic!("unexpected: {other:?}"),
    }
}
