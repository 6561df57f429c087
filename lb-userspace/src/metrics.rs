//! `/metrics`: Prometheus text, made anew at each scrape from the snapshot in
//! force and the kernel's counters (per-CPU ones summed).

mod provider;
mod proxy;

use std::sync::Arc;

use prometheus::{Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::{
    api::Counts,
    events,
    health::{CheckResult, Counters},
    model::{Protocol, Snapshot},
    provider::Status,
    proxy::View,
};

/// What a scrape shows.
#[derive(Debug)]
pub struct Scrape<'a> {
    /// In force.
    pub snapshot: &'a Snapshot,
    /// Of the kernel.
    pub counts: &'a Counts,
    /// Of the proxy.
    pub proxy: &'a View,
    /// Of the checks.
    pub health: &'a Counters,
    /// Of the files.
    pub reloads: Reloads,
    /// Of what happened.
    pub events: events::Counts,
    /// Of sources over a network.
    pub providers: &'a [Arc<Status>],
    /// Seconds since the epoch of the daemon's start.
    pub started: u64,
}

/// Readings of the configuration since the daemon's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Taken.
    pub successes: u64,
    /// Refused, whole or in part.
    pub failures: u64,
    /// Whether the latest was taken.
    pub last_success: bool,
    /// Seconds since the epoch of the latest that was taken.
    pub last_success_time: u64,
}

/// Renders a scrape.
///
/// # Errors
/// When the metrics contradict each other: a fault in lb.
pub fn render(scrape: &Scrape<'_>) -> prometheus::Result<String> {
    let registry = Registry::new();
    instance(&registry, scrape)?;
    backends(&registry, scrape)?;
    kernel(&registry, scrape.counts)?;
    health(&registry, scrape)?;
    events(&registry, &scrape.events)?;
    provider::sources(&registry, scrape.providers)?;
    let mut text = Vec::new();
    let mut families = registry.gather();
    families.extend(proxy::families(scrape.proxy));
    TextEncoder::new().encode(&families, &mut text)?;
    String::from_utf8(text).map_err(|e| prometheus::Error::Msg(e.to_string()))
}

fn instance(registry: &Registry, scrape: &Scrape<'_>) -> prometheus::Result<()> {
    let info = gauges(registry, "lb_build_info", "The version that runs.", &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let generation = "Generation of the snapshot in force.";
    gauge(registry, "lb_snapshot_generation", generation, scrape.snapshot.generation)?;
    let start = "Unix time of the daemon's start.";
    gauge(registry, "lb_start_time_seconds", start, scrape.started)?;

    let r = &scrape.reloads;
    let help = "Readings of the configuration, by whether they were taken.";
    let total = counters(registry, "lb_config_reloads_total", help, &["result"])?;
    total.with_label_values(&["success"]).inc_by(r.successes);
    total.with_label_values(&["failure"]).inc_by(r.failures);
    let help = "Whether the latest reading of the configuration was taken.";
    gauge(registry, "lb_config_last_reload_success", help, u64::from(r.last_success))?;
    let help = "Unix time of the latest reading that was taken.";
    gauge(registry, "lb_config_last_reload_success_timestamp_seconds", help, r.last_success_time)
}

const BACKEND: &[&str] = &["protocol", "service", "backend"];

fn backends(registry: &Registry, scrape: &Scrape<'_>) -> prometheus::Result<()> {
    let counter = |name, help| counters(registry, name, help, BACKEND);
    let packets = counter("lb_l4_packets_total", "Packets sent to the backend.")?;
    let bytes = counter("lb_l4_bytes_total", "Bytes sent to the backend, IP header and up.")?;
    let reply_packets = counter("lb_l4_reply_packets_total", "Packets back to clients.")?;
    let reply_bytes = counter("lb_l4_reply_bytes_total", "Bytes back, IP header and up.")?;
    let connections = counter("lb_l4_connections_total", "Flows begun.")?;
    let refused = counter("lb_l4_refused_total", "Handshakes that the backend refused.")?;
    let active = gauges(registry, "lb_l4_active_connections", "Flows now.", BACKEND)?;
    let services = scrape.snapshot.services.values();
    for service in services.filter(|service| service.id.protocol != Protocol::Http) {
        for backend in &service.backends {
            let name = service.id.qualified();
            let address = backend.address.to_string();
            let labels = [service.id.protocol.name(), name.as_str(), address.as_str()];
            let count = scrape.counts.of(&service.id, backend.address);
            packets.with_label_values(&labels).inc_by(count.stats.packets);
            bytes.with_label_values(&labels).inc_by(count.stats.bytes);
            reply_packets.with_label_values(&labels).inc_by(count.stats.reply_packets);
            reply_bytes.with_label_values(&labels).inc_by(count.stats.reply_bytes);
            connections.with_label_values(&labels).inc_by(count.stats.connections);
            refused.with_label_values(&labels).inc_by(count.stats.refused);
            active.with_label_values(&labels).set(signed(count.active));
        }
    }
    Ok(())
}

fn kernel(registry: &Registry, counts: &Counts) -> prometheus::Result<()> {
    let help = "Packets dropped or answered in the backend's place, by reason.";
    let drops = counters(registry, "lb_l4_drops_total", help, &["reason"])?;
    for (reason, count) in counts.drops() {
        drops.with_label_values(&[reason.label()]).inc_by(count);
    }
    let help = "Events of the data path.";
    let events = counters(registry, "lb_l4_events_total", help, &["event"])?;
    for (event, count) in counts.events() {
        events.with_label_values(&[event.label()]).inc_by(count);
    }
    gauge(registry, "lb_l4_conntrack_entries", "Flows in the connection table.", counts.flows)
}

fn health(registry: &Registry, scrape: &Scrape<'_>) -> prometheus::Result<()> {
    let help = "Whether the server may take connections, as its checks say.";
    let labels = ["protocol", "service", "url"];
    let up = gauges(registry, "lb_service_server_up", help, &labels)?;
    let help = "Changes of verdict since the backend came.";
    let changes = counters(registry, "lb_health_transitions_total", help, BACKEND)?;
    for service in scrape.snapshot.services.values() {
        for b in &service.backends {
            let name = service.id.qualified();
            let address = match service.id.protocol {
                Protocol::Http => proxy::url(b.options.scheme, b.address),
                Protocol::Tcp | Protocol::Udp => b.address.to_string(),
            };
            let labels = [service.id.protocol.name(), name.as_str(), address.as_str()];
            up.with_label_values(&labels).set(i64::from(b.health.state.is_up()));
            changes.with_label_values(&labels).inc_by(b.health.transitions);
        }
    }
    let help = "Checks done, by how they ended.";
    let checks = counters(registry, "lb_health_checks_total", help, &["result"])?;
    for result in CheckResult::ALL {
        checks.with_label_values(&[result.name()]).inc_by(scrape.health.checks(result));
    }
    let help = "Look-ups of backends' host names, by whether they were answered.";
    let lookups = counters(registry, "lb_dns_lookups_total", help, &["result"])?;
    lookups.with_label_values(&["success"]).inc_by(scrape.health.resolved());
    lookups.with_label_values(&["failure"]).inc_by(scrape.health.unresolved());
    Ok(())
}

fn events(registry: &Registry, counts: &events::Counts) -> prometheus::Result<()> {
    let total = counters(registry, "lb_events_total", "What happened, by type.", &["type"])?;
    for (name, count) in &counts.told {
        total.with_label_values(&[*name]).inc_by(*count);
    }
    let help = "Events that somebody who listens didn't get, by reason.";
    let lost = counters(registry, "lb_events_dropped_total", help, &["reason"])?;
    for (name, count) in &counts.lost {
        lost.with_label_values(&[*name]).inc_by(*count);
    }
    Ok(())
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
    let metric = IntGauge::new(name, help)?;
    metric.set(signed(value));
    registry.register(Box::new(metric))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use lb_common::{BackendStats, DropReason};

    use super::*;
    use crate::{
        api::{BackendCount, samples},
        model::{BackendId, BackendState, Id, Protocol},
    };

    fn text() -> String {
        let mut snapshot = samples::snapshot();
        let id = Id::new(Protocol::Tcp, "pg", "file");
        let pg = snapshot.services.get_mut(&id).unwrap();
        let pg = std::sync::Arc::make_mut(pg);
        pg.backends[1].health.state = BackendState::Down;
        pg.backends[1].health.transitions = 4;
        let address = pg.backends[0].address;
        let stats = BackendStats {
            packets: 9,
            bytes: 900,
            reply_packets: 8,
            reply_bytes: 800,
            connections: 2,
            refused: 1,
        };
        let counts = Counts {
            backends: [(
                BackendId { service: id, address },
                BackendCount { stats, active: 1, ..BackendCount::default() },
            )]
            .into(),
            drops: vec![3],
            events: vec![5],
            flows: 6,
            ..Counts::default()
        };
        let reloads = Reloads {
            successes: 2,
            failures: 1,
            last_success: false,
            last_success_time: 1_700_000_000,
        };
        let health = Counters::default();
        let scrape = Scrape {
            snapshot: &snapshot,
            counts: &counts,
            proxy: &View::default(),
            health: &health,
            reloads,
            events: events::Hub::default().counts(),
            providers: &[],
            started: 7,
        };
        render(&scrape).unwrap()
    }

    macro_rules! shows {
        ($($test:ident: $line:expr;)+) => {
            $(#[test]
            fn $test() {
                let text = text();
                assert!(text.lines().any(|l| l == $line), "{} not in:\n{text}", $line);
            })+
        };
    }

    shows! {
        metric_packets: r#"lb_l4_packets_total{backend="10.0.1.5:5432",protocol="tcp",service="pg@file"} 9"#;
        metric_bytes: r#"lb_l4_bytes_total{backend="10.0.1.5:5432",protocol="tcp",service="pg@file"} 900"#;
        metric_reply_packets: r#"lb_l4_reply_packets_total{backend="10.0.1.5:5432",protocol="tcp",service="pg@file"} 8"#;
        metric_connections: r#"lb_l4_connections_total{backend="10.0.1.5:5432",protocol="tcp",service="pg@file"} 2"#;
        metric_active: r#"lb_l4_active_connections{backend="10.0.1.5:5432",protocol="tcp",service="pg@file"} 1"#;
        metric_of_an_idle_backend: r#"lb_l4_packets_total{backend="10.0.2.1:5432",protocol="tcp",service="pg@file"} 0"#;
        metric_drop_that_occurred: r#"lb_l4_drops_total{reason="malformed"} 3"#;
        metric_drop_that_never_occurred: r#"lb_l4_drops_total{reason="table_full"} 0"#;
        metric_event: r#"lb_l4_events_total{event="left_to_tc"} 5"#;
        metric_conntrack: "lb_l4_conntrack_entries 6";
        metric_server_up: r#"lb_service_server_up{protocol="tcp",service="pg@file",url="10.0.1.5:5432"} 1"#;
        metric_server_down: r#"lb_service_server_up{protocol="tcp",service="pg@file",url="10.0.2.1:5432"} 0"#;
        metric_transitions: r#"lb_health_transitions_total{backend="10.0.2.1:5432",protocol="tcp",service="pg@file"} 4"#;
        metric_reloads_taken: r#"lb_config_reloads_total{result="success"} 2"#;
        metric_reloads_refused: r#"lb_config_reloads_total{result="failure"} 1"#;
        metric_last_reload: "lb_config_last_reload_success 0";
        metric_checks: r#"lb_health_checks_total{result="timeout"} 0"#;
        metric_events: r#"lb_events_total{type="lb.health.changed"} 0"#;
        metric_lost_events: r#"lb_events_dropped_total{reason="slow_reader"} 0"#;
        metric_generation: "lb_snapshot_generation 3";
    }

    #[test]
    fn every_drop_reason_has_a_line() {
        let text = text();
        for reason in DropReason::ALL {
            let line = format!("lb_l4_drops_total{{reason=\"{}\"}}", reason.label());
            assert!(text.contains(&line), "{line}");
        }
    }
}
