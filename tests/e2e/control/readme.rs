//! "The first ten minutes" of README.md, done as it says, with its own file and commands.

use std::fs;

use anyhow::{Context, Result};
use lb_tests::{
    Back, Daemon, Lab, Shape,
    client::tcp::{self, Echo},
    daemon::binary,
    server::echo,
};

use super::kit::{lb, wait_row};

const README: &str = include_str!("../../../README.md");

fn section() -> &'static str {
    let section = README.split("## The first ten minutes").nth(1);
    section.and_then(|rest| rest.split("\n## ").next()).expect("the section")
}

/// The file of step 1, as a reader copies it.
fn file() -> String {
    let block = section().split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let lines =
        block.expect("the file").lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The commands of the shell blocks, without their comments.
fn commands() -> Vec<Vec<&'static str>> {
    let blocks = section().split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.split('#').next());
    let commands = lines.filter_map(|line| line.trim().strip_prefix("lb "));
    commands.map(|args| args.split_whitespace().collect()).collect()
}

#[test]
fn the_first_ten_minutes_go_as_readme_says() -> Result<()> {
    let lab = Lab::new(Shape { backends: 2, back: Back::OneArm, ..Shape::default() })?;
    lab.lb.ip("route add default via 192.0.2.2")?;
    let mut servers = Vec::new();
    for (host, ip) in lab.backends.iter().zip(["10.0.1.5", "10.0.1.6"]) {
        host.ns.ip(&format!("addr add {ip}/24 dev eth0"))?;
        servers.push(echo::start(&host.ns, format!("{ip}:5432").parse()?, &host.name)?);
    }
    let mut daemon = Daemon::prepare(&lab.lb, &binary(), &file())?;
    let path = daemon.config().display().to_string();
    let checked = lb(&["check", "-c", &path])?;
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    daemon.run(&[])?;
    wait_row(&daemon, "10.0.1.5:5432", "state", "up")?;
    wait_row(&daemon, "10.0.1.6:5432", "state", "up")?;
    let mut open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let spread = lab.client.run(|| tcp::short_connections(lab.vip(5432), 40))?;
    assert!(spread["b1"] > spread["b2"], "{spread:?}");

    let commands = commands();
    assert!(commands.len() >= 7, "{commands:?}");
    for args in &commands {
        println!("$ lb {}\n{}", args.join(" "), daemon.ok(args)?);
    }
    daemon.ok(&["weight", "pg", "10.0.1.5:5432", "--reset"])?;
    daemon.configure(&file().replace("weight: 3", "weight: 4"))?;
    let changed = daemon.ok(&["reload"])?;
    assert_eq!(changed, "service tcp/pg@file: 10.0.1.5:5432 weight 3 → 4\n");

    daemon.terminate()?;
    open.ping(b"still here")?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    daemon.run(&[])?;
    daemon.ok(&["detach"])?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5432))).is_err());
    Ok(())
}

#[test]
fn the_fault_that_readme_shows_is_the_one_printed() -> Result<()> {
    let shown =
        section().split('`').find(|text| text.starts_with("lb.yaml:")).context("a fault")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lb.yaml");
    let text = file();
    assert_eq!(text.matches("service: pg }").count(), 1, "{text}");
    fs::write(&path, text.replace("service: pg }", "service: pgg }"))?;
    let checked = lb(&["check", "-c", &path.display().to_string()])?;
    assert_eq!(checked.code, 1);
    assert_eq!(checked.stderr.trim(), format!("{}/{shown}", folder.path().display()));
    Ok(())
}

#[test]
fn every_command_is_in_the_table_and_takes_help() -> Result<()> {
    let table = README.split("## Commands").nth(1).and_then(|rest| rest.split("\n## ").next());
    let table = table.context("the table")?;
    let help = lb(&["--help"])?.stdout;
    let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let names =
        listed.context("commands")?.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        assert!(table.contains(&format!("`lb {name}")), "README.md has no `lb {name}`");
        assert_eq!(lb(&[name, "--help"])?.code, 0);
    }
    Ok(())
}
