//! `leastConn`: the fewest active requests or connections by weight, of all servers.

use std::sync::Arc;

use super::{Ask, Choose, Turns, least, weight};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct LeastConn(Turns);

impl LeastConn {
    pub(super) fn new(_: &[Arc<Server>], turns: Turns) -> Self {
        Self(turns)
    }
}

impl Choose for LeastConn {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        least(servers, ask, &self.0, |server| f64::from(server.active()) / weight(server, ask.now))
    }
}
