//! HTTP middlewares: each a file with its keys, its settings and its filter, and one line in
//! [`middlewares!`] below.

mod add_prefix;
mod auth;
mod buffering;
mod chain;
mod circuit_breaker;
mod compress;
mod content_type;
mod errors;
mod expression;
mod forward_auth;
mod grpc_web;
mod headers;
mod in_flight_req;
mod ip_allow_list;
mod parts;
mod pass_tls_client_cert;
mod rate_limit;
mod reasons;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod retry;
mod rolling;
mod sniff;
mod source;
mod streams;
mod strip_prefix;
mod strip_prefix_regex;
pub mod tcp;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use circuit_breaker::circuit_changes;
pub use reasons::REASONS;

use auth::{basic as basic_auth, digest as digest_auth};

use crate::{
    config::{
        decode::{At, Cx, Decode, Field, Fields},
        tree::Node,
    },
    model::{Fault, Id},
    proxy::Filter,
};

/// What a middleware is: raw keys, validated settings, and a filter made of these.
pub(crate) trait Kind: Sized {
    /// Its keys.
    type Raw: Decode;

    /// From raw to validated; `None` where a fault was reported.
    fn check(raw: &At<Self::Raw>, faults: &mut Vec<Fault>) -> Option<Self>;

    /// The filter for one router.
    ///
    /// # Errors
    /// What in the surroundings stands in the way (a file that can't be read): the router is off.
    fn filter(&self, surroundings: &Surroundings) -> Result<Arc<dyn Filter>, String>;

    /// Other objects that it names, as written.
    fn refers(&self) -> Vec<Reference> {
        Vec::new()
    }
}

/// An object that a middleware names, as written: `name` or `name@provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `chain.middlewares[]`: stands for those in place of itself, so that it has no filter.
    Middleware(String),
    /// `errors.service`.
    Service(String),
}

/// What a filter may need of what is around it.
pub struct Surroundings<'a> {
    /// The middleware.
    pub id: &'a Id,
    /// The router that it is for.
    pub router: &'a Id,
    /// Asks a service of the snapshot, or any URL, for an answer.
    pub ask: Arc<dyn Ask>,
}

/// Requests of lb's own on behalf of middlewares.
pub trait Ask: Send + Sync {
    /// Sends a request to a service (`name@provider`, resolved) and returns its answer.
    fn service<'a>(
        &'a self,
        service: &'a Id,
        request: crate::proxy::Exchange,
    ) -> crate::proxy::Wait<'a, crate::proxy::Answer>;
}

/// Declares the middlewares: [`Settings`], how they are read, and their filters.
macro_rules! middlewares {
    ($($module:ident::$kind:ident = $name:literal $(| $alias:literal)*,)+) => {
        $(pub use $module::$kind;)+

        /// A middleware's settings.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Settings {
            $(#[doc = concat!("`", $name, "`.")] $kind($kind),)+
            /// One of TCP, which has a gate in place of a filter.
            Tcp(tcp::Settings),
        }

        /// As a file has it: exactly one kind.
        #[derive(Clone, Debug)]
        pub(crate) enum Raw {
            $($kind(Box<At<<$kind as Kind>::Raw>>),)+
        }

        impl Decode for Raw {
            fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
                let mut fields = Fields::of(node, cx)?;
                let before = cx.faults.len();
                let mut found = Vec::new();
                let mut faulty = false;
                $(
                    let field: Field<<$kind as Kind>::Raw> = fields.take(&[$name $(, $alias)*], cx);
                    faulty |= field.is_faulty();
                    if let Field::Given(at) = field {
                        found.push(($name, Self::$kind(at)));
                    }
                )+
                fields.finish(REFUSED, cx);
                faulty |= cx.faults.len() > before;
                only_one(node, found, faulty, "addPrefix: { prefix: /v1 }", cx)
            }
        }

        impl Raw {
            /// From raw to validated; `None` where a fault was reported.
            pub(crate) fn check(&self, faults: &mut Vec<Fault>) -> Option<Settings> {
                match self {
                    $(Self::$kind(at) => $kind::check(at, faults).map(Settings::$kind),)+
                }
            }
        }

        impl Settings {
            /// Its kind, as configured: `addPrefix`.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                    Self::Tcp(settings) => settings.kind(),
                }
            }

            /// The filter for one router.
            ///
            /// # Errors
            /// What in the surroundings stands in the way: the router is off.
            pub fn filter(&self, surroundings: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
                match self {
                    $(Self::$kind(settings) => settings.filter(surroundings),)+
                    Self::Tcp(_) => Err("it is a TCP middleware".to_owned()),
                }
            }

            /// The gate for one TCP router; `None` for a middleware of HTTP.
            pub fn gate(&self) -> Option<Arc<dyn tcp::Gate>> {
                match self {
                    Self::Tcp(settings) => Some(settings.gate()),
                    _ => None,
                }
            }

            /// Other objects that it names, as written.
            pub fn refers(&self) -> Vec<Reference> {
                match self {
                    $(Self::$kind(settings) => settings.refers(),)+
                    Self::Tcp(_) => Vec::new(),
                }
            }
        }
    };
}

middlewares! {
    add_prefix::AddPrefix = "addPrefix",
    basic_auth::BasicAuth = "basicAuth",
    buffering::Buffering = "buffering",
    chain::Chain = "chain",
    circuit_breaker::CircuitBreaker = "circuitBreaker",
    compress::Compress = "compress",
    content_type::ContentType = "contentType",
    digest_auth::DigestAuth = "digestAuth",
    errors::Errors = "errors",
    forward_auth::ForwardAuth = "forwardAuth",
    grpc_web::GrpcWeb = "grpcWeb",
    headers::Headers = "headers",
    in_flight_req::InFlightReq = "inFlightReq",
    ip_allow_list::IpAllowList = "ipAllowList" | "ipWhiteList",
    pass_tls_client_cert::PassTlsClientCert = "passTLSClientCert",
    rate_limit::RateLimit = "rateLimit",
    redirect_regex::RedirectRegex = "redirectRegex",
    redirect_scheme::RedirectScheme = "redirectScheme",
    replace_path::ReplacePath = "replacePath",
    replace_path_regex::ReplacePathRegex = "replacePathRegex",
    retry::Retry = "retry",
    strip_prefix::StripPrefix = "stripPrefix",
    strip_prefix_regex::StripPrefixRegex = "stripPrefixRegex",
}

const REFUSED: &[crate::config::decode::Refused] =
    &[(&["plugin"], "lb has no plugins; its own middlewares are listed in README.md")];

/// A middleware is of one kind.
fn only_one<T>(
    node: &Node,
    mut found: Vec<(&'static str, T)>,
    faulty: bool,
    example: &str,
    cx: &mut Cx,
) -> Option<T> {
    match found.len() {
        1 => found.pop().map(|(_, raw)| raw),
        0 if faulty => None,
        0 => {
            cx.fault(node, format!("a middleware needs its kind, such as `{example}`"));
            None
        }
        _ => {
            let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
            let message = format!(
                "a middleware is of one kind, this one has {}; make one of each and a `chain` of them",
                names.join(" and ")
            );
            cx.fault(node, message);
            None
        }
    }
}
