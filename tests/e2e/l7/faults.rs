//! What a fault in the HTTP part takes down, and how it is told.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::control::ask;

use super::kit::{ENTRY, World, app, service};

#[test]
fn a_bad_rule_takes_its_router_off_alone() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "").replacen(
        "  services:\n",
        "    bad: { rule: \"Hots(`a.example`)\", service: app }\n  services:\n",
        1,
    );
    let daemon = world.start(&text)?;
    assert_eq!(world.get("/")?.brief(), (200, "a".to_owned()));
    let faults = daemon.json(&["status"])?["faults"].to_string();
    assert!(faults.contains("http.routers.bad.rule") && faults.contains("Host"), "{faults}");
    let rows = daemon.json(&["routers"])?;
    let (all, bad) = (&rows[0], &rows[1]);
    assert_eq!((&all["router"], &all["state"]), (&json!("all@file"), &json!("enabled")), "{rows}");
    assert_eq!((&bad["router"], &bad["state"]), (&json!("bad@file"), &json!("disabled")), "{rows}");
    assert!(bad["faults"][0].to_string().contains("did you mean"), "{rows}");
    let outcome = daemon.cli(&["reload"])?;
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_middleware_that_doesnt_build_takes_its_routers_off_alone() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "").replacen(
        "  services:\n",
        "    bad: { rule: \"Path(`/bad`)\", service: app, middlewares: [broken] }\n  services:\n",
        1,
    ) + "  middlewares:\n    broken: { redirectRegex: { regex: \"(\", replacement: x } }\n";
    let daemon = world.start(&text)?;
    assert_eq!(world.get("/")?.brief(), (200, "a".to_owned()));
    let faults = daemon.json(&["status"])?["faults"].to_string();
    assert!(faults.contains("broken"), "{faults}");
    // The router is off: the path is the other one's.
    assert_eq!(world.get("/bad")?.status, 200);
    let rows = daemon.json(&["routers"])?;
    let states: Vec<_> = rows.as_array().expect("rows").iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["enabled", "disabled"], "{rows}");
    let why = rows[1]["faults"].to_string();
    assert!(why.contains("middlewares[0]: middleware \\\"broken\\\" doesn't build"), "{why}");
    let table = daemon.ok(&["routers"])?;
    let line = table.lines().find(|line| line.starts_with("bad@file")).expect("its row");
    assert!(line.contains(" disabled ") && line.contains("doesn't build"), "{table}");
    assert!(daemon.ok(&["routers", "-o", "yaml"])?.contains("state: disabled"));
    let middleware = ask(&daemon, "GET", "/api/http/middlewares/broken@file", "")?.json()?;
    assert_eq!(middleware["status"], "disabled", "{middleware}");
    assert!(middleware["error"][0].to_string().contains("redirectRegex.regex"), "{middleware}");
    let router = ask(&daemon, "GET", "/api/http/routers/bad@file", "")?.json()?;
    assert_eq!(router["status"], "disabled", "{router}");
    Ok(())
}

/// What `lb check` says of a main file.
fn check(text: &str) -> Result<(i32, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lb.yaml");
    fs::write(&path, text)?;
    let output = std::process::Command::new(lb_tests::daemon::binary())
        .args(["check", "-c"])
        .arg(&path)
        .output()?;
    let told = String::from_utf8(output.stderr)?;
    let told = told.replace(&format!("{}:", path.display()), "");
    Ok((output.status.code().unwrap_or(-1), told.trim_end().to_owned()))
}

/// Router `web` with these keys at line 5.
fn router(keys: &str) -> String {
    format!(
        "{ENTRY}http:\n  routers:\n    web: {{ {keys} }}\n  services:\n{}  middlewares:\n    strip: {{ stripPrefix: {{ prefixes: [/a] }} }}\n",
        service("app", &[0], "")
    )
}

macro_rules! told {
    ($($name:ident: $text:expr => $message:expr;)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            assert_eq!(check(&$text)?, (1, $message.to_owned()));
            Ok(())
        }
    )+};
}

told! {
    an_unknown_service: router("rule: \"Path(`/`)\", service: ap") =>
        "5:40: http.routers.web.service: no service \"ap\"; did you mean \"app\"?";
    an_unknown_middleware: router("rule: \"Path(`/`)\", service: app, middlewares: [stripp]") =>
        "5:59: http.routers.web.middlewares[0]: no middleware \"stripp\"; did you mean \"strip\"?";
    an_unknown_entry_point: router("entryPoints: [wbe], rule: \"Path(`/`)\", service: app") =>
        "5:26: http.routers.web.entryPoints[0]: no entry point \"wbe\"; did you mean \"web\"?";
    an_unknown_key: router("rulle: \"Path(`/`)\", service: app") =>
        "5:5: http.routers.web: \"rule\" is missing\n5:12: http.routers.web.rulle: unknown key; did you mean \"rule\"?";
    a_bad_url: router("rule: \"Path(`/`)\", service: app").replace("http://", "ftp://") =>
        "7:46: http.services.app.loadBalancer.servers[0].url: the scheme is \"http\", \"https\" or \"h2c\", not \"ftp\"";
    an_unknown_middleware_kind: router("rule: \"Path(`/`)\", service: app").replace("stripPrefix", "stripPrefiks") =>
        "9:14: http.middlewares.strip.stripPrefiks: unknown key; did you mean \"stripPrefix\"?";
    two_kinds_in_one_middleware: router("rule: \"Path(`/`)\", service: app").replace("strip: {", "strip: { compress: true,") =>
        "9:12: http.middlewares.strip: a middleware is of one kind, this one has compress and stripPrefix; make one of each and a `chain` of them";
    an_unknown_matcher: router("rule: \"Pathh(`/`)\", service: app") =>
        "5:18: http.routers.web.rule: no matcher \"Pathh\" for HTTP, at character 1 of the rule; did you mean \"Path\"?";
}

#[test]
fn a_sound_file_passes() -> Result<()> {
    let sound = router("rule: \"Path(`/`)\", service: app, middlewares: [strip]");
    assert_eq!(check(&sound)?, (0, String::new()));
    Ok(())
}
