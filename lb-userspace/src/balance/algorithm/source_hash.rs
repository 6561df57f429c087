//! `hrw`, `sourceHash`: a client's address always goes to the same server while it is there.

use std::sync::Arc;

use super::{Ask, Choose, Turns, hashed::score};
use crate::balance::Server;

#[derive(Debug)]
pub(super) struct SourceHash;

impl SourceHash {
    pub(super) fn new(_: &[Arc<Server>], _: Turns) -> Self {
        Self
    }
}

impl Choose for SourceHash {
    fn choose(&self, servers: &[Arc<Server>], ask: &Ask<'_>) -> Option<usize> {
        let hash = ask.key.source();
        let fits = |server: &Server| ask.accepts(server) && server.takes_hash(hash, ask.now);
        let scores =
            servers.iter().enumerate().filter(|(_, server)| fits(server)).map(|(index, server)| {
                (index, score(hash, server.identity, f64::from(server.weight)))
            });
        scores.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
    }
}
