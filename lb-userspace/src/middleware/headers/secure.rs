//! Hosts that are served, the way to HTTPS, and headers that browsers heed.

use super::{Raw, parts};
use crate::{
    middleware::reasons,
    model::Fault,
    proxy::{Exchange, Reply},
};

/// What is no custom header and not CORS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Secure {
    /// Empty for all.
    allowed_hosts: Vec<String>,
    hosts_proxy_headers: Vec<String>,
    ssl_redirect: bool,
    ssl_temporary_redirect: bool,
    ssl_host: Option<String>,
    ssl_force_host: bool,
    ssl_proxy_headers: Vec<(String, String)>,
    /// `Strict-Transport-Security`.
    sts: Option<String>,
    force_sts: bool,
    /// `Public-Key-Pins`.
    public_key: Option<String>,
    /// The same for every answer.
    always: Vec<(&'static str, String)>,
}

impl Secure {
    pub(super) fn check(raw: &Raw, faults: &mut Vec<Fault>) -> Self {
        // A developer's host has neither name nor certificate.
        let deployed = !raw.is_development.or_default();
        Self {
            allowed_hosts: if deployed { parts::texts(&raw.allowed_hosts) } else { Vec::new() },
            hosts_proxy_headers: parts::header_names(&raw.hosts_proxy_headers, faults),
            ssl_redirect: deployed && raw.ssl_redirect.or_default(),
            ssl_temporary_redirect: raw.ssl_temporary_redirect.or_default(),
            ssl_host: parts::header_value(&raw.ssl_host, faults),
            ssl_force_host: raw.ssl_force_host.or_default(),
            ssl_proxy_headers: parts::header_map(&raw.ssl_proxy_headers, faults),
            sts: sts(raw).filter(|_| deployed),
            force_sts: raw.force_sts.or_default(),
            public_key: parts::header_value(&raw.public_key, faults).filter(|_| deployed),
            always: always(raw, faults),
        }
    }

    /// The answer to a request that may not pass as it is.
    pub(super) fn refusal(&self, exchange: &Exchange) -> Option<Reply> {
        if self.allowed_hosts.is_empty() && !self.ssl_redirect && !self.ssl_force_host {
            return None;
        }
        let host = self.host(exchange);
        let allowed = |one: &String| {
            one.eq_ignore_ascii_case(&host) || one.eq_ignore_ascii_case(parts::without_port(&host))
        };
        if !self.allowed_hosts.is_empty() && !self.allowed_hosts.iter().any(allowed) {
            return Some(Reply::text(421, reasons::BAD_HOST, "Bad Host"));
        }
        let right = self.ssl_host.as_deref().unwrap_or_else(|| parts::without_port(&host));
        let is_insecure = self.ssl_redirect && !self.is_ssl(exchange);
        let is_elsewhere = self.ssl_force_host && right != host && self.ssl_host.is_some();
        (is_insecure || is_elsewhere).then(|| self.redirect(exchange, right))
    }

    fn redirect(&self, exchange: &Exchange, host: &str) -> Reply {
        let (status, text) = match self.ssl_temporary_redirect {
            true => (307, "Temporary Redirect"),
            false => (301, "Moved Permanently"),
        };
        let mut reply = Reply::text(status, reasons::SSL_REDIRECT, text);
        reply.head.add("Location", format!("https://{host}{}", exchange.request.target()));
        reply
    }

    /// What is added to the answer.
    pub(super) fn answer(&self, exchange: &mut Exchange) {
        if self.sts.is_some() || self.public_key.is_some() {
            let is_ssl = self.is_ssl(exchange);
            let head = &mut exchange.answer.head;
            if let Some(sts) = self.sts.as_ref().filter(|_| is_ssl || self.force_sts) {
                head.set("Strict-Transport-Security", sts);
            }
            if let Some(pins) = self.public_key.as_ref().filter(|_| is_ssl) {
                head.set("Public-Key-Pins", pins);
            }
        }
        for (name, value) in &self.always {
            exchange.answer.head.set(name, value);
        }
    }

    fn is_ssl(&self, exchange: &Exchange) -> bool {
        let said = |(name, value): &(String, String)| {
            exchange.request.get(name).is_some_and(|is| is == value.as_bytes())
        };
        exchange.is_tls() || self.ssl_proxy_headers.iter().any(said)
    }

    fn host(&self, exchange: &Exchange) -> String {
        let mut told = self.hosts_proxy_headers.iter().map(|name| exchange.request.text_of(name));
        let told = told.find_map(|host| host.filter(|host| !host.is_empty()));
        told.map_or_else(|| parts::authority_of(exchange), str::to_owned)
    }
}

fn sts(raw: &Raw) -> Option<String> {
    let seconds = raw.sts_seconds.get().map(|n| n.0).filter(|seconds| *seconds > 0)?;
    let mut value = format!("max-age={seconds}");
    if raw.sts_include_subdomains.or_default() {
        value.push_str("; includeSubDomains");
    }
    if raw.sts_preload.or_default() {
        value.push_str("; preload");
    }
    Some(value)
}

fn always(raw: &Raw, faults: &mut Vec<Fault>) -> Vec<(&'static str, String)> {
    let mut value = |field| parts::header_value(field, faults);
    let flag = |given: bool, value: &str| given.then(|| value.to_owned());
    let frame = flag(raw.frame_deny.or_default(), "DENY");
    let xss = flag(raw.xss_filter.or_default(), "1; mode=block");
    let all = [
        ("X-Frame-Options", value(&raw.frame_options).or(frame)),
        ("X-Content-Type-Options", flag(raw.nosniff.or_default(), "nosniff")),
        ("X-XSS-Protection", value(&raw.xss_value).or(xss)),
        ("Content-Security-Policy", value(&raw.csp)),
        ("Content-Security-Policy-Report-Only", value(&raw.csp_report_only)),
        ("Referrer-Policy", value(&raw.referrer_policy)),
        ("Permissions-Policy", value(&raw.permissions_policy)),
        ("Feature-Policy", value(&raw.feature_policy)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
