//! Takes flows out whose time is up, a slice of the table at a time.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc, time::Duration};

use lb_common::{
    Flow, KernelConfig, TcpState,
    flow::{SIG_FREE, SIG_READY, SIG_STATE, WAYS, flags},
};

use super::{
    error::Result,
    flows::{Reader, idle},
};

/// Buckets of one step: a quarter of a megabyte of signatures, well under a millisecond of one CPU
/// unless all of them are full.
const STEP: u32 = 4096;
/// How long a pass over the table takes, if paced by [`Sweeper::pause`].
const PASS: Duration = Duration::from_secs(5);

/// Sweeps the table, step by step.
#[derive(Debug)]
pub struct Sweeper {
    reader: Arc<Reader>,
    next: u32,
    pass: Pass,
    /// Slots found half-written: by this pass, and by the one before.
    busy: BTreeSet<(u32, u32)>,
    busy_before: BTreeSet<(u32, u32)>,
}

/// What one pass over the table found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Flows left, by backend id; those without any are absent.
    pub flows: BTreeMap<u32, u64>,
    /// Flows taken out because their time was up.
    pub expired: u64,
    /// Slots freed whose writer had died.
    pub stale: u64,
    /// Flows left among the established.
    pub established: u64,
    /// Flows left among the half-open.
    pub half_open: u64,
}

impl Sweeper {
    /// Sweeps the table of `reader`.
    pub fn new(reader: Arc<Reader>) -> Self {
        Self {
            reader,
            next: 0,
            pass: Pass::default(),
            busy: BTreeSet::new(),
            busy_before: BTreeSet::new(),
        }
    }

    /// How long to wait between steps, so that a pass takes 5 s.
    pub fn pause(&self) -> Duration {
        PASS / self.reader.table.buckets().div_ceil(STEP).max(1)
    }

    /// Sweeps the next slice. At the end of a pass, what it found.
    ///
    /// # Errors
    /// The settings or the clock can't be read.
    pub fn step(&mut self) -> Result<Option<Pass>> {
        let config = self.reader.config()?;
        let now = self.reader.now()? as u32;
        let end = (self.next + STEP).min(self.reader.table.buckets());
        for bucket in self.next..end {
            self.sweep(bucket, &config, now);
        }
        self.next = end;
        if end < self.reader.table.buckets() {
            return Ok(None);
        }
        self.next = 0;
        self.busy_before = std::mem::take(&mut self.busy);
        Ok(Some(std::mem::take(&mut self.pass)))
    }

    fn sweep(&mut self, bucket: u32, config: &KernelConfig, now: u32) {
        let reader = Arc::clone(&self.reader);
        for (way, sig) in reader.table.signatures(bucket).into_iter().enumerate() {
            let slot = bucket * WAYS as u32 + way as u32;
            match sig & SIG_STATE {
                _ if sig == SIG_FREE => {}
                SIG_READY => {
                    let flow = reader.table.flow(slot);
                    if is_expired(&flow, config, now) && expire(&reader, slot, sig, config, now) {
                        self.pass.expired += 1;
                    } else {
                        self.count(bucket, &flow);
                    }
                }
                _ => self.free_if_stale(slot, sig),
            }
        }
    }

    fn count(&mut self, bucket: u32, flow: &Flow) {
        *self.pass.flows.entry(flow.backend).or_insert(0) += 1;
        match self.reader.table.is_half_open(bucket) {
            true => self.pass.half_open += 1,
            false => self.pass.established += 1,
        }
    }

    /// A program writes a flow within microseconds; what is still half-written a pass later
    /// has lost its writer (a daemon that was killed).
    fn free_if_stale(&mut self, slot: u32, sig: u32) {
        if !self.busy_before.contains(&(slot, sig)) {
            self.busy.insert((slot, sig));
        } else if self.reader.table.free_stale(slot, sig) {
            self.pass.stale += 1;
        }
    }
}

/// Takes out every flow that `gone` names, whatever its age.
pub(super) fn purge(reader: &Reader, gone: impl Fn(&Flow) -> bool) -> u64 {
    let mut purged = 0;
    for (slot, sig, flow) in reader.table.ready(0, reader.table.slots()) {
        if gone(&flow) {
            purged += u64::from(take_out(reader, slot, sig, &gone));
        }
    }
    purged
}

fn expire(reader: &Reader, slot: u32, sig: u32, config: &KernelConfig, now: u32) -> bool {
    take_out(reader, slot, sig, |flow| is_expired(flow, config, now))
}

fn take_out(reader: &Reader, slot: u32, sig: u32, still: impl FnOnce(&Flow) -> bool) -> bool {
    let Some(flow) = reader.table.remove(slot, sig, still) else { return false };
    if flow.counted != 0 {
        reader.count_off(flow.backend);
    }
    true
}

fn is_expired(flow: &Flow, config: &KernelConfig, now: u32) -> bool {
    idle(now, flow.last_seen) >= timeout(flow.state, config)
}

/// The idle time that a state is allowed, in jiffies.
fn timeout(state: u32, config: &KernelConfig) -> u32 {
    let is_udp = state & flags::UDP != 0;
    match TcpState::from_word(state) {
        Some(TcpState::Established) if is_udp => config.udp,
        Some(TcpState::Established) => config.tcp_established,
        Some(TcpState::Closing) => config.tcp_closing,
        Some(TcpState::Closed | TcpState::Reset) => config.tcp_closed,
        Some(TcpState::New | TcpState::SynReceived) => config.half_open,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: KernelConfig = KernelConfig {
        tcp_established: 1000,
        half_open: 10,
        tcp_closing: 200,
        tcp_closed: 50,
        udp: 100,
        hash_key: [0; 12],
        est_buckets: 0,
        half_buckets: 0,
        reply_buckets: 0,
        flags: 0,
        nat_port_first: 0,
        nat_port_last: 0,
        host_port_first: 0,
        host_port_last: 0,
        own_port_first: 0,
        own_port_last: 0,
        min_mtu: 0,
        hz: 100,
        nat_filter: 0,
        choice_key: [0; 12],
    };

    macro_rules! timeouts {
        ($($test:ident: $state:expr => $jiffies:expr,)+) => {
            $(#[test]
            fn $test() {
                let flow = Flow { state: $state as u32, last_seen: 7, ..Flow::default() };
                assert!(!is_expired(&flow, &CONFIG, 7 + $jiffies - 1));
                assert!(is_expired(&flow, &CONFIG, 7 + $jiffies));
            })+
        };
    }

    timeouts! {
        a_syn_times_out_as_half_open: TcpState::New => 10,
        a_handshake_times_out_as_half_open: TcpState::SynReceived => 10,
        an_established_tcp_flow_has_its_own_time: TcpState::Established => 1000,
        a_closing_flow_has_its_own_time: TcpState::Closing => 200,
        a_closed_flow_has_its_own_time: TcpState::Closed => 50,
        a_reset_flow_times_out_as_closed: TcpState::Reset => 50,
        an_unanswered_udp_flow_times_out_as_half_open: flags::UDP => 10,
        an_answered_udp_flow_has_its_own_time: flags::UDP | TcpState::Established as u32 => 100,
        flags_beside_the_state_do_not_matter:
            flags::PICKED_UP | flags::FIN_CLIENT | TcpState::Closing as u32 => 200,
    }
}
