//! `registry`, `providers.consulCatalog` and `providers.consul`.

use super::*;
use crate::model::{ConsulCatalog, ConsulKv, RegistrySettings};

fn registry(inner: &str) -> RegistrySettings {
    sound(&format!("registry: {inner}")).settings.registry.expect("a registry")
}

fn catalog(inner: &str) -> ConsulCatalog {
    let text = format!("providers: {{ consulCatalog: {inner} }}");
    sound(&text).settings.consul_catalog.expect("a catalog")
}

fn kv(inner: &str) -> ConsulKv {
    let text = format!("providers: {{ consul: {inner} }}");
    sound(&text).settings.consul_kv.expect("a store of keys")
}

rows! {
    no_registry_by_default: sound("{}").settings.registry => None;
    a_registry_may_be_switched_off: sound("registry: false").settings.registry => None;
    a_registry_is_where_consul_is: registry("true").address.to_string() => "127.0.0.1:8500";
    a_registry_has_no_dns_by_default: registry("{}").dns => None;
    a_registrys_dns: registry("{ dns: '127.0.0.1:8600' }").dns.map(|dns| dns.port()) => Some(8600);
    a_registry_runs_no_scripts: registry("{}").script_checks => false;
    a_registrys_ttl_is_0: registry("{}").dns_ttl => Duration::ZERO;
    a_registrys_names: (registry("{}").domain, registry("{ datacenter: ams }").datacenter) => ("consul".to_owned(), "ams".to_owned());
    passing_alone_serves: (registry("{}").states, catalog("{}").states) => (vec!["passing".to_owned()], vec!["passing".to_owned()]);
    warning_serves_by_choice: catalog("{ strictChecks: [passing, warning] }").states => ["passing", "warning"];
    a_catalog_is_where_consul_is: catalog("true").endpoint.urls => ["http://127.0.0.1:8500"];
    a_catalogs_address: catalog("{ endpoint: { address: 'consul:8500' } }").endpoint.urls => ["http://consul:8500"];
    a_catalogs_url: catalog("{ endpoint: { address: 'https://consul' } }").endpoint.urls => ["https://consul"];
    a_catalogs_scheme: catalog("{ endpoint: { scheme: https } }").endpoint.urls => ["https://127.0.0.1:8500"];
    a_catalogs_tls_is_a_scheme: catalog("{ endpoint: { tls: { insecureSkipVerify: true } } }").endpoint.urls => ["https://127.0.0.1:8500"];
    a_catalogs_wait: catalog("{ endpoint: { endpointWaitTime: 15s } }").endpoint.wait => Duration::from_secs(15);
    a_catalogs_data_centres: catalog("{ endpoint: { datacenter: a, fallbackDatacenters: [b] } }").endpoint.datacenters => ["a", "b"];
    a_catalogs_own_data_centre_comes_first: catalog("{ endpoint: { fallbackDatacenters: [b] } }").endpoint.datacenters => ["", "b"];
    a_catalogs_prefix: catalog("{ prefix: foo }").exposure.prefixes => ["foo"];
    a_token_is_never_shown: format!("{:?}", catalog("{ endpoint: { token: secret } }")).contains("secret") => false;
    keys_are_where_consul_is: kv("{}").endpoint.urls => ["http://127.0.0.1:8500"];
    keys_have_traefiks_root: kv("{}").root => "traefik";
    a_root_without_slashes: kv("{ rootKey: /lb/config/ }").root => "lb/config";
    several_endpoints: kv("{ endpoints: ['a:1', 'b:2'] }").endpoint.urls => ["http://a:1", "http://b:2"];
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
    a_registry_on_one_address_twice: "registry: { dns: '127.0.0.1:8500' }" => "take another port";
    a_domain_of_two_labels: "registry: { domain: a.b }" => "letters, digits and hyphens";
    a_registry_under_providers: "providers: { registry: {} }" => "`registry` at the top";
    an_unknown_state: "providers: { consulCatalog: { strictChecks: [fine] } }" => "passing";
    any_state: "providers: { consulCatalog: { strictChecks: [any] } }" => "name the states";
    a_mesh: "providers: { consulCatalog: { connectAware: true } }" => "no part of a Connect mesh";
    a_scheme_that_is_none: "providers: { consulCatalog: { endpoint: { scheme: ftp } } }" => "http or https";
    an_endpoint_that_is_none: "providers: { consul: { endpoints: ['::'] } }" => "http or https";
    an_empty_root: "providers: { consul: { rootKey: / } }" => "can't be empty";
    stale_reads: "providers: { consulCatalog: { stale: true } }" => "isn't done";
}
