//! `lb status`, `lb services`, `lb routers`: what they show.

use anyhow::Result;
use lb_tests::{Daemon, Namespace, client::tcp::Echo};

use super::kit::{DATAPATH, PATIENCE, lab, pg, quiet, start};

#[test]
fn status_names_what_runs_and_why_so() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let status = daemon.json(&["status"])?;
    assert_eq!(status["instance"], daemon.instance.as_str());
    assert_eq!(status["pid"], daemon.pid().expect("running"));
    assert_eq!(status["ready"], true);
    assert!(status["generation"].as_u64().is_some_and(|n| n >= 1), "{status}");
    assert_eq!(status["datapath"]["loaded"], true);
    assert_eq!(status["datapath"]["detail"], "loaded anew");
    let interfaces = status["datapath"]["interfaces"].as_array().expect("interfaces");
    let names: Vec<_> = interfaces.iter().map(|i| i["name"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    for interface in interfaces {
        assert_eq!(interface["mode"], "tc", "{interface}");
        assert!(
            interface["reason"].as_str().is_some_and(|why| why.contains("veth")),
            "{interface}"
        );
    }
    assert_eq!(status["datapath"]["addresses"][0]["address"], "198.51.100.10");
    assert_eq!(status["datapath"]["addresses"][0]["interface"], "lo");
    assert_eq!(status["datapath"]["addresses"][0]["added"], true);
    assert_eq!(status["counts"]["backendsUp"], 2);
    assert_eq!(status["counts"]["vips"], 1);
    assert_eq!(status["lastReload"]["success"], true);
    assert_eq!(status["faults"], serde_json::json!([]));
    let text = daemon.ok(&["status"])?;
    for part in [
        "\nserving:     1 routers",
        "eth0       tc    ",
        "198.51.100.10  lo         lb",
        "pg    198.51.100.10:5432  kernel",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    Ok(())
}

#[test]
fn nothing_is_loaded_until_a_router_asks_for_the_kernel() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let status = daemon.json(&["status"])?;
    assert_eq!(status["datapath"]["loaded"], false);
    assert_eq!(status["datapath"]["detail"], "no router is forwarded by the kernel");
    assert!(!daemon.pins().exists());
    assert!(daemon.ok(&["status"])?.contains("nothing loaded: no router"));
    let services = daemon.json(&["services"])?;
    assert!(services.as_array().expect("rows").iter().all(|row| row["path"] == "unused"));
    assert_eq!(daemon.json(&["routers"])?, serde_json::json!([]));
    Ok(())
}

#[test]
fn a_refused_reading_stays_in_view_until_it_is_mended() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    daemon.configure("tcp: { service: {} }\n")?;
    assert_eq!(daemon.cli(&["reload"])?.code, 1);
    let status = daemon.json(&["status"])?;
    assert_eq!(status["lastReload"]["success"], false);
    let fault = status["lastReload"]["faults"][0].as_str().expect("a fault").to_owned();
    assert!(fault.ends_with("lb.yaml:1:8: tcp.service: unknown key; did you mean \"services\"?"));
    assert_eq!(status["faults"], serde_json::json!([fault]));
    let text = daemon.ok(&["status"])?;
    assert!(text.contains(&format!("refused: {fault}")), "{text}");
    assert!(text.contains(&format!("\nFAULTS\n{fault}\n")), "{text}");

    daemon.configure(super::kit::QUIET)?;
    daemon.ok(&["reload"])?;
    let status = daemon.json(&["status"])?;
    assert_eq!(status["lastReload"]["success"], true);
    assert_eq!(status["faults"], serde_json::json!([]));
    Ok(())
}

#[test]
fn drops_are_shown_by_reason_with_their_meaning() -> Result<()> {
    let (lab, servers) = lab()?;
    drop(servers);
    let check = "        healthCheck: { interval: 50ms, timeout: 1s, fall: 1 }\n";
    let daemon = start(&lab, &(pg() + check))?;
    daemon.wait_for("both are down", PATIENCE, |daemon| {
        let rows = daemon.json(&["backends"])?;
        Ok(rows.as_array().expect("rows").iter().all(|row| row["state"] == "down"))
    })?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5432))).is_err());
    let drops = daemon.json(&["status"])?["drops"].clone();
    assert_eq!(drops[0]["reason"], "no_backend_reset", "{drops}");
    assert!(daemon.ok(&["status"])?.contains("no_backend_reset"), "{drops}");
    let service = daemon.json(&["services"])?[0].clone();
    assert_eq!((&service["state"], &service["backendsUp"]), (&"down".into(), &0.into()));
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_is_a_fault_until_it_comes() -> Result<()> {
    let (lab, _servers) = lab()?;
    let config = pg().replace(DATAPATH, &DATAPATH.replace("eth1]", "eth1, later]"));
    let daemon = start(&lab, &config)?;
    let names_it = |daemon: &Daemon<'_>| -> Result<bool> {
        Ok(super::kit::faults(daemon)?.iter().any(|fault| fault.contains("later")))
    };
    assert!(names_it(&daemon)?);
    lab.lb.ip("link add later type veth peer name far")?;
    lab.lb.ip("link set later up")?;
    daemon.wait_for("the interface is taken", PATIENCE, |daemon| {
        let text = daemon.ok(&["status"])?;
        Ok(!names_it(daemon)? && text.contains("\nlater "))
    })
}

#[test]
fn services_and_routers_say_who_forwards_and_why() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    let router = daemon.json(&["routers"])?[0].clone();
    assert_eq!(router["router"], "pg@file");
    assert_eq!(router["entryPoints"], serde_json::json!(["pg"]));
    assert_eq!(router["service"], "pg@file");
    assert_eq!(router["path"], "kernel");
    assert_eq!(router["why"], "needs nothing from userspace");
    let service = daemon.json(&["services"])?[0].clone();
    assert_eq!(service["algorithm"], "roundRobin");
    assert_eq!(service["forwarding"], "nat");
    assert_eq!(service["state"], "up");
    assert_eq!(service["usedBy"], serde_json::json!(["pg@file"]));
    Ok(())
}
