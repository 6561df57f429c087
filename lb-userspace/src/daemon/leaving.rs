//! Leaving backends: from when they take nothing new until they are forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use crate::model::{BackendId, Id, Service, Snapshot};

/// So many are forgotten at a time at least.
const SLICE: usize = 64;
/// Or one in so many of all that wait.
const SHARE: usize = 8;

/// Backends by service.
type Backends = BTreeMap<Id, BTreeSet<SocketAddr>>;

/// Leaving backends, and which of them have no flows any more. These are forgotten slice by slice: to
/// forget all at once, of a thousand services, would hold up what changes meanwhile.
///
/// Who stops leaving is neither any more, however soon it leaves again: it may have got flows.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Since the sweeper's pass began: it may have seen the others' buckets before.
    throughout: Backends,
    /// To be forgotten.
    idle: Backends,
}

impl Leaving {
    /// The writer has made `new` of `old`.
    pub(super) fn follow(&mut self, old: &Snapshot, new: &Snapshot) {
        let is_same = |id: &Id| match (old.services.get(id), new.services.get(id)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        for backends in [&mut self.throughout, &mut self.idle] {
            backends.retain(|id, addresses| is_same(id) || keep_leaving(addresses, id, new));
        }
    }

    /// A pass of the sweeper has ended, the next one begins. `in_force` is what the kernel goes by now,
    /// `latest` what it will; `has_flows` says whether kernel or proxy have any to a backend.
    pub(super) fn swept(
        &mut self,
        in_force: &Snapshot,
        latest: &Snapshot,
        has_flows: impl Fn(&BackendId) -> bool,
    ) {
        for (service, mut addresses) in std::mem::take(&mut self.throughout) {
            addresses
                .retain(|&address| !has_flows(&BackendId { service: service.clone(), address }));
            self.idle.entry(service).or_default().extend(addresses);
        }
        self.throughout = leaving(in_force);
        self.throughout.retain(|id, addresses| keep_leaving(addresses, id, latest));
    }

    /// Nothing is loaded that could have flows: `is_busy` says what the proxy has connections to.
    pub(super) fn unloaded(&mut self, snapshot: &Snapshot, is_busy: impl Fn(&BackendId) -> bool) {
        self.idle = leaving(snapshot);
        for (service, addresses) in &mut self.idle {
            addresses.retain(|&address| !is_busy(&BackendId { service: service.clone(), address }));
        }
    }

    /// Those that are to be forgotten now.
    pub(super) fn slice(&mut self) -> Vec<BackendId> {
        let waiting: usize = self.idle.values().map(BTreeSet::len).sum();
        let most = SLICE.max(waiting / SHARE);
        let mut slice = Vec::new();
        while slice.len() < most
            && let Some((service, addresses)) = self.idle.pop_first()
        {
            let name = |address| BackendId { service: service.clone(), address };
            slice.extend(addresses.into_iter().map(name));
        }
        slice
    }
}

/// All that leave.
fn leaving(snapshot: &Snapshot) -> Backends {
    let of = |service: &Arc<Service>| -> BTreeSet<SocketAddr> {
        let leaving = service.backends.iter().filter(|backend| backend.leaving);
        leaving.map(|backend| backend.address).collect()
    };
    let services = snapshot.services.iter().map(|(id, service)| (id, of(service)));
    services.filter(|(_, of)| !of.is_empty()).map(|(id, of)| (id.clone(), of)).collect()
}

/// Keeps those that leave in `snapshot`; whether any does.
fn keep_leaving(addresses: &mut BTreeSet<SocketAddr>, id: &Id, snapshot: &Snapshot) -> bool {
    let backends = snapshot.services.get(id).map_or(&[][..], |service| &service.backends);
    addresses.retain(|address| {
        // They are in order of address.
        let at = backends.binary_search_by_key(address, |backend| backend.address);
        at.is_ok_and(|at| backends[at].leaving)
    });
    !addresses.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::samples::{backend, service},
        model::{Backend, Protocol},
    };

    /// So many services with a backend each that leaves, if `leaving` says so.
    fn snapshot(services: usize, leaving: impl Fn(usize) -> bool) -> Snapshot {
        let one = |n: usize| {
            let address = format!("10.0.{}.{}:80", n / 250, 1 + n % 250);
            let backend = Backend { leaving: leaving(n), ..backend(&address, &address) };
            let service = service(Protocol::Tcp, &format!("s{n:04}"));
            Arc::new(Service { backends: vec![backend], ..service })
        };
        let services = (0..services).map(one).map(|one| (one.id.clone(), one)).collect();
        Snapshot { services, ..Snapshot::default() }
    }

    fn names(slice: &[BackendId]) -> Vec<&str> {
        slice.iter().map(|backend| backend.service.name.as_str()).collect()
    }

    /// After a pass throughout which all of `snapshot` were leaving.
    fn after_a_pass(snapshot: &Snapshot, has_flows: impl Fn(&BackendId) -> bool) -> Leaving {
        let mut leaving = Leaving::default();
        leaving.swept(snapshot, snapshot, |_| false);
        assert_eq!(leaving.slice(), [], "the first pass had begun before");
        leaving.swept(snapshot, snapshot, has_flows);
        leaving
    }

    #[test]
    fn who_had_no_flows_throughout_a_pass_is_forgotten() {
        let all = snapshot(3, |n| n < 2);
        let mut leaving = after_a_pass(&all, |backend| backend.service.name == "s0000");
        assert_eq!(names(&leaving.slice()), ["s0001"]);
        assert_eq!(leaving.slice(), []);
    }

    #[test]
    fn many_are_forgotten_slice_by_slice_until_none_is_left() {
        let all = snapshot(1_000, |_| true);
        let mut leaving = after_a_pass(&all, |_| false);
        let slices: Vec<usize> = std::iter::from_fn(|| Some(leaving.slice().len()))
            .take_while(|count| *count > 0)
            .collect();
        assert_eq!(slices.iter().sum::<usize>(), 1_000);
        assert_eq!(slices[..2], [125, 109]);
        assert!(slices.len() < 16, "{slices:?}");
    }

    #[test]
    fn who_stops_leaving_is_not_forgotten() {
        let all = snapshot(3, |_| true);
        let mut leaving = after_a_pass(&all, |_| false);
        leaving.follow(&all, &snapshot(3, |n| n != 1));
        assert_eq!(names(&leaving.slice()), ["s0000", "s0002"]);
    }

    #[test]
    fn who_stops_leaving_and_leaves_again_waits_for_a_pass_of_its_own() {
        let (all, but_one) = (snapshot(3, |_| true), snapshot(3, |n| n != 1));
        let mut leaving = Leaving::default();
        leaving.swept(&all, &all, |_| false);
        leaving.follow(&all, &but_one);
        leaving.follow(&but_one, &all);
        leaving.swept(&all, &all, |_| false);
        assert_eq!(names(&leaving.slice()), ["s0000", "s0002"]);
        leaving.swept(&all, &all, |_| false);
        assert!(names(&leaving.slice()).contains(&"s0001"));
    }

    #[test]
    fn who_is_about_to_stop_leaving_is_not_forgotten() {
        let all = snapshot(3, |_| true);
        let mut leaving = Leaving::default();
        leaving.swept(&all, &snapshot(3, |n| n != 1), |_| false);
        leaving.swept(&all, &all, |_| false);
        assert_eq!(names(&leaving.slice()), ["s0000", "s0002"]);
    }

    #[test]
    fn who_is_gone_already_is_no_more_waited_for() {
        let all = snapshot(3, |_| true);
        let mut leaving = after_a_pass(&all, |_| false);
        leaving.follow(&all, &snapshot(1, |_| true));
        assert_eq!(names(&leaving.slice()), ["s0000"]);
    }

    #[test]
    fn while_nothing_is_loaded_all_that_leave_are_forgotten() {
        let mut leaving = Leaving::default();
        leaving.unloaded(&snapshot(4, |n| n < 3), |backend| backend.service.name == "s0002");
        assert_eq!(names(&leaving.slice()), ["s0000", "s0001"]);
    }
}
