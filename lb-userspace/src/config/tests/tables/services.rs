//! Services.

use super::*;

rows! {
    algorithm_by_default: service("").algorithm => Algorithm::Maglev;
    maglev: service("algorithm: maglev").algorithm => Algorithm::Maglev;
    round_robin: service("algorithm: roundRobin").algorithm => Algorithm::RoundRobin;
    wrr: service("algorithm: wrr").algorithm => Algorithm::RoundRobin;
    least_conn: service("algorithm: leastConn").algorithm => Algorithm::LeastConn;
    source_hash: service("algorithm: sourceHash").algorithm => Algorithm::SourceHash;
    hrw: service("algorithm: hrw").algorithm => Algorithm::SourceHash;
    random: service("algorithm: random").algorithm => Algorithm::Random;
    the_alias_strategy: service("strategy: leastConn").algorithm => Algorithm::LeastConn;
    names_in_another_case: service("algorithm: LEASTCONN").algorithm => Algorithm::LeastConn;
    on_down_by_default: service("").on_down => OnDown::Keep;
    on_down_keep: service("onDown: keep").on_down => OnDown::Keep;
    on_down_reset: service("onDown: reset").on_down => OnDown::Reset;
    on_empty_by_default: service("").on_empty => OnEmpty::Reset;
    on_empty_reset: service("onEmpty: reset").on_empty => OnEmpty::Reset;
    on_empty_drop: service("onEmpty: drop").on_empty => OnEmpty::Drop;
    drain_timeout_by_default: service("").drain_timeout => Duration::from_secs(300);
    drain_timeout: service("drainTimeout: 30s").drain_timeout => Duration::from_secs(30);
    drain_timeout_zero: service("drainTimeout: 0").drain_timeout => Duration::ZERO;
    no_check_by_default: service("").health_check => None;
    nat_in_words: service("forwarding: nat").forwarding => Default::default();
    an_empty_load_balancer: sound("tcp: { services: { s: { loadBalancer: } } }").dynamic.services.len() => 1;
    udp: service_of("udp", "").id.protocol => Protocol::Udp;
    id: service("").id.to_string() => "tcp/s@file";
}
