//! `random`: at random, by weight.

use std::sync::Arc;

use super::{Ask, Choose, Turns};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct Random(Turns);

/// Draws before another way is taken.
const DRAWS: usize = 16;

impl Random {
    pub(super) fn new(_: &[Arc<Server>], turns: Turns) -> Self {
        Self(turns)
    }
}

impl Choose for Random {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        (0..DRAWS).filter_map(|_| self.0.draw()).find(|&index| {
            let server = &servers[index];
            ask.accepts(server) && server.takes_turn(ask.now)
        })
    }
}
