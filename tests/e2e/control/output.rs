//! `-o table|json|yaml`, before and after the subcommand: JSON is the API's body.

use anyhow::Result;
use lb_tests::client::tcp::Echo;
use serde_json::Value;

use super::kit::{ask, lab, pg, start};

/// Read commands with the request that each stands for.
const READS: &[(&[&str], &str)] = &[
    (&["status"], "/api/status"),
    (&["services"], "/api/l4/services"),
    (&["routers"], "/api/l4/routers"),
    (&["backends"], "/api/l4/backends"),
    (&["backends", "pg"], "/api/l4/backends?service=pg"),
    (&["flows"], "/api/l4/flows"),
    (&["flows", "--service", "pg"], "/api/l4/flows?service=pg"),
];

#[test]
fn every_read_command_prints_the_apis_body() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let _open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    for (args, path) in READS {
        let body = steady(ask(&daemon, "GET", path, "")?.json()?);
        let before = daemon.ok(&[&["-o", "json"], *args].concat())?;
        let after = daemon.ok(&[*args, &["--output", "json"]].concat())?;
        let yaml = daemon.ok(&[*args, &["-o", "yaml"]].concat())?;
        assert_eq!(steady(serde_json::from_str(&before)?), body, "{args:?}");
        assert_eq!(steady(serde_json::from_str(&after)?), body, "{args:?}");
        assert_eq!(steady(serde_yaml::from_str(&yaml)?), body, "{args:?}: {yaml}");
        let table = daemon.ok(&[*args, &["-o", "table"]].concat())?;
        assert!(!table.starts_with(['[', '{', '-']), "{args:?}: {table}");
        assert!(body.as_array().is_none_or(|rows| !rows.is_empty()), "{args:?}");
    }
    Ok(())
}

#[test]
fn commands_that_change_print_what_came_of_it() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let drained = daemon.json(&["drain", "pg", "10.0.1.11:5432"])?;
    assert_eq!(drained[0]["drained"], true);
    let weighed: Value = serde_yaml::from_str(&daemon.ok(&[
        "weight",
        "pg",
        "10.0.1.12:5432",
        "7",
        "-o",
        "yaml",
    ])?)?;
    assert_eq!(weighed[0]["weight"], 7);
    let reloaded = daemon.json(&["reload"])?;
    assert_eq!(reloaded["changes"], Value::Array(Vec::new()));
    assert_eq!(reloaded["generation"], daemon.json(&["status"])?["generation"]);
    let explained =
        daemon.json(&["explain", "l4", "tcp", "192.0.2.2:4000", "198.51.100.10:5432"])?;
    assert_eq!(explained["backend"], "10.0.1.12:5432");
    let detached = daemon.json(&["detach"])?;
    assert!(detached.as_array().is_some_and(|lines| !lines.is_empty()), "{detached}");
    Ok(())
}

/// Without what differs from one moment to the next.
fn steady(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("uptimeSeconds");
    }
    for row in body.as_array_mut().into_iter().flatten() {
        if let Some(fields) = row.as_object_mut() {
            fields.remove("idleSeconds");
        }
    }
    body
}
