//! Who forwards a router: the kernel, or the proxy and why.

use std::borrow::Cow;

use crate::model::{
    Algorithm, Composed, EntryPoint, Path, PathChoice, Protocol, RouterConfig, Scheme, Service,
};

/// Who forwards, and why.
///
/// # Errors
/// What stands in the way of `datapath: kernel`.
pub(super) fn choose(
    config: &RouterConfig,
    points: &[&EntryPoint],
    service: Option<&Service>,
) -> Result<(Path, Cow<'static, str>), String> {
    let obstacle = of_router(config)
        .or_else(|| {
            points.iter().find_map(|point| of_entry_point(point, config.datapath)).map(Cow::from)
        })
        .or_else(|| service.and_then(of_service).map(Cow::from));
    match (obstacle, config.datapath) {
        (None, PathChoice::Auto) => Ok((Path::Kernel, "needs nothing from userspace".into())),
        (None, PathChoice::Kernel) => Ok((Path::Kernel, "datapath: kernel".into())),
        (_, PathChoice::Proxy) => Ok((Path::Proxy, "datapath: proxy".into())),
        (Some(what), PathChoice::Auto) => Ok((Path::Proxy, what)),
        (Some(what), PathChoice::Kernel) => Err(format!("the kernel can't serve it: {what}")),
    }
}

/// Whether a router takes all connections of its entry points, so that no other can share them.
pub(super) fn takes_all(config: &RouterConfig) -> bool {
    config.id.protocol != Protocol::Http && config.rule.is_none() && config.tls.is_none()
}

fn of_router(config: &RouterConfig) -> Option<Cow<'static, str>> {
    if config.id.protocol == Protocol::Http {
        return Some("HTTP is the proxy's".into());
    }
    if config.tls.is_some() {
        return Some("it has TLS".into());
    }
    if let Some(rule) = &config.rule {
        return Some(format!("it has the rule {}", rule.text()).into());
    }
    (!config.middlewares.is_empty()).then(|| "it has middlewares".into())
}

fn of_entry_point(point: &EntryPoint, choice: PathChoice) -> Option<String> {
    let EntryPoint { name, port, options, .. } = point;
    if options.proxy_protocol.is_some() {
        return Some(format!("entry point {name:?} expects the PROXY protocol"));
    }
    if options.max_connections > 0 {
        return Some(format!("entry point {name:?} has a bound of connections"));
    }
    match point.ip {
        None if choice == PathChoice::Kernel => None,
        None => Some(format!(
            "entry point {name:?} (\":{port}\") has no address of its own (`datapath: kernel` takes \
             every address of the interfaces)"
        )),
        Some(ip) if ip.is_loopback() => {
            Some(format!("entry point {name:?} is on loopback ({ip}), where no packet comes in"))
        }
        Some(ip) if ip.is_multicast() => {
            Some(format!("entry point {name:?} has a multicast address ({ip})"))
        }
        Some(_) => None,
    }
}

/// What of a service only the proxy has.
pub(super) fn of_service(service: &Service) -> Option<String> {
    let name = service.id.qualified();
    if let Some(composed) = &service.composed {
        let kind = match composed {
            Composed::Weighted { .. } => "weighted",
            Composed::Mirroring { .. } => "mirroring",
            Composed::Failover { .. } => "failover",
            Composed::HighestRandomWeight { .. } => "highestRandomWeight",
        };
        return Some(format!("service {name} is made of services ({kind})"));
    }
    if matches!(service.algorithm, Algorithm::P2c | Algorithm::LeastTime) {
        let algorithm = service.algorithm.name();
        return Some(format!(
            "service {name} has the algorithm {algorithm}, which only the proxy has"
        ));
    }
    if service.http.transport.is_some() {
        return Some(format!("service {name} has a servers transport"));
    }
    for server in &service.servers {
        let address = server.address();
        if server.options.scheme != Scheme::Http {
            return Some(format!("server {address} of service {name} gets TLS"));
        }
        if server.options.max_connections > 0 {
            return Some(format!("server {address} of service {name} has a bound of connections"));
        }
        if server.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return Some(format!(
                "server {address} of service {name} is this host itself, and packets go only \
                 beyond an interface"
            ));
        }
    }
    None
}
