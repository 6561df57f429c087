//! `lb check`: every fault with its place, nothing of the kernel touched.

use std::fs;

use anyhow::Result;
use lb_tests::daemon::Outcome;

use super::kit::lb;

/// Checks a main file of this name; places come back with the file's name alone.
fn check(files: &[(&str, &str)]) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(path, text)?;
    }
    let main = folder.path().join(files[0].0);
    let mut outcome = lb(&["check", "-c", &main.display().to_string()])?;
    let prefix = format!("{}/", folder.path().display());
    outcome.stderr = outcome.stderr.replace(&prefix, "");
    Ok(outcome)
}

const SOUND: &str = r#"entryPoints: { pg: { address: "198.51.100.10:5432" } }
tcp:
  routers: { pg: { entryPoints: [pg], service: pg } }
  services: { pg: { loadBalancer: { servers: [ { address: "10.0.1.5:5432" } ] } } }
"#;

#[test]
fn a_sound_file_passes_without_a_word() -> Result<()> {
    let Outcome { code, stdout, stderr } = check(&[("lb.yaml", SOUND)])?;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    Ok(())
}

macro_rules! faults {
    ($($name:ident: [$($file:literal: $text:expr),+] => $lines:expr;)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            let Outcome { code, stdout, stderr } = check(&[$(($file, $text)),+])?;
            assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
            assert_eq!(stderr.lines().collect::<Vec<_>>(), $lines);
            Ok(())
        }
    )+};
}

faults! {
    a_missing_service_has_its_place_and_a_hint: ["lb.yaml": &SOUND.replace("service: pg }", "service: pgg }")] => [
        r#"lb.yaml:3:48: tcp.routers.pg.service: no service "pgg"; did you mean "pg"?"#,
    ];
    every_fault_is_told_in_order_of_the_file: ["lb.yaml": r#"entryPoints: { pg: { address: "198.51.100.10" } }
datapath: { mode: fast, conections: 5 }
tcp:
  services: { pg: { loadBalancer: { servers: [ { address: "10.0.1.5:5432", weight: 70000 } ] } } }
"#] => [
        r#"lb.yaml:1:31: entryPoints.pg.address: the port is missing behind 198.51.100.10"#,
        r#"lb.yaml:2:19: datapath.mode: expected "auto", "native", "generic" or "tc", found "fast""#,
        r#"lb.yaml:2:25: datapath.conections: unknown key; did you mean "connections"?"#,
        r#"lb.yaml:4:84: tcp.services.pg.loadBalancer.servers[0].weight: expected a whole number from 0 to 65535, found the number 70000"#,
    ];
    a_syntax_error_has_line_and_column: ["lb.yaml": "tcp:\n  services: [\n"] => [
        "lb.yaml:2:13: unclosed bracket '['",
    ];
    toml_is_read_by_its_suffix: ["lb.toml": "[entryPoints.pg]\naddress = \"198.51.100.10:5432\"\nadress = 1\n"] => [
        r#"lb.toml:3:1: entryPoints.pg.adress: unknown key; did you mean "address"?"#,
    ];
    json_is_read_by_its_suffix: ["lb.json": "{\n  \"entryPoint\": {}\n}\n"] => [
        r#"lb.json:2:3: entryPoint: unknown key; did you mean "entryPoints"?"#,
    ];
    an_empty_file_is_a_half_written_one: ["lb.yaml": ""] => ["lb.yaml: the document is empty, as a half-written file is; write `{}` if nothing is meant"];
    a_file_of_the_folder_is_named: [
        "lb.yaml": "providers: { file: { directory: conf.d } }\n",
        "conf.d/a.yaml": SOUND,
        "conf.d/b.yaml": "tcp: { services: { x: { loadbalancer: { server: [] } } } }\n"
    ] => [
        "conf.d/a.yaml:1:1: entryPoints: belongs into the main file; a provider's file has `http`, `tcp`, `udp` and `tls` alone",
        r#"conf.d/a.yaml:3:34: tcp.routers.pg.entryPoints[0]: no entry point "pg""#,
        r#"conf.d/b.yaml:1:41: tcp.services.x.loadBalancer.server: unknown key; did you mean "servers"?"#,
    ];
    a_name_in_two_files_is_told_with_both_places: [
        "lb.yaml": &format!("providers: {{ file: {{ filename: more.yaml }} }}\n{SOUND}"),
        "more.yaml": "tcp:\n  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.6:5432\" } ] } } }\n"
    ] => [
        "more.yaml:2:15: tcp.services.pg: stands twice, first at lb.yaml:5:15; all these files are `@file`, so rename one",
    ];
    a_missing_file_of_the_provider_is_a_fault: ["lb.yaml": "providers: { file: { filename: none.yaml } }\n"] => [
        "none.yaml: can't be read: No such file or directory (os error 2)",
    ];
    what_the_kernel_can_not_serve_is_told: ["lb.yaml": &SOUND.replace("service: pg }", "datapath: kernel, rule: \"HostSNI(`a.example`)\", service: pg }")] => [
        "lb.yaml:3:49: tcp.routers.pg.datapath: the kernel can't serve it: it has the rule HostSNI(`a.example`)",
    ];
}

#[test]
fn a_missing_main_file_is_the_inputs_fault() -> Result<()> {
    let outcome = lb(&["check", "-c", "/nowhere/lb.yaml"])?;
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.starts_with("/nowhere/lb.yaml: "), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_warning_is_said_and_passes() -> Result<()> {
    let text = SOUND.replace("10.0.1.5:5432", "[2001:db8::5]:5432");
    let outcome = check(&[("lb.yaml", &text)])?;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("warning: lb.yaml:3:"), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_relative_path_is_shown_as_given() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("lb.yaml"), "tcpp: {}\n")?;
    let output = std::process::Command::new(lb_tests::daemon::binary())
        .args(["check", "-c", "lb.yaml"])
        .current_dir(folder.path())
        .output()?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!(stderr, "lb.yaml:1:1: tcpp: unknown key; did you mean \"tcp\"?\n");
    Ok(())
}
