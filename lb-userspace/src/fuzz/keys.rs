//! Keys of a Consul or a NATS bucket.

use super::fuzz;
use crate::config::{
    build,
    flat::{Style, Tree, after_root},
};

const WORDS: &[&str] = &[
    "traefik/",
    "http/",
    "tcp/",
    "udp/",
    "tls/certificates/0/certFile",
    "routers/a/",
    "services/a/loadBalancer/servers/0/url",
    "middlewares/a/",
    "weighted/services/0/name",
    "rule",
    "service",
    "entryPoints/0",
    "entryPoints",
    "middlewares",
    "retry/attempts",
    "rateLimit/average",
    "headers/customRequestHeaders/X-A",
    "//",
    "/",
    "/0",
    "/1",
    "/4294967296",
    "=",
    "=80",
    "=http://a",
    "=Path(`/`)",
    "=true",
    "\n",
    ",",
    "@file",
];

#[test]
fn keys() {
    fuzz("keys", WORDS, |input| {
        let text = String::from_utf8_lossy(input);
        let pairs: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once('=')).collect();
        let read = || {
            let pairs = pairs.iter().copied();
            let tree = Tree::read("kv", Style::Slashed, pairs, |key| after_root(key, "traefik"));
            build::keys(&tree, "consul")
        };
        let (parsed, again) = (read(), read());
        for fault in &parsed.faults {
            assert!(!fault.message.is_empty(), "a fault without words: {fault:?}");
            let line = usize::try_from(fault.place.line).unwrap_or(usize::MAX);
            assert!(line <= pairs.len(), "key {line} of {}: {fault}", pairs.len());
        }
        assert_eq!(parsed.faults, again.faults);
        let kinds = |fault: &crate::model::Fault| {
            fault.path.split('.').take(2).map(str::len).sum::<usize>()
        };
        (parsed.document.services.len(), parsed.faults.first().map(kinds))
    });
}
