//! Why a middleware answers in place of a server: labels of `lb_proxy_replies_total`, and the
//! access log's reason. They stay as they are: dashboards and alerts name them.

/// Declares the reasons, and [`REASONS`] with what each means.
macro_rules! reasons {
    ($($constant:ident = $label:literal: $meaning:literal,)+) => {
        $(#[doc = $meaning] pub(crate) const $constant: &str = $label;)+

        /// Every reason with what it means, for the documentation.
        pub const REASONS: &[(&str, &str)] = &[$(($label, $meaning),)+];
    };
}

reasons! {
    BASIC_AUTH = "basic_auth": "basicAuth: no credentials, or wrong ones; 401",
    DIGEST_AUTH = "digest_auth": "digestAuth: no credentials, wrong or stale ones; 401",
    FORWARD_AUTH = "forward_auth": "forwardAuth: the authentication server's own answer",
    FORWARD_AUTH_FAILED = "forward_auth_failed": "forwardAuth: the authentication server couldn't be asked; 500",
    FORWARD_AUTH_BODY = "forward_auth_body": "forwardAuth: the request's body is longer than `maxBodySize`; 401",
    REQUEST_TOO_LARGE = "request_too_large": "buffering: the request's body is longer than allowed; 413",
    RESPONSE_TOO_LARGE = "response_too_large": "buffering: the response's body is longer than allowed; 500",
    BUFFERING_FAILED = "buffering_failed": "buffering: the answer broke off, or a body couldn't be kept on disk; 502 or 500",
    BODY_BROKE_OFF = "body_broke_off": "buffering, forwardAuth, retry: the request's body broke off; 400",
    CIRCUIT_OPEN = "circuit_open": "circuitBreaker: the circuit is open; 503 or `responseCode`",
    BAD_HOST = "bad_host": "headers: the host isn't one of `allowedHosts`; 421",
    CORS_PREFLIGHT = "cors_preflight": "headers, grpcWeb: a CORS preflight request; 200",
    SSL_REDIRECT = "ssl_redirect": "headers: `sslRedirect` or `sslForceHost`; 301 or 307",
    IP_NOT_ALLOWED = "ip_not_allowed": "ipAllowList: the client isn't in `sourceRange`; 403 or `rejectStatusCode`, TCP: closed",
    TOO_MANY_IN_FLIGHT = "too_many_in_flight": "inFlightReq: `amount` requests of the source are under way; 429",
    TOO_MANY_CONNECTIONS = "too_many_connections": "inFlightConn (TCP): `amount` connections of the client are open; closed",
    RATE_LIMITED = "rate_limited": "rateLimit: the source asks too often; 429",
    REDIRECT_REGEX = "redirect_regex": "redirectRegex: sent elsewhere",
    REDIRECT_SCHEME = "redirect_scheme": "redirectScheme: sent elsewhere",
    BAD_REWRITE = "bad_rewrite": "redirectRegex: what the expression makes of the URL is no URL; 500",
}

#[cfg(test)]
mod tests {
    use super::REASONS;

    #[test]
    fn reasons_are_labels_and_stand_once() {
        for (i, (label, meaning)) in REASONS.iter().enumerate() {
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{label}");
            assert!(REASONS[i + 1..].iter().all(|(other, _)| other != label), "{label}");
            assert!(meaning.contains(": "), "{label} names its middleware");
        }
    }
}
