//! `http.routers` and `http.services`.

use super::means;

means! { "http.routers.r.", "http: { routers: { r: { service: s, @ } } }", "http.routers.r.service=s";
    router_rule: "rule=Host(`example.com`)" => "rule: 'Host(`example.com`)'";
    router_rule_of_several: "rule=Host(`a.com`) && PathPrefix(`/v2`) && Method(`GET`, `POST`)"
        => "rule: 'Host(`a.com`) && PathPrefix(`/v2`) && Method(`GET`, `POST`)'";
    router_rule_by_header: "rule=Headers(`X-API-Version`, `v1`)" => "rule: 'Headers(`X-API-Version`, `v1`)'";
    router_rule_that_does_not_build: "rule=Hos(`a`)" => "rule: 'Hos(`a`)'";
    router_rule_syntax: "rule=Host(`a`); ruleSyntax=v3" => "rule: 'Host(`a`)', ruleSyntax: v3";
    router_rule_syntax_v2: "rule=Host(`a`,`b`); ruleSyntax=v2" => "rule: 'Host(`a`,`b`)', ruleSyntax: v2";
    router_entry_point: "entrypoints=web" => "entryPoints: [web]";
    router_entry_points: "entrypoints=web,websecure" => "entryPoints: [web, websecure]";
    router_entry_points_with_blanks: "entryPoints=web, websecure" => "entryPoints: [web, websecure]";
    router_entry_points_by_number: "entrypoints[0]=web; entrypoints[1]=websecure" => "entryPoints: [web, websecure]";
    router_middleware: "middlewares=auth" => "middlewares: [auth]";
    router_middlewares: "middlewares=auth,prefix,cb" => "middlewares: [auth, prefix, cb]";
    router_middleware_of_another_provider: "middlewares=auth@file" => "middlewares: [auth@file]";
    router_middlewares_by_number: "middlewares[0]=auth; middlewares[1]=cb" => "middlewares: [auth, cb]";
    router_middlewares_by_number_in_any_order: "middlewares[1]=cb; middlewares[0]=auth" => "middlewares: [auth, cb]";
    router_priority: "priority=42" => "priority: 42";
    router_priority_below_0: "priority=-1" => "priority: -1";
    router_tls: "tls=true" => "tls: {}";
    router_tls_off: "tls=false" => "tls: false";
    router_tls_resolver: "tls.certresolver=myresolver" => "tls: { certResolver: myresolver }";
    router_tls_true_and_resolver: "tls=true; tls.certresolver=le" => "tls: { certResolver: le }";
    router_tls_resolver_and_true: "tls.certresolver=le; tls=true" => "tls: { certResolver: le }";
    router_tls_options: "tls.options=foobar" => "tls: { options: foobar }";
    router_tls_domain: "tls.domains[0].main=example.org" => "tls: { domains: [ { main: example.org } ] }";
    router_tls_sans: "tls.domains[0].sans=test.example.org,dev.example.org"
        => "tls: { domains: [ { sans: [test.example.org, dev.example.org] } ] }";
    router_tls_domains: "tls.domains[0].main=a.org; tls.domains[1].main=b.org; tls.domains[1].sans=*.b.org"
        => "tls: { domains: [ { main: a.org }, { main: b.org, sans: ['*.b.org'] } ] }";
    router_access_logs: "observability.accesslogs=true" => "observability: { accessLogs: true }";
    router_metrics: "observability.metrics=false" => "observability: { metrics: false }";
    router_tracing: "observability.tracing=true" => "observability: { tracing: true }";
    router_datapath: "datapath=proxy" => "datapath: proxy";
    router_in_capitals: "RULE=Host(`a`); EntryPoints=web" => "rule: 'Host(`a`)', entryPoints: [web]";
}

means! { "http.services.s.loadbalancer.", "http: { services: { s: { loadBalancer: { @ } } } }", "";
    server_url: "servers[0].url=http://10.0.0.1:80" => "servers: [ { url: 'http://10.0.0.1:80' } ]";
    server_urls: "servers[0].url=http://10.0.0.1; servers[1].url=https://10.0.0.2:8443"
        => "servers: [ { url: 'http://10.0.0.1' }, { url: 'https://10.0.0.2:8443' } ]";
    server_of_h2c: "servers[0].url=h2c://10.0.0.1:80" => "servers: [ { url: 'h2c://10.0.0.1:80' } ]";
    server_weight: "servers[0].url=http://10.0.0.1; servers[0].weight=3" => "servers: [ { url: 'http://10.0.0.1', weight: 3 } ]";
    server_preserve_path: "servers[0].url=http://10.0.0.1/p; servers[0].preservepath=true"
        => "servers: [ { url: 'http://10.0.0.1/p', preservePath: true } ]";
    server_max_connections: "servers[0].url=http://10.0.0.1; servers[0].maxconnections=9"
        => "servers: [ { url: 'http://10.0.0.1', maxConnections: 9 } ]";
    server_timeout: "servers[0].url=http://10.0.0.1; servers[0].timeout=30s"
        => "servers: [ { url: 'http://10.0.0.1', timeout: 30s } ]";
    pass_host_header: "passhostheader=true" => "passHostHeader: true";
    pass_host_header_off: "passhostheader=false" => "passHostHeader: false";
    strategy: "strategy=p2c" => "strategy: p2c";
    strategy_wrr: "strategy=wrr" => "algorithm: roundRobin";
    strategy_hrw: "strategy=hrw" => "algorithm: sourceHash";
    strategy_least_time: "strategy=leasttime" => "algorithm: leastTime";
    transport: "serverstransport=foobar@file" => "serversTransport: foobar@file";
    flush_interval: "responseforwarding.flushinterval=100ms" => "responseForwarding: { flushInterval: 100ms }";
    flush_interval_in_seconds: "responseforwarding.flushinterval=10" => "responseForwarding: { flushInterval: 10 }";
    flush_interval_at_once: "responseforwarding.flushinterval=-1" => "responseForwarding: { flushInterval: -1 }";
    check_path: "healthcheck.path=/health" => "healthCheck: { path: /health }";
    check_interval: "healthcheck.path=/h; healthcheck.interval=10s" => "healthCheck: { path: /h, interval: 10s }";
    check_interval_in_seconds: "healthcheck.path=/h; healthcheck.interval=10" => "healthCheck: { path: /h, interval: 10 }";
    check_unhealthy_interval: "healthcheck.path=/h; healthcheck.unhealthyinterval=4s"
        => "healthCheck: { path: /h, unhealthyInterval: 4s }";
    check_timeout: "healthcheck.path=/h; healthcheck.timeout=3s" => "healthCheck: { path: /h, timeout: 3s }";
    check_scheme: "healthcheck.path=/h; healthcheck.scheme=https" => "healthCheck: { path: /h, scheme: https }";
    check_mode: "healthcheck.path=/h; healthcheck.mode=http" => "healthCheck: { path: /h, mode: http }";
    check_mode_grpc: "healthcheck.mode=grpc" => "healthCheck: { mode: grpc }";
    check_port: "healthcheck.path=/h; healthcheck.port=42" => "healthCheck: { path: /h, port: 42 }";
    check_host: "healthcheck.path=/h; healthcheck.hostname=example.org" => "healthCheck: { path: /h, hostname: example.org }";
    check_method: "healthcheck.path=/h; healthcheck.method=HEAD" => "healthCheck: { path: /h, method: HEAD }";
    check_status: "healthcheck.path=/h; healthcheck.status=204" => "healthCheck: { path: /h, status: 204 }";
    check_header: "healthcheck.path=/h; healthcheck.headers.Host=api.example.com"
        => "healthCheck: { path: /h, headers: { Host: api.example.com } }";
    check_headers: "healthcheck.path=/h; healthcheck.headers.X-A=1; healthcheck.headers.X-B=two"
        => "healthCheck: { path: /h, headers: { X-A: '1', X-B: two } }";
    check_redirects: "healthcheck.path=/h; healthcheck.followredirects=true" => "healthCheck: { path: /h, followRedirects: true }";
    check_rise_and_fall: "healthcheck.path=/h; healthcheck.rise=3; healthcheck.fall=4"
        => "healthCheck: { path: /h, rise: 3, fall: 4 }";
    sticky: "sticky.cookie=true" => "sticky: { cookie: {} }";
    sticky_off: "sticky.cookie=false" => "sticky: { cookie: false }";
    sticky_name: "sticky.cookie.name=foobar" => "sticky: { cookie: { name: foobar } }";
    sticky_true_and_name: "sticky.cookie=true; sticky.cookie.name=server_id" => "sticky: { cookie: { name: server_id } }";
    sticky_secure: "sticky.cookie=true; sticky.cookie.secure=true" => "sticky: { cookie: { secure: true } }";
    sticky_http_only: "sticky.cookie=true; sticky.cookie.httponly=true" => "sticky: { cookie: { httpOnly: true } }";
    sticky_same_site: "sticky.cookie.samesite=none" => "sticky: { cookie: { sameSite: none } }";
    sticky_max_age: "sticky.cookie.maxage=42" => "sticky: { cookie: { maxAge: 42 } }";
    sticky_path: "sticky.cookie.path=/foobar" => "sticky: { cookie: { path: /foobar } }";
    sticky_domain: "sticky.cookie.domain=foo.com" => "sticky: { cookie: { domain: foo.com } }";
    passive_window: "passivehealthcheck.failurewindow=3s" => "passiveHealthCheck: { failureWindow: 3s }";
    passive_attempts: "passivehealthcheck.maxfailedattempts=3" => "passiveHealthCheck: { maxFailedAttempts: 3 }";
    slow_start: "slowstart=30s" => "slowStart: 30s";
    queue: "queue=10; queuetimeout=2s" => "queue: 10, queueTimeout: 2s";
    drain_timeout: "draintimeout=1m" => "drainTimeout: 1m";
}

means! { "http.services.s.", "http: { services: { s: { @ } } }", "";
    weighted: "weighted.services[0].name=a; weighted.services[0].weight=3; weighted.services[1].name=b@file"
        => "weighted: { services: [ { name: a, weight: 3 }, { name: b@file } ] }";
    weighted_sticky: "weighted.services[0].name=a; weighted.sticky.cookie.name=c"
        => "weighted: { services: [ { name: a } ], sticky: { cookie: { name: c } } }";
    weighted_health: "weighted.services[0].name=a; weighted.healthcheck=true"
        => "weighted: { services: [ { name: a } ], healthCheck: {} }";
    mirroring: "mirroring.service=a; mirroring.mirrors[0].name=b; mirroring.mirrors[0].percent=10; mirroring.maxbodysize=42"
        => "mirroring: { service: a, mirrors: [ { name: b, percent: 10 } ], maxBodySize: 42 }";
    mirroring_without_bodies: "mirroring.service=a; mirroring.mirrorbody=false" => "mirroring: { service: a, mirrorBody: false }";
    failover: "failover.service=a; failover.fallback=b" => "failover: { service: a, fallback: b }";
    highest_random_weight: "highestrandomweight.services[0].name=a; highestrandomweight.services[0].weight=2"
        => "highestRandomWeight: { services: [ { name: a, weight: 2 } ] }";
}
