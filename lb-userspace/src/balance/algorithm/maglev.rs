//! `maglev`: consistent hashing of the flow, by the tables that the kernel has, too.

use std::sync::Arc;

use super::{Ask, Choose, Turns};
use crate::{
    balance::Server,
    plan::maglev::{Member, ring},
};

#[derive(Debug)]
pub(super) struct Maglev {
    ring: Box<[u16]>,
}

/// Slots for each server: shares are exact to a hundredth of a server's own.
const SLOTS_EACH: u32 = 100;
const FEWEST_SLOTS: u32 = 1_021;
const MOST_SLOTS: u32 = 65_537;

impl Maglev {
    pub(super) fn new(servers: &[Arc<Server>], _: Turns) -> Self {
        let members: Vec<Member> = servers
            .iter()
            .map(|server| Member { identity: server.identity, weight: server.weight })
            .collect();
        let slots = (members.len() as u32).saturating_mul(SLOTS_EACH);
        Self { ring: ring(&members, slots.clamp(FEWEST_SLOTS, MOST_SLOTS)).into() }
    }
}

impl Choose for Maglev {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        let hash = lb_common::hash::finish(ask.key.hash);
        let from = lb_common::hash::index(hash, self.ring.len() as u32) as usize;
        let (behind, ahead) = self.ring.split_at(from);
        let slots = ahead.iter().chain(behind).map(|&index| usize::from(index));
        let mut last = usize::MAX;
        slots.filter(|&index| std::mem::replace(&mut last, index) != index).find(|&index| {
            let server = &servers[index];
            ask.accepts(server) && server.takes_hash(hash, ask.now)
        })
    }
}
