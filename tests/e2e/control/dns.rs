//! Servers with host names: resolved again at their TTL, the last answer kept on failure.

use anyhow::Result;
use lb_tests::{Daemon, Namespace};
use serde_json::Value;

use super::{
    kit::{PATIENCE, faults, row},
    zone::{Zone, binary_asking_it},
};

const CONFIG: &str = "tcp: { services: { db: { loadBalancer: { servers: [ { address: \"db.example:5432\", weight: 2 } ] } } } }\n";

/// Addresses of the service's backends, those that leave left out.
fn addresses(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    let rows = daemon.json(&["backends", "db"])?;
    let text = |row: &Value| row["address"].as_str().unwrap_or_default().to_owned();
    Ok(rows.as_array().into_iter().flatten().filter(|r| r["leaving"] == false).map(text).collect())
}

fn wait_addresses(daemon: &Daemon<'_>, wanted: &[&str]) -> Result<()> {
    daemon.wait_for(&format!("{wanted:?}"), PATIENCE, |daemon| Ok(addresses(daemon)? == wanted))
}

#[test]
fn every_address_is_a_backend_and_the_ttl_is_heeded() -> Result<()> {
    let (ns, folder) = (Namespace::new("dns")?, tempfile::tempdir()?);
    let zone = Zone::start(&ns, &["10.0.1.1", "10.0.1.2"], 1)?;
    let daemon = Daemon::start_binary(&ns, &binary_asking_it(folder.path())?, CONFIG)?;
    wait_addresses(&daemon, &["10.0.1.1:5432", "10.0.1.2:5432"])?;
    let backend = row(&daemon, "10.0.1.1:5432")?;
    assert_eq!((&backend["server"], &backend["weight"]), (&"db.example:5432".into(), &2.into()));
    assert!(daemon.ok(&["backends"])?.contains("db.example:5432 (10.0.1.2:5432)"));
    zone.set(&["10.0.1.2", "10.0.1.3"], 1)?;
    wait_addresses(&daemon, &["10.0.1.2:5432", "10.0.1.3:5432"])?;
    // Ten more years from now on: this answer is the last one that is asked for.
    zone.set(&["10.0.1.4"], 300_000_000)?;
    wait_addresses(&daemon, &["10.0.1.4:5432"])?;
    let asked = zone.asked();
    zone.set(&["10.0.1.5"], 1)?;
    daemon.ok(&["reload"])?;
    assert_eq!((zone.asked(), addresses(&daemon)?), (asked, vec!["10.0.1.4:5432".to_owned()]));
    Ok(())
}

#[test]
fn the_last_answer_is_kept_when_the_name_server_fails() -> Result<()> {
    let (ns, folder) = (Namespace::new("dns")?, tempfile::tempdir()?);
    let zone = Zone::start(&ns, &["10.0.1.1"], 1)?;
    let daemon = Daemon::start_binary(&ns, &binary_asking_it(folder.path())?, CONFIG)?;
    wait_addresses(&daemon, &["10.0.1.1:5432"])?;
    zone.fail();
    let failed = |daemon: &Daemon<'_>| -> Result<bool> {
        let metrics = super::kit::ask(daemon, "GET", "/metrics", "")?.body;
        Ok(!metrics.contains("lb_dns_lookups_total{result=\"failure\"} 0"))
    };
    daemon.wait_for("a look-up failed", PATIENCE, failed)?;
    assert_eq!(addresses(&daemon)?, ["10.0.1.1:5432"]);
    zone.set(&["10.0.1.6"], 1)?;
    wait_addresses(&daemon, &["10.0.1.6:5432"])
}

#[test]
fn a_name_that_never_resolved_is_shown_and_comes_when_it_does() -> Result<()> {
    let (ns, folder) = (Namespace::new("dns")?, tempfile::tempdir()?);
    let zone = Zone::start(&ns, &[], 1)?;
    let daemon = Daemon::start_binary(&ns, &binary_asking_it(folder.path())?, CONFIG)?;
    let told = faults(&daemon)?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("host name \"db.example\" is not resolved yet"), "{told:?}");
    let outcome = daemon.cli(&["drain", "db", "db.example:5432"])?;
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(outcome.stderr.contains("has no address yet"), "{outcome:?}");
    zone.set(&["10.0.1.7"], 60)?;
    wait_addresses(&daemon, &["10.0.1.7:5432"])?;
    daemon.wait_for("no fault", PATIENCE, |daemon| Ok(faults(daemon)?.is_empty()))
}

#[test]
fn a_restart_knows_the_last_answer_before_the_name_server_does() -> Result<()> {
    let (ns, folder) = (Namespace::new("dns")?, tempfile::tempdir()?);
    let zone = Zone::start(&ns, &["10.0.1.1"], 60)?;
    let mut daemon = Daemon::start_binary(&ns, &binary_asking_it(folder.path())?, CONFIG)?;
    wait_addresses(&daemon, &["10.0.1.1:5432"])?;
    daemon.ok(&["drain", "db", "db.example:5432"])?;
    daemon.crash()?;
    zone.fail();
    daemon.run(&[])?;
    assert_eq!(addresses(&daemon)?, ["10.0.1.1:5432"]);
    assert_eq!(row(&daemon, "10.0.1.1:5432")?["drained"], true);
    Ok(())
}
