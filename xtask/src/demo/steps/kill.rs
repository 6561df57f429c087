//! One backend's servers are killed and come back while clients connect all
//! the time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::demo::clients::{Clients, Count};
use crate::demo::stage::Stage;

/// What a row counts.
const ROW: Duration = Duration::from_millis(500);
/// Rows after which the traffic must have moved.
const MOST_ROWS: usize = 20;
const VICTIM: usize = 0;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    let names: Vec<String> = stage.lab.backends.iter().map(|host| host.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let clients = Clients::start(&stage.lab.client, stage.web())?;
    let mut table = Table::begin(stage, &clients, &names);
    table.rows(stage, 2)?;
    stage.screen.harm(&format!("b1 is killed: its port {} refuses now", stage.web().port()));
    let killed = Instant::now();
    stage.kill(VICTIM);
    let failed = table.rows_until_clean(stage)?;
    table.clean_rows(stage, 2)?;
    let backends = stage.daemon.ok(&["backends", "web"])?;
    stage.screen.heal("b1 is started again");
    let revived = Instant::now();
    stage.revive(VICTIM)?;
    let back = table.rows_until_answered(stage, revived)?;
    stage.screen.space();
    stage.screen.say(&format!(
        "{failed} connections failed, all within {:.2} s of the kill, until its health check took \
         b1 out.\nAfter its return b1 answered again within {:.2} s. Meanwhile:",
        table.last_failure.map_or(0.0, |at| at.saturating_duration_since(killed).as_secs_f64()),
        back.as_secs_f64(),
    ));
    stage.screen.space();
    stage.screen.command("lb backends web", &backends);
    Ok(())
}

/// What clients got, half a second a row.
struct Table<'a> {
    clients: &'a Clients,
    names: &'a [&'a str],
    begun: Instant,
    /// End of the latest row.
    to: Instant,
    /// When the latest failed.
    last_failure: Option<Instant>,
}

impl<'a> Table<'a> {
    fn begin(stage: &Stage<'_>, clients: &'a Clients, names: &'a [&'a str]) -> Self {
        let heads: Vec<_> = names.iter().map(|name| format!("{name:>7}")).collect();
        stage.screen.say("Connections answered by each backend, every half second:");
        stage.screen.space();
        stage.screen.say(&format!("{:8}{}   failed", "", heads.concat()));
        let now = Instant::now();
        Self { clients, names, begun: now, to: now, last_failure: None }
    }

    /// Shows so many rows.
    fn rows(&mut self, stage: &Stage<'_>, rows: usize) -> Result<()> {
        for _ in 0..rows {
            self.row(stage)?;
        }
        Ok(())
    }

    /// Shows rows until one without failures; how many there were before it.
    fn rows_until_clean(&mut self, stage: &Stage<'_>) -> Result<u64> {
        let mut failed = 0;
        for _ in 0..MOST_ROWS {
            let row = self.row(stage)?;
            if row.failed == 0 && row.answers[VICTIM] == 0 {
                return Ok(failed);
            }
            failed += row.failed;
        }
        bail!("connections still go to b1, which is down")
    }

    /// Shows rows until the killed one has answered again, and one more; how long it took.
    fn rows_until_answered(&mut self, stage: &Stage<'_>, since: Instant) -> Result<Duration> {
        for _ in 0..MOST_ROWS {
            self.row(stage)?;
            if let Some(answer) = self.clients.first_answer(self.names[VICTIM], since) {
                self.row(stage)?;
                return Ok(answer - since);
            }
        }
        bail!("b1 is back and gets nothing")
    }

    /// Shows so many rows, in which nothing fails and nothing goes to the killed one.
    fn clean_rows(&mut self, stage: &Stage<'_>, rows: usize) -> Result<()> {
        for _ in 0..rows {
            let row = self.row(stage)?;
            ensure!(row.failed == 0, "{} requests failed with b1 out of rotation", row.failed);
            ensure!(row.answers[VICTIM] == 0, "a killed backend answered");
        }
        Ok(())
    }

    fn row(&mut self, stage: &Stage<'_>) -> Result<Count> {
        let from = self.to;
        stage.stop.sleep_until(from + ROW)?;
        self.to = Instant::now();
        let count = self.clients.count(self.names, from, self.to);
        self.last_failure = self.last_failure.max(count.last_failure);
        let cells: Vec<_> = count.answers.iter().map(|n| format!("{n:7}")).collect();
        let at = (self.to - self.begun).as_secs_f64();
        stage.screen.say(&format!("{at:5.1} s {}{:9}", cells.concat(), count.failed));
        Ok(count)
    }
}
