//! `datapath.trace`: lines of the programs themselves in the daemon's log.

use anyhow::Result;
use lb_tests::client::tcp::Echo;

use super::kit::{DATAPATH, PATIENCE, lab, pg, start, wait_log};

fn traced(level: &str) -> String {
    let datapath = DATAPATH.replace("datapath: {", "datapath: { trace: true,");
    format!("log: {{ level: {level} }}\n{}", pg().replace(DATAPATH, &datapath))
}

#[test]
fn packets_that_are_sent_and_dropped_leave_lines() -> Result<()> {
    let (lab, servers) = lab()?;
    let check = "        healthCheck: { interval: 50ms, timeout: 1s, fall: 1 }\n";
    let daemon = start(&lab, &(traced("trace") + check))?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    wait_log(&daemon, &format!("if {} sent", lab.lb.ifindex("eth0")?))?;
    wait_log(&daemon, &format!("if {} sent", lab.lb.ifindex("eth1")?))?;
    drop(servers);
    daemon.wait_for("both are down", PATIENCE, |daemon| {
        let rows = daemon.json(&["backends"])?;
        Ok(rows.as_array().expect("rows").iter().all(|row| row["state"] == "down"))
    })?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5432))).is_err());
    wait_log(&daemon, &format!("if {} dropped, reason ", lab.lb.ifindex("eth0")?))
}

#[test]
fn the_level_decides_which_lines_are_shown() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &traced("info"))?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert!(!daemon.log().contains(" sent"), "{}", daemon.log());
    daemon.configure(&traced("debug"))?;
    assert_eq!(daemon.ok(&["reload"])?, "log: changed\n");
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    wait_log(&daemon, " sent")
}

#[test]
fn tracing_is_switched_on_and_off_while_flows_stay() -> Result<()> {
    let (lab, _servers) = lab()?;
    let plain = format!("log: {{ level: trace }}\n{}", pg());
    let daemon = start(&lab, &plain)?;
    let mut open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert!(!daemon.log().contains(" sent"));
    daemon.configure(&traced("trace"))?;
    assert_eq!(daemon.ok(&["reload"])?, "datapath.trace: changed\n");
    open.ping(b"seen")?;
    wait_log(&daemon, " sent")?;
    daemon.configure(&plain)?;
    assert_eq!(daemon.ok(&["reload"])?, "datapath.trace: changed\n");
    let lines = || daemon.log().matches(" sent").count();
    let before = lines();
    open.ping(b"not seen")?;
    open.close()?;
    // What comes later in the log shows that nothing is on its way.
    daemon.ok(&["drain", "pg", "10.0.1.11:5432"])?;
    assert_eq!(lines(), before);
    Ok(())
}
