//! From the kernel's connection table to the rows of `lb flows`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use lb_common::TcpState;

use super::{
    kernel::service_hash,
    shared::{InForce, unreadable},
};
use crate::{
    api::{ApiError, FlowQuery, find, types::FlowRow},
    kernel::{FlowFilter, FlowRecord},
    model::Protocol,
};

/// Lists the flows that `query` asks for; none while nothing is loaded.
pub(super) fn list(in_force: &InForce, query: &FlowQuery) -> Result<Vec<FlowRow>, ApiError> {
    let filter = filter(in_force, query)?;
    let Some(kernel) = &in_force.kernel else { return Ok(Vec::new()) };
    let records = kernel.reader.flows(&filter).map_err(unreadable)?;
    let name = |hash: u64| kernel.services.get(&hash).map_or_else(String::new, |id| id.qualified());
    Ok(records.iter().map(|record| row(record, name(record.service))).collect())
}

fn row(record: &FlowRecord, service: String) -> FlowRow {
    let proto = if record.proto == Protocol::Udp.number() { Protocol::Udp } else { Protocol::Tcp };
    FlowRow {
        proto: proto.name().to_owned(),
        client: record.client.to_string(),
        vip: record.vip.to_string(),
        service,
        backend: record.backend.to_string(),
        state: record.state.name().to_owned(),
        nat: record.nat.to_string(),
        idle_seconds: record.idle,
    }
}

fn filter(in_force: &InForce, query: &FlowQuery) -> Result<FlowFilter, ApiError> {
    let mut filter = FlowFilter { limit: query.limit, ..FlowFilter::default() };
    if let Some(words) = &query.service {
        let service = find::service(&in_force.snapshot, words)?;
        filter.service = Some(service_hash(&service.id));
        filter.proto = Some(service.id.protocol.number());
    }
    if let Some(text) = &query.client {
        (filter.client, filter.client_port) = network(text).ok_or_else(|| {
            ApiError::BadRequest(format!("client {text:?}: expected IP, IP:PORT or IP/LEN"))
        })?;
    }
    if let Some(text) = &query.backend {
        (filter.backend, filter.backend_port) = address(text).ok_or_else(|| {
            ApiError::BadRequest(format!("backend {text:?}: expected IP or IP:PORT"))
        })?;
    }
    if let Some(text) = &query.state {
        filter.state = Some(state(text)?);
    }
    Ok(filter)
}

fn network(text: &str) -> Option<(Option<IpNet>, Option<u16>)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((Some(address.ip().into()), Some(address.port())));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((Some(ip.into()), None));
    }
    Some((Some(text.parse().ok()?), None))
}

fn address(text: &str) -> Option<(Option<IpAddr>, Option<u16>)> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Some((Some(address.ip()), Some(address.port()))),
        Err(_) => Some((Some(text.parse().ok()?), None)),
    }
}

fn state(text: &str) -> Result<TcpState, ApiError> {
    let all: Vec<TcpState> = (0..=u32::from(u8::MAX)).map_while(TcpState::from_word).collect();
    all.iter().copied().find(|s| s.name() == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|s| s.name()).collect();
        ApiError::BadRequest(format!("state {text:?}: expected one of {}", names.join(", ")))
    })
}
