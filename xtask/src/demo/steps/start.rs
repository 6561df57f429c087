//! The daemon, until its checks have passed every backend.

use std::time::Instant;

use anyhow::Result;

use crate::demo::stage::Stage;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    stage.screen.command("lb run -c configs/demo.yaml", "");
    let started = Instant::now();
    stage.daemon.run(&[])?;
    let ready = started.elapsed();
    stage.wait_until_up()?;
    stage.screen.say(&format!(
        "In the kernel after {:.2} s, every backend checked and up after {:.2} s.",
        ready.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ));
    stage.screen.space();
    stage.show(&["status"])
}
