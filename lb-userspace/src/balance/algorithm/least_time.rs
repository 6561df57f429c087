//! `leastTime`: the least expected time to answer: the moving latency, times the requests that
//! would then be active, by weight. A server of which nothing is known is asked first.

use std::sync::Arc;

use super::{Ask, Choose, Turns, least, weight};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct LeastTime(Turns);

impl LeastTime {
    pub(super) fn new(_: &[Arc<Server>], turns: Turns) -> Self {
        Self(turns)
    }
}

impl Choose for LeastTime {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        least(servers, ask, &self.0, |server| {
            let queued = f64::from(server.active()) + 1.0;
            f64::from(server.latency(ask.now)) * queued / weight(server, ask.now)
        })
    }
}
