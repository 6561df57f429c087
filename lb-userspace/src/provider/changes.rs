//! What has changed between two states of the configuration, in words.

use std::collections::BTreeMap;

use crate::model::{
    Datapath, Dynamic, EntryPoint, EntryPointOptions, Id, Middleware, RouterConfig, Rule, Server,
    Service, Settings, Shared, TlsConfig, TlsOptions, Transport,
};

/// Changes of the static part, by section.
pub(super) fn settings(old: &Settings, new: &Settings, changes: &mut Vec<String>) {
    datapath(&old.datapath, &new.datapath, changes);
    let sections = [
        ("providers.file", old.file != new.file),
        ("providers.nats", old.nats != new.nats),
        ("providers.dns", old.dns != new.dns),
        ("providers.docker", old.docker != new.docker),
        ("providers.http", old.http != new.http),
        ("providers.consulCatalog", old.consul_catalog != new.consul_catalog),
        ("providers.swarm", old.swarm != new.swarm),
        ("register", old.register != new.register),
        ("providers.consul", old.consul_kv != new.consul_kv),
        ("providers.providersThrottleDuration", old.throttle != new.throttle),
        ("api", old.api != new.api),
        ("metrics", old.metrics != new.metrics),
        ("log", old.log != new.log),
        ("accessLog", old.access_log != new.access_log),
        ("tracing", old.tracing != new.tracing),
        ("events", old.events != new.events),
        ("ping", old.ping != new.ping),
        ("certificatesResolvers", old.resolvers != new.resolvers),
        ("serversTransport", old.transports != new.transports),
    ];
    let changed = sections.iter().filter(|(_, changed)| *changed);
    changes.extend(changed.map(|(name, _)| format!("{name}: changed")));
}

fn datapath(old: &Datapath, new: &Datapath, changes: &mut Vec<String>) {
    let mut number = |name: &str, old: u32, new: u32| {
        if old != new {
            changes.push(format!("datapath.{name}: {old} → {new}"));
        }
    };
    number("connections", old.connections, new.connections);
    number("backends", old.backends, new.backends);
    number("ringSize", old.ring_size, new.ring_size);
    if old.mode != new.mode {
        changes.push(format!("datapath.mode: {} → {}", old.mode.name(), new.mode.name()));
    }
    let others = [
        ("interfaces", old.interfaces != new.interfaces),
        ("nat", old.nat != new.nat),
        ("returnPath", old.return_path != new.return_path),
        ("timeouts", old.timeouts != new.timeouts),
        ("trace", old.trace != new.trace),
        ("hashKey", old.hash_key != new.hash_key),
    ];
    let changed = others.iter().filter(|(_, changed)| *changed);
    changes.extend(changed.map(|(name, _)| format!("datapath.{name}: changed")));
}

/// Entry points that came, went or changed.
pub(super) fn entry_points(
    old: &BTreeMap<String, EntryPoint>,
    new: &BTreeMap<String, EntryPoint>,
    changes: &mut Vec<String>,
) {
    let differs = |old: &EntryPoint, new: &EntryPoint| {
        let mut words = Words::default();
        let (from, to) = (address(old), address(new));
        words.add_if(from != to, || format!("{from} → {to}"));
        options(&old.options, &new.options, &mut words);
        words.done()
    };
    let keyed = |map: &BTreeMap<String, EntryPoint>| -> BTreeMap<String, EntryPoint> {
        map.iter().map(|(name, one)| (format!("entry point {name}"), one.clone())).collect()
    };
    compare(&keyed(old), &keyed(new), |name| name.clone(), differs, changes);
}

fn address(entry_point: &EntryPoint) -> String {
    let EntryPoint { ip, port, protocol, .. } = entry_point;
    match ip {
        Some(ip) => format!("{}/{protocol}", std::net::SocketAddr::new(*ip, *port)),
        None => format!(":{port}/{protocol}"),
    }
}

/// By the parts under which they stand in the file.
fn options(old: &EntryPointOptions, new: &EntryPointOptions, words: &mut Words) {
    let http = |one: &EntryPointOptions| {
        let EntryPointOptions { redirection, middlewares, tls, .. } = one.clone();
        let limits = (one.max_head, one.max_headers, one.encode_semicolons, one.sanitize_path);
        (redirection, middlewares, tls, limits)
    };
    let transport = |one: &EntryPointOptions| {
        let keep_alive = (one.keep_alive_time, one.keep_alive_requests);
        (one.timeouts, one.accept_grace, one.grace, keep_alive, one.max_connections)
    };
    let parts = [
        ("asDefault", old.as_default != new.as_default),
        ("proxyProtocol", old.proxy_protocol != new.proxy_protocol),
        ("forwardedHeaders", old.forwarded != new.forwarded),
        ("http", http(old) != http(new)),
        ("http2", old.max_streams != new.max_streams),
        ("transport", transport(old) != transport(new)),
        ("udp", old.udp_timeout != new.udp_timeout),
        ("observability", old.observability != new.observability),
    ];
    for (name, changed) in parts {
        words.add_if(changed, || format!("{name} changed"));
    }
}

/// Routers, services, middlewares and what else came, went or changed.
pub(super) fn dynamic(old: &Dynamic, new: &Dynamic, changes: &mut Vec<String>) {
    fn keyed<T>(list: &[T], id: impl Fn(&T) -> &Id) -> BTreeMap<&Id, &T> {
        list.iter().map(|one| (id(one), one)).collect()
    }
    let of = |kind: &'static str| move |id: &&Id| format!("{kind} {id}");
    let (before, after) = others(&old.routers, &new.routers, |o| &o.id);
    compare(&before, &after, of("router"), |old, new| router(old, new), changes);
    let (before, after) = others(&old.services, &new.services, |o| &o.id);
    compare(&before, &after, of("service"), |old, new| service(old, new), changes);
    let (before, after) = (keyed(&old.middlewares, |o| &o.id), keyed(&new.middlewares, |o| &o.id));
    let differs = |old: &&Middleware, new: &&Middleware| {
        let kinds = (old.settings.kind(), new.settings.kind());
        (old != new).then(|| match kinds.0 == kinds.1 {
            true => format!("{} changed", kinds.0),
            false => format!("{} → {}", kinds.0, kinds.1),
        })
    };
    compare(&before, &after, of("middleware"), differs, changes);
    let (before, after) = (keyed(&old.transports, |o| &o.id), keyed(&new.transports, |o| &o.id));
    let differs = |old: &&Transport, new: &&Transport| (old != new).then(|| "changed".to_owned());
    compare(&before, &after, of("servers transport"), differs, changes);
    tls(&old.tls, &new.tls, changes);
}

/// By id, without those that are the same object in both: there is nothing to compare. Both lists are
/// in order of ids.
fn others<'a, T>(
    old: &'a [Shared<T>],
    new: &'a [Shared<T>],
    id: impl Fn(&T) -> &Id,
) -> (BTreeMap<&'a Id, &'a T>, BTreeMap<&'a Id, &'a T>) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    let mut rest = old.iter().peekable();
    for one in new {
        while let Some(gone) = rest.next_if(|other| id(other) < id(one)) {
            before.insert(id(gone), &**gone);
        }
        if rest.next_if(|other| other.is(one)).is_none() {
            after.insert(id(one), &**one);
        }
    }
    before.extend(rest.map(|gone| (id(gone), &**gone)));
    (before, after)
}

fn tls(old: &TlsConfig, new: &TlsConfig, changes: &mut Vec<String>) {
    let (before, after) = (old.certificates.len(), new.certificates.len());
    if before != after {
        changes.push(format!("tls.certificates: {before} → {after}"));
    } else if old.certificates != new.certificates {
        changes.push("tls.certificates: changed".to_owned());
    }
    if old.default_certificate != new.default_certificate {
        changes.push("tls.stores.default: changed".to_owned());
    }
    let differs = |old: &TlsOptions, new: &TlsOptions| (old != new).then(|| "changed".to_owned());
    compare(&old.options, &new.options, |name| format!("tls.options.{name}"), differs, changes);
}

fn compare<K: Ord, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    name: impl Fn(&K) -> String,
    differs: impl Fn(&V, &V) -> Option<String>,
    changes: &mut Vec<String>,
) {
    for key in old.keys().filter(|key| !new.contains_key(key)) {
        changes.push(format!("{}: removed", name(key)));
    }
    for (key, value) in new {
        match old.get(key) {
            None => changes.push(format!("{}: added", name(key))),
            Some(before) => {
                if let Some(what) = differs(before, value) {
                    changes.push(format!("{}: {what}", name(key)));
                }
            }
        }
    }
}

/// Where it stands in the file doesn't count.
fn router(old: &RouterConfig, new: &RouterConfig) -> Option<String> {
    let mut words = Words::default();
    words.add_if(old.service != new.service, || {
        format!("service {} → {}", old.service, new.service)
    });
    words.add_if(old.entry_points != new.entry_points, || {
        format!(
            "entry points [{}] → [{}]",
            old.entry_points.join(", "),
            new.entry_points.join(", ")
        )
    });
    words.add_if(old.priority != new.priority, || {
        format!("priority {} → {}", old.priority, new.priority)
    });
    let rule = |one: &RouterConfig| one.rule.as_deref().map_or("none", Rule::text).to_owned();
    words.add_if(old.rule != new.rule, || format!("rule {} → {}", rule(old), rule(new)));
    words.add_if(old.middlewares != new.middlewares, || {
        let (old, new) = (old.middlewares.join(", "), new.middlewares.join(", "));
        format!("middlewares [{old}] → [{new}]")
    });
    words.add_if(old.tls != new.tls, || "tls changed".to_owned());
    words.add_if(old.observability != new.observability, || "observability changed".to_owned());
    words.add_if(old.datapath != new.datapath, || "datapath changed".to_owned());
    words.done()
}

fn service(old: &Service, new: &Service) -> Option<String> {
    let mut words = Words::default();
    servers(old, new, &mut words);
    words.add_if(old.algorithm != new.algorithm, || {
        format!("algorithm {} → {}", old.algorithm.name(), new.algorithm.name())
    });
    words.add_if(old.health_check != new.health_check, || "health check changed".to_owned());
    words.add_if(old.forwarding != new.forwarding, || "forwarding changed".to_owned());
    words.add_if(old.on_down != new.on_down, || "onDown changed".to_owned());
    words.add_if(old.on_empty != new.on_empty, || "onEmpty changed".to_owned());
    balancing(old, new, &mut words);
    words.add_if(old.composed != new.composed, || "what it is made of changed".to_owned());
    words.add_if(old.drain_timeout != new.drain_timeout, || {
        format!("drainTimeout {:?} → {:?}", old.drain_timeout, new.drain_timeout)
    });
    words.done()
}

/// What only the proxy knows of.
fn balancing(old: &Service, new: &Service, words: &mut Words) {
    let (old, new) = (&old.http, &new.http);
    let queue = (old.queue, old.queue_timeout) != (new.queue, new.queue_timeout);
    let parts = [
        ("passHostHeader", old.pass_host != new.pass_host),
        ("sticky", old.sticky != new.sticky),
        ("responseForwarding", old.flush_interval != new.flush_interval),
        ("serversTransport", old.transport != new.transport),
        ("passiveHealthCheck", old.passive != new.passive),
        ("slowStart", old.slow_start != new.slow_start),
        ("queue", queue),
    ];
    for (name, changed) in parts {
        words.add_if(changed, || format!("{name} changed"));
    }
}

fn servers(old: &Service, new: &Service, words: &mut Words) {
    let weights = |service: &Service| -> BTreeMap<String, u32> {
        service.servers.iter().map(|server| (server.address(), server.weight)).collect()
    };
    let (old_weights, new_weights) = (weights(old), weights(new));
    for address in old_weights.keys().filter(|address| !new_weights.contains_key(*address)) {
        words.0.push(format!("{address} removed"));
    }
    for (address, weight) in &new_weights {
        match old_weights.get(address) {
            None => words.0.push(format!("{address} added with weight {weight}")),
            Some(before) => {
                words.add_if(before != weight, || format!("{address} weight {before} → {weight}"));
            }
        }
    }
    let options = |service: &Service| -> BTreeMap<String, Server> {
        service.servers.iter().map(|server| (server.address(), server.clone())).collect()
    };
    let (old_options, new_options) = (options(old), options(new));
    for (address, server) in &new_options {
        let before = old_options.get(address).is_some_and(|old| old.options != server.options);
        words.add_if(before, || format!("{address} options changed"));
    }
    let same = old_options == new_options && old.servers != new.servers;
    words.add_if(same, || "order of the servers changed".to_owned());
}

/// What differs, joined by commas.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add_if(&mut self, condition: bool, words: impl FnOnce() -> String) {
        if condition {
            self.0.push(words());
        }
    }

    fn done(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{HostPorts, Loaded, load_bytes};

    fn load(text: &str) -> Loaded {
        load_bytes(Path::new("lb.yaml"), text.as_bytes(), &HostPorts::default()).expect("sound")
    }

    fn changes(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (load(old), load(new));
        let mut changes = Vec::new();
        super::settings(&old.settings, &new.settings, &mut changes);
        super::entry_points(&old.entry_points, &new.entry_points, &mut changes);
        super::dynamic(&old.dynamic, &new.dynamic, &mut changes);
        changes
    }

    /// Of a service's `loadBalancer`.
    fn of_service(old: &str, new: &str) -> Vec<String> {
        let text =
            |inner| format!("tcp: {{ services: {{ s: {{ loadBalancer: {{ {inner} }} }} }} }}");
        changes(&text(old), &text(new))
    }

    /// Of a router beside two entry points and two services.
    fn of_router(old: &str, new: &str) -> Vec<String> {
        let text = |inner| {
            format!(
                "entryPoints: {{ e: {{ address: '198.51.100.1:1' }}, f: {{ address: '198.51.100.1:2' }} }}\n\
                 tcp:\n  services: {{ s: {{ loadBalancer: {{}} }}, t: {{ loadBalancer: {{}} }} }}\n\
                 \x20 routers: {{ r: {{ {inner} }} }}\n"
            )
        };
        changes(&text(old), &text(new))
    }

    /// An HTTP service and a middleware.
    fn http(balancer: &str, prefix: &str) -> String {
        format!(
            "http: {{ services: {{ s: {{ loadBalancer: {{ {balancer} }} }} }}, \
             middlewares: {{ m: {{ addPrefix: {{ prefix: '/{prefix}' }} }} }} }}"
        )
    }

    macro_rules! rows {
        ($($(#[$meta:meta])* $name:ident: $changes:expr => [$($line:literal),*];)*) => {
            $(
                $(#[$meta])*
                #[test]
                fn $name() {
                    let lines: &[&str] = &[$($line),*];
                    assert_eq!($changes, lines);
                }
            )*
        };
    }

    rows! {
        nothing: changes("log: {}", "log: {}") => [];
        places_do_not_count: of_router("service: s", "\n service: s") => [];
        the_mode: changes("{}", "datapath: { mode: tc }") => ["datapath.mode: auto → tc"];
        the_table: changes("{}", "datapath: { connections: 4096 }") => ["datapath.connections: 1000000 → 4096"];
        time_outs: changes("{}", "datapath: { timeouts: { udp: 1s } }") => ["datapath.timeouts: changed"];
        sections: changes("{}", "log: { level: debug }\napi: { address: ':1' }") => ["api: changed", "log: changed"];
        an_entry_point_added: changes("{}", "entryPoints: { e: { address: ':1' } }") => ["entry point e: added"];
        an_entry_point_removed: changes("entryPoints: { e: { address: ':1' } }", "{}") => ["entry point e: removed"];
        an_entry_point_moved: changes("entryPoints: { e: { address: ':1' } }", "entryPoints: { e: { address: '[2001:db8::1]:1/udp' } }") => ["entry point e: :1/tcp → [2001:db8::1]:1/udp"];
        a_router_added: of_router("service: s", "service: s }, q: { service: t, entryPoints: [f], priority: 1") => ["router tcp/q@file: added"];
        a_routers_service: of_router("service: s", "service: t") => ["router tcp/r@file: service s → t"];
        a_routers_entry_points: of_router("service: s, entryPoints: [e]", "service: s, entryPoints: [e, f]") => ["router tcp/r@file: entry points [e] → [e, f]"];
        a_routers_priority: of_router("service: s", "service: s, priority: 3") => ["router tcp/r@file: priority 0 → 3"];
        a_routers_path: of_router("service: s", "service: s, datapath: kernel") => ["router tcp/r@file: datapath changed"];
        a_server_added: of_service("", "servers: [ { address: 'a:1' } ]") => ["service tcp/s@file: a:1 added with weight 1"];
        a_server_removed: of_service("servers: [ { address: 'a:1' } ]", "") => ["service tcp/s@file: a:1 removed"];
        a_weight: of_service("servers: [ { address: 'a:1' } ]", "servers: [ { address: 'a:1', weight: 5 } ]") => ["service tcp/s@file: a:1 weight 1 → 5"];
        the_order: of_service("servers: [ { address: 'a:1' }, { address: 'b:1' } ]", "servers: [ { address: 'b:1' }, { address: 'a:1' } ]") => ["service tcp/s@file: order of the servers changed"];
        the_algorithm: of_service("", "algorithm: random") => ["service tcp/s@file: algorithm maglev → random"];
        the_check: of_service("", "healthCheck: {}") => ["service tcp/s@file: health check changed"];
        the_drain_time: of_service("", "drainTimeout: 10s") => ["service tcp/s@file: drainTimeout 300s → 10s"];
        http_added: changes("{}", &http("", "")) => ["service http/s@file: added", "middleware http/m@file: added"];
        a_url_to_tls: changes(&http("servers: [ { url: 'http://a:80' } ]", ""), &http("servers: [ { url: 'https://a:80' } ]", "")) => ["service http/s@file: a:80 options changed"];
        a_sticky_cookie: changes(&http("", ""), &http("sticky: { cookie: true }", "")) => ["service http/s@file: sticky changed"];
        a_queue: changes(&http("", ""), &http("queue: 3, slowStart: 1s", "")) => ["service http/s@file: slowStart changed, queue changed"];
        a_middleware: changes(&http("", "/a"), &http("", "/b")) => ["middleware http/m@file: addPrefix changed"];
        a_transport_added: changes("http: {}", "http: { serversTransports: { t: {} } }") => ["servers transport http/t@file: added"];
        a_transport: changes("http: { serversTransports: { t: {} } }", "http: { serversTransports: { t: { disableHTTP2: true } } }") => ["servers transport http/t@file: changed"];
        a_certificate: changes("tls: {}", "tls: { certificates: [ { certFile: a, keyFile: b } ] }") => ["tls.certificates: 0 → 1"];
        another_certificate: changes("tls: { certificates: [ { certFile: a, keyFile: b } ] }", "tls: { certificates: [ { certFile: c, keyFile: b } ] }") => ["tls.certificates: changed"];
        tls_options: changes("tls: {}", "tls: { options: { o: {} } }") => ["tls.options.o: added"];
        the_default_certificate: changes("tls: {}", "tls: { stores: { default: { defaultCertificate: { certFile: a, keyFile: b } } } }") => ["tls.stores.default: changed"];
        an_entry_points_options: changes("entryPoints: { e: { address: ':1' } }", "entryPoints: { e: { address: ':1', asDefault: true, http: { maxHeaders: 9 } } }") => ["entry point e: asDefault changed, http changed"];
        #[cfg(feature = "otel")]
        the_tracing: changes("tracing: {}", "tracing: { sampleRate: 0.1 }") => ["tracing: changed"];
        the_access_log: changes("{}", "accessLog: {}") => ["accessLog: changed"];
        a_rule: of_router("service: s", "service: s, rule: 'HostSNI(`a`)'") => ["router tcp/r@file: rule none → HostSNI(`a`)"];
        tls_of_a_router: of_router("service: s", "service: s, tls: {}") => ["router tcp/r@file: tls changed"];
        several_at_once: of_service("", "onDown: reset, onEmpty: drop") => ["service tcp/s@file: onDown changed, onEmpty changed"];
    }
}
