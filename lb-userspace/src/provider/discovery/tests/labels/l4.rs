//! `tcp` and `udp`.

use super::means;

means! { "tcp.routers.r.", "tcp: { routers: { r: { service: s, @ } } }", "tcp.routers.r.service=s";
    tcp_rule: "rule=HostSNI(`example.com`)" => "rule: 'HostSNI(`example.com`)'";
    tcp_rule_for_all: "rule=HostSNI(`*`)" => "rule: 'HostSNI(`*`)'";
    tcp_rule_syntax: "rule=HostSNI(`*`); rulesyntax=v3" => "rule: 'HostSNI(`*`)', ruleSyntax: v3";
    tcp_rule_by_client: "rule=ClientIP(`10.0.0.0/8`)" => "rule: 'ClientIP(`10.0.0.0/8`)'";
    tcp_entry_points: "entrypoints=ep1,ep2" => "entryPoints: [ep1, ep2]";
    tcp_middlewares: "middlewares=auth,prefix" => "middlewares: [auth, prefix]";
    tcp_priority: "priority=42" => "priority: 42";
    tcp_tls: "tls=true" => "tls: {}";
    tcp_tls_resolver: "tls.certresolver=myresolver" => "tls: { certResolver: myresolver }";
    tcp_tls_domains: "tls.domains[0].main=example.org; tls.domains[0].sans=a.example.org"
        => "tls: { domains: [ { main: example.org, sans: [a.example.org] } ] }";
    tcp_tls_options: "tls.options=mysoptions" => "tls: { options: mysoptions }";
    tcp_tls_passthrough: "rule=HostSNI(`a`); tls.passthrough=true" => "rule: 'HostSNI(`a`)', tls: { passthrough: true }";
    tcp_datapath: "datapath=kernel" => "datapath: kernel";
}

means! { "tcp.services.s.loadbalancer.", "tcp: { services: { s: { loadBalancer: { @ } } } }", "";
    tcp_server: "servers[0].address=10.0.0.1:423" => "servers: [ { address: '10.0.0.1:423' } ]";
    tcp_server_weight: "servers[0].address=10.0.0.1:423; servers[0].weight=2" => "servers: [ { address: '10.0.0.1:423', weight: 2 } ]";
    tcp_server_tls: "servers[0].address=10.0.0.1:423; servers[0].tls=true" => "servers: [ { address: '10.0.0.1:423', tls: true } ]";
    tcp_transport: "serverstransport=foobar@file" => "serversTransport: foobar@file";
    tcp_proxy_protocol: "proxyprotocol.version=1" => "proxyProtocol: { version: 1 }";
    tcp_proxy_protocol_on: "proxyprotocol=true" => "proxyProtocol: {}";
    tcp_termination_delay: "terminationdelay=100" => "terminationDelay: 100";
    tcp_check: "healthcheck.interval=1s; healthcheck.timeout=300ms" => "healthCheck: { interval: 1s, timeout: 300ms }";
    tcp_check_by_http: "healthcheck.path=/up; healthcheck.port=8080" => "healthCheck: { path: /up, port: 8080 }";
    tcp_algorithm: "algorithm=leastconn" => "algorithm: leastConn";
    tcp_forwarding: "forwarding=nat" => "forwarding: nat";
    tcp_on_down: "ondown=reset" => "onDown: reset";
    tcp_on_empty: "onempty=drop" => "onEmpty: drop";
    tcp_drain_timeout: "draintimeout=10s" => "drainTimeout: 10s";
}

means! { "tcp.services.s.", "tcp: { services: { s: { @ } } }", "";
    tcp_weighted: "weighted.services[0].name=a; weighted.services[0].weight=42; weighted.services[1].name=b"
        => "weighted: { services: [ { name: a, weight: 42 }, { name: b } ] }";
    tcp_failover: "failover.service=a; failover.fallback=b" => "failover: { service: a, fallback: b }";
}

means! { "tcp.middlewares.m.", "tcp: { middlewares: { m: { @ } } }", "";
    tcp_in_flight: "inflightconn.amount=42" => "inFlightConn: { amount: 42 }";
    tcp_allow_list: "ipallowlist.sourcerange=10.0.0.0/8,::1" => "ipAllowList: { sourceRange: ['10.0.0.0/8', '::1'] }";
    tcp_white_list: "ipwhitelist.sourcerange=10.0.0.1" => "ipAllowList: { sourceRange: [10.0.0.1] }";
}

means! { "udp.routers.r.", "udp: { routers: { r: { service: s, @ } } }", "udp.routers.r.service=s";
    udp_entry_points: "entrypoints=ep1,ep2" => "entryPoints: [ep1, ep2]";
    udp_priority: "priority=7" => "priority: 7";
    udp_datapath: "datapath=proxy" => "datapath: proxy";
}

means! { "udp.services.s.loadbalancer.", "udp: { services: { s: { loadBalancer: { @ } } } }", "";
    udp_server: "servers[0].address=10.0.0.1:53" => "servers: [ { address: '10.0.0.1:53' } ]";
    udp_servers: "servers[0].address=10.0.0.1:53; servers[1].address=10.0.0.2:53; servers[1].weight=4"
        => "servers: [ { address: '10.0.0.1:53' }, { address: '10.0.0.2:53', weight: 4 } ]";
    udp_algorithm: "algorithm=sourcehash" => "algorithm: sourceHash";
    udp_check: "healthcheck.port=8080; healthcheck.mode=tcp" => "healthCheck: { port: 8080, mode: tcp }";
}

means! { "udp.services.s.", "udp: { services: { s: { @ } } }", "";
    udp_weighted: "weighted.services[0].name=a; weighted.services[0].weight=3" => "weighted: { services: [ { name: a, weight: 3 } ] }";
}
