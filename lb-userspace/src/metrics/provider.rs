//! Of providers over a network.

use std::sync::Arc;

use prometheus::Registry;

use super::{counters, gauges, signed};
use crate::provider::Status;

pub(super) fn sources(registry: &Registry, sources: &[Arc<Status>]) -> prometheus::Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    let label = &["provider"];
    let help = "Whether the provider has its source.";
    let connected = gauges(registry, "lb_provider_connected", help, label)?;
    let help = "States that the provider took.";
    let updates = counters(registry, "lb_provider_updates_total", help, label)?;
    let help = "Failures of the provider's source.";
    let failures = counters(registry, "lb_provider_failures_total", help, label)?;
    let help = "Instances (or keys) of the provider that serve.";
    let serving = gauges(registry, "lb_provider_serving", help, label)?;
    let help = "Instances that serve nothing, by reason.";
    let skipped = gauges(registry, "lb_provider_skipped", help, &["provider", "reason"])?;
    let help = "Unix time of the latest state that was taken.";
    let time = gauges(registry, "lb_provider_last_update_timestamp_seconds", help, label)?;
    for source in sources {
        let seen = source.seen();
        let name = [source.name()];
        connected.with_label_values(&name).set(i64::from(seen.connected_since.is_some()));
        updates.with_label_values(&name).inc_by(seen.updates);
        failures.with_label_values(&name).inc_by(seen.failures);
        serving.with_label_values(&name).set(signed(seen.serving as u64));
        time.with_label_values(&name).set(signed(seen.updated.unwrap_or_default()));
        for (reason, count) in source.skipped() {
            let labels = [source.name(), reason.label()];
            skipped.with_label_values(&labels).set(signed(count as u64));
        }
    }
    Ok(())
}
