//! `providers`: an object for each, and what several of them have.

use std::time::Duration;

use super::{ConsulCatalog, ConsulKv, DnsSource, events::OneOrMore};
use crate::{
    config::{
        decode::{ByName, Cx, Decode, object},
        tree::Node,
        values::{PemText, Scalar, Toggle, text},
    },
    provider::discovery::{constraint::Constraint, template::Template},
};

object! {
    /// `providers`.
    pub(crate) struct Providers {
        file: File = "file",
        dns: DnsSource = "dns",
        docker: Toggle<Docker> = "docker",
        http: HttpSource = "http",
        nats: NatsProvider = "nats",
        consul_catalog: Toggle<ConsulCatalog> = "consulCatalog",
        consul: Toggle<ConsulKv> = "consul",
        swarm: Toggle<Swarm> = "swarm",
        throttle: Duration = "providersThrottleDuration",
    }
    refused {
        "kubernetesIngress" | "kubernetesIngressNGINX" | "kubernetesCRD"
            | "kubernetesGateway" | "knative" | "nomad" | "ecs" | "etcd" | "zooKeeper" | "redis"
            | "rest" | "marathon" | "rancher" | "plugin"
            => "lb doesn't have this provider yet; there are `file`, `docker`, `swarm`, `consulCatalog`, `consul`, `nats`, `dns` and `http`",
        "registry" => "lb's own registry is `registry` at the top; what it holds is routed without a provider",
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
        "swarmMode" | "swarmModeRefreshSeconds" => "a Swarm has a provider of its own: write `providers.swarm`",
        "username" | "password" => "basic authentication towards Docker isn't done yet: use `tls`",
    }
}

object! {
    /// `providers.swarm`.
    pub(crate) struct Swarm {
        endpoint: String = "endpoint",
        tls: Tls = "tls",
        exposed_by_default: bool = "exposedByDefault",
        default_rule: DefaultRule = "defaultRule",
        constraints: Constraints = "constraints",
        allow_empty_services: bool = "allowEmptyServices",
        network: String = "network",
        watch: bool = "watch",
        timeout: Duration = "httpClientTimeout",
        refresh: Duration = "refreshSeconds",
    }
    refused {
        "useBindPortIP" => "published ports aren't used: lb reaches tasks at their own addresses",
        "username" | "password" => "basic authentication towards Docker isn't done yet: use `tls`",
    }
}

object! {
    /// `providers.http`.
    pub(crate) struct HttpSource {
        endpoint: String = "endpoint",
        interval: Duration = "pollInterval",
        timeout: Duration = "pollTimeout",
        headers: ByName<Scalar> = "headers",
        tls: Tls = "tls",
    }
}

object! {
    /// `providers.nats`.
    pub(crate) struct NatsProvider {
        servers: OneOrMore = "servers" | "url" | "urls",
        credentials: String = "credentials" | "credentialsFile",
        nkey: String = "nkey" | "nkeyFile",
        token: String = "token",
        user: String = "user" | "username",
        password: String = "password",
        tls: Tls = "tls",
        bucket: String = "bucket",
        root_key: String = "rootKey",
        exposed_by_default: bool = "exposedByDefault",
        default_rule: DefaultRule = "defaultRule",
        constraints: Constraints = "constraints",
        allow_empty_services: bool = "allowEmptyServices",
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
