//! The daemon dies, and the kernel goes on; the next daemon takes over.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lb_tests::client::http;

use crate::demo::held::Held;
use crate::demo::stage::Stage;

const CONNECTIONS: usize = 600;
const HELD: usize = 24;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    let names: Vec<_> = stage.lab.backends.iter().map(|host| host.name.as_str()).collect();
    let mut held = Held::open(stage, HELD)?;
    let pid = stage.daemon.pid().context("lb does not run")?;
    stage.screen.command(&format!("kill -9 {pid}"), "");
    stage.daemon.crash()?;
    let web = stage.web();
    let spread = stage.lab.client.run(|| http::spread(web, CONNECTIONS));
    let spread = spread.context("without a daemon")?;
    let answered: u64 = spread.values().sum();
    let without = held.answered(&names);
    stage.screen.say(&format!(
        "With no daemon {answered} of {CONNECTIONS} new connections are answered, and {without} of \
         {HELD} held ones."
    ));
    stage.screen.space();
    stage.screen.command("lb run -c configs/demo.yaml", "");
    let started = Instant::now();
    stage.daemon.run(&[])?;
    let ready = started.elapsed();
    let after = held.answered(&names);
    let status = stage.daemon.json(&["status"])?;
    stage.screen.say(&format!(
        "In force again after {:.2} s: {}.\nHeld connections that answer: {after} of {HELD}.",
        ready.as_secs_f64(),
        status["datapath"]["detail"].as_str().unwrap_or_default(),
    ));
    ensure!(without == HELD && after == HELD, "connections broke when the daemon was killed");
    Ok(())
}
