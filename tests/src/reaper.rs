//! Removes what test processes that died left behind: processes inside their
//! namespaces, the namespaces, pins, sockets, state and temporary folders.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::shell;

/// Where instances leave things named after them.
fn places() -> impl Iterator<Item = PathBuf> {
    let fixed = ["/sys/fs/bpf/lb", "/var/lib/lb", "/run/lb"].map(PathBuf::from);
    fixed.into_iter().chain([std::env::temp_dir()])
}

/// Removes everything named `lbt-<pid>-…` whose process is gone. Failures are
/// said on stderr and left: they are no reason for the next test to fail.
pub fn reap() {
    for name in names_in(Path::new("/run/netns")) {
        if is_orphan(&name) {
            end_processes(&name);
            report(&name, shell::run(&format!("ip netns del {name}")).map(|_| ()));
        }
    }
    for place in places() {
        for name in names_in(&place) {
            if is_orphan(&name) {
                remove(&place, &name);
            }
        }
    }
}

/// Removes what the instance `name` of this very process left.
pub fn remove_instance(name: &str) {
    for place in places() {
        for entry in names_in(&place) {
            if entry == name || entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) {
                remove(&place, &entry);
            }
        }
    }
}

fn remove(place: &Path, name: &str) {
    let path = place.join(name);
    let result = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    match result {
        // Another process reaps at the same time.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => report(name, result.map_err(Into::into)),
    }
}

/// Whether `lbt-<pid>-…` names a process that no longer runs.
fn is_orphan(name: &str) -> bool {
    let pid = name.strip_prefix("lbt-").and_then(|rest| rest.split('-').next());
    pid.and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn end_processes(namespace: &str) {
    let Ok(output) = Command::new("ip").args(["netns", "pids", namespace]).output() else {
        return;
    };
    for pid in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if let Ok(pid) = pid.parse() {
            // A process that ended meanwhile is what was wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn report(name: &str, result: anyhow::Result<()>) {
    if let Err(error) = result {
        eprintln!("left behind by a dead test: {name}: {error:#}");
    }
}
