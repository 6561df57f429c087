//! `drain`, `undrain`, `weight`, `--reset`: in force at once, kept, shown as such.

use anyhow::Result;
use lb_tests::{
    Daemon, Namespace,
    client::{Spread, tcp},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};

use super::kit::{PATIENCE, ask, lab, pg, quiet, row, start, wait_log};

const FIRST: &str = "10.0.1.11:5432";
const SECOND: &str = "10.0.1.12:5432";

/// Eight connections from one CPU: each CPU takes turns of its own.
fn spread(lab: &lb_tests::Lab) -> Result<Spread> {
    lab.client.run(|| {
        let mut first = CpuSet::new();
        first.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &first)?;
        tcp::short_connections(lab.vip(5432), 8)
    })
}

#[test]
fn a_drained_backend_keeps_its_connections_and_gets_no_new_ones() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let mut open = lab.client.run(|| -> Result<Vec<tcp::Echo>> {
        (0..4).map(|_| tcp::Echo::connect(lab.vip(5432))).collect()
    })?;
    assert!(open.iter().any(|echo| echo.server == "b1"));
    let text = daemon.ok(&["drain", "pg", FIRST])?;
    assert_eq!(
        text,
        format!("tcp/pg@file {FIRST}: drained: takes no new connections until `lb undrain`\n")
    );
    assert_eq!(spread(&lab)?, Spread::from([("b2".into(), 8)]));
    for echo in &mut open {
        echo.ping(b"still here")?;
    }
    assert!(daemon.ok(&["backends"])?.contains("unchecked, drained"));
    let text = daemon.ok(&["undrain", "pg", FIRST])?;
    assert_eq!(text, format!("tcp/pg@file {FIRST}: weight 1, as configured\n"));
    assert_eq!(spread(&lab)?, Spread::from([("b1".into(), 4), ("b2".into(), 4)]));
    Ok(())
}

#[test]
fn a_weight_moves_the_spread_until_it_is_reset() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let text = daemon.ok(&["weight", "pg", FIRST, "3"])?;
    assert_eq!(
        text,
        format!("tcp/pg@file {FIRST}: weight 3 until `lb weight … --reset` (configured: 1)\n")
    );
    assert_eq!(spread(&lab)?, Spread::from([("b1".into(), 6), ("b2".into(), 2)]));
    assert!(daemon.ok(&["backends"])?.contains("3 (set, was 1)"));
    daemon.ok(&["weight", "pg", FIRST, "0"])?;
    assert_eq!(spread(&lab)?, Spread::from([("b2".into(), 8)]));
    daemon.ok(&["weight", "pg", FIRST, "--reset"])?;
    assert_eq!(spread(&lab)?, Spread::from([("b1".into(), 4), ("b2".into(), 4)]));
    Ok(())
}

#[test]
fn weights_reach_from_0_to_65535() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    for weight in ["0", "1", "65535"] {
        let rows = daemon.json(&["weight", "pg", SECOND, weight])?;
        assert_eq!(rows[0]["weight"].to_string(), weight);
        assert_eq!(rows[0]["configuredWeight"], 1);
    }
    assert_eq!(daemon.cli(&["weight", "pg", SECOND, "65536"])?.code, 2);
    assert_eq!(row(&daemon, SECOND)?["weight"], 65_535);
    Ok(())
}

/// Drains the first and weighs the second, does something, and finds both kept.
fn kept_over(what: impl FnOnce(&mut Daemon<'_>) -> Result<()>) -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = quiet(&ns, "")?;
    daemon.ok(&["drain", "pg", FIRST])?;
    daemon.ok(&["weight", "pg", SECOND, "9"])?;
    what(&mut daemon)?;
    let first = row(&daemon, FIRST)?;
    assert_eq!((&first["drained"], &first["weight"]), (&true.into(), &0.into()));
    let second = row(&daemon, SECOND)?;
    assert_eq!((&second["weightOverride"], &second["weight"]), (&9.into(), &9.into()));
    daemon.ok(&["undrain", "pg", FIRST])?;
    daemon.ok(&["weight", "pg", SECOND, "--reset"])?;
    assert_eq!(row(&daemon, FIRST)?["weight"], 3);
    assert_eq!(row(&daemon, SECOND)?["weight"], 1);
    Ok(())
}

#[test]
fn changes_are_kept_over_a_reload() -> Result<()> {
    kept_over(|daemon| {
        daemon.configure(&super::kit::QUIET.replace("10.0.1.11:53\"", "10.0.1.13:53\""))?;
        let text = daemon.ok(&["reload"])?;
        assert!(text.contains("10.0.1.13:53 added"), "{text}");
        Ok(())
    })
}

#[test]
fn changes_are_kept_over_sighup() -> Result<()> {
    kept_over(|daemon| {
        daemon.configure(&super::kit::QUIET.replace("10.0.1.11:53\"", "10.0.1.13:53\""))?;
        daemon.signal(Signal::SIGHUP)?;
        wait_log(daemon, "10.0.1.13:53 added")
    })
}

#[test]
fn changes_are_kept_over_a_restart() -> Result<()> {
    kept_over(|daemon| {
        assert_eq!(daemon.terminate()?.code(), Some(0));
        daemon.run(&[])
    })
}

#[test]
fn changes_are_kept_over_a_crash() -> Result<()> {
    kept_over(|daemon| {
        daemon.crash()?;
        daemon.run(&[])
    })
}

#[test]
fn a_backend_that_went_and_came_back_keeps_its_changes() -> Result<()> {
    kept_over(|daemon| {
        daemon.configure("tcp: {}\n")?;
        daemon.ok(&["reload"])?;
        daemon.wait_for("the backends are gone", PATIENCE, |daemon| {
            Ok(daemon.json(&["services"])?.as_array().is_some_and(Vec::is_empty))
        })?;
        assert_eq!(daemon.cli(&["weight", "pg", SECOND, "5"])?.code, 1);
        daemon.configure(super::kit::QUIET)?;
        daemon.ok(&["reload"])?;
        Ok(())
    })
}

#[test]
fn the_api_takes_the_same_changes_and_refuses_nonsense() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let path = format!("/api/backends/pg/{FIRST}");
    let changed = ask(&daemon, "PUT", &path, r#"{"drain":true,"weight":5}"#)?;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json()?[0]["weightOverride"], 5);
    assert_eq!(changed.json()?[0]["drained"], true);
    let changed = ask(
        &daemon,
        "PUT",
        "/api/backends/tcp%2Fpg%40file/10.0.1.11%3A5432",
        r#"{"drain":false,"weight":null}"#,
    )?;
    assert_eq!(changed.json()?[0]["weight"], 3);
    for (path, body, status, part) in [
        (path.as_str(), "", 400, "body: EOF"),
        (&path, "{}", 400, "expected {\"drain\": true|false}"),
        (&path, "[]", 400, "expected a JSON object"),
        (&path, r#"{"weight":70000}"#, 400, "expected u16"),
        (&path, r#"{"wieght":1}"#, 400, "unknown field `wieght`"),
        ("/api/backends/pgg/10.0.1.11:5432", r#"{"drain":true}"#, 404, "did you mean \"pg\"?"),
        (
            "/api/backends/pg/10.0.1.1:5432",
            r#"{"drain":true}"#,
            404,
            "did you mean \"10.0.1.11:5432\"?",
        ),
        ("/api/backends/dns/10.0.1.11:53", r#"{"drain":true}"#, 409, "is ambiguous"),
    ] {
        let answer = ask(&daemon, "PUT", path, body)?;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.message()?.contains(part), "{path} {body}: {answer:?}");
    }
    assert_eq!(row(&daemon, FIRST)?["weight"], 3);
    Ok(())
}
