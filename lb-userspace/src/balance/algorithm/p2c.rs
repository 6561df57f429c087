//! `p2c`: the less busy of two drawn at random (Mitzenmacher 2001), by weight.

use std::sync::Arc;

use super::{Ask, Choose, Turns, weight};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct P2c(Turns);

/// Draws to find a second one.
const DRAWS: usize = 8;

impl P2c {
    pub(super) fn new(_: &[Arc<Server>], turns: Turns) -> Self {
        Self(turns)
    }
}

impl Choose for P2c {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        let draw = || self.0.draw().filter(|&index| ask.accepts(&servers[index]));
        let first = (0..DRAWS).find_map(|_| draw())?;
        let second = (0..DRAWS).find_map(|_| draw().filter(|&index| index != first));
        let load =
            |index: usize| f64::from(servers[index].active()) / weight(&servers[index], ask.now);
        Some(match second {
            Some(second) if load(second) < load(first) => second,
            _ => first,
        })
    }
}
