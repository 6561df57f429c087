//! `headers`: headers set and removed, CORS, and what browsers are told for safety's sake.

mod cors;
mod secure;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use cors::Cors;
use secure::Secure;

use super::{Kind, Surroundings, parts};
use crate::{
    config::{
        decode::{At, ByName, Field, object},
        values::{Scalar, Whole},
    },
    model::Fault,
    proxy::{Exchange, Filter, Head, Step},
};

/// Seconds.
type Seconds = Whole<0, { i64::MAX }>;

object! {
    /// Its keys.
    pub(crate) struct Raw {
        request: ByName<Scalar> = "customRequestHeaders",
        response: ByName<Scalar> = "customResponseHeaders",
        allow_credentials: bool = "accessControlAllowCredentials",
        allow_headers: Vec<At<String>> = "accessControlAllowHeaders",
        allow_methods: Vec<At<String>> = "accessControlAllowMethods",
        allow_origins: Vec<At<String>> = "accessControlAllowOriginList",
        allow_origin_patterns: Vec<At<String>> = "accessControlAllowOriginListRegex",
        expose_headers: Vec<At<String>> = "accessControlExposeHeaders",
        max_age: Seconds = "accessControlMaxAge",
        add_vary: bool = "addVaryHeader",
        allowed_hosts: Vec<At<String>> = "allowedHosts",
        hosts_proxy_headers: Vec<At<String>> = "hostsProxyHeaders",
        ssl_redirect: bool = "sslRedirect",
        ssl_temporary_redirect: bool = "sslTemporaryRedirect",
        ssl_host: String = "sslHost",
        ssl_force_host: bool = "sslForceHost",
        ssl_proxy_headers: ByName<Scalar> = "sslProxyHeaders",
        sts_seconds: Seconds = "stsSeconds",
        sts_include_subdomains: bool = "stsIncludeSubdomains",
        sts_preload: bool = "stsPreload",
        force_sts: bool = "forceSTSHeader",
        frame_deny: bool = "frameDeny",
        frame_options: String = "customFrameOptionsValue",
        nosniff: bool = "contentTypeNosniff",
        xss_filter: bool = "browserXssFilter",
        xss_value: String = "customBrowserXSSValue",
        csp: String = "contentSecurityPolicy",
        csp_report_only: String = "contentSecurityPolicyReportOnly",
        public_key: String = "publicKey",
        referrer_policy: String = "referrerPolicy",
        permissions_policy: String = "permissionsPolicy",
        feature_policy: String = "featurePolicy",
        is_development: bool = "isDevelopment",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Headers {
    /// Empty values remove.
    request: Vec<(String, String)>,
    /// Empty values remove.
    response: Vec<(String, String)>,
    cors: Option<Cors>,
    secure: Secure,
}

impl Kind for Headers {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        Some(Self {
            request: custom(&raw.value.request, faults),
            response: custom(&raw.value.response, faults),
            cors: Cors::check(&raw.value, faults),
            secure: Secure::check(&raw.value, faults),
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for Headers {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let preflight = self.cors.as_ref().and_then(|cors| cors.preflight(&exchange.request));
        if let Some(reply) = preflight.or_else(|| self.secure.refusal(exchange)) {
            return Step::Reply(reply);
        }
        apply(&self.request, &mut exchange.request);
        Step::Next
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        self.secure.answer(exchange);
        apply(&self.response, &mut exchange.answer.head);
        if let Some(cors) = &self.cors {
            cors.answer(exchange);
        }
        Step::Next
    }
}

fn apply(headers: &[(String, String)], head: &mut Head) {
    for (name, value) in headers {
        if value.is_empty() {
            head.remove(name);
        } else {
            head.set(name, value);
        }
    }
}

/// What says where a message ends is the proxy's to write.
const FRAMING: [&str; 2] = ["Content-Length", "Transfer-Encoding"];

fn custom(field: &Field<ByName<Scalar>>, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    for (name, at) in field.get().map(|map| map.objects.as_slice()).unwrap_or_default() {
        if FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
            let message = format!("{name} says where a message ends, which is lb's to write");
            faults.push(at.spot.fault(message));
        }
    }
    // Two spellings of one name: the last one stands, as it would on the wire.
    let mut headers: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (name, value) in parts::header_map(field, faults) {
        headers.insert(name.to_ascii_lowercase(), (name, value));
    }
    // A request without Host is none: an empty value leaves it.
    headers
        .remove("host")
        .into_iter()
        .filter(|(_, host)| !host.is_empty())
        .chain(headers.into_values())
        .collect()
}
