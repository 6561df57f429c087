//! `wrr`, `roundRobin`: in turn, by weight.

use std::sync::Arc;

use super::{Ask, Choose, Turns};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct RoundRobin(Turns);

impl RoundRobin {
    pub(super) fn new(_: &[Arc<Server>], turns: Turns) -> Self {
        Self(turns)
    }
}

impl Choose for RoundRobin {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        self.0.next(|index| {
            let server = &servers[index];
            ask.accepts(server) && server.takes_turn(ask.now)
        })
    }
}
