//! Raw configuration: what a file says, key by key, with places and without defaults.

mod datapath;
mod dynamic;
mod instance;

pub(crate) use datapath::{Datapath, Interfaces, Nat, Timeouts};
pub(crate) use dynamic::{
    HealthCheck, LoadBalancer, Mode, Router, Scheme, Service, Transport, UdpRouter,
};
pub(crate) use instance::{Api, EntryPoint, File, Log, LogFormat, Metrics, Providers};

pub(crate) use super::decode::ByName;
use super::decode::object;

/// Said of all that only the proxy can do.
macro_rules! needs_proxy {
    ($what:literal) => {
        concat!($what, " needs the proxy, which lb doesn't have yet")
    };
}
pub(crate) use needs_proxy;

object! {
    /// The main file: static and dynamic parts.
    pub(crate) struct Main {
        entry_points: ByName<EntryPoint> = "entryPoints",
        datapath: Datapath = "datapath",
        providers: Providers = "providers",
        api: Api = "api",
        metrics: Metrics = "metrics",
        log: Log = "log",
        ping: instance::Ping = "ping",
        http: Http = "http",
        tcp: Transport<Router> = "tcp",
        udp: Transport<UdpRouter> = "udp",
    }
    refused {
        "tls" => needs_proxy!("TLS"),
        "certificatesResolvers" | "acme" => needs_proxy!("obtaining certificates"),
        "accessLog" => needs_proxy!("the access log"),
        "tracing" => needs_proxy!("tracing"),
        "registry" => "lb's own registry doesn't exist yet; list the servers here or under providers.file",
        "events" => "publishing events isn't done yet; `lb status` and /metrics tell what happens",
        "serversTransport" | "tcpServersTransport" => needs_proxy!("a servers transport"),
        "global" => "lb never looks for new versions and sends no usage data: remove this",
        "experimental" => "lb has no plugins: remove this",
        "hostResolver" => needs_proxy!("CNAME flattening"),
        "core" => "lb has one rule syntax: remove this",
        "spiffe" => needs_proxy!("SPIFFE"),
        "ocsp" => needs_proxy!("OCSP stapling"),
    }
}

object! {
    /// A file under `providers.file`: the dynamic part alone.
    pub(crate) struct Dynamic {
        http: Http = "http",
        tcp: Transport<Router> = "tcp",
        udp: Transport<UdpRouter> = "udp",
    }
    refused {
        "tls" => needs_proxy!("TLS"),
        "entryPoints" | "datapath" | "providers" | "api" | "metrics" | "log" | "ping"
            | "accessLog" | "tracing" | "certificatesResolvers" | "registry" | "events" | "global"
            => "belongs into the main file; a provider's file has `tcp` and `udp` alone",
    }
}

object! {
    /// `http`: refused part by part.
    pub(crate) struct Http {}
    refused {
        "routers" => needs_proxy!("an HTTP router"),
        "services" => needs_proxy!("an HTTP service"),
        "middlewares" => needs_proxy!("an HTTP middleware"),
        "serversTransports" => needs_proxy!("a servers transport"),
        "models" => needs_proxy!("an HTTP model"),
    }
}
