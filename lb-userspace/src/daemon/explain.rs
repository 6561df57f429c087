//! `lb explain l4`: from the programs' verdict to the model's names.

use std::net::SocketAddr;

use lb_common::{DropReason, TcpState, addr::to_ip, verdict::action};

use super::{kernel::service_hash, writer::Writer};
use crate::{
    api::{
        ApiError,
        types::{ExplainQuery, Explained},
    },
    kernel::{Answer, Question},
    model::{EntryPoint, Protocol, Service, Snapshot},
};

impl Writer {
    /// Runs the packet through the programs, dry.
    pub(super) fn explain(&mut self, query: &ExplainQuery) -> Result<Explained, ApiError> {
        let (protocol, src, dst) = parse(query)?;
        let Some(kernel) = &mut self.kernel else {
            let summary = "nothing is loaded: no router is forwarded by the kernel".to_owned();
            return Ok(Explained { action: "pass".to_owned(), summary, ..Explained::default() });
        };
        let question = Question { proto: protocol.number(), src, dst, ifindex: None };
        let answer = tokio::task::block_in_place(|| kernel.side.explain(&question))
            .map_err(|e| ApiError::Refused(e.to_string()))?;
        let network = self.network.as_ref();
        let interface = network.and_then(|network| network.interface(answer.verdict.ifindex));
        Ok(explained(&self.in_force, interface, protocol, dst, &answer))
    }
}

fn parse(query: &ExplainQuery) -> Result<(Protocol, SocketAddr, SocketAddr), ApiError> {
    let protocol = match query.proto.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => {
            return Err(ApiError::BadRequest(format!("proto {other:?}: expected tcp or udp")));
        }
    };
    let address = |name: &str, text: &str| {
        text.parse::<SocketAddr>()
            .map_err(|_| ApiError::BadRequest(format!("{name} {text:?}: expected IP:PORT")))
    };
    let (src, dst) = (address("src", &query.src)?, address("dst", &query.dst)?);
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(ApiError::BadRequest(format!("{src} and {dst} are of two IP versions")));
    }
    Ok((protocol, src, dst))
}

fn explained(
    snapshot: &Snapshot,
    interface: Option<String>,
    protocol: Protocol,
    dst: SocketAddr,
    answer: &Answer,
) -> Explained {
    let service = answer.vip.as_ref().and_then(|(_, vip)| {
        snapshot.services.values().find(|s| service_hash(&s.id) == vip.service)
    });
    let entry_point = service.and_then(|s| entry_point(snapshot, s, protocol, dst));
    let router = entry_point.and_then(|e| {
        let names = |r: &&crate::model::Router| r.entry_points.contains(&e.name);
        snapshot.routers.values().filter(|r| r.id.protocol == protocol).find(names)
    });
    let backend = answer.backend.as_ref().map(|(_, entry)| {
        SocketAddr::new(to_ip(&entry.addr), u16::from_be(entry.port)).to_string()
    });
    let reason = reason(answer);
    Explained {
        action: action_name(answer.verdict.action).to_owned(),
        summary: summary(answer, backend.as_deref(), reason),
        reason: reason.map(|r| r.label().to_owned()),
        entry_point: entry_point.map(|e| e.name.clone()),
        router: router.map(|r| r.id.qualified()),
        service: service.map(|s| s.id.qualified()),
        algorithm: service.map(|s| s.algorithm.name().to_owned()),
        backend,
        flow: answer.vip.as_ref().map(|_| flow(answer)),
        nat: answer.nat.map(|nat| nat.to_string()),
        interface,
    }
}

fn entry_point<'a>(
    snapshot: &'a Snapshot,
    service: &Service,
    protocol: Protocol,
    dst: SocketAddr,
) -> Option<&'a EntryPoint> {
    let routers = snapshot.routers.values().filter(|r| r.service == service.id);
    let mut names = routers.flat_map(|r| &r.entry_points);
    names.find_map(|name| {
        let e = snapshot.entry_points.get(name)?;
        let is_there = e.ip.is_none_or(|ip| ip == dst.ip());
        (e.protocol == protocol && e.port == dst.port() && is_there).then_some(e)
    })
}

fn action_name(word: u32) -> &'static str {
    match word {
        action::PASS => "pass",
        action::FORWARD => "forward",
        action::REPLY => "reply",
        action::ANSWER => "answer",
        action::DROP => "drop",
        _ => "undecided",
    }
}

fn reason(answer: &Answer) -> Option<DropReason> {
    matches!(answer.verdict.action, action::DROP | action::ANSWER)
        .then(|| DropReason::ALL.get(answer.verdict.reason as usize).copied())
        .flatten()
}

fn flow(answer: &Answer) -> String {
    if answer.verdict.flow == 0 {
        return "new".to_owned();
    }
    TcpState::from_word(answer.verdict.state).map_or("unknown", TcpState::name).to_owned()
}

fn summary(answer: &Answer, backend: Option<&str>, reason: Option<DropReason>) -> String {
    let why = reason.map_or("", |r| r.describe().trim());
    let backend = backend.unwrap_or("no backend");
    match answer.verdict.action {
        action::PASS => "not for lb: left to the host".to_owned(),
        action::FORWARD if answer.verdict.flow == 0 => format!("a new flow, sent to {backend}"),
        action::FORWARD => format!("a known flow, sent to {backend}"),
        action::REPLY => format!("a reply of {backend}, sent to its client"),
        action::ANSWER => format!("answered by lb itself: {why}"),
        action::DROP => format!("dropped: {why}"),
        _ => "the programs decided nothing".to_owned(),
    }
}
