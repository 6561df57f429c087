//! NAT addresses under their indices.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{Addr, addr::from_ip, config::NAT_ADDRESSES};

use crate::plan::KernelView;

/// The table of NAT addresses. It only grows: flows name their address by index.
pub(super) struct Nats {
    by_index: BTreeMap<u16, Addr>,
    /// Where a run of addresses stands, or that there is no room for it.
    runs: BTreeMap<Vec<Addr>, Option<u16>>,
}

impl Nats {
    pub(super) fn new(previous: &KernelView) -> Self {
        Self { by_index: previous.nats.clone(), runs: BTreeMap::new() }
    }

    /// First index of these addresses, one after the other: where they stand already, or
    /// behind all others. `None` when there is no room.
    pub(super) fn run(&mut self, addresses: &[IpAddr]) -> Option<u16> {
        let run: Vec<Addr> = addresses.iter().copied().map(from_ip).collect();
        if let Some(&known) = self.runs.get(&run) {
            return known;
        }
        let first = self.find(&run).or_else(|| self.append(&run));
        self.runs.insert(run, first);
        first
    }

    pub(super) fn into_view(self) -> BTreeMap<u16, Addr> {
        self.by_index
    }

    fn find(&self, run: &[Addr]) -> Option<u16> {
        let is_at = |first: u16| {
            run.iter()
                .zip(first..=u16::MAX)
                .filter(|(a, at)| self.by_index.get(at) == Some(a))
                .count()
                == run.len()
        };
        self.by_index.keys().copied().find(|&first| is_at(first))
    }

    /// Behind all others; what the last ones are already is not repeated, so that a pool may grow.
    fn append(&mut self, run: &[Addr]) -> Option<u16> {
        let end = self.by_index.keys().next_back().map_or(0, |last| usize::from(*last) + 1);
        let is_tail = |shared: &usize| {
            let tail = (end - shared..end).map(|index| self.by_index.get(&(index as u16)));
            tail.eq(run[..*shared].iter().map(Some))
        };
        let shared = (0..run.len().min(end + 1)).rev().find(is_tail).unwrap_or(0);
        let first = end - shared;
        if run.is_empty() || first + run.len() > NAT_ADDRESSES as usize {
            return None;
        }
        self.by_index.extend((first as u16..).zip(run.iter().copied()));
        Some(first as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn after(nats: Nats) -> Nats {
        Nats::new(&KernelView { nats: nats.into_view(), ..KernelView::default() })
    }

    #[test]
    fn an_address_is_registered_once() {
        let mut nats = Nats::new(&KernelView::default());
        assert_eq!(nats.run(&ips(&["10.0.0.1"])), Some(0));
        assert_eq!(nats.run(&ips(&["2001:db8::1"])), Some(1));
        assert_eq!(nats.run(&ips(&["10.0.0.1"])), Some(0));
    }

    #[test]
    fn addresses_keep_their_indices() {
        let mut nats = Nats::new(&KernelView::default());
        nats.run(&ips(&["10.0.0.1"]));
        nats.run(&ips(&["10.0.0.2"]));
        let mut nats = after(nats);
        assert_eq!(nats.run(&ips(&["10.0.0.2"])), Some(1));
        assert_eq!(nats.into_view().len(), 2);
    }

    #[test]
    fn a_pool_stands_in_one_piece() {
        let mut nats = Nats::new(&KernelView::default());
        nats.run(&ips(&["10.0.0.2"]));
        assert_eq!(nats.run(&ips(&["10.0.0.1", "10.0.0.2"])), Some(1));
        assert_eq!(after(nats).run(&ips(&["10.0.0.1", "10.0.0.2"])), Some(1));
    }

    #[test]
    fn part_of_a_pool_is_found_in_it() {
        let mut nats = Nats::new(&KernelView::default());
        nats.run(&ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
        assert_eq!(nats.run(&ips(&["10.0.0.2", "10.0.0.3"])), Some(1));
    }

    #[test]
    fn a_pool_grows_where_it_stands() {
        let mut nats = Nats::new(&KernelView::default());
        nats.run(&ips(&["10.0.0.9"]));
        nats.run(&ips(&["10.0.0.1", "10.0.0.2"]));
        let mut nats = after(nats);
        assert_eq!(nats.run(&ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"])), Some(1));
        assert_eq!(nats.into_view().len(), 4);
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let nats =
            (0..NAT_ADDRESSES as u16).map(|index| (index, [0, 0, 0, u32::from(index)])).collect();
        let mut nats = Nats::new(&KernelView { nats, ..KernelView::default() });
        assert_eq!(nats.run(&ips(&["10.0.0.1"])), None);
    }
}
