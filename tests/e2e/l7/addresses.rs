//! Addresses of entry points that the proxy serves: lb puts them on the host as it does for the
//! kernel path, and takes off what it has put there.

use anyhow::Result;
use lb_tests::{
    Daemon, Lab, Shape,
    client::http1::Connection,
    lab::{VIP4, VIP6},
    server::Origin,
};

use super::kit::PATIENCE;

/// What the operator has put on the host.
const OWN: &str = "198.51.100.20";

/// Entry points with these names at port 80, all of which lead to the lab's backend.
fn config(points: &[(&str, &str)]) -> String {
    let entries: String = points
        .iter()
        .map(|(name, address)| format!("  {name}: {{ address: \"{address}:80\" }}\n"))
        .collect();
    let names: Vec<&str> = points.iter().map(|(name, _)| *name).collect();
    format!(
        "datapath: {{ interfaces: [eth0] }}\nentryPoints:\n{entries}http:\n  routers:\n    app: {{ \
         rule: \"PathPrefix(`/`)\", service: app, entryPoints: [{}] }}\n  services:\n    app: {{ \
         loadBalancer: {{ servers: [ {{ url: \"http://10.0.1.11:8000\" }} ] }} }}\n",
        names.join(", ")
    )
}

fn get(lab: &Lab, address: impl Into<std::net::IpAddr>) -> Result<u16> {
    let address = (address.into(), 80).into();
    Ok(lab.client.run(|| Connection::open(address)?.get("/", &[]))?.status)
}

/// Whether the balancer's host has this address.
fn has(lab: &Lab, address: &str) -> Result<bool> {
    Ok(lab.lb.ip("addr show")?.contains(&format!(" {address}/")))
}

#[test]
fn a_proxied_address_is_put_on_the_host_and_taken_off() -> Result<()> {
    let lab = Lab::new(Shape { backends: 1, ..Shape::default() })?;
    let _origin = Origin::start(&lab.backends[0].ns, lab.backends[0].at(8000), "a")?;
    lab.lb.ip(&format!("addr add {OWN}/32 dev lo"))?;
    let (v4, v6) = (VIP4.to_string(), VIP6.to_string());
    let bracketed = format!("[{v6}]");
    let all = [("web", v4.as_str()), ("web6", &bracketed), ("own", OWN)];
    let mut daemon = Daemon::start(&lab.lb, &config(&all))?;
    assert_eq!((get(&lab, VIP4)?, get(&lab, VIP6)?), (200, 200));
    let status = daemon.json(&["status"])?;
    assert_eq!(status["faults"], serde_json::json!([]), "{status}");
    assert_eq!(status["datapath"]["loaded"], false, "{status}");
    let addresses = status["datapath"]["addresses"].to_string();
    assert!(addresses.contains(&v4) && addresses.contains(&v6), "{addresses}");

    daemon.configure(&config(&[("web", &v4), ("own", OWN)]))?;
    daemon.ok(&["reload"])?;
    daemon.wait_for("the address is off the host", PATIENCE, |_| Ok(!has(&lab, &v6)?))?;
    assert_eq!(get(&lab, VIP4)?, 200);
    daemon.configure(&config(&[("web", &v4)]))?;
    daemon.ok(&["reload"])?;

    let removed = daemon.ok(&["detach"])?;
    assert!(removed.contains(&format!("{v4} removed from lo")), "{removed}");
    daemon.wait()?;
    assert!(!has(&lab, &v4)? && has(&lab, OWN)?, "{}", lab.lb.ip("addr show")?);
    Ok(())
}

#[test]
fn an_address_of_a_crashed_daemon_is_used_again_or_taken_off() -> Result<()> {
    let lab = Lab::new(Shape { backends: 1, ..Shape::default() })?;
    let _origin = Origin::start(&lab.backends[0].ns, lab.backends[0].at(8000), "a")?;
    let v4 = VIP4.to_string();
    let mut daemon = Daemon::start(&lab.lb, &config(&[("web", &v4)]))?;
    daemon.crash()?;
    assert!(has(&lab, &v4)?);
    daemon.run(&[])?;
    assert_eq!(get(&lab, VIP4)?, 200);
    daemon.crash()?;
    daemon.configure(&config(&[("web", "127.0.0.1")]))?;
    daemon.run(&[])?;
    daemon.wait_for("the address is off the host", PATIENCE, |_| Ok(!has(&lab, &v4)?))?;
    daemon.crash()?;
    daemon.configure(&config(&[("web", &v4)]))?;
    daemon.run(&[])?;
    daemon.crash()?;
    let removed = daemon.ok(&["detach"])?;
    assert!(removed.contains(&format!("{v4} removed from lo")) && !has(&lab, &v4)?, "{removed}");
    Ok(())
}
