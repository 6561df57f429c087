//! Routers.

use std::sync::Arc;

use super::{Builder, Kind, Reference};
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
        values::{Toggle, Whole},
    },
    model::{Fault, Id, Observability, PathChoice, Protocol, RouterConfig, RouterTls, Shared},
    rule::{Rule, Syntax},
};

/// A router whose references are not resolved yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouterDraft {
    pub(crate) config: Shared<RouterConfig>,
    /// Its name's place.
    pub(crate) spot: Spot,
    pub(crate) entry_points: Vec<At<String>>,
    /// Its service, middlewares and TLS options.
    pub(crate) references: Vec<Reference>,
    /// `tls.certResolver`.
    pub(crate) resolver: Option<At<String>>,
    /// Where `datapath` stands.
    pub(crate) datapath: Option<Spot>,
    /// Why it doesn't build, where it doesn't.
    pub(crate) off: Vec<Fault>,
    /// As written, and `ruleSyntax`.
    rule: Option<At<String>>,
    syntax: Option<Syntax>,
}

impl RouterDraft {
    /// Reads the rule again where `core.defaultRuleSyntax` is strict and the router doesn't say.
    pub(crate) fn under(&self, default: Syntax) -> Option<Self> {
        if default == Syntax::Auto || self.syntax.is_some() || self.rule.is_none() {
            return None;
        }
        let mut again = Self { off: Vec::new(), ..self.clone() };
        again.read_rule(default);
        Some(again)
    }

    /// Whether rules are the same as texts, where they don't build too.
    pub(crate) fn is_written_as(&self, other: &Self) -> bool {
        let text = |draft: &Self| draft.rule.as_ref().map(|at| at.value.clone());
        text(self) == text(other) && self.syntax == other.syntax
    }

    fn read_rule(&mut self, syntax: Syntax) {
        let Some(at) = &self.rule else { return };
        match Rule::parse(&at.value, self.config.id.protocol, syntax) {
            Ok(rule) if rule.is_catch_all() && self.config.id.protocol == Protocol::Tcp => {
                self.config.rule = None;
            }
            Ok(rule) => self.config.rule = Some(Arc::new(rule)),
            Err(error) => {
                self.off.push(Fault { hint: error.hint, ..at.spot.fault(error.message) });
            }
        }
    }
}

impl Builder<'_> {
    pub(super) fn http_router(&mut self, id: Id, raw: At<raw::HttpRouter>) {
        let router = &raw.value;
        let common = Common {
            id,
            spot: &raw.spot,
            entry_points: &router.entry_points,
            service: &router.service,
            priority: &router.priority,
            datapath: &router.datapath,
        };
        let Some(mut draft) = common.build(&mut self.faults) else { return };
        if router.rule.is_absent() {
            draft.off.push(raw.spot.fault("\"rule\" is missing"));
        }
        draft.take_rule(&router.rule, &router.rule_syntax);
        draft.take_middlewares(&router.middlewares);
        draft.config.observability = observability(&router.observability);
        if let Some(Toggle::On(tls)) = router.tls.get() {
            draft.take_tls(&tls.options, &tls.resolver);
            draft.config.tls = Some(Arc::new(tls_of(tls)));
        }
        self.document.routers.push(draft.into());
    }

    pub(super) fn tcp_router(&mut self, id: Id, raw: At<raw::TcpRouter>) {
        let router = &raw.value;
        let common = Common {
            id,
            spot: &raw.spot,
            entry_points: &router.entry_points,
            service: &router.service,
            priority: &router.priority,
            datapath: &router.datapath,
        };
        let Some(mut draft) = common.build(&mut self.faults) else { return };
        draft.take_rule(&router.rule, &router.rule_syntax);
        draft.take_middlewares(&router.middlewares);
        if let Some(Toggle::On(tls)) = router.tls.get() {
            draft.take_tls(&tls.options, &tls.resolver);
            draft.config.tls = Some(Arc::new(RouterTls {
                options: tls.options.get().cloned(),
                resolver: tls.resolver.get().cloned(),
                domains: domains(&tls.domains),
                passthrough: tls.passthrough.or(false),
            }));
        }
        self.document.routers.push(draft.into());
    }

    pub(super) fn udp_router(&mut self, id: Id, raw: At<raw::UdpRouter>) {
        let router = &raw.value;
        let common = Common {
            id,
            spot: &raw.spot,
            entry_points: &router.entry_points,
            service: &router.service,
            priority: &router.priority,
            datapath: &router.datapath,
        };
        self.document.routers.extend(common.build(&mut self.faults).map(Shared::from));
    }
}

impl RouterDraft {
    fn take_rule(&mut self, rule: &Field<String>, syntax: &Field<Syntax>) {
        self.rule = rule.at().cloned();
        self.syntax = syntax.get().copied();
        self.read_rule(self.syntax.unwrap_or_default());
    }

    fn take_middlewares(&mut self, middlewares: &Field<Vec<At<String>>>) {
        for at in middlewares.get().map(Vec::as_slice).unwrap_or_default() {
            self.config.middlewares.push(at.value.clone());
            self.references.push(Reference::new(Kind::Middleware, at, &self.config.id));
        }
    }

    fn take_tls(&mut self, options: &Field<String>, resolver: &Field<String>) {
        self.resolver = resolver.at().cloned();
        // These exist without being configured.
        let configured = options.at().filter(|at| !is_default(&at.value));
        self.references
            .extend(configured.map(|at| Reference::new(Kind::TlsOptions, at, &self.config.id)));
    }
}

/// Whether TLS options are those that exist without being configured.
pub(super) fn is_default(options: &str) -> bool {
    options == "default" || options.starts_with("default@")
}

/// `tls` of HTTP routers.
pub(super) fn tls_of(raw: &raw::RouterTls) -> RouterTls {
    RouterTls {
        options: raw.options.get().cloned(),
        resolver: raw.resolver.get().cloned(),
        domains: domains(&raw.domains),
        passthrough: false,
    }
}

fn domains(raw: &Field<Vec<At<raw::Domain>>>) -> Vec<(String, Vec<String>)> {
    let sans = |domain: &raw::Domain| {
        let sans = domain.sans.get().map(Vec::as_slice).unwrap_or_default();
        sans.iter().map(|at| at.value.clone()).collect()
    };
    let raw = raw.get().map(Vec::as_slice).unwrap_or_default();
    raw.iter().map(|at| (at.value.main.or_default(), sans(&at.value))).collect()
}

/// `observability`.
pub(super) fn observability(raw: &Field<raw::Observability>) -> Observability {
    raw.get().map_or_else(Observability::default, |raw| Observability {
        access_logs: raw.access_logs.get().copied(),
        metrics: raw.metrics.get().copied(),
        tracing: raw.tracing.get().copied(),
    })
}

/// What routers of every protocol have in common.
struct Common<'a> {
    id: Id,
    spot: &'a Spot,
    entry_points: &'a Field<Vec<At<String>>>,
    service: &'a Field<String>,
    priority: &'a Field<Whole<{ i64::MIN }, { i64::MAX }>>,
    datapath: &'a Field<PathChoice>,
}

impl Common<'_> {
    fn build(self, faults: &mut Vec<Fault>) -> Option<RouterDraft> {
        let service = self.service.required("service", self.spot, faults)?.clone();
        let entry_points = self.entry_points.get().cloned().unwrap_or_default();
        let references = vec![Reference::new(Kind::Service, &service, &self.id)];
        let config = RouterConfig {
            id: self.id,
            entry_points: entry_points.iter().map(|at| at.value.clone()).collect(),
            service: service.value,
            priority: self.priority.get().map_or(0, |priority| priority.0),
            rule: None,
            middlewares: Vec::new(),
            tls: None,
            observability: Observability::default(),
            datapath: self.datapath.or_default(),
            place: self.spot.place(),
        };
        Some(RouterDraft {
            config: config.into(),
            spot: self.spot.clone(),
            entry_points,
            references,
            resolver: None,
            datapath: self.datapath.at().map(|at| at.spot.clone()),
            off: Vec::new(),
            rule: None,
            syntax: None,
        })
    }
}
