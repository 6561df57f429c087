//! The static part without `datapath`.

use crate::{
    config::{
        address::ListenAddress,
        decode::{At, Cx, Decode, object},
        tree::Node,
        values::{Seconds, choice},
    },
    model::LogLevel,
    rule::Syntax,
};

object! {
    /// `api`.
    pub(crate) struct Api {
        address: ListenAddress = "address",
        insecure: bool = "insecure",
        dashboard: bool = "dashboard",
    }
    refused {
        "debug" => "lb has no profiling endpoints: remove this",
        "disableDashboardAd" => "lb's dashboard doesn't exist yet and shall have no advertisement",
        "basePath" => "lb's API stands at /api: remove this",
    }
}

object! {
    /// `metrics`.
    pub(crate) struct Metrics {
        prometheus: Prometheus = "prometheus",
    }
    refused {
        "datadog" | "influxDB" | "influxDB2" | "statsD" | "otlp" | "openTelemetry"
            => "lb has Prometheus metrics alone: use metrics.prometheus",
        "addInternals" => "lb's metrics have no internal services: remove this",
    }
}

object! {
    /// `metrics.prometheus`.
    pub(crate) struct Prometheus {
        address: ListenAddress = "address",
        entry_point: String = "entryPoint",
        entry_points_labels: bool = "addEntryPointsLabels",
        routers_labels: bool = "addRoutersLabels",
        services_labels: bool = "addServicesLabels",
        buckets: Vec<At<Seconds>> = "buckets",
    }
    refused {
        "manualRouting" => "metrics stand at /metrics; a router may name `prometheus@internal` as well",
        "headerLabels" => "labels from headers aren't done yet",
    }
}

object! {
    /// `log`.
    pub(crate) struct Log {
        level: LogLevel = "level",
        format: LogFormat = "format",
    }
    refused {
        "filePath" | "maxSize" | "maxAge" | "maxBackups" | "compress"
            => "lb logs to standard error; leave files to the service manager",
        "noColor" => "colour is used on a terminal alone: remove this",
        "otlp" => "lb logs to standard error alone",
    }
}

object! {
    /// `ping`: `/ping` stands where the API does, and at an entry point that is named here.
    pub(crate) struct Ping {
        entry_point: String = "entryPoint",
        manual_routing: bool = "manualRouting",
    }
    refused {
        "terminatingStatusCode" => "/ping answers 503 while lb ends: remove this",
    }
}

object! {
    /// `core`.
    pub(crate) struct Core {
        rule_syntax: Syntax = "defaultRuleSyntax",
    }
}

object! {
    /// `global`: what lb never does.
    pub(crate) struct Global {
        check_new_version: bool = "checkNewVersion",
        send_usage: bool = "sendAnonymousUsage",
    }
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Decode for LogFormat {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("text", Self::Text), ("json", Self::Json), ("common", Self::Text)];
        choice(node, &table, &[], cx)
    }
}

impl Decode for LogLevel {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [
            ("trace", Self::Trace),
            ("debug", Self::Debug),
            ("info", Self::Info),
            ("warn", Self::Warn),
            ("error", Self::Error),
            ("fatal", Self::Error),
            ("panic", Self::Error),
        ];
        choice(node, &table, &[], cx)
    }
}
