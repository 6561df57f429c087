//! `lb explain http`: what would become of a request, by the very parser, router index and service
//! state that serve requests. Nothing is counted, no filter is run, no server is picked.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    Body, Client, Exchange, Head, TlsSession, View,
    head::parse,
    table::{Entry, EntryTable, Route, Slot, Target},
};
use crate::{
    api::{
        ApiError, rows,
        types::{ExplainHttpQuery, ExplainedHttp, ExplainedServer, PassedOver},
    },
    balance::Part,
    model::{Backend, EntryPoint, Id, Path, Protocol, Router, Scheme, Snapshot},
};

/// Who asks where nobody is named (RFC 5737).
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Routers that are shown of those that were passed over.
const SHOWN: usize = 10;
/// Services above each other.
const DEEPEST: usize = 16;

/// Explains.
///
/// # Errors
/// The question makes no sense.
pub(crate) fn http(
    view: &View,
    snapshot: &Snapshot,
    query: &ExplainHttpQuery,
) -> Result<ExplainedHttp, ApiError> {
    let url = Url::parse(&query.url).map_err(ApiError::BadRequest)?;
    let Some((point, entry)) = entry_point(view, snapshot, &url) else {
        let summary = format!("no entry point of the proxy listens on port {}", url.port);
        return Ok(ExplainedHttp { action: "none".to_owned(), summary, ..Default::default() });
    };
    let mut explained =
        ExplainedHttp { entry_point: Some(point.name.clone()), ..Default::default() };
    if is_in_kernel(snapshot, &point.name) {
        explained.action = "kernel".to_owned();
        explained.summary = "forwarded by the kernel: see lb explain l4".to_owned();
        return Ok(explained);
    }
    let table = entry.table.load_full();
    let mut head = Head::default();
    let limits = parse::Limits { bytes: table.options.max_head, fields: table.options.max_headers };
    match parse::request(lines(query, &url)?.as_bytes(), limits, &mut head) {
        Err(refusal) => {
            explained.answered(refusal.status, refusal.reason, refusal.text);
            return Ok(explained);
        }
        Ok(None) => return Err(ApiError::BadRequest("a header holds a line break".to_owned())),
        Ok(Some(_)) => {}
    }
    let client = client(query, &url, point, entry, &table)?;
    let mut exchange = Exchange::new(Arc::new(client), head, Body::Empty);
    table.prepare(&mut exchange);
    let route = table.route(&exchange);
    passed_over(&mut explained, snapshot, &table, route, &exchange);
    match route {
        Some(route) => routed(&mut explained, view, snapshot, route),
        None => explained.answered(404, "no_router", "no router matches"),
    }
    Ok(explained)
}

/// `http://host:port/path?query`.
struct Url<'a> {
    is_tls: bool,
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: String,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let expected = || format!("URL {text:?}: expected http://HOST/PATH or https://HOST/PATH");
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        let is_tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(expected()),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| expected())?)
            }
            _ => (authority, if is_tls { 443 } else { 80 }),
        };
        if host.is_empty() {
            return Err(expected());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self { is_tls, authority, host, port, target: format!("{slash}{target}") })
    }
}

/// Where such a request comes in: the address is decisive where the URL has one.
fn entry_point<'a>(
    view: &'a View,
    snapshot: &'a Snapshot,
    url: &Url<'_>,
) -> Option<(&'a EntryPoint, &'a Arc<Entry>)> {
    let ip: Option<IpAddr> = url.host.parse().ok();
    let here = snapshot.entry_points.values().filter(|point| {
        point.protocol == Protocol::Tcp
            && point.port == url.port
            && (point.ip.is_none() || ip.is_none() || point.ip == ip)
    });
    let in_proxy = here.filter_map(|point| Some((point, view.entries.get(&point.name)?)));
    in_proxy.min_by_key(|(point, _)| match (point.ip, ip) {
        (Some(_), Some(_)) => 0,
        (None, _) => 1,
        (Some(_), None) => 2,
    })
}

/// The head as it would come over HTTP/1.1.
fn lines(query: &ExplainHttpQuery, url: &Url<'_>) -> Result<String, ApiError> {
    let mut lines = format!("{} {} HTTP/1.1\r\n", query.method, url.target);
    let has_host = query.headers.iter().any(|line| {
        line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("host"))
    });
    if !has_host {
        lines.push_str(&format!("Host: {}\r\n", url.authority));
    }
    for line in &query.headers {
        if line.contains(['\r', '\n']) || !line.contains(':') {
            let why = format!("header {line:?}: expected \"NAME: VALUE\"");
            return Err(ApiError::BadRequest(why));
        }
        lines.push_str(line);
        lines.push_str("\r\n");
    }
    lines.push_str("\r\n");
    Ok(lines)
}

fn client(
    query: &ExplainHttpQuery,
    url: &Url<'_>,
    point: &EntryPoint,
    entry: &Entry,
    table: &EntryTable,
) -> Result<Client, ApiError> {
    let ip = match &query.client {
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::BadRequest(format!("client {text:?}: expected an address")))?,
        None => NOBODY,
    };
    let session = TlsSession {
        server_name: Some(url.host.to_ascii_lowercase()),
        version: "TLSv1_3",
        ..TlsSession::default()
    };
    Ok(Client {
        peer: SocketAddr::new(ip, 40_000),
        address: ip.to_canonical().to_string().into(),
        local: SocketAddr::new(point.ip.unwrap_or(NOBODY), point.port),
        entry_point: Arc::clone(&entry.name),
        is_trusted: table.options.forwarded.trusts(ip),
        tls: url.is_tls.then(|| Arc::new(session)),
    })
}

/// Routers that were asked before, as far as they could have been meant: they name the same host, or
/// none.
fn passed_over(
    explained: &mut ExplainedHttp,
    snapshot: &Snapshot,
    table: &EntryTable,
    chosen: Option<&Arc<Route>>,
    exchange: &Exchange,
) {
    let host = exchange.request.host().unwrap_or_default();
    let index = if exchange.is_tls() { &table.secure } else { &table.plain };
    let before =
        index.values().take_while(|route| chosen.is_none_or(|chosen| !Arc::ptr_eq(chosen, route)));
    let routers = before.filter_map(|route| snapshot.routers.get(&route.id));
    let meant = routers.filter(|router| {
        let Some(rule) = &router.rule else { return true };
        let mut hosts = rule.hosts().peekable();
        hosts.peek().is_none() || hosts.any(|other| other.eq_ignore_ascii_case(host))
    });
    for router in meant {
        if explained.passed_over.len() == SHOWN {
            explained.more_passed_over += 1;
        } else {
            explained.passed_over.push(PassedOver {
                router: router.id.qualified(),
                priority: priority(router),
                rule: rows::rule(router).unwrap_or_default(),
            });
        }
    }
}

/// The one in force.
fn priority(router: &Router) -> i64 {
    match (router.priority, &router.rule) {
        (0, Some(rule)) => rule.default_priority(),
        (priority, _) => priority,
    }
}

fn routed(explained: &mut ExplainedHttp, view: &View, snapshot: &Snapshot, route: &Route) {
    explained.router = Some(route.id.qualified());
    explained.service = Some(route.service.qualified());
    if let Some(router) = snapshot.routers.get(&route.id) {
        explained.rule = rows::rule(router);
        explained.priority = Some(priority(router));
    }
    let middlewares = route.made_from.iter();
    explained.middlewares = middlewares
        .map(|middleware| format!("{} ({})", middleware.id.qualified(), middleware.settings.kind()))
        .collect();
    let Target::Service(slot) = &route.target else {
        explained.action = "answer".to_owned();
        explained.summary = format!("{} answers: a service of lb's own", route.service.qualified());
        return;
    };
    if let Some(service) = snapshot.services.get(&route.service) {
        explained.algorithm = Some(match service.composed {
            Some(_) => rows::kind(service).to_owned(),
            None => service.algorithm.name().to_owned(),
        });
    }
    servers(explained, view, snapshot, slot, DEEPEST);
    if slot.is_available() {
        explained.action = "forward".to_owned();
        let before = match route.filters.len() {
            0 => "",
            _ => ", unless a middleware answers",
        };
        explained.summary = format!("to a server of {}{before}", route.service.qualified());
    } else {
        explained.answered(503, "no_server", "no server takes new requests");
    }
}

/// The servers of a service, or of those that it is made of.
fn servers(
    explained: &mut ExplainedHttp,
    view: &View,
    snapshot: &Snapshot,
    slot: &Slot,
    depth: usize,
) {
    let composed = snapshot.services.get(&slot.id).and_then(|service| service.composed.as_ref());
    if let Some(composed) = composed.filter(|_| depth > 0) {
        for part in composed.parts().into_iter().filter_map(|id| view.slots.get(id)) {
            servers(explained, view, snapshot, part, depth - 1);
        }
        return;
    }
    let service = slot.current.load();
    for server in service.group().servers() {
        let backend = backend(snapshot, &slot.id, server.address());
        let mut state = backend.map_or("gone", |backend| backend.health.state.name()).to_owned();
        for (is_so, word) in [
            (backend.is_some_and(|backend| backend.drained), ", drained"),
            (backend.is_some_and(|backend| backend.leaving), ", leaving"),
            (server.is_ejected(), ", ejected"),
        ] {
            state.push_str(if is_so { word } else { "" });
        }
        explained.servers.push(ExplainedServer {
            service: slot.id.qualified(),
            url: url(server.options().scheme, server.name(), &server.options().path),
            state,
            weight: backend.map_or(0, Backend::weight),
            active: server.active(),
        });
    }
}

fn backend<'a>(snapshot: &'a Snapshot, service: &Id, address: SocketAddr) -> Option<&'a Backend> {
    snapshot.services.get(service)?.backends.iter().find(|backend| backend.address == address)
}

fn url(scheme: Scheme, name: &str, path: &str) -> String {
    format!("{}://{name}{path}", scheme.name())
}

impl ExplainedHttp {
    /// lb answers itself.
    fn answered(&mut self, status: u16, reason: &str, why: &str) {
        self.action = "answer".to_owned();
        self.status = Some(status);
        self.reason = Some(reason.to_owned());
        self.summary = format!("{status} by lb itself: {why}");
    }
}

/// Whether an entry point is the kernel's.
fn is_in_kernel(snapshot: &Snapshot, name: &str) -> bool {
    snapshot
        .routers
        .values()
        .any(|router| router.path == Path::Kernel && router.entry_points.iter().any(|e| e == name))
}
