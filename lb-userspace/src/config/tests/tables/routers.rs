//! Routers.

use super::*;
use crate::model::RouterConfig;

const REST: &str = "entryPoints: { e: { address: '198.51.100.10:80' }, f: { address: ':81' } }";

fn router(inner: &str) -> RouterConfig {
    let text = format!(
        "{REST}\ntcp:\n  services: {{ s: {{ loadBalancer: {{}} }} }}\n  routers:\n    r: {{ {inner} }}\n"
    );
    let loaded = sound(&text);
    assert_eq!(loaded.faults, []);
    RouterConfig::clone(&loaded.dynamic.routers[0])
}

rows! {
    rule_that_takes_all: router("entryPoints: [e], service: s, rule: 'HostSNI(`*`)'").rule => None;
    rule_in_double_quotes: router("entryPoints: [e], service: s, rule: 'HostSNI(\"*\")'").rule => None;
    rule_with_spaces: router("entryPoints: [e], service: s, rule: ' HostSNI ( `*` ) '").rule => None;
    rule_in_brackets: router("entryPoints: [e], service: s, rule: '(HostSNI(`*`))'").rule => None;
    rule_in_another_case: router("entryPoints: [e], service: s, rule: 'hostsni(`*`)'").rule => None;
    path_by_default: router("entryPoints: [e], service: s").datapath => PathChoice::Auto;
    path_kernel: router("entryPoints: [e], service: s, datapath: kernel").datapath => PathChoice::Kernel;
    path_kernel_on_every_address: router("entryPoints: [f], service: s, datapath: kernel").entry_points => ["f"];
    every_entry_point: router("service: s, datapath: kernel").entry_points => [""; 0];
    priority_by_default: router("entryPoints: [e], service: s").priority => 0;
    priority: router("entryPoints: [e], service: s, priority: 42").priority => 42;
    priority_negative: router("entryPoints: [e], service: s, priority: -1").priority => -1;
    service_of_this_provider: router("entryPoints: [e], service: s@file").service => "s@file";
    service_of_another_provider: router("entryPoints: [e], service: x@docker").service => "x@docker";
    place: router("entryPoints: [e], service: s").place.to_string() => "lb.yaml:5:5";
}
