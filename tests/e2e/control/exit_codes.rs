//! Exit codes: 0 done, 1 the input, 2 usage, 3 no daemon, 4 refused.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::Result;
use lb_tests::{Daemon, Namespace, daemon::binary, netns::unique_name, reaper};

use super::kit::{self, PATIENCE, QUIET, faults, lb, pg, quiet};

macro_rules! without_a_daemon {
    ($($name:ident: [$($arg:literal),+] => $code:expr, $stderr:expr;)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            let instance = unique_name();
            let outcome = lb(&[&[$($arg),+][..], &["--instance", &instance]].concat())?;
            assert_eq!(outcome.code, $code, "{}{}", outcome.stdout, outcome.stderr);
            let stderr: &str = $stderr;
            let wanted = stderr.replace("NAME", &instance);
            assert!(outcome.stderr.contains(&wanted), "{:?} lacks {wanted:?}", outcome.stderr);
            // `lb detach` takes the instance's lock, whose file stays.
            reaper::remove_instance(&instance);
            Ok(())
        }
    )+};
}

/// What every command says that finds nobody.
const NOBODY: &str = "no lb daemon answers at /run/lb/NAME.sock; start one with `lb run -c FILE`, or name another with --instance";

without_a_daemon! {
    status_without_a_daemon: ["status"] => 3, NOBODY;
    services_without_a_daemon: ["services"] => 3, NOBODY;
    routers_without_a_daemon: ["routers"] => 3, NOBODY;
    backends_without_a_daemon: ["backends"] => 3, NOBODY;
    backends_of_a_service_without_a_daemon: ["backends", "pg"] => 3, NOBODY;
    drain_without_a_daemon: ["drain", "pg", "10.0.1.5:5432"] => 3, NOBODY;
    undrain_without_a_daemon: ["undrain", "pg", "10.0.1.5:5432"] => 3, NOBODY;
    weight_without_a_daemon: ["weight", "pg", "10.0.1.5:5432", "1"] => 3, NOBODY;
    reload_without_a_daemon: ["reload"] => 3, NOBODY;
    flows_without_a_daemon: ["flows"] => 3, NOBODY;
    explain_without_a_daemon: ["explain", "l4", "tcp", "192.0.2.1:1", "192.0.2.2:2"] => 3, NOBODY;
    detach_without_a_daemon_has_nothing_to_do: ["detach"] => 0, "";
    no_command_is_usage: [""] => 2, "unrecognized subcommand";
    an_unknown_command_is_usage: ["statsu"] => 2, "'status'";
    an_unknown_format_is_usage: ["status", "-o", "xml"] => 2, "possible values: table, json, yaml";
    a_bad_instance_is_usage: ["status", "--instance", "a/b"] => 2, "--instance";
    a_weight_too_large_is_usage: ["weight", "pg", "10.0.1.5:5432", "65536"] => 2, "65536 is not in 0..=65535";
    a_weight_below_zero_is_usage: ["weight", "pg", "10.0.1.5:5432", "-1"] => 2, "unexpected argument '-1'";
    a_weight_left_out_is_usage: ["weight", "pg", "10.0.1.5:5432"] => 2, "--reset";
    check_without_a_file_is_usage: ["check"] => 2, "--config <FILE>";
    run_without_a_file_is_usage: ["run"] => 2, "--config <FILE>";
    run_with_a_missing_file_is_the_inputs_fault: ["run", "-c", "/nowhere/lb.yaml"] => 1, "/nowhere/lb.yaml: ";
    explain_of_another_protocol_is_usage: ["explain", "l4", "sctp", "192.0.2.1:1", "192.0.2.2:2"] => 2, "possible values: tcp, udp";
    explain_without_a_port_is_usage: ["explain", "l4", "tcp", "192.0.2.1", "192.0.2.2:2"] => 2, "192.0.2.1";
}

#[test]
fn a_faulty_main_file_stops_the_start() -> Result<()> {
    let ns = Namespace::new("run")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), "tcp: { service: {} }\n")?;
    daemon.spawn(&[])?;
    assert_eq!(daemon.wait()?.code(), Some(1));
    let wanted = format!(
        "{}:1:8: tcp.service: unknown key; did you mean \"services\"?\n",
        daemon.config().display()
    );
    assert_eq!(daemon.log(), wanted);
    assert!(!daemon.socket().exists());
    Ok(())
}

#[test]
fn a_missing_file_of_the_provider_does_not_stop_the_start() -> Result<()> {
    let ns = Namespace::new("run")?;
    let daemon = quiet(&ns, "providers: { file: { filename: later.yaml } }\n")?;
    let faults = faults(&daemon)?;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("later.yaml: can't be read"), "{faults:?}");
    assert_eq!(daemon.json(&["services"])?.as_array().map(Vec::len), Some(3));
    Ok(())
}

#[test]
fn a_faulty_file_of_the_provider_does_not_stop_the_start() -> Result<()> {
    let ns = Namespace::new("run")?;
    let mut daemon = Daemon::prepare(
        &ns,
        &binary(),
        &format!("providers: {{ file: {{ filename: bad.yaml }} }}\n{QUIET}"),
    )?;
    fs::write(daemon.folder().join("bad.yaml"), "udp: { service: {} }\n")?;
    daemon.run(&[])?;
    let faults = faults(&daemon)?;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].ends_with("bad.yaml:1:8: udp.service: unknown key; did you mean \"services\"?")
    );
    Ok(())
}

#[test]
fn a_host_that_refuses_the_kernel_path_refuses_the_start() -> Result<()> {
    let ns = Namespace::new("run")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), &pg())?;
    let blocked = Blocked::new(&daemon)?;
    daemon.spawn(&[])?;
    assert_eq!(daemon.wait()?.code(), Some(4));
    assert!(daemon.log().contains(&daemon.pins().display().to_string()), "{}", daemon.log());
    drop(blocked);
    daemon.run(&[])
}

#[test]
fn a_change_that_the_host_refuses_is_refused_and_tried_again() -> Result<()> {
    let ns = Namespace::new("run")?;
    let daemon = quiet(&ns, "")?;
    let blocked = Blocked::new(&daemon)?;
    daemon.configure(&pg())?;
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(&daemon.pins().display().to_string()), "{}", outcome.stderr);
    assert_eq!(faults(&daemon)?, [outcome.stderr.trim()]);
    // What was in force stays: the services of the first file.
    assert_eq!(daemon.json(&["services"])?.as_array().map(Vec::len), Some(3));
    drop(blocked);
    daemon.wait_for("the change is in force", PATIENCE, |daemon| {
        Ok(daemon.json(&["routers"])?.as_array().map(Vec::len) == Some(1))
    })?;
    daemon.wait_for("no fault is left", PATIENCE, |daemon| {
        Ok(!faults(daemon)?.iter().any(|fault| fault.contains("sys/fs/bpf")))
    })
}

#[test]
fn damaged_state_is_named_and_refused() -> Result<()> {
    let ns = Namespace::new("run")?;
    let mut daemon = Daemon::prepare(&ns, &binary(), QUIET)?;
    let folder = Path::new("/var/lib/lb").join(&daemon.instance);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("overrides.json"), "[{")?;
    daemon.spawn(&[])?;
    assert_eq!(daemon.wait()?.code(), Some(4));
    let path = folder.join("overrides.json").display().to_string();
    assert!(daemon.log().contains(&path), "{}", daemon.log());
    assert!(daemon.log().contains("mend or remove it"), "{}", daemon.log());
    Ok(())
}

#[test]
fn help_tells_the_exit_codes() -> Result<()> {
    let outcome = kit::lb(&["--help"])?;
    assert_eq!(outcome.code, 0);
    assert!(outcome.stdout.contains("3 no daemon answers"), "{}", outcome.stdout);
    for command in ["run", "check", "status", "drain", "explain", "detach", "completions", "man"] {
        assert!(outcome.stdout.contains(&format!("\n  {command} ")), "{command} is missing");
    }
    Ok(())
}

/// Something else at the place of an instance's pins.
struct Blocked(std::path::PathBuf);

impl Blocked {
    fn new(daemon: &Daemon<'_>) -> Result<Self> {
        let pins = daemon.pins();
        fs::create_dir_all(pins.parent().expect("a folder"))?;
        symlink("/nowhere", &pins)?;
        Ok(Self(pins))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
