//! `lb detach` and `--detach-on-exit`: what lb put on the host is gone, what it found stays.

use std::path::Path;

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType};
use lb_tests::{Daemon, Lab, client::tcp::Echo, daemon::binary};

use super::kit::{lab, pg, quiet, start, turns};

/// Programs on the balancer's interfaces.
fn programs(lab: &Lab) -> Result<usize> {
    let mut count = 0;
    for interface in ["eth0", "eth1"] {
        let query = || SchedClassifier::query_tcx(interface, TcAttachType::Ingress);
        count += lab.lb.run(query)?.1.len();
    }
    Ok(count)
}

fn addresses(lab: &Lab) -> Result<String> {
    lab.lb.ip("addr show")
}

fn assert_gone(lab: &Lab, daemon: &Daemon<'_>) -> Result<()> {
    assert!(!daemon.pins().exists());
    assert_eq!(programs(lab)?, 0);
    assert!(!addresses(lab)?.contains("198.51.100.10"));
    assert!(!lab.lb.ip("neigh show")?.contains("managed"), "{}", lab.lb.ip("neigh show")?);
    Ok(())
}

#[test]
fn detach_ends_a_running_daemon_and_takes_everything_off() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = start(&lab, &pg())?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert!(addresses(&lab)?.contains("198.51.100.10"));
    assert_eq!(programs(&lab)?, 2);
    let text = daemon.ok(&["detach"])?;
    for part in ["programs taken off interfaces", "pins removed", "198.51.100.10 removed from lo"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(daemon.wait()?.code(), Some(0));
    assert_gone(&lab, &daemon)?;
    assert!(!daemon.socket().exists());
    assert_eq!(daemon.ok(&["detach"])?, "nothing was attached\n");
    daemon.run(&[])?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    Ok(())
}

#[test]
fn detach_without_a_daemon_takes_everything_off() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = start(&lab, &pg())?;
    daemon.crash()?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let text = daemon.ok(&["detach"])?;
    assert!(text.contains("198.51.100.10 removed from lo"), "{text}");
    assert_gone(&lab, &daemon)
}

#[test]
fn an_address_that_was_there_stays() -> Result<()> {
    let (lab, _servers) = lab()?;
    lab.lb.ip("addr add 198.51.100.10/32 dev lo")?;
    let daemon = start(&lab, &pg())?;
    let status = daemon.json(&["status"])?;
    assert_eq!(status["datapath"]["addresses"][0]["added"], false, "{status}");
    assert!(daemon.ok(&["status"])?.contains("lo         the host"));
    daemon.ok(&["detach"])?;
    assert!(addresses(&lab)?.contains("198.51.100.10/32"));
    lab.lb.ip("addr del 198.51.100.10/32 dev lo")?;
    assert_gone(&lab, &daemon)
}

#[test]
fn an_ipv6_address_goes_from_every_interface() -> Result<()> {
    let (lab, _servers) = lab()?;
    let servers = ["[2001:db8:2::11]:5432", "[2001:db8:2::12]:5432"];
    let daemon = start(&lab, &turns("[2001:db8:100::10]:5432", &servers))?;
    assert!(addresses(&lab)?.contains("2001:db8:100::10/128"));
    daemon.ok(&["detach"])?;
    assert!(!addresses(&lab)?.contains("2001:db8:100::10"));
    assert!(addresses(&lab)?.contains("2001:db8:2::1/64"));
    Ok(())
}

#[test]
fn the_folder_of_all_instances_goes_with_the_last() -> Result<()> {
    let (lab, _servers) = lab()?;
    let daemon = start(&lab, &pg())?;
    daemon.ok(&["detach"])?;
    // Other tests' instances may be there: the folder is gone, or not empty.
    let folder = Path::new("/sys/fs/bpf/lb");
    assert!(!folder.join(&daemon.instance).exists());
    Ok(())
}

#[test]
fn sigterm_leaves_the_kernel_forwarding() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = start(&lab, &pg())?;
    let mut open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert_eq!(daemon.terminate()?.code(), Some(0));
    assert!(!daemon.socket().exists());
    open.ping(b"still here")?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert!(addresses(&lab)?.contains("198.51.100.10"));
    daemon.run(&[])?;
    let detail = daemon.json(&["status"])?["datapath"]["detail"].clone();
    assert_eq!(detail, "adopted from an earlier run, with its flows");
    open.ping(b"still here")?;
    Ok(())
}

#[test]
fn detach_on_exit_takes_everything_off() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = Daemon::prepare(&lab.lb, &binary(), &pg())?;
    daemon.run(&["--detach-on-exit"])?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert_eq!(daemon.terminate()?.code(), Some(0));
    assert_gone(&lab, &daemon)
}

#[test]
fn what_is_configured_no_more_is_taken_off_by_a_detach_of_the_next_run() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = start(&lab, &pg())?;
    daemon.terminate()?;
    daemon.configure(super::kit::QUIET)?;
    daemon.run(&[])?;
    // The entry point is gone: its address with it, as soon as the daemon knows.
    daemon.wait_for("the address is gone", super::kit::PATIENCE, |_| {
        Ok(!addresses(&lab)?.contains("198.51.100.10"))
    })?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5432))).is_err());
    daemon.ok(&["detach"])?;
    assert_gone(&lab, &daemon)
}

#[test]
fn a_daemon_without_the_kernel_path_detaches_too() -> Result<()> {
    let ns = lb_tests::Namespace::new("quiet")?;
    let mut daemon = quiet(&ns, "")?;
    assert_eq!(daemon.ok(&["detach"])?, "nothing was attached\n");
    assert_eq!(daemon.wait()?.code(), Some(0));
    Ok(())
}
