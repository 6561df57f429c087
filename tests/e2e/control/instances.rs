//! One daemon for each instance, several instances on one host.

use anyhow::Result;
use lb_tests::{Daemon, Namespace, client::tcp::Echo, daemon::binary};

use super::kit::{lab, lb, pg, quiet};

#[test]
fn a_second_daemon_is_refused_with_the_pid_of_the_first() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let config = daemon.config().display().to_string();
    let second = daemon.cli(&["run", "-c", &config])?;
    assert_eq!(second.code, 4, "{second:?}");
    let pid = daemon.pid().expect("running").to_string();
    assert!(second.stderr.contains(&format!("already run by process {pid};")), "{}", second.stderr);
    assert!(second.stderr.contains(&daemon.instance), "{}", second.stderr);
    assert!(second.stderr.contains("--instance"), "{}", second.stderr);
    // The first one is none the worse for it.
    assert_eq!(daemon.json(&["status"])?["ready"], true);
    Ok(())
}

#[test]
fn the_instance_stands_before_or_after_the_command() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = quiet(&ns, "")?;
    let name = daemon.instance.as_str();
    for args in [
        ["--instance", name, "services", "-o", "json"],
        ["services", "--instance", name, "-o", "json"],
        ["-o", "json", "services", "--instance", name],
    ] {
        let outcome = lb(&args)?;
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
        let rows: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
        assert_eq!(rows.as_array().map(Vec::len), Some(3));
    }
    Ok(())
}

#[test]
fn two_instances_in_two_namespaces_know_nothing_of_each_other() -> Result<()> {
    let ((one, _s1), (two, _s2)) = (lab()?, lab()?);
    let first = Daemon::start(&one.lb, &pg())?;
    let second = Daemon::start(&two.lb, &pg())?;
    for (lab, daemon) in [(&one, &first), (&two, &second)] {
        lab.client.run(|| Echo::connect(lab.vip(5432)))?;
        let status = daemon.json(&["status"])?;
        assert_eq!(status["instance"], daemon.instance.as_str());
        assert_eq!(status["datapath"]["flows"], 1, "{status}");
    }
    first.ok(&["drain", "pg", "10.0.1.11:5432"])?;
    assert_eq!(super::kit::row(&second, "10.0.1.11:5432")?["drained"], false);
    first.ok(&["detach"])?;
    two.client.run(|| Echo::connect(two.vip(5432)))?;
    assert!(second.pins().exists());
    assert!(two.lb.ip("addr show dev lo")?.contains("198.51.100.10"));
    Ok(())
}

#[test]
fn a_crashed_daemons_instance_is_free_again() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = quiet(&ns, "")?;
    daemon.crash()?;
    assert_eq!(daemon.cli(&["status"])?.code, 3);
    daemon.run(&[])?;
    Ok(())
}

#[test]
fn an_instance_that_starts_twice_at_once_starts_once() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), super::kit::QUIET)?;
    let config = daemon.config().display().to_string();
    daemon.spawn(&[])?;
    daemon.wait_ready()?;
    let refused: Vec<i32> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| daemon.cli(&["run", "-c", &config]).map(|o| o.code)))
            .collect();
        tries.into_iter().map(|one| one.join().expect("a try").unwrap_or(-1)).collect()
    });
    assert_eq!(refused, [4, 4, 4]);
    Ok(())
}
