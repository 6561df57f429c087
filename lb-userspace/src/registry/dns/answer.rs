//! Which records a question gets.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{CNAME, NS, SOA, SRV},
    },
};

use crate::registry::{
    state::State,
    types::{Instance, Status},
};

/// Bytes of an answer over UDP to those who don't say what they take.
const SMALL: u16 = 512;
/// Bytes of an answer over UDP at most: beyond that, fragments get lost.
const LARGE: u16 = 1232;

/// What is answered for.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// `consul`.
    pub(crate) domain: Name,
    /// `dc1`: may stand before the domain.
    pub(crate) datacenter: String,
    /// The one node.
    pub(crate) node: String,
    /// Its address.
    pub(crate) address: IpAddr,
    /// Of answers, in seconds.
    pub(crate) ttl: u32,
}

/// What a name stands for.
enum Found<'s> {
    /// Instances, in random order.
    Instances(Vec<&'s Instance>),
    /// An address.
    Address(IpAddr),
    /// The domain itself.
    Domain,
    /// Something above what there is: no records, but there.
    Nothing,
    /// It isn't there.
    Missing,
}

impl Zone {
    /// The answer to a message; none to what is no question.
    pub(crate) fn answer(&self, bytes: &[u8], state: &State, is_udp: bool) -> Option<Vec<u8>> {
        let question = match Message::from_vec(bytes) {
            Ok(question) => question,
            Err(_) => return malformed(bytes),
        };
        if question.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.queries.clone_from(&question.queries);
        let mut limit = if is_udp { SMALL } else { u16::MAX };
        if let Some(edns) = &question.edns {
            let mut own = Edns::new();
            own.set_max_payload(LARGE);
            answer.edns = Some(own);
            if is_udp {
                limit = edns.max_payload().clamp(SMALL, LARGE);
            }
        }
        answer.metadata.response_code = match question.queries.as_slice() {
            _ if question.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
            [query] => self.fill(&mut answer, query, state),
            _ => ResponseCode::FormErr,
        };
        fitting(answer, limit.into())
    }

    fn fill(&self, answer: &mut Message, query: &Query, state: &State) -> ResponseCode {
        let (name, kind) = (query.name(), query.query_type());
        let is_in = matches!(query.query_class(), DNSClass::IN | DNSClass::ANY);
        if !self.domain.zone_of(name) || !is_in {
            return ResponseCode::Refused;
        }
        answer.metadata.authoritative = true;
        let is_missing = match self.find(name, state) {
            Found::Missing => true,
            Found::Nothing => false,
            Found::Domain => {
                self.own(answer, kind);
                false
            }
            Found::Address(ip) => {
                answer.answers.extend(address(name, ip, self.ttl).filter(|r| wants(kind, r)));
                false
            }
            Found::Instances(instances) => {
                self.instances(answer, name, kind, &instances, state);
                false
            }
        };
        if answer.answers.is_empty() {
            answer.authorities.push(self.soa());
        }
        if is_missing { ResponseCode::NXDomain } else { ResponseCode::NoError }
    }

    fn find<'s>(&self, name: &Name, state: &'s State) -> Found<'s> {
        let own = usize::from(name.num_labels() - self.domain.num_labels());
        let labels: Vec<String> = name
            .iter()
            .take(own)
            .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase())
            .collect();
        let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        if labels.len() > 1
            && labels.last().is_some_and(|last| last.eq_ignore_ascii_case(&self.datacenter))
        {
            labels.pop();
        }
        let Some(kind) = labels.pop() else { return Found::Domain };
        match (kind, labels.as_slice()) {
            ("service" | "node" | "addr", []) => Found::Nothing,
            ("ns", []) => Found::Address(self.address),
            ("node", [node]) if node.eq_ignore_ascii_case(&self.node) => {
                Found::Address(self.address)
            }
            ("addr", [hex]) => from_hex(hex).map_or(Found::Missing, Found::Address),
            ("service", labels) => service(labels, state),
            _ => Found::Missing,
        }
    }

    /// Records of the domain itself.
    fn own(&self, answer: &mut Message, kind: RecordType) {
        if matches!(kind, RecordType::SOA | RecordType::ANY) {
            answer.answers.push(self.soa());
        }
        if matches!(kind, RecordType::NS | RecordType::ANY) {
            let Ok(ns) = self.domain.prepend_label("ns") else { return };
            let record = RData::NS(NS(ns.clone()));
            answer.answers.push(Record::from_rdata(self.domain.clone(), self.ttl, record));
            answer.additionals.extend(address(&ns, self.address, self.ttl));
        }
    }

    fn instances(
        &self,
        answer: &mut Message,
        name: &Name,
        kind: RecordType,
        instances: &[&Instance],
        state: &State,
    ) {
        let mut seen = BTreeSet::new();
        for instance in instances {
            let records = match kind {
                RecordType::SRV => self.srv(answer, name, instance, state),
                _ => self.addresses(name, instance),
            };
            // Two instances on one host are one address.
            let new = records.into_iter().filter(|record| wants(kind, record));
            answer.answers.extend(new.filter(|record| seen.insert(record.data.to_string())));
        }
    }

    fn addresses(&self, name: &Name, instance: &Instance) -> Vec<Record> {
        match (instance.address.parse(), Name::from_utf8(&instance.address)) {
            (Ok(ip), _) => address(name, ip, self.ttl).collect(),
            (Err(_), Ok(mut target)) => {
                target.set_fqdn(true);
                let cname = RData::CNAME(CNAME(target));
                vec![Record::from_rdata(name.clone(), self.ttl, cname)]
            }
            (Err(_), Err(_)) => Vec::new(),
        }
    }

    /// The record, and beside it the address of its target.
    fn srv(
        &self,
        answer: &mut Message,
        name: &Name,
        instance: &Instance,
        state: &State,
    ) -> Vec<Record> {
        let weight = match state.status_of(&instance.id) {
            Status::Passing => instance.weights.passing,
            Status::Warning | Status::Critical => instance.weights.warning,
        };
        let target = match instance.address.parse::<IpAddr>() {
            Ok(ip) => {
                let target = self.domain.prepend_label("addr");
                let Ok(target) = target.and_then(|addr| addr.prepend_label(hex(ip))) else {
                    return Vec::new();
                };
                answer.additionals.extend(address(&target, ip, self.ttl));
                target
            }
            Err(_) => match Name::from_utf8(&instance.address) {
                Ok(mut target) => {
                    target.set_fqdn(true);
                    target
                }
                Err(_) => return Vec::new(),
            },
        };
        let srv = RData::SRV(SRV::new(1, weight, instance.port, target));
        vec![Record::from_rdata(name.clone(), self.ttl, srv)]
    }

    fn soa(&self) -> Record {
        let host = |label: &str| self.domain.prepend_label(label).unwrap_or(self.domain.clone());
        let serial = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let serial = serial.map_or(0, |now| now.as_secs() as u32);
        let soa = SOA::new(host("ns"), host("hostmaster"), serial, 3600, 600, 86_400, 0);
        Record::from_rdata(self.domain.clone(), self.ttl, RData::SOA(soa))
    }
}

/// `NAME`, `TAG.NAME`, or `_NAME._TAG` as in RFC 2782, where `_tcp` and `_udp` are no tags.
fn service<'s>(labels: &[&str], state: &'s State) -> Found<'s> {
    let rfc = |label: &&str| label.starts_with('_');
    let (name, tag) = match labels {
        [name, tag] if rfc(name) && rfc(tag) => {
            let tag = &tag[1..];
            (name[1..].to_owned(), (!matches!(tag, "tcp" | "udp")).then(|| tag.to_owned()))
        }
        [name] => ((*name).to_owned(), None),
        [tags @ .., name] => ((*name).to_owned(), Some(tags.join("."))),
        [] => return Found::Nothing,
    };
    let Some(name) = state.names().find(|known| known.eq_ignore_ascii_case(&name)) else {
        return Found::Missing;
    };
    let has_tag = |instance: &&Instance| {
        tag.as_ref().is_none_or(|tag| instance.tags.iter().any(|t| t.eq_ignore_ascii_case(tag)))
    };
    let is_up = |instance: &&Instance| state.status_of(&instance.id) != Status::Critical;
    let mut instances: Vec<_> = state.instances_of(name).filter(has_tag).filter(is_up).collect();
    fastrand::shuffle(&mut instances);
    if instances.is_empty() { Found::Missing } else { Found::Instances(instances) }
}

fn address(name: &Name, ip: IpAddr, ttl: u32) -> impl Iterator<Item = Record> {
    let data = match ip {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    std::iter::once(Record::from_rdata(name.clone(), ttl, data))
}

/// A CNAME answers every question.
fn wants(kind: RecordType, record: &Record) -> bool {
    kind == RecordType::ANY
        || record.record_type() == RecordType::CNAME
        || record.record_type() == kind
}

/// `0a000105` is 10.0.1.5.
fn hex(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("{:08x}", u32::from(v4)),
        IpAddr::V6(v6) => format!("{:032x}", u128::from(v6)),
    }
}

fn from_hex(hex: &str) -> Option<IpAddr> {
    let is_hex = hex.bytes().all(|b| b.is_ascii_hexdigit());
    match hex.len() {
        8 if is_hex => Some(Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?).into()),
        32 if is_hex => Some(Ipv6Addr::from(u128::from_str_radix(hex, 16).ok()?).into()),
        _ => None,
    }
}

/// To a question that can't be read, as long as it has a head.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (id, flags) = (bytes.get(..2)?, bytes.get(2)?);
    let is_question = bytes.len() >= 12 && flags & 0x80 == 0;
    let id = u16::from_be_bytes(id.try_into().ok()?);
    let answer = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    is_question.then(|| answer.to_vec().ok()).flatten()
}

/// The message, with as many records as there is room for.
fn fitting(mut message: Message, limit: usize) -> Option<Vec<u8>> {
    let whole = message.to_vec().ok()?;
    if whole.len() <= limit {
        return Some(whole);
    }
    // What is beside the answers is a courtesy.
    message.additionals.clear();
    let answers = std::mem::take(&mut message.answers);
    let with = |count: usize| {
        let mut part = message.clone();
        part.answers = answers[..count].to_vec();
        part.metadata.truncation = count < answers.len();
        part.to_vec().ok().filter(|bytes| bytes.len() <= limit)
    };
    let (mut fits, mut over) = (0, answers.len() + 1);
    while over - fits > 1 {
        let middle = usize::midpoint(fits, over);
        if with(middle).is_some() { fits = middle } else { over = middle }
    }
    with(fits)
}
