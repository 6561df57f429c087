//! Labels of a container, tags of a service: routers, services and middlewares, and what lb is to
//! do with the instance.

use super::{Http, Tcp, Udp};
use crate::config::decode::{At, object};

object! {
    /// What follows `traefik.` or `lb.` in labels.
    pub(crate) struct Labels {
        http: Http = "http",
        tcp: Tcp = "tcp",
        udp: Udp = "udp",
        enable: bool = "enable",
        tags: Vec<At<String>> = "tags",
        docker: Docker = "docker",
        swarm: Docker = "swarm",
        consul_catalog: ConsulCatalog = "consulCatalog",
    }
    refused {
        "tls" => "TLS options and certificates don't come by labels; write them under providers.file",
        "frontend" | "backend" | "port" | "protocol" | "weight" | "domain"
            => "is of Traefik 1: write `http.routers.NAME…` and `http.services.NAME…`",
        "entryPoints" | "providers" | "api" | "metrics" | "log" | "accessLog" | "ping"
            | "certificatesResolvers" | "datapath" | "registry" | "events"
            => "belongs into the main file: labels have `http`, `tcp` and `udp` alone",
    }
}

object! {
    /// `traefik.docker`, `traefik.swarm`.
    pub(crate) struct Docker {
        network: String = "network",
        lb_swarm: bool = "lbswarm",
    }
}

object! {
    /// `traefik.consulcatalog`.
    pub(crate) struct ConsulCatalog {
        connect: bool = "connect",
        canary: bool = "canary",
    }
}
