//! Entry points.

use serde_json::{Value, json};

use super::rows;
use crate::model::{EntryPoint, EntryPointOptions, Protocol, Trusted};

/// One of `GET /api/entrypoints`.
pub(in super::super) fn entry_point(e: &EntryPoint) -> Value {
    let options = &*e.options;
    let mut value = json!({ "address": rows::entry_point_address(e), "name": e.name });
    if options.as_default {
        value["asDefault"] = json!(true);
    }
    if e.protocol == Protocol::Udp {
        value["udp"] = json!({ "timeout": duration(options.udp_timeout) });
        return value;
    }
    if let Some(whose) = &options.proxy_protocol {
        value["proxyProtocol"] = trusted(whose);
    }
    value["forwardedHeaders"] = trusted(&options.forwarded);
    value["http"] = http(options);
    value["http2"] = json!({ "maxConcurrentStreams": options.max_streams });
    value["transport"] = json!({
        "lifeCycle": {
            "requestAcceptGraceTimeout": duration(options.accept_grace),
            "graceTimeOut": duration(options.grace),
        },
        "respondingTimeouts": {
            "readTimeout": duration(options.timeouts.read),
            "writeTimeout": duration(options.timeouts.write),
            "idleTimeout": duration(options.timeouts.idle),
        },
        "keepAliveMaxTime": duration(options.keep_alive_time),
        "keepAliveMaxRequests": options.keep_alive_requests,
    });
    value
}

fn http(options: &EntryPointOptions) -> Value {
    let mut http = json!({
        "maxHeaderBytes": options.max_head,
        "sanitizePath": options.sanitize_path,
        "encodeQuerySemicolons": options.encode_semicolons,
    });
    if options.request_ids {
        http["requestIds"] = json!(true);
    }
    if let Some(redirection) = &options.redirection {
        http["redirections"] = json!({ "entryPoint": {
            "to": redirection.to,
            "scheme": redirection.scheme,
            "permanent": redirection.permanent,
            "priority": redirection.priority,
        } });
    }
    if !options.middlewares.is_empty() {
        http["middlewares"] = json!(options.middlewares);
    }
    if let Some(tls) = &options.tls {
        http["tls"] = json!({ "options": tls.options, "certResolver": tls.resolver });
    }
    http
}

fn trusted(whose: &Trusted) -> Value {
    let mut value = json!({});
    if whose.everybody {
        value["insecure"] = json!(true);
    }
    if !whose.networks.is_empty() {
        let networks: Vec<String> = whose.networks.iter().map(ToString::to_string).collect();
        value["trustedIPs"] = json!(networks);
    }
    value
}

/// As Rust shows it, which Go reads; nothing is `0s`, as Go shows it.
fn duration(time: std::time::Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") }
}
