//! `accessLog`.

use std::time::Duration;

use crate::{
    config::{
        decode::{At, ByName, Cx, Decode, object},
        tree::Node,
        values::{StatusRange, Whole, choice},
    },
    model::HeaderMode,
};

object! {
    /// `accessLog`.
    pub(crate) struct AccessLog {
        file: String = "filePath",
        format: Format = "format",
        buffering: Whole<0, 1_000_000> = "bufferingSize",
        filters: Filters = "filters",
        fields: LogFields = "fields",
        add_internals: bool = "addInternals",
    }
    refused {
        "otlp" => "the access log goes to a file or to standard output alone",
    }
}

object! {
    /// `accessLog.filters`.
    pub(crate) struct Filters {
        status_codes: Vec<At<StatusRange>> = "statusCodes",
        retry_attempts: bool = "retryAttempts",
        min_duration: Duration = "minDuration",
    }
}

object! {
    /// `accessLog.fields`.
    pub(crate) struct LogFields {
        default: FieldMode = "defaultMode",
        names: ByName<FieldMode> = "names",
        headers: LogHeaders = "headers",
    }
}

object! {
    /// `accessLog.fields.headers`.
    pub(crate) struct LogHeaders {
        default: HeaderMode = "defaultMode",
        names: ByName<HeaderMode> = "names",
    }
}

/// `accessLog.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Common,
    Json,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldMode {
    Keep,
    Drop,
}

impl Decode for Format {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const GENERIC: (&str, &str) = ("genericCLF", "lb has the formats \"common\" and \"json\"");
        choice(node, &[("common", Self::Common), ("json", Self::Json)], &[GENERIC], cx)
    }
}

impl Decode for FieldMode {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const REDACT: (&str, &str) =
            ("redact", "a header can be redacted, a field kept or dropped");
        choice(node, &[("keep", Self::Keep), ("drop", Self::Drop)], &[REDACT], cx)
    }
}

impl Decode for HeaderMode {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("keep", Self::Keep), ("drop", Self::Drop), ("redact", Self::Redact)];
        choice(node, &table, &[], cx)
    }
}
