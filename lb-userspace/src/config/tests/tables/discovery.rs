//! `providers.dns`, `providers.swarm`, `register` and `datapath.hashKey`.

use super::*;
use crate::model::{ChoiceKey, DnsKind, DnsProvider, Registration, Swarm};

fn dns(inner: &str) -> DnsProvider {
    let text = format!("providers: {{ dns: {{ {inner} }} }}");
    sound(&text).settings.dns.expect("names")
}

const API: &str = "services: { api: { name: api.example, port: 80 } }";

fn swarm(inner: &str) -> Swarm {
    sound(&format!("providers: {{ swarm: {inner} }}")).settings.swarm.expect("a swarm")
}

fn register(inner: &str) -> Registration {
    let text = format!("providers: {{ consulCatalog: {{ {inner} }} }}");
    sound(&text).settings.register.expect("a registration")
}

rows! {
    names_are_asked_of_the_host: dns(API).resolvers.len() => 0;
    name_servers_have_dns_port: dns(&format!("resolvers: [10.0.0.2, '[::1]:5353'], {API}")).resolvers.iter().map(ToString::to_string).collect::<Vec<_>>() => ["10.0.0.2:53", "[::1]:5353"];
    bounds_of_ttls: (dns(API).min_ttl, dns(API).max_ttl) => (Duration::from_secs(1), Duration::from_secs(300));
    a_long_shortest_ttl_is_the_longest: dns(&format!("minTTL: 1h, {API}")).max_ttl => Duration::from_secs(3600);
    a_name_has_addresses: dns(API).services["api"].kind => DnsKind::Addresses;
    a_name_has_servers: dns("services: { api: { name: _api._tcp.example, type: srv } }").services["api"].kind => DnsKind::Srv;
    labels_as_a_list: dns("services: { a: { name: a.example, port: 1, labels: ['traefik.http.routers.a.rule=Path(`/=`)'] } }").services["a"].labels["traefik.http.routers.a.rule"] => "Path(`/=`)";
    labels_as_a_map: dns("services: { a: { name: a.example, labels: { traefik.http.services.a.loadbalancer.server.port: 80 } } }").services["a"].labels.len() => 1;
    a_swarm_is_where_docker_is: swarm("true").docker.endpoint => "unix:///var/run/docker.sock";
    a_swarm_is_listed_every_15_s: (swarm("{}").refresh, swarm("{ refreshSeconds: 30 }").refresh) => (Duration::from_secs(15), Duration::from_secs(30));
    a_swarms_network: swarm("{ network: web }").docker.network => Some("web".to_owned());
    no_registration_by_default: sound("providers: { consulCatalog: {} }").settings.register => None;
    a_registration_may_be_switched_off: sound("providers: { consulCatalog: { register: false } }").settings.register => None;
    a_registrations_defaults: (register("register: true").name, register("register: true").ttl) => ("lb".to_owned(), Duration::from_secs(15));
    lb_is_not_routed_to: register("register: { tags: [a] }").tags => ["a", "traefik.enable=false"];
    lb_is_routed_to_by_choice: register("register: { tags: [traefik.enable=true] }").tags => ["traefik.enable=true"];
    lb_is_not_routed_to_by_another_prefix: register("prefix: foo, register: true").tags => ["foo.enable=false"];
    a_registration_is_where_the_catalog_is: register("endpoint: { address: 'c:1' }, register: true").endpoint.urls => ["http://c:1"];
    keys_may_register_as_well: sound("providers: { consul: { endpoints: ['c:1'], register: true } }").settings.register.map(|r| r.endpoint.urls) => Some(vec!["http://c:1".to_owned()]);
    a_key_of_choices: sound("datapath: { hashKey: 0123456789abcdef }").settings.datapath.hash_key => ChoiceKey::from_secret("0123456789abcdef");
}

macro_rules! refused {
    ($($name:ident: $text:literal => $part:literal;)+) => {$(
        #[test]
        fn $name() {
            let faults = load("/etc/lb/lb.yaml", $text).expect_err("a fault");
            assert!(faults.iter().any(|fault| fault.to_string().contains($part)), "{faults:?}");
        }
    )+};
}

refused! {
    names_without_services: "providers: { dns: {} }" => "\"services\" is missing";
    names_of_no_services: "providers: { dns: { services: {} } }" => "at least one service";
    a_service_without_a_name: "providers: { dns: { services: { a: {} } } }" => "\"name\" is missing";
    a_name_that_is_none: "providers: { dns: { services: { a: { name: 'a b', port: 1 } } } }" => "is no name of DNS";
    addresses_without_a_port: "providers: { dns: { services: { a: { name: a.example } } } }" => "give `port`";
    records_of_another_type: "providers: { dns: { services: { a: { name: a.example, type: MX } } } }" => "\"AAAA\" or \"SRV\"";
    a_label_of_dns_that_is_wrong: "providers: { dns: { services: { a: { name: a.example, port: 1, labels: { traefik.http.routers.a.rul: x } } } } }" => "traefik.http.routers.a.rul";
    a_label_without_a_value: "providers: { dns: { services: { a: { name: a.example, port: 1, labels: [x] } } } }" => "key=value";
    a_name_server_by_name: "providers: { dns: { resolvers: [dns.example], services: { a: { name: a.example, port: 1 } } } }" => "the address of a name server";
    bounds_in_the_wrong_order: "providers: { dns: { minTTL: 10s, maxTTL: 1s, services: { a: { name: a.example, port: 1 } } } }" => "shorter than `minTTL`";
    a_ttl_of_nothing: "providers: { dns: { minTTL: 0s, services: { a: { name: a.example, port: 1 } } } }" => "a time above 0";
    docker_without_a_ca: "providers: { docker: { endpoint: 'tcp://a:1', tls: { cert: c, key: k } } }" => "are needed";
    docker_unverified: "providers: { docker: { endpoint: 'tcp://a:1', tls: { insecureSkipVerify: true } } }" => "always verifies";
    a_nats_server_without_a_host: "providers: { nats: { servers: ['nats://'] } }" => "expected a server such as";
    a_nats_server_that_is_a_port: "providers: { nats: { servers: ['nats://:4222'] } }" => "expected a server such as";
    events_without_a_host: "events: { nats: { servers: ['nats://'] } }" => "expected a server such as";
    a_swarm_by_ssh: "providers: { swarm: { endpoint: 'ssh://a' } }" => "SSH isn't done";
    a_swarm_of_docker: "providers: { docker: { swarmMode: true } }" => "`providers.swarm`";
    a_registration_twice: "providers: { consulCatalog: { register: true }, consul: { register: true } }" => "registers once";
    a_check_of_no_time: "providers: { consulCatalog: { register: { ttl: 10ms } } }" => "a second or more";
    an_entry_point_that_is_not_there: "entryPoints: { web: { address: ':80' } }\nproviders: { consulCatalog: { register: { entryPoints: [wbe] } } }" => "wbe";
    a_guessable_key: "datapath: { hashKey: secret }" => "16 characters or more";
}
