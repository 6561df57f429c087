//! `lb status`.

use std::fmt::Write;

use super::{Context, Failure, Run, output::duration, table::Table};
use crate::api::types::{DatapathStatus, ProviderStatus, ReloadStatus, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let status: Status = context.client().get("/api/status")?;
        context.output.print(&status, text)?;
        if status.ready {
            return Ok(());
        }
        Err(Failure::Refused(format!(
            "instance {:?} has no snapshot in force yet; see the faults above and its log",
            status.instance
        )))
    }
}

fn text(s: &Status) -> String {
    let mut out = format!(
        "lb {}, instance {}, pid {}, up {}\n",
        s.version,
        s.instance,
        s.pid,
        duration(s.uptime_seconds)
    );
    let ready = if s.ready { "in force" } else { "not in force yet" };
    line(&mut out, "generation", format!("{} ({ready})", s.generation));
    let c = &s.counts;
    line(
        &mut out,
        "serving",
        format!(
            "{} routers, {} services, {} VIPs, {}/{} backends take connections",
            c.routers, c.services, c.vips, c.backends_up, c.backends
        ),
    );
    if let Some(reload) = &s.last_reload {
        line(&mut out, "last reload", reloaded(reload));
    }
    if let Some(r) = &s.registry {
        let dns = r.dns.as_ref().map(|dns| format!(", DNS {dns}")).unwrap_or_default();
        let counts = format!(
            "{} services, {} instances, {} keys; {}",
            r.services, r.instances, r.keys, r.scope
        );
        line(&mut out, "registry", format!("{}{dns}: {counts}", r.address));
    }
    for p in &s.providers {
        line(&mut out, "provider", provider(p));
    }
    datapath(&mut out, &s.datapath);
    section(&mut out, "SHIFTS", s.shifts.is_empty(), || super::shift::table(&s.shifts));
    section(&mut out, "ENTRY POINTS", s.entry_points.is_empty(), || entry_points(s));
    section(&mut out, "DROPS", s.drops.is_empty(), || drops(s));
    let skipped = s.providers.iter().any(|provider| !provider.skipped.is_empty());
    section(&mut out, "SKIPPED", !skipped, || self::skipped(s));
    section(&mut out, "FAULTS", s.faults.is_empty(), || s.faults.join("\n") + "\n");
    out
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "{:<13}{value}", format!("{name}:"));
}

fn section(out: &mut String, title: &str, empty: bool, body: impl FnOnce() -> String) {
    if !empty {
        let _ = write!(out, "\n{title}\n{}", body());
    }
}

/// Where it reads; over a network also whether it can, since when, and what came of it.
fn provider(p: &ProviderStatus) -> String {
    let mut text = format!("{}: {}", p.name, p.source);
    if !p.follows {
        return text;
    }
    let ago = |time: u64| duration(now().saturating_sub(time));
    match p.connected_since {
        Some(since) => text += &format!(", connected for {}", ago(since)),
        None => text += ", not connected",
    }
    if p.kept {
        text += ", serving what the last run kept";
    }
    text += &format!(", {} serving, {} skipped", p.serving, p.skipped.len());
    if p.failures > 0 {
        text += &format!(", {} failures", p.failures);
    }
    if let (Some(error), None) = (&p.last_error, p.connected_since) {
        text += &format!(": {error}");
    }
    text
}

fn skipped(s: &Status) -> String {
    let mut table = Table::new(&["INSTANCE", "REASON", "WHY"]);
    for one in s.providers.iter().flat_map(|provider| &provider.skipped) {
        table.row([one.instance.clone(), one.reason.clone(), one.detail.clone()]);
    }
    table.to_string()
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn reloaded(reload: &ReloadStatus) -> String {
    let ago = now().saturating_sub(reload.time);
    match reload.faults.len() {
        _ if reload.success => format!("{} ago, taken", duration(ago)),
        1 => format!("{} ago, refused: {}", duration(ago), reload.faults[0]),
        n => format!("{} ago, refused for {n} faults", duration(ago)),
    }
}

fn datapath(out: &mut String, d: &DatapathStatus) {
    let state = if d.loaded { "in the kernel" } else { "nothing loaded" };
    line(out, "datapath", format!("{state}: {}", d.detail));
    if d.loaded {
        line(out, "flows", format!("{} of {}", d.flows, d.capacity));
    }
    for p in &d.programs {
        line(out, "program", format!("{}, id {}", p.name, p.id));
    }
    section(out, "INTERFACES", d.interfaces.is_empty(), || {
        let mut table = Table::new(&["INTERFACE", "MODE", "WHY"]);
        for i in &d.interfaces {
            table.row([i.name.clone(), i.mode.clone(), i.reason.clone()]);
        }
        table.to_string()
    });
    section(out, "ADDRESSES", d.addresses.is_empty(), || {
        let mut table = Table::new(&["ADDRESS", "INTERFACE", "SET BY"]);
        for a in &d.addresses {
            let by = if a.added { "lb" } else { "the host" };
            table.row([a.address.clone(), a.interface.clone(), by.to_owned()]);
        }
        table.to_string()
    });
}

fn entry_points(s: &Status) -> String {
    let mut table = Table::new(&["NAME", "ADDRESS", "PATH"]);
    for e in &s.entry_points {
        table.row([e.name.clone(), e.address.clone(), e.path.clone()]);
    }
    table.to_string()
}

fn drops(s: &Status) -> String {
    let mut table = Table::new(&["REASON", ">PACKETS", "MEANING"]);
    for d in &s.drops {
        table.row([d.reason.clone(), d.count.to_string(), d.description.trim().to_owned()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{DropCount, EntryPointStatus, InterfaceStatus};

    fn status() -> Status {
        Status {
            instance: "default".into(),
            version: "0.1.0".into(),
            pid: 7,
            uptime_seconds: 90,
            ready: true,
            generation: 4,
            entry_points: vec![EntryPointStatus {
                name: "pg".into(),
                address: "198.51.100.10:5432".into(),
                path: "kernel".into(),
            }],
            ..Status::default()
        }
    }

    #[test]
    fn text_begins_with_version_instance_and_uptime() {
        let text = text(&status());
        assert!(text.starts_with("lb 0.1.0, instance default, pid 7, up 1m 30s\n"), "{text}");
        assert!(text.contains("generation:  4 (in force)\n"), "{text}");
        assert!(text.contains("\nENTRY POINTS\nNAME  ADDRESS             PATH\npg "), "{text}");
    }

    #[test]
    fn empty_sections_are_left_out() {
        let text = text(&status());
        for title in ["DROPS", "FAULTS", "INTERFACES", "ADDRESSES"] {
            assert!(!text.contains(title), "{text}");
        }
    }

    #[test]
    fn drops_and_interfaces_are_shown_with_their_reason() {
        let mut s = status();
        s.drops.push(DropCount {
            reason: "malformed".into(),
            count: 3,
            description: " Lengths contradict.".into(),
        });
        s.datapath.loaded = true;
        s.datapath.interfaces.push(InterfaceStatus {
            name: "eth0".into(),
            mode: "tc".into(),
            reason: "veth".into(),
        });
        let text = text(&s);
        assert!(text.contains("malformed        3  Lengths contradict.\n"), "{text}");
        assert!(
            text.contains("INTERFACES\nINTERFACE  MODE  WHY\neth0       tc    veth\n"),
            "{text}"
        );
    }

    macro_rules! reloads {
        ($($test:ident: $success:expr, $faults:expr => $text:expr;)+) => {
            $(#[test]
            fn $test() {
                let faults: Vec<&str> = $faults;
                let reload = ReloadStatus {
                    time: u64::MAX,
                    success: $success,
                    faults: faults.into_iter().map(str::to_owned).collect(),
                };
                assert_eq!(reloaded(&reload), $text);
            })+
        };
    }

    reloads! {
        reload_that_was_taken: true, vec![] => "0s ago, taken";
        reload_with_one_fault_shows_it: false, vec!["a.yaml:1: x"] => "0s ago, refused: a.yaml:1: x";
        reload_with_many_faults_counts_them: false, vec!["a", "b"] => "0s ago, refused for 2 faults";
    }
}
