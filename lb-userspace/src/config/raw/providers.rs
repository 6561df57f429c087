//! `providers`: an object for each, and what several of them have.

use std::time::Duration;

use crate::{
    config::{
        decode::{Cx, Decode, object},
        tree::Node,
        values::{PemText, Toggle, text},
    },
    provider::discovery::{constraint::Constraint, template::Template},
};

object! {
    /// `providers`.
    pub(crate) struct Providers {
        file: File = "file",
        docker: Toggle<Docker> = "docker",
        throttle: Duration = "providersThrottleDuration",
    }
    refused {
        "swarm" | "kubernetesIngress" | "kubernetesIngressNGINX" | "kubernetesCRD"
            | "kubernetesGateway" | "knative" | "consul" | "consulCatalog" | "nomad" | "ecs"
            | "etcd" | "zooKeeper" | "redis" | "http" | "rest" | "nats" | "dns" | "registry"
            | "marathon" | "rancher" | "plugin"
            => "lb doesn't have this provider yet; `file` and `docker` are there",
        "precedence" => "names carry their provider (`name@file`), so that none takes precedence",
    }
}

object! {
    /// `providers.file`.
    pub(crate) struct File {
        filename: String = "filename",
        directory: String = "directory",
        watch: bool = "watch",
    }
    refused {
        "debugLogGeneratedTemplate" => "files are no templates: remove this",
    }
}

object! {
    /// `providers.docker`.
    pub(crate) struct Docker {
        endpoint: String = "endpoint",
        tls: Tls = "tls",
        exposed_by_default: bool = "exposedByDefault",
        default_rule: DefaultRule = "defaultRule",
        constraints: Constraints = "constraints",
        allow_empty_services: bool = "allowEmptyServices",
        network: String = "network",
        watch: bool = "watch",
        timeout: Duration = "httpClientTimeout",
    }
    refused {
        "useBindPortIP" => "published ports aren't used: lb reaches containers at their own addresses",
        "swarmMode" | "swarmModeRefreshSeconds" => "Swarm isn't done yet",
        "username" | "password" => "basic authentication towards Docker isn't done yet: use `tls`",
    }
}

object! {
    /// `tls` of a provider: towards its source.
    pub(crate) struct Tls {
        ca: PemText = "ca",
        cert: PemText = "cert",
        key: PemText = "key",
        skip_verify: bool = "insecureSkipVerify",
    }
    refused {
        "caOptional" => "says how a server would look at clients: remove this",
    }
}

/// `defaultRule`.
#[derive(Clone, Debug)]
pub(crate) struct DefaultRule(pub(crate) String);

impl Decode for DefaultRule {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let text = text(node, "a template such as \"Host(`{{ normalize .Name }}`)\"", cx)?;
        match Template::parse(text) {
            Ok(_) => Some(Self(text.to_owned())),
            Err(why) => {
                cx.fault(node, why);
                None
            }
        }
    }
}

/// `constraints`.
#[derive(Clone, Debug)]
pub(crate) struct Constraints(pub(crate) String);

impl Decode for Constraints {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let text = text(node, "an expression such as \"Label(`env`, `prod`)\"", cx)?;
        match Constraint::parse(text) {
            Ok(_) => Some(Self(text.to_owned())),
            Err(why) => {
                cx.fault(node, why);
                None
            }
        }
    }
}
