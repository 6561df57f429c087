//! Services.

use serde_json::{Value, json};

use super::{named, rows};
use crate::model::{
    Algorithm, BackendState, Composed, Cookie, Id, Protocol, SameSite, Scheme, Server, Service,
    Snapshot,
};

/// One of `GET /api/{http,tcp,udp}/services`.
pub(in super::super) fn service(snapshot: &Snapshot, s: &Service) -> Value {
    let mut value = info(snapshot, s);
    value["name"] = json!(s.id.qualified());
    value["provider"] = json!(s.id.provider);
    value["type"] = json!(rows::kind(s).to_lowercase());
    value
}

pub(super) fn info(snapshot: &Snapshot, s: &Service) -> Value {
    let users: Vec<String> = rows::users(snapshot, &s.id).map(|r| r.id.qualified()).collect();
    let mut value = json!({
        "status": if rows::up(snapshot, s).0 == 0 { "warning" } else { "enabled" },
        "usedBy": users,
    });
    value[rows::kind(s)] = match &s.composed {
        Some(composed) => self::composed(composed, &s.id),
        None => balancer(s),
    };
    if s.health_check.is_some() {
        value["serverStatus"] = server_status(s);
    }
    value
}

fn balancer(s: &Service) -> Value {
    let servers: Vec<Value> = s.servers.iter().map(|server| self::server(s, server)).collect();
    let mut value = json!({ "servers": servers });
    if s.id.protocol != Protocol::Http {
        return value;
    }
    value["strategy"] = json!(match s.algorithm {
        Algorithm::RoundRobin => "wrr",
        Algorithm::SourceHash => "hrw",
        other => other.name(),
    });
    value["passHostHeader"] = json!(s.http.pass_host);
    value["responseForwarding"] =
        json!({ "flushInterval": format!("{:?}", s.http.flush_interval) });
    if let Some(transport) = &s.http.transport {
        value["serversTransport"] = json!(named(transport, &s.id));
    }
    if let Some(cookie) = &s.http.sticky {
        value["sticky"] = json!({ "cookie": self::cookie(cookie) });
    }
    value
}

fn server(s: &Service, server: &Server) -> Value {
    if s.id.protocol == Protocol::Http {
        let mut value = json!({ "url": rows::url(server), "weight": server.weight });
        if server.options.preserve_path {
            value["preservePath"] = json!(true);
        }
        return value;
    }
    let mut value = json!({ "address": server.address(), "weight": server.weight });
    if server.options.scheme == Scheme::Https {
        value["tls"] = json!(true);
    }
    value
}

fn composed(composed: &Composed, owner: &Id) -> Value {
    let parts = |services: &[(Id, u32)]| -> Vec<Value> {
        let part = |(id, weight): &(Id, u32)| json!({ "name": named(id, owner), "weight": weight });
        services.iter().map(part).collect()
    };
    match composed {
        Composed::Weighted { services, sticky } => {
            let mut value = json!({ "services": parts(services) });
            if let Some(cookie) = sticky {
                value["sticky"] = json!({ "cookie": self::cookie(cookie) });
            }
            value
        }
        Composed::HighestRandomWeight { services } => json!({ "services": parts(services) }),
        Composed::Failover { service, fallback } => {
            json!({ "service": named(service, owner), "fallback": named(fallback, owner) })
        }
        Composed::Mirroring { service, mirror_body, max_body, mirrors } => {
            let mirror =
                |(id, percent): &(Id, u8)| json!({ "name": named(id, owner), "percent": percent });
            let mirrors: Vec<Value> = mirrors.iter().map(mirror).collect();
            json!({
                "service": named(service, owner),
                "mirrorBody": mirror_body,
                "maxBodySize": max_body.map_or(json!(-1), |most| json!(most)),
                "mirrors": mirrors,
            })
        }
    }
}

fn cookie(cookie: &Cookie) -> Value {
    let same_site = cookie.same_site.map(|one| match one {
        SameSite::None => "none",
        SameSite::Lax => "lax",
        SameSite::Strict => "strict",
    });
    json!({
        "name": cookie.name,
        "secure": cookie.secure,
        "httpOnly": cookie.http_only,
        "sameSite": same_site,
        "maxAge": cookie.max_age,
        "path": cookie.path,
        "domain": cookie.domain,
    })
}

/// `UP` or `DOWN` by server, as Traefik's health check tells it: by URL for HTTP.
fn server_status(s: &Service) -> Value {
    let word = |state: BackendState| if state.is_up() { "UP" } else { "DOWN" };
    let name = |b: &crate::model::Backend| match s.id.protocol {
        Protocol::Http => {
            let b_url = format!("{}://{}{}", b.options.scheme.name(), b.address, b.options.path);
            let named = s.servers.iter().find(|server| server.address() == b.server);
            named.map_or(b_url, rows::url)
        }
        Protocol::Tcp | Protocol::Udp => b.address.to_string(),
    };
    let pairs = s.backends.iter().map(|b| (name(b), json!(word(b.health.state))));
    Value::Object(pairs.collect())
}
