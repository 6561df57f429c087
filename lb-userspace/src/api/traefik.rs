//! Bodies in Traefik's shapes (its `pkg/api`): overview, entry points, routers,
//! services, raw data, with its paging and its filters.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ApiError, rows};
use crate::model::{BackendState, EntryPoint, Id, Path, Protocol, Router, Service, Snapshot};

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
pub(super) fn overview(snapshot: &Snapshot, providers: &[String]) -> Value {
    let part = |protocol| {
        let routers = snapshot.routers.keys().filter(|id| id.protocol == protocol).count();
        let services: Vec<_> =
            snapshot.services.values().filter(|s| s.id.protocol == protocol).collect();
        let warnings = services.iter().filter(|s| rows::up(s) == 0).count();
        json!({
            "routers": section(routers, 0),
            "services": section(services.len(), warnings),
        })
    };
    let mut tcp = part(Protocol::Tcp);
    tcp["middlewares"] = section(0, 0);
    json!({
        "http": {
            "routers": section(0, 0), "services": section(0, 0), "middlewares": section(0, 0),
        },
        "tcp": tcp,
        "udp": part(Protocol::Udp),
        "features": { "tracing": "", "metrics": "Prometheus", "accessLog": false },
        "providers": providers,
    })
}

fn section(total: usize, warnings: usize) -> Value {
    json!({ "total": total, "warnings": warnings, "errors": 0 })
}

/// One of `GET /api/entrypoints`.
pub(super) fn entry_point(e: &EntryPoint) -> Value {
    json!({ "address": rows::entry_point_address(e), "name": e.name })
}

/// One of `GET /api/tcp/routers` or `/api/udp/routers`.
pub(super) fn router(r: &Router) -> Value {
    let mut value = router_info(r);
    value["name"] = json!(r.id.qualified());
    value["provider"] = json!(r.id.provider);
    value
}

fn router_info(r: &Router) -> Value {
    let mut value = json!({
        "entryPoints": r.entry_points,
        "service": r.service.name,
        "status": "enabled",
        "using": r.entry_points,
        "datapath": rows::path_name(r.path),
    });
    if r.service.provider != r.id.provider {
        value["service"] = json!(r.service.qualified());
    }
    // The one rule that the kernel serves; UDP routers have none.
    if r.id.protocol == Protocol::Tcp && r.path == Path::Kernel {
        value["rule"] = json!("HostSNI(`*`)");
    }
    value
}

/// One of `GET /api/tcp/services` or `/api/udp/services`.
pub(super) fn service(snapshot: &Snapshot, s: &Service) -> Value {
    let mut value = service_info(snapshot, s);
    value["name"] = json!(s.id.qualified());
    value["provider"] = json!(s.id.provider);
    value["type"] = json!("loadbalancer");
    value
}

fn service_info(snapshot: &Snapshot, s: &Service) -> Value {
    let servers: Vec<Value> = s
        .servers
        .iter()
        .map(|server| json!({ "address": server.address(), "weight": server.weight }))
        .collect();
    let users: Vec<String> = rows::users(snapshot, &s.id).map(|r| r.id.qualified()).collect();
    let mut value = json!({
        "loadBalancer": { "servers": servers },
        "status": if rows::up(s) == 0 { "warning" } else { "enabled" },
        "usedBy": users,
    });
    if s.health_check.is_some() {
        value["serverStatus"] = server_status(s);
    }
    value
}

/// `UP` or `DOWN` by backend, as Traefik's health check tells it.
fn server_status(s: &Service) -> Value {
    let word = |state: BackendState| if state.is_up() { "UP" } else { "DOWN" };
    let pairs = s.backends.iter().map(|b| (b.address.to_string(), json!(word(b.health.state))));
    Value::Object(pairs.collect())
}

/// `GET /api/rawdata`.
pub(super) fn rawdata(snapshot: &Snapshot) -> Value {
    let routers = |protocol| {
        let of = snapshot.routers.values().filter(move |r| r.id.protocol == protocol);
        object(of.map(|r| (&r.id, router_info(r))))
    };
    let services = |protocol| {
        let of = snapshot.services.values().filter(move |s| s.id.protocol == protocol);
        object(of.map(|s| (&s.id, service_info(snapshot, s))))
    };
    let parts = [
        ("tcpRouters", routers(Protocol::Tcp)),
        ("tcpServices", services(Protocol::Tcp)),
        ("udpRouters", routers(Protocol::Udp)),
        ("udpServices", services(Protocol::Udp)),
    ];
    // Traefik leaves empty parts out.
    let kept = parts.into_iter().filter(|(_, part)| !part.is_empty());
    Value::Object(kept.map(|(name, part)| (name.to_owned(), Value::Object(part))).collect())
}

fn object<'a>(entries: impl Iterator<Item = (&'a Id, Value)>) -> Map<String, Value> {
    entries.map(|(id, value)| (id.qualified(), value)).collect()
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
        let value = router(snapshot.routers.values().next().unwrap());
        assert_eq!(value["name"], "pg@file");
        assert_eq!(value["service"], "pg");
        assert_eq!(value["rule"], "HostSNI(`*`)");
        assert_eq!(value["entryPoints"], json!(["pg"]));
        assert_eq!(value["using"], json!(["pg"]));
        assert_eq!(value["status"], "enabled");
    }

    #[test]
    fn overview_counts_by_protocol() {
        let value = overview(&samples::snapshot(), &["File".to_owned()]);
        assert_eq!(value["tcp"]["services"], json!({ "total": 2, "warnings": 1, "errors": 0 }));
        assert_eq!(value["udp"]["routers"]["total"], 1);
        assert_eq!(value["http"]["middlewares"]["total"], 0);
        assert_eq!(value["providers"], json!(["File"]));
    }

    #[test]
    fn rawdata_goes_by_qualified_name_and_leaves_empty_parts_out() {
        let value = rawdata(&samples::snapshot());
        assert_eq!(value["tcpRouters"]["pg@file"]["service"], "pg");
        assert!(value["udpServices"]["dns@file"].is_object());
        assert_eq!(rawdata(&Snapshot::default()), json!({}));
    }
}
