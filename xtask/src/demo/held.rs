//! Connections that clients keep open.

use anyhow::Result;
use lb_tests::client::http::Connection;

use super::stage::Stage;

/// Open connections, each with the name of who answers it.
pub(super) struct Held(Vec<(String, Connection)>);

impl Held {
    pub(super) fn open(stage: &Stage<'_>, count: usize) -> Result<Self> {
        let web = stage.web();
        let open = || -> Result<_> {
            let mut connection = Connection::open(web)?;
            Ok((connection.get("/")?.text(), connection))
        };
        let all = stage.lab.client.run(|| (0..count).map(|_| open()).collect::<Result<_>>())?;
        Ok(Self(all))
    }

    /// How many are on this backend.
    pub(super) fn on(&self, name: &str) -> usize {
        self.0.iter().filter(|(server, _)| server == name).count()
    }

    /// Asks on each that is on one of these; how many were answered by the same as before.
    pub(super) fn answered(&mut self, names: &[&str]) -> usize {
        let those = self.0.iter_mut().filter(|(server, _)| names.contains(&server.as_str()));
        those
            .filter_map(|(server, open)| open.get("/").ok().filter(|a| a.text() == *server))
            .count()
    }
}
