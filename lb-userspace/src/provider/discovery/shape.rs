//! What labels leave open is filled in: servers from address and port, services, routers, rules.

use super::{
    Health, Instance, Reason, Rules,
    template::{Subject, normalize},
};
use crate::{
    config::{
        decode::is_on,
        flat::Tree,
        tree::{Key, Node, Pos, Value, quoted},
    },
    model::{Fault, Protocol},
};

/// Why an instance can't serve.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// Completes the tree of an instance's labels.
///
/// # Errors
/// It needs an address or a port and has none. Labels at fault are among the tree's own.
pub(super) fn complete(tree: &mut Tree, instance: &Instance, rules: &Rules) -> Result<(), Unfit> {
    let mut root = std::mem::replace(&mut tree.root, Node::bare(Pos::default(), Value::Null));
    let mut shape = Shape { tree, instance, rules };
    let done = shape.root(&mut root);
    tree.root = root;
    done
}

struct Shape<'a> {
    tree: &'a mut Tree,
    instance: &'a Instance,
    rules: &'a Rules,
}

impl Shape<'_> {
    fn root(&mut self, root: &mut Node) -> Result<(), Unfit> {
        let mut has_l4 = false;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let Some(part) = get(root, protocol.name()) else { continue };
            has_l4 = true;
            if !names(part, "routers").is_empty() && names(part, "services").is_empty() {
                self.default_service(part);
            }
            self.services(part, protocol)?;
            self.routers(part, protocol);
        }
        if has_l4 && get(root, "http").is_none() {
            return Ok(());
        }
        let part = get_or_add(root, "http");
        if names(part, "services").is_empty() && self.needs_service(part)? {
            self.default_service(part);
        }
        self.services(part, Protocol::Http)?;
        let has_services = !names(part, "services").is_empty();
        if names(part, "routers").is_empty() && has_services {
            self.default_router(part);
        }
        self.routers(part, Protocol::Http);
        Ok(())
    }

    /// Whether an HTTP service is made of the instance itself. One that only brings middlewares, or
    /// routers to services elsewhere, needs no port.
    fn needs_service(&self, part: &mut Node) -> Result<bool, Unfit> {
        let lacks = |router: &mut Node| get(router, "service").is_none();
        let routers = get(part, "routers").map(|routers| children(routers)).unwrap_or_default();
        let is_needed = routers.into_iter().any(|(_, router)| lacks(router));
        let brings = !names(part, "routers").is_empty() || !names(part, "middlewares").is_empty();
        match self.address(None, Protocol::Http) {
            Ok(_) => Ok(true),
            Err(_) if brings && !is_needed => Ok(false),
            Err(_) if self.is_empty() => Ok(true),
            Err(unfit) => Err(unfit),
        }
    }

    /// Unhealthy, under `allowEmptyServices`.
    fn is_empty(&self) -> bool {
        self.instance.health != Health::Good
    }

    fn default_service(&self, part: &mut Node) {
        let services = get_or_add(part, "services");
        add(services, &normalize(&self.instance.service), "loadBalancer");
    }

    fn default_router(&self, part: &mut Node) {
        let name = normalize(&self.instance.service);
        if let Value::Map(entries) = &mut get_or_add(part, "routers").value {
            entries.push((key(&name), map()));
        }
    }

    fn services(&mut self, part: &mut Node, protocol: Protocol) -> Result<(), Unfit> {
        let Some(services) = get(part, "services") else { return Ok(()) };
        for (_, service) in children(services) {
            if let Some(balancer) = get(service, "loadBalancer") {
                self.servers(balancer, protocol)?;
            }
        }
        Ok(())
    }

    fn servers(&mut self, balancer: &mut Node, protocol: Protocol) -> Result<(), Unfit> {
        into_map(balancer);
        let (one, many) = (take(balancer, "server"), take(balancer, "servers"));
        let Value::Map(entries) = &mut balancer.value else { return Ok(()) };
        let mut servers = match (one, many) {
            (Some(one), Some((key, _))) => {
                self.fault(one.0.pos, format!("stands beside {:?}; keep one", key.name));
                return Ok(());
            }
            (Some((_, one)), None) => vec![one],
            (None, Some((_, many))) => match many.value {
                Value::Map(items) => items.into_iter().map(|(_, item)| item).collect(),
                _ => vec![many],
            },
            (None, None) => vec![map()],
        };
        for server in &mut servers {
            self.server(server, protocol)?;
        }
        if self.is_empty() {
            servers.clear();
        }
        entries.push((key("servers"), Node::bare(Pos::default(), Value::List(servers))));
        Ok(())
    }

    /// `port` and `scheme` become `url` or `address`; the weight is the instance's.
    fn server(&mut self, server: &mut Node, protocol: Protocol) -> Result<(), Unfit> {
        into_map(server);
        if !matches!(server.value, Value::Map(_)) {
            return Ok(());
        }
        let (whole, port) = match protocol {
            Protocol::Http => ("url", take(server, "port")),
            Protocol::Tcp | Protocol::Udp => ("address", take(server, "port")),
        };
        let scheme = (protocol == Protocol::Http).then(|| take(server, "scheme")).flatten();
        if get(server, whole).is_some() {
            for (key, _) in [port, scheme].into_iter().flatten() {
                self.fault(key.pos, format!("stands beside `{whole}`; keep one"));
            }
        } else {
            let pos = port.as_ref().or(scheme.as_ref()).map(|(_, node)| node.pos);
            let port = port.and_then(|(_, node)| self.port(&node));
            let address = match self.address(port, protocol) {
                Ok(address) => address,
                // It gets no server anyhow.
                Err(_) if self.is_empty() => return Ok(()),
                Err(unfit) => return Err(unfit),
            };
            let scheme = scheme.and_then(|(_, node)| text(&node).map(str::to_owned));
            let value = match protocol {
                Protocol::Http => format!("{}://{address}", scheme.as_deref().unwrap_or("http")),
                Protocol::Tcp | Protocol::Udp => address,
            };
            set(server, whole, pos.unwrap_or_default(), value);
        }
        if self.instance.leaving {
            drop(take(server, "weight"));
            set(server, "weight", Pos::default(), "0".to_owned());
        } else if let (None, Some(weight)) = (get(server, "weight"), self.instance.weight) {
            set(server, "weight", Pos::default(), weight.to_string());
        }
        Ok(())
    }

    fn port(&mut self, node: &Node) -> Option<u16> {
        let written = text(node).unwrap_or_default();
        let port = written.trim().parse().ok().filter(|port| *port > 0);
        if port.is_none() {
            let message = format!("expected a port from 1 to 65535, found {}", quoted(written));
            self.fault(node.pos, message);
        }
        // The instance is out for that alone.
        port.or(Some(1))
    }

    /// `host:port` of the instance.
    fn address(&self, port: Option<u16>, protocol: Protocol) -> Result<String, Unfit> {
        let Instance { address, unreachable, tcp, udp, .. } = self.instance;
        let Some(host) = address else {
            return Err(Unfit { reason: Reason::NoAddress, detail: unreachable.clone() });
        };
        let ports = if protocol == Protocol::Udp { udp } else { tcp };
        let port = port.or_else(|| ports.first().copied()).ok_or_else(|| {
            let detail = "it exposes none and no label names one (`…loadbalancer.server.port`)";
            Unfit { reason: Reason::NoPort, detail: detail.to_owned() }
        })?;
        Ok(match host.parse::<std::net::Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        })
    }

    /// Each gets a rule and a service.
    fn routers(&mut self, part: &mut Node, protocol: Protocol) {
        let services = names(part, "services");
        let Some(routers) = get(part, "routers") else { return };
        for (name, router) in children(routers) {
            let pos = router.pos;
            into_map(router);
            if protocol == Protocol::Http && get(router, "rule").is_none() {
                match self.default_rule() {
                    Ok(rule) => set(router, "rule", pos, rule),
                    Err(why) => self.fault(pos, format!("router {name:?} has no rule: {why}")),
                }
            }
            if get(router, "service").is_some() {
                continue;
            }
            match services.as_slice() {
                [only] => set(router, "service", pos, only.clone()),
                [] => {}
                several => {
                    let list = several.join(", ");
                    let message = format!("router {name:?} names no service of these: {list}");
                    self.fault(pos, message);
                }
            }
        }
    }

    fn default_rule(&self) -> Result<String, String> {
        let Instance { service, name, labels, .. } = self.instance;
        let subject = Subject { name: service, instance: name, labels };
        let rule = self.rules.default_rule.render(&subject);
        let rule = rule.map_err(|why| format!("defaultRule: {why}"))?;
        if rule.trim().is_empty() { Err("defaultRule gives none".to_owned()) } else { Ok(rule) }
    }

    fn fault(&mut self, pos: Pos, message: String) {
        let fault: Fault = self.tree.spot(pos).fault(message);
        self.tree.faults.push(fault);
    }
}

fn key(name: &str) -> Key {
    Key { pos: Pos::default(), name: name.to_owned() }
}

fn map() -> Node {
    Node::bare(Pos::default(), Value::Map(Vec::new()))
}

/// What labels merely switch on has no keys.
fn into_map(node: &mut Node) {
    if matches!(&node.value, Value::Text(text) if is_on(text)) {
        node.value = Value::Map(Vec::new());
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn get<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            let found = entries.iter_mut().find(|(key, _)| key.name.eq_ignore_ascii_case(name));
            found.map(|(_, node)| node)
        }
        _ => None,
    }
}

fn get_or_add<'n>(node: &'n mut Node, name: &str) -> &'n mut Node {
    if get(node, name).is_none() {
        if !matches!(node.value, Value::Map(_)) {
            node.value = Value::Map(Vec::new());
        }
        if let Value::Map(entries) = &mut node.value {
            entries.push((key(name), map()));
        }
    }
    get(node, name).unwrap_or_else(|| unreachable!("it was added"))
}

fn add(node: &mut Node, name: &str, below: &str) {
    let mut object = map();
    get_or_add(&mut object, below);
    if let Value::Map(entries) = &mut node.value {
        entries.push((key(name), object));
    }
}

fn set(node: &mut Node, name: &str, pos: Pos, value: String) {
    if let Value::Map(entries) = &mut node.value {
        let key = Key { pos, name: name.to_owned() };
        entries.push((key, Node::bare(pos, Value::Text(value))));
    }
}

fn take(node: &mut Node, name: &str) -> Option<(Key, Node)> {
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|(key, _)| key.name.eq_ignore_ascii_case(name))?;
    Some(entries.remove(at))
}

fn children(node: &mut Node) -> Vec<(String, &mut Node)> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().map(|(key, node)| (key.name.clone(), node)).collect()
        }
        _ => Vec::new(),
    }
}

fn names(node: &mut Node, part: &str) -> Vec<String> {
    let part = get(node, part).map(|part| children(part)).unwrap_or_default();
    part.into_iter().map(|(name, _)| name).collect()
}
