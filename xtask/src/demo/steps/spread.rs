//! How connections and UDP flows spread.

use anyhow::{Result, ensure};
use lb_tests::client::{Spread, http, udp};

use crate::demo::screen::percent;
use crate::demo::stage::{Stage, WEIGHTS};

const CONNECTIONS: usize = 1200;
const DATAGRAMS: usize = 600;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    let (web, echo) = (stage.web(), stage.echo());
    let tcp = stage.lab.client.run(|| http::spread(web, CONNECTIONS))?;
    stage.stop.check()?;
    let udp = stage.lab.client.run(|| udp::spread(echo, DATAGRAMS))?;
    stage.screen.say(&format!(
        "{CONNECTIONS} HTTP connections to {web} and {DATAGRAMS} UDP flows to {echo}:"
    ));
    stage.screen.space();
    stage.screen.say(&format!(
        "{:14} {:>8}  {:20} {:>6} {:>7}   {:>6} {:>7}",
        "", "expected", "", "HTTP", "", "UDP", ""
    ));
    let all: u32 = WEIGHTS.iter().sum();
    for (host, weight) in stage.lab.backends.iter().zip(WEIGHTS) {
        let (http, datagrams) = (answers(&tcp, &host.name), answers(&udp, &host.name));
        stage.screen.say(&format!(
            "{}  weight {weight}   {:>8}  {} {http:6} {:>7}   {datagrams:6} {:>7}",
            host.name,
            percent(weight.into(), all.into()),
            stage.screen.bar(http as f64 / CONNECTIONS as f64),
            percent(http, CONNECTIONS as u64),
            percent(datagrams, DATAGRAMS as u64),
        ));
    }
    for spread in [tcp, udp] {
        let order: Vec<_> = stage.lab.backends.iter().map(|b| answers(&spread, &b.name)).collect();
        ensure!(order.is_sorted_by(|a, b| a > b), "not spread by weight: {spread:?}");
    }
    Ok(())
}

fn answers(spread: &Spread, name: &str) -> u64 {
    spread.get(name).copied().unwrap_or(0)
}
