//! The thread that sends spans, by OTLP over HTTP (opentelemetry/proto/collector/trace/v1): many at
//! a time, one request after the other, and again where the collector may take them later.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep, timeout_at},
};

use super::{
    encode::{self, Attributes},
    queue::{Counts, Dropped, Order, Trouble},
};
use crate::{
    model::Tracing,
    provider::backoff::Backoff,
    proxy::{
        Head,
        fetch::{self, Fetch, FetchError, FetchLimits, Fetcher},
    },
};

/// How long spans wait for others before they are sent.
const DELAY: Duration = Duration::from_secs(1);
/// Bytes from which on they wait for no others: collectors bound what they take.
const ENOUGH: usize = 1 << 20;
/// For an answer, which is short.
const LIMITS: FetchLimits =
    FetchLimits { connect: Duration::from_secs(3), whole: Duration::from_secs(10), most: 64 << 10 };
/// The longest pause that a collector may ask for.
const PAUSE: Duration = Duration::from_secs(30);

/// Where the path is left out of the endpoint (OTLP 1, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// The conventions that names of attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.26.0";

/// Fields of `ExportTraceServiceRequest`, `ResourceSpans`, `Resource`, `ScopeSpans` and
/// `InstrumentationScope`.
const RESOURCE_SPANS: u32 = 1;
const RESOURCE: u32 = 1;
const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE_SPANS: u32 = 2;
const SCHEMA_URL: u32 = 3;
const SCOPE: u32 = 1;
const SCOPE_NAME: u32 = 1;
const SCOPE_VERSION: u32 = 2;

/// Why spans were not taken.
enum Failure {
    /// The collector may take them later, after this pause if it says so.
    Passing(String, Option<Duration>),
    /// It never will.
    Final(String),
}

/// Sends spans to a collector.
pub(super) struct Exporter {
    collector: Fetcher,
    request: Head,
    /// `Resource`, encoded.
    resource: Vec<u8>,
    counts: Arc<Counts>,
    trouble: Arc<Trouble>,
    /// Since the last success.
    failures: u64,
}

impl Exporter {
    /// Starts the thread; it ends when nobody is left who hands over.
    ///
    /// # Errors
    /// A file that TLS needs can't be read, or there can be no thread.
    pub(super) fn start(
        settings: &Tracing,
        inbox: UnboundedReceiver<Order>,
        counts: Arc<Counts>,
        trouble: Arc<Trouble>,
    ) -> io::Result<()> {
        let to = &settings.collector;
        let tls = to.tls.clone().unwrap_or_default();
        let collector = Fetcher::new(&to.endpoint, &tls, LIMITS).map_err(io::Error::other)?;
        let exporter = Self {
            collector,
            request: request(settings).map_err(io::Error::other)?,
            resource: resource(settings),
            counts,
            trouble,
            failures: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("spans".to_owned());
        thread.spawn(move || runtime.block_on(exporter.run(inbox)))?;
        Ok(())
    }

    async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        while let Some(first) = inbox.recv().await {
            let (mut spans, mut count, mut told) = (Vec::new(), 0, None);
            let deadline = Instant::now() + DELAY;
            let mut order = Some(first);
            while let Some(next) = order {
                match next {
                    Order::Spans(bytes, more) => {
                        spans.extend_from_slice(&bytes);
                        count += more;
                    }
                    Order::Sync(done) => {
                        told = Some(done);
                        break;
                    }
                }
                if spans.len() >= ENOUGH {
                    break;
                }
                order = timeout_at(deadline, inbox.recv()).await.unwrap_or_default();
            }
            if count > 0 {
                self.export(&spans, count, &inbox).await;
            }
            if let Some(done) = told {
                // Who waited too long hears nothing.
                let _gone = done.send(());
            }
        }
    }

    /// Tries until they are taken, refused for good, or nobody is left who wants them sent.
    async fn export(&mut self, spans: &[u8], count: u64, inbox: &UnboundedReceiver<Order>) {
        let body = Bytes::from(whole(&self.resource, spans));
        let mut backoff = Backoff::new();
        loop {
            match self.send(body.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.counts.exported.fetch_add(count - rejected, Relaxed);
                    self.counts.drop_spans(Dropped::Refused, rejected);
                    break;
                }
                Err(Failure::Final(why)) => {
                    self.failed(&why);
                    self.counts.drop_spans(Dropped::Refused, count);
                    break;
                }
                Err(Failure::Passing(..)) if inbox.is_closed() => {
                    self.counts.drop_spans(Dropped::Ended, count);
                    break;
                }
                Err(Failure::Passing(why, pause)) => {
                    self.failed(&why);
                    sleep(pause.unwrap_or_else(|| backoff.next()).min(PAUSE)).await;
                }
            }
        }
        self.counts.done(spans.len());
    }

    /// Sends them once. How many of them were taken and yet rejected.
    async fn send(&mut self, body: Bytes) -> Result<u64, Failure> {
        let answer = self.collector.fetch(self.request.clone(), body).await;
        let answer = answer.map_err(|error| match error {
            FetchError::Unsendable(_) | FetchError::TooLarge(..) => {
                Failure::Final(error.to_string())
            }
            _ => Failure::Passing(error.to_string(), None),
        })?;
        let status = answer.head.status();
        let said = || format!("{} answers {status}", self.collector.authority());
        match status {
            200..300 => {
                let (rejected, words) = encode::rejected(&answer.body);
                self.succeeded(rejected, &words);
                Ok(rejected)
            }
            429 | 502..=504 => {
                let pause = answer.head.text_of("retry-after").and_then(|after| after.parse().ok());
                Err(Failure::Passing(said(), pause.map(Duration::from_secs)))
            }
            _ => Err(Failure::Final(said())),
        }
    }

    /// Logs the first failure, then fewer and fewer.
    fn failed(&mut self, why: &str) {
        self.failures += 1;
        self.counts.failures.fetch_add(1, Relaxed);
        if self.failures.is_power_of_two() {
            tracing::warn!("spans don't reach the collector ({} times now): {why}", self.failures);
        }
        self.trouble.set(Some(why.to_owned()));
    }

    fn succeeded(&mut self, rejected: u64, words: &str) {
        if self.failures > 0 {
            tracing::info!("spans reach the collector again, after {} failures", self.failures);
        }
        self.failures = 0;
        let trouble = (rejected > 0).then(|| {
            format!("{} rejects {rejected} spans: {words:.200}", self.collector.authority())
        });
        if let Some(why) = &trouble {
            tracing::warn!("{why}");
        }
        self.trouble.set(trouble);
    }
}

/// What each request begins with.
fn request(settings: &Tracing) -> Result<Head, String> {
    let url = fetch::parse(&settings.collector.endpoint)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut head = Head::request("POST", if path == "/" { PATH } else { path });
    for (name, value) in &settings.collector.headers {
        head.set(name, value);
    }
    head.set("Content-Type", "application/x-protobuf");
    if !head.has("user-agent") {
        head.add("User-Agent", concat!("lb/", env!("CARGO_PKG_VERSION")));
    }
    Ok(head)
}

/// What all spans have in common.
fn resource(settings: &Tracing) -> Vec<u8> {
    let mut out = Vec::new();
    let mut attributes = Attributes { out: &mut out, field: RESOURCE_ATTRIBUTES };
    let own = [
        ("service.name", settings.service_name.as_str()),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "lb"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    let is_given = |key: &str| settings.resource.iter().any(|(name, _)| name == key);
    for (key, value) in own.into_iter().filter(|(key, _)| !is_given(key)) {
        attributes.text(key, value);
    }
    for (key, value) in &settings.resource {
        attributes.text(key, value);
    }
    out
}

/// A request's body: spans as workers encoded them, and around them whose they are.
fn whole(resource: &[u8], spans: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(resource.len() + spans.len() + 256);
    encode::message(&mut out, RESOURCE_SPANS, |out| {
        encode::bytes(out, RESOURCE, resource);
        encode::message(out, SCOPE_SPANS, |out| {
            encode::message(out, SCOPE, |out| {
                encode::text(out, SCOPE_NAME, b"lb");
                encode::text(out, SCOPE_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
            });
            out.extend_from_slice(spans);
            encode::text(out, SCHEMA_URL, SCHEMA.as_bytes());
        });
        encode::text(out, SCHEMA_URL, SCHEMA.as_bytes());
    });
    out
}
