//! `serversTransports`.

use std::path::Path;

use super::Builder;
use crate::{
    config::{
        decode::{At, Field, Spot},
        raw,
        values::PemText,
    },
    model::{ClientTls, Fault, Id, Pem, Protocol, Transport},
};

impl Builder<'_> {
    pub(super) fn http_transport(&mut self, id: Id, raw: At<raw::HttpTransport>) {
        let value = http(id, &raw.value, self.folder, &mut self.faults);
        self.document.transports.push(At { value, spot: raw.spot });
    }

    pub(super) fn tcp_transport(&mut self, id: Id, raw: At<raw::TcpTransport>) {
        let value = tcp(id, &raw.value, self.folder, &mut self.faults);
        self.document.transports.push(At { value, spot: raw.spot });
    }

    /// The transport that a service has of its own: `NAME/own`, which no file can name.
    pub(super) fn transport_of_service(
        &mut self,
        service: &Id,
        raw: &raw::LoadBalancer,
        spot: &Spot,
    ) -> At<Transport> {
        let id = Id { name: format!("{}/own", service.name).into(), ..service.clone() };
        let mut value = Transport::new(id);
        value.proxy_protocol = raw.proxy_protocol.get().map(version);
        if let Some(delay) = raw.termination_delay.get() {
            value.termination_delay = delay.0;
        }
        At { value, spot: spot.clone() }
    }
}

/// The transports of the main file, in use where a service names none.
pub(super) fn defaults(main: &raw::Main, folder: &Path, faults: &mut Vec<Fault>) -> Vec<Transport> {
    let id = |protocol| Id::new(protocol, "default", Id::INTERNAL);
    let of_http = main.transport.get().map(|raw| http(id(Protocol::Http), raw, folder, faults));
    let of_tcp = main.tcp_transport.get().map(|raw| tcp(id(Protocol::Tcp), raw, folder, faults));
    of_http.into_iter().chain(of_tcp).collect()
}

fn http(id: Id, raw: &raw::HttpTransport, folder: &Path, faults: &mut Vec<Fault>) -> Transport {
    let default = Transport::new(id);
    let none = raw::ForwardingTimeouts::default();
    let times = raw.timeouts.get().unwrap_or(&none);
    Transport {
        tls: ClientTls {
            server_name: raw.server_name.get().cloned(),
            skip_verify: raw.skip_verify.or(false),
            root_cas: pems(&raw.root_cas, folder),
            certificates: key_pairs(&raw.certificates, folder, faults),
            peer_cert_uri: raw.peer_cert_uri.get().cloned(),
        },
        disable_http2: raw.disable_http2.or(false),
        // 0 is Go's default, -1 none at all.
        max_idle: match raw.max_idle.get().map(|n| n.0) {
            Some(-1) => 0,
            None | Some(0) => default.max_idle,
            Some(n) => u32::try_from(n).unwrap_or(default.max_idle),
        },
        dial_timeout: times.dial.or(default.dial_timeout),
        response_header_timeout: times.response_header.or(default.response_header_timeout),
        idle_timeout: times.idle.or(default.idle_timeout),
        ping_interval: times.read_idle.or(default.ping_interval),
        ping_timeout: times.ping.or(default.ping_timeout),
        ..default
    }
}

fn tcp(id: Id, raw: &raw::TcpTransport, folder: &Path, faults: &mut Vec<Fault>) -> Transport {
    let default = Transport::new(id);
    let none = raw::TcpClientTls::default();
    let tls = raw.tls.get().unwrap_or(&none);
    Transport {
        tls: ClientTls {
            server_name: tls.server_name.get().cloned(),
            skip_verify: tls.skip_verify.or(false),
            root_cas: pems(&tls.root_cas, folder),
            certificates: key_pairs(&tls.certificates, folder, faults),
            peer_cert_uri: tls.peer_cert_uri.get().cloned(),
        },
        dial_timeout: raw.dial_timeout.or(default.dial_timeout),
        keep_alive: raw.keep_alive.or(default.keep_alive),
        termination_delay: raw.termination_delay.or(default.termination_delay),
        proxy_protocol: raw.proxy_protocol.get().map(version),
        ..default
    }
}

/// The second version unless the first is asked for.
fn version(raw: &raw::ProxyProtocol) -> u8 {
    if raw.version.get().is_some_and(|n| n.0 == 1) { 1 } else { 2 }
}

pub(super) fn pems(raw: &Field<Vec<At<PemText>>>, folder: &Path) -> Vec<Pem> {
    let raw = raw.get().map(Vec::as_slice).unwrap_or_default();
    raw.iter().map(|at| at.value.pem(folder)).collect()
}

fn key_pairs(
    raw: &Field<Vec<At<raw::KeyPair>>>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Vec<(Pem, Pem)> {
    let mut pairs = Vec::new();
    for at in raw.get().map(Vec::as_slice).unwrap_or_default() {
        let cert = at.value.cert.required("certFile", &at.spot, faults);
        let key = at.value.key.required("keyFile", &at.spot, faults);
        pairs.extend(cert.zip(key).map(|(c, k)| (c.value.pem(folder), k.value.pem(folder))));
    }
    pairs
}
