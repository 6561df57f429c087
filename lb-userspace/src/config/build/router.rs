//! Routers.

use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
        values::Whole,
    },
    model::{Fault, Id, PathChoice, Protocol, RouterConfig, Rule},
    rule::Syntax,
};

/// A router whose references are not resolved yet.
#[derive(Clone, Debug)]
pub(crate) struct RouterDraft {
    pub(crate) config: RouterConfig,
    /// Its name's place.
    pub(crate) spot: Spot,
    pub(crate) entry_points: Vec<At<String>>,
    pub(crate) service: At<String>,
    /// Why it doesn't build, where it doesn't.
    pub(crate) off: Vec<Fault>,
}

/// Why a router is off that only the proxy could serve.
const LATER: &str = "needs the proxy, which lb doesn't have yet";

pub(super) fn tcp(
    name: &str,
    provider: &str,
    raw: &At<raw::Router>,
    faults: &mut Vec<Fault>,
) -> Option<RouterDraft> {
    let router = &raw.value;
    let mut draft = Draft {
        id: Id::new(Protocol::Tcp, name, provider),
        spot: &raw.spot,
        entry_points: &router.entry_points,
        service: &router.service,
        priority: &router.priority,
        datapath: &router.datapath,
    }
    .build(faults)?;
    if let Some(at) = router.rule.at() {
        match Rule::parse(&at.value, Protocol::Tcp, Syntax::Auto) {
            Ok(rule) if rule.is_catch_all() => {}
            Ok(rule) => draft.off.push(at.spot.fault(format!("the rule {} {LATER}", rule.text()))),
            Err(error) => {
                draft.off.push(Fault { hint: error.hint, ..at.spot.fault(error.message) });
            }
        }
    }
    if let Some(at) = router.tls.at() {
        draft.off.push(at.spot.fault(format!("TLS on a router {LATER}")));
    }
    if let Some(at) = router.middlewares.at() {
        draft.off.push(at.spot.fault(format!("a TCP middleware {LATER}")));
    }
    Some(draft)
}

pub(super) fn udp(
    name: &str,
    provider: &str,
    raw: &At<raw::UdpRouter>,
    faults: &mut Vec<Fault>,
) -> Option<RouterDraft> {
    let router = &raw.value;
    Draft {
        id: Id::new(Protocol::Udp, name, provider),
        spot: &raw.spot,
        entry_points: &router.entry_points,
        service: &router.service,
        priority: &router.priority,
        datapath: &router.datapath,
    }
    .build(faults)
}

/// What TCP and UDP routers have in common.
struct Draft<'a> {
    id: Id,
    spot: &'a Spot,
    entry_points: &'a Field<Vec<At<String>>>,
    service: &'a Field<String>,
    priority: &'a Field<Whole<{ i64::MIN }, { i64::MAX }>>,
    datapath: &'a Field<PathChoice>,
}

impl Draft<'_> {
    fn build(self, faults: &mut Vec<Fault>) -> Option<RouterDraft> {
        let service = self.service.required("service", self.spot, faults)?.clone();
        let entry_points = self.entry_points.get().cloned().unwrap_or_default();
        let mut off = Vec::new();
        if let Field::Given(At { value: PathChoice::Proxy, spot }) = self.datapath {
            off.push(spot.fault(format!("`datapath: proxy` {LATER}")));
        }
        let config = RouterConfig {
            id: self.id,
            entry_points: entry_points.iter().map(|at| at.value.clone()).collect(),
            service: service.value.clone(),
            priority: self.priority.get().map_or(0, |priority| priority.0),
            datapath: self.datapath.or_default(),
            rule: None,
            middlewares: Vec::new(),
            tls: None,
            observability: Default::default(),
            needs_proxy: None,
            place: self.spot.place(),
        };
        Some(RouterDraft { config, spot: self.spot.clone(), entry_points, service, off })
    }
}
