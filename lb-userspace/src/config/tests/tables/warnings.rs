//! What is worth knowing without being refused.

use super::*;

fn warnings(servers: &str) -> Vec<String> {
    let text = format!(
        "entryPoints: {{ a: {{ address: '198.51.100.10:80' }}, b: {{ address: '[2001:db8::1]:80' }} }}\n\
         tcp:\n  routers: {{ r: {{ service: s }} }}\n  services:\n    s: {{ loadBalancer: {{ servers: [ {servers} ] }} }}\n"
    );
    sound(&text).warnings.iter().map(ToString::to_string).collect()
}

rows! {
    both_families: warnings("{ address: '10.0.1.5:80' }, { address: '[2001:db8::5]:80' }") => [""; 0];
    no_server_at_all: warnings("") => [""; 0];
    a_name_may_be_either: warnings("{ address: 'web.example.com:80' }") => [""; 0];
    v4_alone: warnings("{ address: '10.0.1.5:80' }") => ["lb.yaml:3:14: tcp.routers.r: entry point \"b\" is IPv6 and no server of service \"s\" is: lb doesn't translate, so that its clients find no backend"];
    v6_alone: warnings("{ address: '[2001:db8::5]:80' }") => ["lb.yaml:3:14: tcp.routers.r: entry point \"a\" is IPv4 and no server of service \"s\" is: lb doesn't translate, so that its clients find no backend"];
    a_server_on_loopback_is_the_proxys: warnings("{ address: '127.0.0.1:80' }, { address: '[2001:db8::5]:80' }") => [""; 0];
}
