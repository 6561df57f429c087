//! What `lb status` shows.

use std::time::SystemTime;

use super::shared::{InForce, Shared};
use crate::{
    api::{
        ApiError, Daemon, rows,
        types::{
            AddressStatus, Counts, DatapathStatus, DropCount, EntryPointStatus, InterfaceStatus,
            ProgramStatus, ProviderStatus, Status,
        },
    },
    kernel::Stats,
    model::{EntryPoint, Path, Snapshot},
    registry::View,
};

/// What is on the host, in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) interfaces: Vec<InterfaceStatus>,
    pub(crate) addresses: Vec<AddressStatus>,
    pub(crate) programs: Vec<ProgramStatus>,
}

/// Puts it together. `stats` is `None` while nothing is loaded.
pub(super) fn of(
    shared: &Shared,
    in_force: &InForce,
    stats: Option<&Stats>,
) -> Result<Status, ApiError> {
    let snapshot = &in_force.snapshot;
    let uptime = SystemTime::now().duration_since(shared.started()).unwrap_or_default();
    let faults = snapshot.faults.iter().map(ToString::to_string);
    Ok(Status {
        instance: shared.paths.instance().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_seconds: uptime.as_secs(),
        ready: in_force.ready,
        generation: snapshot.generation,
        datapath: datapath(in_force, stats),
        entry_points: entry_points(snapshot),
        counts: counts(in_force),
        drops: drops(stats),
        last_reload: in_force.last_reload.clone(),
        shifts: in_force.shifts.clone(),
        registry: in_force.registry.as_ref().map(View::status),
        providers: providers(in_force),
        faults: faults
            .chain(in_force.faults.iter().cloned())
            .chain(shared.nats.trouble())
            .chain(shared.registration.get())
            .chain(in_force.proxy.span_trouble())
            .collect(),
    })
}

fn providers(in_force: &InForce) -> Vec<ProviderStatus> {
    let sources = in_force.sources.iter().map(|source| source.row());
    in_force.providers.iter().cloned().chain(sources).collect()
}

fn datapath(in_force: &InForce, stats: Option<&Stats>) -> DatapathStatus {
    let host = &in_force.host;
    let detail = match &in_force.kernel {
        Some(kernel) => kernel.origin.clone(),
        None if uses_kernel(&in_force.snapshot) => "not loaded yet".to_owned(),
        None => "no router is forwarded by the kernel".to_owned(),
    };
    DatapathStatus {
        loaded: in_force.kernel.is_some(),
        detail,
        interfaces: host.interfaces.clone(),
        programs: host.programs.clone(),
        addresses: host.addresses.clone(),
        flows: stats.map_or(0, |s| s.established + s.half_open),
        capacity: stats.map_or(0, |s| s.established_slots),
    }
}

/// Whether the kernel path forwards for a router.
pub(super) fn uses_kernel(snapshot: &Snapshot) -> bool {
    snapshot.routers.values().any(|r| r.path == Path::Kernel)
}

fn entry_points(snapshot: &Snapshot) -> Vec<EntryPointStatus> {
    let row = |e: &EntryPoint| EntryPointStatus {
        name: e.name.clone(),
        address: rows::entry_point_address(e),
        path: rows::entry_point_path(snapshot, e).to_owned(),
    };
    snapshot.entry_points.values().map(row).collect()
}

fn counts(in_force: &InForce) -> Counts {
    let snapshot = &in_force.snapshot;
    let backends = || snapshot.services.values().flat_map(|service| &service.backends);
    Counts {
        routers: snapshot.routers.len(),
        services: snapshot.services.len(),
        backends: backends().count(),
        backends_up: backends().filter(|b| b.takes_new()).count(),
        vips: in_force.kernel.as_ref().map_or(0, |k| k.vips.len()),
    }
}

fn drops(stats: Option<&Stats>) -> Vec<DropCount> {
    let drops = stats.into_iter().flat_map(|s| &s.drops);
    let row = |(reason, count): &(lb_common::DropReason, u64)| DropCount {
        reason: reason.label().to_owned(),
        count: *count,
        description: reason.describe().trim().to_owned(),
    };
    drops.filter(|(_, count)| *count > 0).map(row).collect()
}
