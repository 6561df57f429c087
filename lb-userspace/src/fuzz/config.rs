//! Configuration files of all formats.

use std::path::Path;

use super::fuzz;
use crate::config::{HostPorts, load_bytes};

const WORDS: &[&str] = &[
    "entryPoints",
    "http",
    "tcp",
    "udp",
    "tls",
    "routers",
    "services",
    "middlewares",
    "loadBalancer",
    "servers",
    "address",
    "url",
    "rule",
    "service",
    "weight",
    "healthCheck",
    "interval",
    ": ",
    "- ",
    "\n  ",
    "\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|",
    "&a",
    "*a",
    "<<",
    "# ",
    ", ",
    "= ",
    "null",
    "true",
    "1e9",
    "-1",
    ":80",
    "10s",
];

#[test]
fn configurations() {
    let ports = HostPorts::default();
    fuzz("config", WORDS, |input| {
        // All that YAML takes for the end of a line.
        let ends = |c: &char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let lines = String::from_utf8_lossy(input).chars().filter(ends).count() + 1;
        ["lb.yaml", "lb.toml", "lb.json"].map(|name| {
            match load_bytes(Path::new(name), input, &ports) {
                Ok(loaded) => Ok((loaded.dynamic.routers.len(), loaded.faults.len())),
                Err(faults) => {
                    assert!(!faults.is_empty(), "refused for no reason");
                    for fault in &faults {
                        // Line 0: the file as a whole.
                        let line = usize::try_from(fault.place.line).unwrap_or(usize::MAX);
                        assert!(line <= lines + 1, "line {line} of {lines}: {fault}");
                        assert!(!fault.message.is_empty());
                    }
                    Err(faults[0].path.split('.').take(3).map(str::len).collect::<Vec<_>>())
                }
            }
        })
    });
}
