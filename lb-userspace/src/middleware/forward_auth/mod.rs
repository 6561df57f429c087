//! `forwardAuth`: another server says who may come in.

mod ask;
mod cookies;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{
    Kind, Surroundings,
    parts::{self, Pattern},
};
use crate::{
    config::{
        decode::{At, Field, object},
        values::Whole,
    },
    model::{ClientTls, Fault, Pem},
    proxy::{
        Filter,
        fetch::{self, FetchLimits, Fetcher},
        tls::Connector,
    },
};

/// A number of bytes, -1 for no bound.
type Bytes = Whole<-1, { i64::MAX }>;

object! {
    /// Its keys.
    pub(crate) struct Raw {
        address: String = "address",
        trust_forward_header: bool = "trustForwardHeader",
        response_headers: Vec<At<String>> = "authResponseHeaders",
        response_headers_regex: String = "authResponseHeadersRegex",
        request_headers: Vec<At<String>> = "authRequestHeaders",
        cookies: Vec<At<String>> = "addAuthCookiesToResponse",
        forward_body: bool = "forwardBody",
        max_body_size: Bytes = "maxBodySize",
        max_response_size: Bytes = "maxResponseBodySize",
        header_field: String = "headerField",
        preserve_location: bool = "preserveLocationHeader",
        preserve_method: bool = "preserveRequestMethod",
        tls: RawTls = "tls",
    }
}

object! {
    /// `forwardAuth.tls`.
    pub(crate) struct RawTls {
        ca: String = "ca",
        cert: String = "cert",
        key: String = "key",
        skip_verify: bool = "insecureSkipVerify",
    }
    refused {
        "caOptional" => "it said how a server verifies clients, which has no meaning here",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardAuth {
    address: String,
    /// The address's path and query.
    target: String,
    trust_forward_header: bool,
    response_headers: Vec<String>,
    response_headers_regex: Option<Pattern>,
    /// Empty for all.
    request_headers: Vec<String>,
    cookies: Vec<String>,
    forward_body: bool,
    /// `None` for no bound.
    max_body_size: Option<u64>,
    max_response_size: usize,
    header_field: Option<String>,
    preserve_location: bool,
    preserve_method: bool,
    tls: ClientTls,
}

/// What is borne of an answer's body.
const MAX_RESPONSE: usize = 4 << 20;

impl Kind for ForwardAuth {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let keys = &raw.value;
        let address = keys.address.required("address", &raw.spot, faults)?;
        let uri = fetch::parse(address.value.trim());
        let uri = uri.map_err(|why| faults.push(address.spot.fault(why))).ok()?;
        let regex = keys.response_headers_regex.at().filter(|at| !at.value.is_empty());
        let size = |field: &Field<Bytes>| field.get().and_then(|n| u64::try_from(n.0).ok());
        let tls = tls(&keys.tls, faults);
        // Files that can't be used are told now rather than when somebody asks.
        if let (Err(why), Some(at)) = (Connector::alone(&tls, &[]), keys.tls.at()) {
            faults.push(at.spot.fault(why));
        }
        let response = match keys.max_response_size.get() {
            Some(bytes) => usize::try_from(bytes.0).unwrap_or(usize::MAX),
            None => MAX_RESPONSE,
        };
        Some(Self {
            address: address.value.trim().to_owned(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            trust_forward_header: keys.trust_forward_header.or_default(),
            response_headers: parts::header_names(&keys.response_headers, faults),
            response_headers_regex: match regex {
                Some(at) => Some(any_case(at, faults)?),
                None => None,
            },
            request_headers: parts::header_names(&keys.request_headers, faults),
            cookies: parts::texts(&keys.cookies),
            forward_body: keys.forward_body.or_default(),
            max_body_size: size(&keys.max_body_size),
            max_response_size: response,
            header_field: parts::header_name(&keys.header_field, faults),
            preserve_location: keys.preserve_location.or_default(),
            preserve_method: keys.preserve_method.or_default(),
            tls,
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        let limits = FetchLimits { most: self.max_response_size, ..FetchLimits::default() };
        let server = Fetcher::new(&self.address, &self.tls, limits)?;
        Ok(Arc::new(ask::Asking { settings: self.clone(), server: Arc::new(server) }))
    }
}

/// Names of headers have no case; Traefik's come to the expression as `X-Auth-User`, those of
/// HTTP/2 as `x-auth-user`.
fn any_case(at: &At<String>, faults: &mut Vec<Fault>) -> Option<Pattern> {
    Pattern::check(at, faults)?;
    let at = At { value: format!("(?i){}", at.value), spot: at.spot.clone() };
    Pattern::check(&at, faults)
}

fn tls(field: &Field<RawTls>, faults: &mut Vec<Fault>) -> ClientTls {
    let Some(at) = field.at() else { return ClientTls::default() };
    let pem = |field: &Field<String>| {
        let at = field.at().filter(|at| !at.value.is_empty())?;
        Some(match at.value.contains("-----BEGIN") {
            true => Pem::Text(at.value.as_str().into()),
            false => Pem::File(parts::path(at)),
        })
    };
    let RawTls { ca, cert, key, skip_verify } = &at.value;
    let certificates = match (pem(cert), pem(key)) {
        (Some(cert), Some(key)) => vec![(cert, key)],
        (None, None) => Vec::new(),
        _ => {
            faults.push(at.spot.fault("`cert` and `key` belong together"));
            Vec::new()
        }
    };
    let skip_verify = skip_verify.or_default();
    let root_cas = pem(ca).into_iter().collect();
    ClientTls { skip_verify, root_cas, certificates, ..ClientTls::default() }
}
