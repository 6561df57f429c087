//! Counters of the kernel, and its table of connections.

use anyhow::{Result, ensure};

use crate::demo::stage::Stage;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    stage.show(&["backends"])?;
    let rows = stage.rows()?;
    let sum = |field: &str| rows.iter().filter_map(|row| row[field].as_u64()).sum::<u64>();
    let status = stage.daemon.json(&["status"])?;
    let drops = status["drops"].as_array().into_iter().flatten();
    let dropped: u64 = drops.filter_map(|drop| drop["count"].as_u64()).sum();
    let (there, back) = (sum("packets"), sum("replyPackets"));
    stage.screen.space();
    stage.screen.say(&format!(
        "{there} packets to backends ({:.1} MB) and {back} back to clients ({:.1} MB), in {} \
         connections.\nNone of them passed through the daemon. Dropped: {dropped}.\nIn the flow table now, as ACTIVE: {}; \
         closed connections stay there for a minute.",
        sum("bytes") as f64 / 1e6,
        sum("replyBytes") as f64 / 1e6,
        sum("connections"),
        status["datapath"]["flows"].as_u64().unwrap_or(0),
    ));
    stage.screen.space();
    ensure!(there > 0 && back > 0, "the kernel counted no packets");
    let client = "192.0.2.2:12345";
    stage.show(&["explain", "l4", "tcp", client, &stage.web().to_string()])
}
