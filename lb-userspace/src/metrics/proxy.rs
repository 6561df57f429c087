//! What the proxy counted, as metric families. The counters are the proxy's own, so that these are
//! made here rather than by the library's.

use std::{collections::BTreeMap, net::SocketAddr, sync::atomic::Ordering::Relaxed};

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::{
    middleware::circuit_changes,
    model::{Id, Scheme},
    proxy::{
        View,
        observe::{Key, Reading, Series, spans},
    },
};

/// The families that have something to show.
pub(super) fn families(view: &View) -> Vec<MetricFamily> {
    let mut all = Families::default();
    let metrics = &view.observing.load().metrics;
    entry_points(&mut all, view, metrics.entry_points);
    if metrics.routers {
        for route in view.routes.values() {
            let (router, service) = (route.id.qualified(), route.service.qualified());
            let labels = [("router", router.as_str()), ("service", service.as_str())];
            all.requests("router", &labels, &route.stats.requests);
        }
    }
    connections(&mut all, view);
    for ((router, middleware, state), count) in circuit_changes() {
        let (router, middleware) = (router.qualified(), middleware.qualified());
        let labels = [("middleware", &*middleware), ("router", &*router), ("state", state)];
        let help = "How often a circuit breaker came to a state.";
        all.counter("lb_circuit_breaker_changes_total", help, &labels, count);
    }
    if metrics.services {
        services(&mut all, view);
    }
    for (reason, count) in view.tls.failures().iter().filter(|(_, count)| *count > 0) {
        let help = "TLS handshakes with clients that failed, by reason.";
        all.counter("lb_tls_failures_total", help, &[("reason", reason)], count);
    }
    if let Some(log) = &view.observing.load().log {
        let help = "Lines of the access log that were left out, because too many waited.";
        all.counter("lb_access_log_dropped_total", help, &[], log.dropped());
    }
    if let Some(sent) = &view.observing.load().spans {
        of_spans(&mut all, &sent.reading());
    }
    all.finish()
}

fn of_spans(all: &mut Families, reading: &spans::Reading) {
    let help = "Spans that the collector took.";
    all.counter("lb_spans_exported_total", help, &[], reading.exported);
    let help = "Spans that reach nobody, by reason.";
    for (reason, count) in reading.dropped {
        all.counter("lb_spans_dropped_total", help, &[("reason", reason)], count);
    }
    let help = "Attempts to send spans that came to nothing.";
    all.counter("lb_span_export_failures_total", help, &[], reading.failures);
}

fn entry_points(all: &mut Families, view: &View, with_requests: bool) {
    for entry in view.entries.values() {
        let name = [("entrypoint", &*entry.name)];
        if with_requests {
            all.requests("entrypoint", &name, &entry.stats.requests);
        }
        let help = "Connections that are open now.";
        let open = entry.stats.open.load(Relaxed) as f64;
        all.gauge("lb_entrypoint_open_connections", help, &name, open);
        let help = "Connections accepted.";
        let accepted = entry.stats.accepted.load(Relaxed);
        all.counter("lb_entrypoint_connections_total", help, &name, accepted);
        for (reason, count) in entry.stats.replies() {
            let labels = [("entrypoint", &*entry.name), ("reason", reason)];
            let help = "Answers that lb made itself, and answers that broke off, by reason.";
            all.counter("lb_proxy_replies_total", help, &labels, count);
        }
        for (reason, count) in entry.stats.refused() {
            let labels = [("entrypoint", &*entry.name), ("reason", reason)];
            let help = "What came and was no request, by reason.";
            all.counter("lb_entrypoint_refused_total", help, &labels, count);
        }
    }
}

/// Of routers that aren't HTTP's, those that had any.
fn connections(all: &mut Families, view: &View) {
    for counts in view.connections() {
        let Some(router) = counts.router.as_ref().map(Id::qualified) else {
            continue; // with no router it is what the entry point refused
        };
        let name = [("entrypoint", &*counts.entry_point), ("router", &router)];
        if counts.connections > 0 {
            let help = "Connections, or sessions of UDP, that are open now.";
            all.gauge("lb_router_open_connections", help, &name, counts.open as f64);
            for (metric, help, value) in [
                ("connections", "Connections, or sessions of UDP.", counts.connections),
                ("received_bytes", "Bytes from clients.", counts.received),
                ("sent_bytes", "Bytes to clients.", counts.sent),
            ] {
                all.counter(&format!("lb_router_{metric}_total"), help, &name, value);
            }
        }
        for (reason, count) in counts.refusals {
            let labels = [name[0], name[1], ("reason", reason)];
            let help = "Connections that lb ended or that broke off, and datagrams dropped.";
            all.counter("lb_router_refused_total", help, &labels, count);
        }
    }
}

fn services(all: &mut Families, view: &View) {
    for (id, slot) in &*view.slots {
        let service = slot.current.load();
        let name = id.qualified();
        let labels = [("service", name.as_str())];
        all.requests("service", &labels, &service.stats.requests);
        let retries = service.stats.retries.load(Relaxed);
        if retries > 0 {
            let help = "Attempts beyond the first.";
            all.counter("lb_service_retries_total", help, &labels, retries);
        }
        for server in service.group().servers() {
            let url = url(server.options().scheme, server.address());
            let labels = [("service", name.as_str()), ("url", url.as_str())];
            if let Some(stats) = service.servers.get(&server.id()) {
                all.requests("service_server", &labels, &stats.requests);
            }
            if server.picks() > 0 {
                let help = "Requests or connections that the server has now.";
                let active = f64::from(server.active());
                all.gauge("lb_service_server_active_requests", help, &labels, active);
            }
        }
    }
}

/// The label of a server.
pub(super) fn url(scheme: Scheme, address: SocketAddr) -> String {
    format!("{}://{address}", scheme.name())
}

/// Families by name.
#[derive(Default)]
struct Families(BTreeMap<String, MetricFamily>);

impl Families {
    /// The four families of what has requests.
    fn requests(&mut self, of: &str, labels: &[(&str, &str)], series: &Series) {
        for (key, reading) in series.read() {
            let code = key.code.to_string();
            let mut labels = labels.to_vec();
            labels.extend(of_key(&code, key));
            let mut counter = |suffix: &str, help, value| {
                self.counter(&format!("lb_{of}_{suffix}"), help, &labels, value);
            };
            counter("requests_total", "Requests.", reading.count);
            counter("requests_bytes_total", "Bytes of requests' bodies.", reading.bytes.0);
            counter("responses_bytes_total", "Bytes of responses' bodies.", reading.bytes.1);
            let help = "From a request's head to its answer's last byte.";
            let name = format!("lb_{of}_request_duration_seconds");
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_histogram(histogram(&reading));
            self.put(&name, help, MetricType::HISTOGRAM, metric);
        }
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.put(name, help, MetricType::COUNTER, metric);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.put(name, help, MetricType::GAUGE, metric);
    }

    fn put(&mut self, name: &str, help: &str, kind: MetricType, metric: Metric) {
        if let Some(family) = self.0.get_mut(name) {
            return family.mut_metric().push(metric);
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![metric]);
        self.0.insert(name.to_owned(), family);
    }

    fn finish(self) -> Vec<MetricFamily> {
        self.0.into_values().collect()
    }
}

fn of_key(code: &str, key: Key) -> [(&'static str, &str); 3] {
    [("code", code), ("method", key.method_name()), ("protocol", key.protocol_name())]
}

/// In order of name, as the library has them.
fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    labels.into_iter().map(pair).collect()
}

fn histogram(reading: &Reading) -> Histogram {
    let bucket = |(bound, count): &(u64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket.set_cumulative_count(*count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_sample_count(reading.count);
    histogram.set_sample_sum(reading.micros as f64 / 1e6);
    histogram.set_bucket(reading.buckets.iter().map(bucket).collect());
    histogram
}
