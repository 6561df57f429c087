//! `tracing`: which requests become spans, what of each, and who gets them.

use std::fmt;

use super::ClientTls;

/// `tracing`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// `serviceName`. Default `lb`.
    pub service_name: String,
    /// `resourceAttributes`, beside the service's name.
    pub resource: Vec<(String, String)>,
    /// `sampleRate`: how many of the traces that begin here are recorded, 0 to 1. Default 1.
    pub sample_rate: f64,
    /// `capturedRequestHeaders`, in lower case.
    pub request_headers: Vec<String>,
    /// `capturedResponseHeaders`, in lower case.
    pub response_headers: Vec<String>,
    /// `safeQueryParams`: parameters of the query whose values are shown.
    pub safe_query: Vec<String>,
    /// `addInternals`: whether requests to lb's own services become spans. Default false.
    pub internals: bool,
    /// `otlp.http`.
    pub collector: Collector,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            service_name: "lb".to_owned(),
            resource: Vec::new(),
            sample_rate: 1.0,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            safe_query: Vec::new(),
            internals: false,
            collector: Collector::default(),
        }
    }
}

/// `tracing.otlp.http`: who gets the spans.
#[derive(Clone, PartialEq)]
pub struct Collector {
    /// `endpoint`. Default `https://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// `headers`, sent along. They may hold secrets.
    pub headers: Vec<(String, String)>,
    /// `tls`, towards an https endpoint.
    pub tls: Option<ClientTls>,
}

impl Default for Collector {
    fn default() -> Self {
        let endpoint = "https://localhost:4318/v1/traces".to_owned();
        Self { endpoint, headers: Vec::new(), tls: None }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let mut shown = f.debug_struct("Collector");
        shown.field("endpoint", &self.endpoint).field("headers", &names);
        shown.field("tls", &self.tls).finish()
    }
}
