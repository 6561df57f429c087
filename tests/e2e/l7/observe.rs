//! What an operator sees: the access log while it is rotated, and `lb explain http`.

use std::{collections::BTreeSet, fs};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::kit::{ENTRY, PATIENCE, World, app, service};

#[test]
fn a_rotated_log_loses_no_line() -> Result<()> {
    let world = World::new(1)?;
    let mut daemon = lb_tests::Daemon::prepare(&world.ns, &lb_tests::daemon::binary(), "")?;
    let log = daemon.folder().join("access.log");
    daemon.configure(&format!(
        "accessLog: {{ filePath: \"{}\", format: json }}\n{}",
        log.display(),
        app(&[0], "")
    ))?;
    daemon.run(&[])?;
    let mut connection = world.connect()?;
    let mut old = Vec::new();
    for round in 0..3 {
        for n in 0..100 {
            assert_eq!(connection.get(&format!("/{round}-{n}"), &[])?.status, 200);
        }
        let moved = daemon.folder().join(format!("access.log.{round}"));
        fs::rename(&log, &moved)?;
        daemon.signal(Signal::SIGUSR1)?;
        daemon.wait_for("there is a new file", PATIENCE, |_| Ok(log.exists()))?;
        old.push(moved);
    }
    assert_eq!(connection.get("/last", &[])?.status, 200);
    daemon.wait_for("the last line is in the new file", PATIENCE, |_| {
        Ok(fs::read_to_string(&log)?.contains("/last"))
    })?;
    let all: String = old.iter().chain([&log]).map(fs::read_to_string).collect::<Result<_, _>>()?;
    let mut paths = BTreeSet::new();
    for line in all.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        ensure!(paths.insert(line["RequestPath"].to_string()), "twice: {line}");
        assert_eq!(line["DownstreamStatus"], 200, "{line}");
    }
    assert_eq!(paths.len(), 301);
    Ok(())
}

#[test]
fn a_request_is_explained_without_being_sent() -> Result<()> {
    let world = World::new(1)?;
    let text = format!(
        "{ENTRY}http:\n  routers:\n    api: {{ rule: \"Host(`a.example`) && PathPrefix(`/api`)\", service: app, \
         middlewares: [strip] }}\n    all: {{ rule: \"Host(`a.example`)\", service: app }}\n  middlewares:\n    \
         strip: {{ stripPrefix: {{ prefixes: [/api] }} }}\n  services:\n{}",
        service("app", &[0], "")
    );
    let daemon = world.start(&text)?;
    let explained = |url: &str| daemon.json(&["explain", "http", "GET", url]);
    let api = explained("http://a.example:8080/api/x")?;
    assert_eq!((&api["router"], &api["entryPoint"]), (&"api@file".into(), &"web".into()), "{api}");
    assert!(
        api["middlewares"][0].as_str().is_some_and(|one| one.starts_with("strip@file")),
        "{api}"
    );
    assert!(api["servers"][0]["url"].as_str().is_some_and(|url| url.contains("127.0.1.1:8000")));
    let all = explained("http://a.example:8080/x")?;
    assert_eq!(all["router"], "all@file");
    assert_eq!(all["passedOver"][0]["router"], "api@file", "{all}");
    let none = explained("http://b.example:8080/")?;
    assert_eq!((&none["status"], &none["reason"]), (&404.into(), &"no_router".into()), "{none}");
    let text = daemon.ok(&["explain", "http", "GET", "http://a.example:8080/api/x"])?;
    assert!(text.contains("router:      api@file"), "{text}");
    assert_eq!(world.origins[0].requests(), 0);
    Ok(())
}
