//! Bodies in Traefik's shapes (its `pkg/api`): overview, entry points, routers, services,
//! middlewares, raw data, with its paging and its filters.

mod entry_points;
mod middlewares;
mod routers;
mod services;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) use entry_points::entry_point;
pub(super) use middlewares::middlewares;
pub(super) use routers::routers;
pub(super) use services::service;

use super::{ApiError, Troubles, rows};
use crate::model::{Id, Protocol, Snapshot};

/// `?search=&status=&serviceName=&page=&per_page=`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    search: String,
    status: String,
    #[serde(rename = "serviceName")]
    service_name: String,
    page: Option<usize>,
    per_page: Option<usize>,
}

/// Traefik's default page.
const PER_PAGE: usize = 100;

impl Page {
    /// The entries of this page, and the number of the next (1 after the last, as Traefik has it).
    pub(super) fn cut(&self, mut all: Vec<Value>) -> Result<(Vec<Value>, usize), ApiError> {
        all.retain(|v| self.keeps(v));
        let (page, per_page) = (self.page.unwrap_or(1), self.per_page.unwrap_or(PER_PAGE));
        if page == 0 || per_page == 0 {
            return Err(ApiError::BadRequest("page and per_page begin at 1".to_owned()));
        }
        let start = (page - 1).saturating_mul(per_page);
        if start > 0 && start >= all.len() {
            return Err(ApiError::BadRequest(format!(
                "invalid request: page: {page}, per_page: {per_page}"
            )));
        }
        let more = start.saturating_add(per_page) < all.len();
        let rows = all.into_iter().skip(start).take(per_page).collect();
        Ok((rows, if more { page + 1 } else { 1 }))
    }

    fn keeps(&self, v: &Value) -> bool {
        let text = |key: &str| v[key].as_str().unwrap_or_default().to_lowercase();
        let holds = |key: &str, part: &str| text(key).contains(&part.to_lowercase());
        (self.search.is_empty()
            || ["name", "rule", "service"].iter().any(|key| holds(key, &self.search)))
            && (self.status.is_empty() || text("status") == self.status.to_lowercase())
            && (self.service_name.is_empty() || holds("service", &self.service_name))
    }
}

/// `GET /api/overview`.
pub(super) fn overview(snapshot: &Snapshot, troubles: &Troubles, providers: &[String]) -> Value {
    let part = |protocol: Protocol| {
        let services: Vec<_> =
            snapshot.services.values().filter(|s| s.id.protocol == protocol).collect();
        let down = services.iter().filter(|s| rows::up(snapshot, s).0 == 0).count();
        json!({
            "routers": routers_of(snapshot, troubles, protocol),
            "services": section(services.len(), down, 0),
        })
    };
    let with_middlewares = |protocol: Protocol| {
        let mut part = part(protocol);
        let middlewares = count(snapshot.middlewares.keys(), protocol);
        let is_out = |id: &&Id| !snapshot.middlewares.contains_key(id);
        let out = count(troubles.middlewares.keys().filter(is_out), protocol);
        let off = count(troubles.middlewares.keys(), protocol);
        part["middlewares"] = section(middlewares + out, 0, off);
        part
    };
    json!({
        "http": with_middlewares(Protocol::Http),
        "tcp": with_middlewares(Protocol::Tcp),
        "udp": part(Protocol::Udp),
        "features": {
            "tracing": if snapshot.settings.tracing.is_some() { "OpenTelemetry" } else { "" },
            "metrics": "Prometheus",
            "accessLog": snapshot.settings.access_log.is_some(),
        },
        "providers": providers,
    })
}

fn routers_of(snapshot: &Snapshot, troubles: &Troubles, protocol: Protocol) -> Value {
    let out = troubles.routers.keys().filter(|id| !snapshot.routers.contains_key(id));
    let total = count(snapshot.routers.keys(), protocol) + count(out, protocol);
    let noted = troubles.notes.keys().filter(|id| !troubles.routers.contains_key(id));
    section(total, count(noted, protocol), count(troubles.routers.keys(), protocol))
}

fn count<'a>(ids: impl Iterator<Item = &'a Id>, protocol: Protocol) -> usize {
    ids.filter(|id| id.protocol == protocol).count()
}

fn section(total: usize, warnings: usize, errors: usize) -> Value {
    json!({ "total": total, "warnings": warnings, "errors": errors })
}

/// `GET /api/rawdata`.
pub(super) fn rawdata(snapshot: &Snapshot, troubles: &Troubles) -> Value {
    let of = |id: &&Id, protocol| id.protocol == protocol;
    let routers = |protocol| {
        let all = snapshot.routers.keys().chain(troubles.routers.keys());
        let ids = all.filter(move |id| of(id, protocol));
        object(ids.map(|id| (id, routers::info(snapshot, id, troubles))))
    };
    let services = |protocol| {
        let of = snapshot.services.values().filter(move |s| s.id.protocol == protocol);
        object(of.map(|s| (&s.id, services::info(snapshot, s))))
    };
    let middlewares = |protocol| {
        let all = snapshot.middlewares.keys().chain(troubles.middlewares.keys());
        let ids = all.filter(move |id| of(id, protocol));
        object(ids.map(|id| (id, middlewares::info(snapshot, id, troubles))))
    };
    let parts = [
        ("routers", routers(Protocol::Http)),
        ("middlewares", middlewares(Protocol::Http)),
        ("services", services(Protocol::Http)),
        ("tcpRouters", routers(Protocol::Tcp)),
        ("tcpMiddlewares", middlewares(Protocol::Tcp)),
        ("tcpServices", services(Protocol::Tcp)),
        ("udpRouters", routers(Protocol::Udp)),
        ("udpServices", services(Protocol::Udp)),
    ];
    // Traefik leaves empty parts out.
    let kept = parts.into_iter().filter(|(_, part)| !part.is_empty());
    Value::Object(kept.map(|(name, part)| (name.to_owned(), Value::Object(part))).collect())
}

/// A list of objects, each named and with its provider.
fn listed<'a>(
    ids: impl Iterator<Item = &'a Id>,
    protocol: Protocol,
    info: impl Fn(&Id) -> Value,
) -> BTreeMap<Id, Value> {
    let of = ids.filter(|id| id.protocol == protocol);
    of.map(|id| {
        let mut value = info(id);
        value["name"] = json!(id.qualified());
        value["provider"] = json!(id.provider);
        (id.clone(), value)
    })
    .collect()
}

fn object<'a>(entries: impl Iterator<Item = (&'a Id, Value)>) -> Map<String, Value> {
    entries.map(|(id, value)| (id.qualified(), value)).collect()
}

/// A name as Traefik writes it in an object of `owner`'s provider.
fn named(id: &Id, owner: &Id) -> String {
    if id.provider == owner.provider { id.name.to_string() } else { id.qualified() }
}

/// `GET /api/version`.
#[derive(Serialize)]
pub(super) struct Version<'a> {
    #[serde(rename = "Version")]
    pub(super) version: &'a str,
    #[serde(rename = "Codename")]
    pub(super) codename: &'a str,
    /// RFC 3339, UTC.
    #[serde(rename = "startDate")]
    pub(super) start_date: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn names(n: usize) -> Vec<Value> {
        (0..n).map(|i| json!({ "name": format!("r{i}@file"), "status": "enabled" })).collect()
    }

    macro_rules! pages {
        ($($test:ident: $page:expr, $per_page:expr => $expected:expr;)+) => {
            $(#[test]
            fn $test() {
                let page = Page { page: $page, per_page: $per_page, ..Page::default() };
                let got = page.cut(names(5)).map(|(rows, next)| (rows.len(), next)).ok();
                assert_eq!(got, $expected);
            })+
        };
    }

    pages! {
        page_by_default_is_all: None, None => Some((5, 1));
        page_first_names_the_next: Some(1), Some(2) => Some((2, 2));
        page_last_names_the_first: Some(3), Some(2) => Some((1, 1));
        page_that_fits_exactly_is_the_last: Some(1), Some(5) => Some((5, 1));
        page_past_the_end_is_refused: Some(4), Some(2) => None;
        page_zero_is_refused: Some(0), None => None;
        page_of_nothing_is_refused: None, Some(0) => None;
        page_of_huge_number_is_refused: Some(usize::MAX), Some(usize::MAX) => None;
    }

    #[test]
    fn search_filters_by_name_without_case() {
        let page = Page { search: "R3@".into(), ..Page::default() };
        assert_eq!(page.cut(names(5)).unwrap().0.len(), 1);
    }

    #[test]
    fn http_has_traefiks_keys() {
        let snapshot = samples::http();
        let id = |name: &str| Id::new(Protocol::Http, name, "file");
        let value = &routers(&snapshot, &Troubles::default(), Protocol::Http)[&id("web")];
        assert_eq!(value["rule"], "Host(`a.example`)");
        assert_eq!(value["priority"], 17);
        assert_eq!(value["middlewares"], json!(["prefix@file"]));
        assert_eq!(value["tls"], json!({ "options": "strict" }));
        assert_eq!(value["datapath"], "proxy");
        let value = service(&snapshot, &snapshot.services[&id("web")]);
        assert_eq!(value["type"], "loadbalancer");
        assert_eq!(value["loadBalancer"]["servers"][0]["url"], "https://10.0.1.5:8443/app");
        assert_eq!(value["loadBalancer"]["strategy"], "wrr");
        let value = service(&snapshot, &snapshot.services[&id("all")]);
        assert_eq!(value["type"], "weighted");
        assert_eq!(value["weighted"]["services"][0], json!({ "name": "web", "weight": 3 }));
        let value = &middlewares(&snapshot, &Troubles::default(), Protocol::Http)[&id("prefix")];
        assert_eq!(value["type"], "addprefix");
        assert_eq!(value["usedBy"], json!(["web@file"]));
        assert_eq!(value["name"], "prefix@file");
    }

    /// A router with a bad rule, `web` with another certificate than asked for, and a middleware
    /// that doesn't build.
    fn troubles() -> Troubles {
        let id = |name: &str| Id::new(Protocol::Http, name, "file");
        let mut troubles = Troubles::default();
        troubles.router_off(&id("bad"), "no rule".to_owned());
        troubles.note(&id("web"), "no ACME".to_owned());
        troubles.middleware_off(&id("broken"), "no regex".to_owned());
        troubles
    }

    #[test]
    fn overview_counts_what_is_off() {
        let value = overview(&samples::http(), &troubles(), &[]);
        assert_eq!(value["http"]["routers"], json!({ "total": 2, "warnings": 1, "errors": 1 }));
        assert_eq!(value["http"]["middlewares"], json!({ "total": 2, "warnings": 0, "errors": 1 }));
        assert_eq!(value["http"]["services"], json!({ "total": 2, "warnings": 0, "errors": 0 }));
    }

    #[test]
    fn what_is_off_is_listed_with_its_reason() {
        let (snapshot, troubles) = (samples::http(), troubles());
        let routers: Vec<Value> =
            routers(&snapshot, &troubles, Protocol::Http).into_values().collect();
        assert_eq!(
            routers[0],
            json!({ "name": "bad@file", "provider": "file", "status": "disabled", "error": ["no rule"] })
        );
        assert_eq!(
            (&routers[1]["name"], &routers[1]["status"]),
            (&json!("web@file"), &json!("warning"))
        );
        assert_eq!(routers[1]["error"], json!(["no ACME"]));
        let middlewares: Vec<Value> =
            middlewares(&snapshot, &troubles, Protocol::Http).into_values().collect();
        assert_eq!(middlewares[0]["status"], "disabled");
        assert_eq!(middlewares[0]["error"], json!(["no regex"]));
        assert_eq!(middlewares[1]["status"], "enabled");
        let raw = rawdata(&snapshot, &troubles);
        assert_eq!(raw["routers"]["bad@file"]["status"], "disabled");
        assert_eq!(raw["middlewares"]["broken@file"]["error"], json!(["no regex"]));
    }

    #[test]
    fn service_has_traefiks_keys() {
        let snapshot = samples::snapshot();
        let pg = snapshot.services.values().find(|s| s.id.name == "pg").unwrap();
        let value = service(&snapshot, pg);
        assert_eq!(value["name"], "pg@file");
        assert_eq!(value["provider"], "file");
        assert_eq!(value["type"], "loadbalancer");
        assert_eq!(value["status"], "enabled");
        assert_eq!(value["usedBy"], json!(["pg@file"]));
        assert_eq!(value["loadBalancer"]["servers"][0]["address"], "10.0.1.5:5432");
    }

    #[test]
    fn router_has_traefiks_keys() {
        let snapshot = samples::snapshot();
        let routers = routers(&snapshot, &Troubles::default(), Protocol::Tcp);
        let value = routers.values().next().unwrap();
        assert_eq!(value["name"], "pg@file");
        assert_eq!(value["service"], "pg");
        assert_eq!(value["rule"], "HostSNI(`*`)");
        assert_eq!(value["entryPoints"], json!(["pg"]));
        assert_eq!(value["using"], json!(["pg"]));
        assert_eq!(value["status"], "enabled");
    }

    #[test]
    fn overview_counts_by_protocol() {
        let value = overview(&samples::snapshot(), &Troubles::default(), &["File".to_owned()]);
        assert_eq!(value["tcp"]["services"], json!({ "total": 2, "warnings": 1, "errors": 0 }));
        assert_eq!(value["udp"]["routers"]["total"], 1);
        assert_eq!(value["http"]["middlewares"]["total"], 0);
        assert_eq!(value["providers"], json!(["File"]));
    }

    #[test]
    fn rawdata_goes_by_qualified_name_and_leaves_empty_parts_out() {
        let value = rawdata(&samples::snapshot(), &Troubles::default());
        assert_eq!(value["tcpRouters"]["pg@file"]["service"], "pg");
        assert!(value["udpServices"]["dns@file"].is_object());
        assert_eq!(rawdata(&Snapshot::default(), &Troubles::default()), json!({}));
    }
}
