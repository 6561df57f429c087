//! Golden files of faults: `tests-data/faults/NAME.{yaml,toml,json}` is the input, `NAME.txt` what
//! `lb check` prints of it. `LB_BLESS=1` writes the latter anew.

use std::{fmt::Write, fs, path::PathBuf};

use super::load;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests-data/faults").join(name)
}

/// Compares the faults of one input with its golden file.
fn check(name: &str) {
    let (file, text) = ["yaml", "toml", "json"]
        .iter()
        .find_map(|suffix| {
            let file = format!("{name}.{suffix}");
            fs::read_to_string(data(&file)).ok().map(|text| (file, text))
        })
        .unwrap_or_else(|| panic!("no input tests-data/faults/{name}.yaml"));
    let mut seen = String::new();
    let faults = match load(&file, &text) {
        Err(faults) => faults,
        Ok(loaded) => {
            assert!(!loaded.faults.is_empty(), "{file} is sound");
            writeln!(seen, "# applies but for:").expect("writing to a string");
            loaded.faults
        }
    };
    for fault in faults {
        writeln!(seen, "{fault}").expect("writing to a string");
    }
    let golden = data(&format!("{name}.txt"));
    if std::env::var_os("LB_BLESS").is_some() {
        fs::write(&golden, &seen).expect("golden file written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(seen, expected, "faults of {file} differ from {}", golden.display());
}

/// A named test for each golden file.
macro_rules! golden {
    ($($(#[$meta:meta])* $name:ident)*) => {
        $( $(#[$meta])* #[test] fn $name() { check(stringify!($name)); } )*

        #[test]
        fn every_input_has_a_test() {
            let named = [$(stringify!($name)),*];
            for entry in fs::read_dir(data("")).expect("folder of golden files") {
                let path = entry.expect("its entry").path();
                let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
                assert!(named.contains(&stem), "{stem} has no test");
            }
        }
    };
}

golden! {
    events_and_nats
    syntax_yaml_unclosed
    syntax_yaml_tab
    syntax_yaml_indent
    syntax_yaml_two_documents
    syntax_yaml_unknown_anchor
    syntax_yaml_template
    syntax_toml
    syntax_toml_duplicate
    syntax_json
    syntax_json_comment
    document_empty
    document_only_comments
    document_a_list
    document_a_text
    key_unknown_at_the_top
    key_unknown_without_a_near_one
    key_unknown_in_datapath
    key_unknown_in_service
    key_unknown_in_server
    key_unknown_in_health_check
    key_unknown_in_router
    key_twice
    key_twice_in_another_case
    key_twice_by_an_alias
    service_twice_in_one_file
    all_faults_at_once
    type_list_for_mapping
    type_text_for_mapping
    type_text_for_list
    type_mapping_for_list
    type_number_for_text
    type_list_for_text
    type_text_for_boolean
    type_yaml11_boolean
    type_text_for_number
    type_fraction_for_number
    type_null_for_address
    type_null_for_service
    entry_point_port_zero
    entry_point_port_too_high
    entry_point_port_missing
    entry_point_port_a_name
    entry_point_name
    entry_point_number
    entry_point_unspecified
    entry_point_unspecified_v6
    entry_point_multicast
    entry_point_broadcast
    entry_point_link_local
    entry_point_mapped
    entry_point_v6_without_brackets
    entry_point_v6_without_port
    entry_point_v6_broken
    entry_point_sctp
    entry_point_bad_octet
    entry_point_without_address
    entry_point_same_address
    entry_point_name_with_slash
    datapath_mode
    datapath_connections_too_few
    datapath_connections_too_many
    datapath_connections_negative
    datapath_connections_huge
    datapath_ring_not_prime
    datapath_ring_too_large
    datapath_interfaces_empty
    datapath_interfaces_number
    datapath_interfaces_twice
    datapath_interface_name
    datapath_nat_ports_order
    datapath_nat_ports_zero
    datapath_nat_ports_text
    datapath_nat_ports_overlap
    datapath_nat_addresses
    datapath_return_path
    datapath_timeout_zero
    datapath_timeout_too_long
    datapath_timeout_unit
    router_service_missing
    router_service_undefined
    router_service_undefined_at_file
    router_service_of_other_protocol
    router_entry_point_undefined
    router_entry_point_of_other_protocol
    router_without_any_entry_point
    router_rule_host
    router_rule_joined
    router_rule_client
    router_rule_misspelt
    router_rule_http
    router_rule_unclosed
    router_rule_no_quotes
    router_rule_trailing
    router_rule_empty
    router_tls
    router_middlewares
    router_datapath_unknown
    router_kernel_on_loopback
    router_udp_rule
    router_same_entry_point
    router_priority_text
    router_name_with_at
    service_without_balancer
    service_weighted
    service_algorithm_unknown
    service_algorithm_p2c
    service_algorithm_least_time
    service_forwarding_dsr
    service_forwarding_ipip
    service_forwarding_gue
    service_forwarding_unknown
    service_on_down
    service_drain_timeout
    service_later
    server_without_address
    server_without_port
    server_name_without_port
    server_without_host
    server_url
    server_address_a_url
    server_host_bad
    server_multicast
    server_twice
    server_a_text
    server_tls
    server_weight
    health_grpc
    health_mode
    health_udp_without_port
    health_tcp_with_http_keys
    health_http_keys_without_path
    health_path
    health_status
    health_method
    health_header
    health_hostname
    health_scheme
    health_port
    health_interval_zero
    health_interval_text
    health_rise
    health_send
    later_providers
    later_sections
    tcp_middlewares
    provider_unknown
    provider_file_without_path
    provider_file_both
    provider_file_empty_path
    provider_throttle
    api_address
    api_dashboard
    metrics_entry_point
    metrics_entry_point_udp
    metrics_both
    metrics_others
    metrics_entry_point_in_a_router
    log_level
    log_level_near
    log_format
    ping_entry_point
    http_router_without_rule
    http_router_without_service
    http_router_service_undefined
    http_router_service_undefined_at_file
    http_router_service_of_tcp
    tcp_router_service_of_http
    http_router_internal_service
    tcp_router_internal_service
    http_router_middleware_undefined
    http_router_middlewares_a_text
    http_router_entry_point_undefined
    http_router_entry_point_of_udp
    http_router_in_the_kernel
    http_router_datapath
    http_router_rule_syntax
    http_router_rule_strictly_v3
    http_router_rule_strictly_v2
    http_router_rule_of_tcp
    http_router_rule_misspelt
    http_router_priority
    http_router_tls_options
    http_router_tls_passthrough
    http_router_tls_key
    http_router_resolver
    http_router_domains
    http_router_observability
    http_router_trace_verbosity
    http_router_parents
    http_router_key
    http_router_twice
    http_router_name
    http_router_without_entry_points
    http_models
    default_rule_syntax
    default_rule_syntax_is_strict
    http_service_empty
    http_service_of_two_kinds
    http_service_key
    http_service_forwarding
    http_service_on_down
    http_service_algorithm
    http_service_strategy
    http_service_pass_host
    http_service_flush_interval
    http_service_flush_key
    http_service_transport
    http_service_slow_start
    http_service_queue
    http_service_queue_timeout
    http_service_drain_timeout
    sticky_cookie_text
    sticky_cookie_name
    sticky_cookie_same_site
    sticky_cookie_max_age
    sticky_cookie_path
    sticky_cookie_domain
    sticky_cookie_secure
    sticky_cookie_key
    sticky_key
    passive_window
    passive_attempts
    passive_ejection
    passive_percent
    passive_key
    http_server_without_url
    http_server_address
    http_server_without_scheme
    http_server_scheme
    http_server_user
    http_server_query
    http_server_host
    http_server_port
    http_server_v6
    http_server_number
    http_server_weight
    http_server_preserve_path
    http_server_max_connections
    http_server_timeout
    http_server_label_keys
    http_server_twice
    weighted_part_undefined
    weighted_without_parts
    weighted_part_without_name
    weighted_part_twice
    weighted_weight
    weighted_of_itself
    weighted_in_a_circle
    weighted_health_check
    mirroring_without_service
    mirroring_percent
    mirroring_mirror_undefined
    mirroring_body
    failover_without_fallback
    failover_fallback_undefined
    failover_errors
    highest_random_weight_part
    tcp_mirroring
    tcp_weighted_sticky
    udp_server_tls
    udp_transport
    transport_skip_verify
    transport_root_cas
    transport_certificate
    transport_max_idle
    transport_timeouts
    transport_timeouts_key
    transport_http2
    transport_spiffe
    transport_suites
    tcp_transport_proxy_protocol
    tcp_transport_key
    tcp_transport_tls
    tcp_transport_delays
    default_transport
    tcp_service_transport_beside_proxy_protocol
    tls_certificate_without_key
    tls_certificate_store
    tls_certificate_key
    tls_store
    tls_store_generated
    tls_version_old
    tls_version_unknown
    tls_versions_order
    tls_cipher_suite
    tls_cipher_suite_broken
    tls_curve
    tls_client_auth
    tls_client_auth_without_ca
    tls_options_key
    tls_options_types
    tls_prefer_server
    resolver_key
    resolver_tailscale
    entry_point_proxy_protocol
    entry_point_forwarded
    entry_point_forwarded_connection
    entry_point_redirection_to
    entry_point_redirection_port
    entry_point_redirection_scheme
    entry_point_redirection_without_to
    entry_point_redirection_key
    entry_point_middleware
    entry_point_tls_options
    entry_point_tls_resolver
    entry_point_max_head
    entry_point_max_headers
    entry_point_paths
    entry_point_http_key
    entry_point_http2
    entry_point_http2_tables
    entry_point_http3
    entry_point_timeouts
    entry_point_life_cycle
    entry_point_keep_alive
    entry_point_max_connections
    entry_point_transport_key
    entry_point_udp_timeout
    entry_point_udp_of_tcp
    entry_point_http_of_udp
    entry_point_reuse_port
    entry_point_as_default
    entry_point_observability
    entry_point_whole_in_the_kernel
    access_log_format
    access_log_generic
    access_log_buffering
    access_log_status
    access_log_filters
    access_log_field_mode
    access_log_header_mode
    access_log_key
    access_log_otlp
    metrics_buckets
    metrics_buckets_order
    metrics_label_flags
    ping_status
    ping_of_udp
    #[cfg(feature = "otel")]
    tracing_grpc
    #[cfg(feature = "otel")]
    tracing_keys
    middleware_without_kind
    middleware_of_two_kinds
    middleware_plugin
    middleware_key
    middleware_made_of_one_that_does_not_build
    middleware_that_does_not_build
    entry_point_middleware_that_does_not_build
    toml_places
    json_places
}
