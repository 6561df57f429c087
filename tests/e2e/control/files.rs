//! `providers.file`: one file or a folder, followed while it is edited.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context, Result};
use lb_tests::{Daemon, Namespace, client::tcp::Echo, daemon::binary};
use serde_json::Value;

use super::kit::{DATAPATH, PATIENCE, faults, lab, put, states, wait_log};

/// A service of one server, in a file of its own.
fn service(name: &str, server: &str) -> String {
    format!(
        "tcp: {{ services: {{ {name}: {{ loadBalancer: {{ servers: [ {{ address: \"{server}\" }} ] }} }} }} }}\n"
    )
}

/// A daemon that follows the folder `conf.d` with these files.
fn follow<'a>(ns: &'a Namespace, files: &[(&str, String)]) -> Result<Daemon<'a>> {
    let mut daemon =
        Daemon::prepare(ns, &binary(), "providers: { file: { directory: conf.d } }\n")?;
    fs::create_dir(daemon.folder().join("conf.d"))?;
    for (name, text) in files {
        put(&file(&daemon, name), text)?;
    }
    daemon.run(&[])?;
    Ok(daemon)
}

fn file(daemon: &Daemon<'_>, name: &str) -> PathBuf {
    daemon.folder().join("conf.d").join(name)
}

/// `name=server` of every service.
fn servers(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    let rows = daemon.json(&["backends"])?;
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        format!("{}={}", text("service").trim_end_matches("@file"), text("server"))
    };
    Ok(rows.as_array().into_iter().flatten().filter(|r| r["leaving"] == false).map(row).collect())
}

fn wait_servers(daemon: &Daemon<'_>, wanted: &[&str]) -> Result<()> {
    daemon.wait_for(&format!("{wanted:?}"), PATIENCE, |daemon| Ok(servers(daemon)? == wanted))
}

/// Waits for exactly these faults, each known by a part of it.
fn wait_faults(daemon: &Daemon<'_>, parts: &[&str]) -> Result<()> {
    let mut last = Vec::new();
    let waited = daemon.wait_for("the faults", PATIENCE, |daemon| {
        last = faults(daemon)?;
        let told = last.iter().zip(parts).all(|(fault, part)| fault.contains(part));
        Ok(last.len() == parts.len() && told)
    });
    waited.with_context(|| format!("{last:?} in place of {parts:?}"))
}

#[test]
fn files_that_come_change_and_go_are_followed() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = follow(&ns, &[("a.yaml", service("a", "10.0.1.1:1"))])?;
    wait_servers(&daemon, &["a=10.0.1.1:1"])?;
    put(
        &file(&daemon, "b.toml"),
        "[[tcp.services.b.loadBalancer.servers]]\naddress = \"10.0.1.2:2\"\n",
    )?;
    wait_servers(&daemon, &["a=10.0.1.1:1", "b=10.0.1.2:2"])?;
    put(&file(&daemon, "a.yaml"), &service("a", "10.0.1.3:3"))?;
    wait_servers(&daemon, &["a=10.0.1.3:3", "b=10.0.1.2:2"])?;
    fs::write(
        file(&daemon, "b.toml"),
        "[[tcp.services.b.loadBalancer.servers]]\naddress = \"10.0.1.4:4\"\n",
    )?;
    wait_servers(&daemon, &["a=10.0.1.3:3", "b=10.0.1.4:4"])?;
    fs::remove_file(file(&daemon, "a.yaml"))?;
    wait_servers(&daemon, &["b=10.0.1.4:4"])?;
    assert_eq!(faults(&daemon)?, [""; 0]);
    Ok(())
}

#[test]
fn hidden_files_and_other_suffixes_do_not_count() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = follow(&ns, &[("a.yaml", service("a", "10.0.1.1:1"))])?;
    put(&file(&daemon, ".b.yaml"), "nonsense: [")?;
    put(&file(&daemon, "b.yaml~"), "nonsense: [")?;
    fs::create_dir(file(&daemon, "c.yaml"))?;
    put(
        &file(&daemon, "d.json"),
        "{\"tcp\":{\"services\":{\"d\":{\"loadBalancer\":{\"servers\":[{\"address\":\"10.0.1.4:4\"}]}}}}}",
    )?;
    wait_servers(&daemon, &["a=10.0.1.1:1", "d=10.0.1.4:4"])?;
    assert_eq!(faults(&daemon)?, [""; 0]);
    Ok(())
}

#[test]
fn a_bad_file_keeps_its_last_good_state_and_takes_nobody_along() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let (a, b) = (service("a", "10.0.1.1:1"), service("b", "10.0.1.2:2"));
    let daemon = follow(&ns, &[("a.yaml", a), ("b.yaml", b)])?;
    put(&file(&daemon, "a.yaml"), "tcp: { servces: {} }\n")?;
    wait_faults(
        &daemon,
        &["conf.d/a.yaml:1:8: tcp.servces: unknown key; did you mean \"services\"?"],
    )?;
    put(&file(&daemon, "b.yaml"), &service("b", "10.0.1.3:3"))?;
    wait_servers(&daemon, &["a=10.0.1.1:1", "b=10.0.1.3:3"])?;
    assert_eq!(faults(&daemon)?.len(), 1);
    put(&file(&daemon, "a.yaml"), &service("a", "10.0.1.4:4"))?;
    wait_servers(&daemon, &["a=10.0.1.4:4", "b=10.0.1.3:3"])?;
    wait_faults(&daemon, &[])
}

#[test]
fn an_emptied_file_is_refused_until_it_is_whole() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = follow(&ns, &[("a.yaml", service("a", "10.0.1.1:1"))])?;
    fs::write(file(&daemon, "a.yaml"), "")?;
    wait_faults(&daemon, &["a.yaml: the document is empty, as a half-written file is"])?;
    assert_eq!(servers(&daemon)?, ["a=10.0.1.1:1"]);
    put(&file(&daemon, "a.yaml"), "{}\n")?;
    wait_servers(&daemon, &[])?;
    wait_faults(&daemon, &[])
}

#[test]
fn a_file_being_written_is_read_when_it_is_closed() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = follow(&ns, &[("a.yaml", service("a", "10.0.1.1:1"))])?;
    let mut writing = fs::File::create(file(&daemon, "a.yaml"))?;
    let text = service("a", "10.0.1.2:2");
    let (first, second) = text.split_at(text.len() / 2);
    writing.write_all(first.as_bytes())?;
    writing.sync_all()?;
    // Another file comes and is read meanwhile; the half one is left alone.
    put(&file(&daemon, "b.yaml"), &service("b", "10.0.1.3:3"))?;
    wait_servers(&daemon, &["a=10.0.1.1:1", "b=10.0.1.3:3"])?;
    assert_eq!(faults(&daemon)?, [""; 0]);
    writing.write_all(second.as_bytes())?;
    drop(writing);
    wait_servers(&daemon, &["a=10.0.1.2:2", "b=10.0.1.3:3"])
}

#[test]
fn a_name_in_two_files_refuses_the_later_one() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let daemon = follow(&ns, &[("a.yaml", service("a", "10.0.1.1:1"))])?;
    put(&file(&daemon, "b.yaml"), &service("a", "10.0.1.2:2"))?;
    wait_faults(&daemon, &["b.yaml:1:20: tcp.services.a: stands twice, first at "])?;
    assert_eq!(servers(&daemon)?, ["a=10.0.1.1:1"]);
    fs::remove_file(file(&daemon, "a.yaml"))?;
    wait_servers(&daemon, &["a=10.0.1.2:2"])?;
    wait_faults(&daemon, &[])
}

#[test]
fn a_folder_behind_a_swapped_link_is_followed() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon =
        Daemon::prepare(&ns, &binary(), "providers: { file: { directory: current } }\n")?;
    for (version, server) in [("v1", "10.0.1.1:1"), ("v2", "10.0.1.2:2")] {
        fs::create_dir(daemon.folder().join(version))?;
        fs::write(daemon.folder().join(version).join("a.yaml"), service("a", server))?;
    }
    std::os::unix::fs::symlink("v1", daemon.folder().join("current"))?;
    daemon.run(&[])?;
    wait_servers(&daemon, &["a=10.0.1.1:1"])?;
    std::os::unix::fs::symlink("v2", daemon.folder().join("next"))?;
    fs::rename(daemon.folder().join("next"), daemon.folder().join("current"))?;
    wait_servers(&daemon, &["a=10.0.1.2:2"])
}

#[test]
fn a_mounted_config_map_is_followed() -> Result<()> {
    // As Kubernetes mounts them: file → ..data/file, ..data → a folder that is swapped.
    let ns = Namespace::new("quiet")?;
    let mut daemon =
        Daemon::prepare(&ns, &binary(), "providers: { file: { filename: map/a.yaml } }\n")?;
    let map = daemon.folder().join("map");
    for (version, server) in [("..v1", "10.0.1.1:1"), ("..v2", "10.0.1.2:2")] {
        fs::create_dir_all(map.join(version))?;
        fs::write(map.join(version).join("a.yaml"), service("a", server))?;
    }
    std::os::unix::fs::symlink("..v1", map.join("..data"))?;
    std::os::unix::fs::symlink("..data/a.yaml", map.join("a.yaml"))?;
    daemon.run(&[])?;
    wait_servers(&daemon, &["a=10.0.1.1:1"])?;
    std::os::unix::fs::symlink("..v2", map.join("..data_tmp"))?;
    fs::rename(map.join("..data_tmp"), map.join("..data"))?;
    fs::remove_dir_all(map.join("..v1"))?;
    wait_servers(&daemon, &["a=10.0.1.2:2"])
}

#[test]
fn without_watch_files_wait_for_a_reload() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon = Daemon::prepare(
        &ns,
        &binary(),
        "providers: { file: { filename: a.yaml, watch: false } }\n",
    )?;
    let path = daemon.folder().join("a.yaml");
    put(&path, &service("a", "10.0.1.1:1"))?;
    daemon.run(&[])?;
    put(&path, &service("a", "10.0.1.2:2"))?;
    // Nothing to wait for: a reload that still finds something to read shows that nobody did.
    assert_eq!(
        daemon.ok(&["reload"])?,
        "service tcp/a@file: 10.0.1.1:1 removed, 10.0.1.2:2 added with weight 1\n"
    );
    wait_servers(&daemon, &["a=10.0.1.2:2"])
}

#[test]
fn a_file_that_comes_after_the_start_is_taken() -> Result<()> {
    let ns = Namespace::new("quiet")?;
    let mut daemon =
        Daemon::prepare(&ns, &binary(), "providers: { file: { filename: later/a.yaml } }\n")?;
    daemon.run(&[])?;
    wait_faults(&daemon, &["later/a.yaml: can't be read"])?;
    fs::create_dir(daemon.folder().join("later"))?;
    put(&daemon.folder().join("later/a.yaml"), &service("a", "10.0.1.1:1"))?;
    wait_servers(&daemon, &["a=10.0.1.1:1"])?;
    wait_faults(&daemon, &[])
}

/// Entry points in the main file, routers and services in the folder.
fn routed() -> String {
    format!(
        "{DATAPATH}providers: {{ file: {{ directory: conf.d }} }}\nentryPoints:\n  \
         pg: {{ address: \"198.51.100.10:5432\" }}\n  more: {{ address: \"198.51.100.10:5433\" }}\n"
    )
}

#[test]
fn a_router_with_a_bad_rule_is_off_alone() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = Daemon::prepare(&lab.lb, &binary(), &routed())?;
    fs::create_dir(daemon.folder().join("conf.d"))?;
    let text = |rule: &str| {
        format!(
            "tcp:\n  routers:\n    pg: {{ entryPoints: [pg], service: pg }}\n    \
             more: {{ entryPoints: [more], rule: \"{rule}\", service: pg }}\n  \
             services: {{ pg: {{ loadBalancer: {{ servers: [ {{ address: \"10.0.1.11:5432\" }} ] }} }} }}\n"
        )
    };
    put(&file(&daemon, "pg.yaml"), &text("HostSIN(`*`)"))?;
    daemon.run(&[])?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    assert!(lab.client.run(|| Echo::connect(lab.vip(5433))).is_err());
    wait_faults(&daemon, &["pg.yaml:4:40: tcp.routers.more.rule: "])?;
    put(&file(&daemon, "pg.yaml"), &text("HostSNI(`*`)"))?;
    wait_faults(&daemon, &[])?;
    lab.client.run(|| Echo::connect(lab.vip(5433)))?;
    Ok(())
}

#[test]
fn a_router_waits_for_another_providers_service() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = Daemon::prepare(&lab.lb, &binary(), &routed())?;
    fs::create_dir(daemon.folder().join("conf.d"))?;
    let text = "tcp:\n  routers:\n    pg: { entryPoints: [pg], service: pg }\n    \
                more: { entryPoints: [more], service: pg@docker }\n  \
                services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.11:5432\" } ] } } }\n";
    put(&file(&daemon, "pg.yaml"), text)?;
    daemon.run(&[])?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    wait_faults(
        &daemon,
        &["tcp.routers.more.service: waits: provider \"docker\" has no tcp service \"pg\""],
    )?;
    // It waits, which is no fault of the file.
    assert_eq!(daemon.ok(&["reload"])?, "nothing changed\n");
    assert_eq!(states(&daemon)?, [("more@file".into(), false), ("pg@file".into(), true)]);
    Ok(())
}

#[test]
fn a_file_that_takes_away_what_another_names_is_refused() -> Result<()> {
    let (lab, _servers) = lab()?;
    let mut daemon = Daemon::prepare(&lab.lb, &binary(), &routed())?;
    fs::create_dir(daemon.folder().join("conf.d"))?;
    put(
        &file(&daemon, "a.yaml"),
        "tcp: { routers: { pg: { entryPoints: [pg], service: pg } } }\n",
    )?;
    put(&file(&daemon, "b.yaml"), &service("pg", "10.0.1.11:5432"))?;
    daemon.run(&[])?;
    let mut open = lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    put(&file(&daemon, "b.yaml"), "{}\n")?;
    wait_log(&daemon, "no service \"pg\"")?;
    wait_faults(&daemon, &["a.yaml:1:53: tcp.routers.pg.service: no service \"pg\""])?;
    open.ping(b"still here")?;
    lab.client.run(|| Echo::connect(lab.vip(5432)))?;
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 1, "{outcome:?}");
    Ok(())
}
