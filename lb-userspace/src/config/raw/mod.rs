//! Raw configuration: what a file says, key by key, with places and without defaults.

mod access_log;
mod composed;
mod consul;
mod datapath;
mod dns;
mod entry;
mod events;
mod health;
mod http;
mod instance;
mod l4;
mod labels;
mod providers;
mod registry;
mod router;
mod tls;
mod tracing;
mod transport;

pub(crate) use access_log::{AccessLog, FieldMode, Format as AccessFormat};
pub(crate) use composed::{
    Cookie, Failover, HighestRandomWeight, Mirroring, Part, Sticky, Weighted,
};
pub(crate) use consul::{CheckState, ConsulCatalog, ConsulEndpoint, ConsulKv, Register};
pub(crate) use datapath::{Datapath, Interfaces, Nat, Timeouts};
pub(crate) use dns::{DnsService, DnsSource};
pub(crate) use entry::{EntryPoint, Http as EntryHttp, Transport as EntryTransport, Trusted};
pub(crate) use events::{Events, Nats, Storage};
pub(crate) use health::{HealthCheck, Mode, Scheme};
pub(crate) use http::{Http, HttpLoadBalancer, HttpRouter, HttpService, PassiveCheck};
pub(crate) use instance::{Api, Log, LogFormat, Metrics, Ping, Prometheus};
pub(crate) use l4::{LoadBalancer, Service, Tcp, TcpRouter, Udp, UdpRouter};
pub(crate) use labels::Labels;
pub(crate) use providers::{
    Constraints, DefaultRule, Docker, File, HttpSource, NatsProvider, Providers, Swarm,
    Tls as ProviderTls,
};
pub(crate) use registry::{Label, Registry};
pub(crate) use router::{Domain, Observability, RouterTls};
pub(crate) use tls::{Certificate, KeyPair, Tls, TlsOptions};
pub(crate) use tracing::{OtlpHttp, Tracing};
pub(crate) use transport::{
    ForwardingTimeouts, HttpTransport, ProxyProtocol, TcpClientTls, TcpTransport,
};

pub(crate) use super::decode::ByName;
use super::{decode::object, values::Toggle};

object! {
    /// The main file: static and dynamic parts.
    pub(crate) struct Main {
        entry_points: ByName<EntryPoint> = "entryPoints",
        datapath: Datapath = "datapath",
        providers: Providers = "providers",
        api: Api = "api",
        metrics: Metrics = "metrics",
        log: Log = "log",
        access_log: AccessLog = "accessLog",
        tracing: Tracing = "tracing",
        events: Events = "events",
        ping: Ping = "ping",
        core: instance::Core = "core",
        registry: Toggle<Registry> = "registry",
        resolvers: ByName<tls::Resolver> = "certificatesResolvers",
        transport: HttpTransport = "serversTransport",
        tcp_transport: TcpTransport = "tcpServersTransport",
        global: instance::Global = "global",
        http: Http = "http",
        tcp: Tcp = "tcp",
        udp: Udp = "udp",
        tls: Tls = "tls",
    }
    refused {
        "acme" => "v1's `acme` stands under certificatesResolvers.NAME",
        "experimental" => "lb has no plugins: remove this",
        "hostResolver" => "lb flattens no CNAMEs: remove this",
        "spiffe" => "SPIFFE isn't done yet",
        "ocsp" => "give a certificate its response by tls.certificates[].ocspFile",
    }
}

object! {
    /// A file under `providers.file`: the dynamic part alone.
    pub(crate) struct Dynamic {
        http: Http = "http",
        tcp: Tcp = "tcp",
        udp: Udp = "udp",
        tls: Tls = "tls",
    }
    refused {
        "entryPoints" | "datapath" | "providers" | "api" | "metrics" | "log" | "ping"
            | "accessLog" | "tracing" | "certificatesResolvers" | "registry" | "events" | "global"
            | "core" | "serversTransport" | "tcpServersTransport" | "ocsp" | "spiffe"
            | "experimental" | "hostResolver"
            => "belongs into the main file; a provider's file has `http`, `tcp`, `udp` and `tls` alone",
    }
}
