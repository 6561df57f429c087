//! Answers with Consul's headers, and its errors: a status and a line of text.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::query::Query;
use crate::registry::change::Refusal;

/// Why a request isn't granted.
#[derive(Debug)]
pub(super) enum Error {
    /// 400.
    Bad(String),
    /// 404.
    Missing(String),
    /// 413.
    TooLarge(String),
    /// 500, as Consul answers whatever else is wrong.
    Other(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownService(_) => Self::Missing(refusal.to_string()),
            _ => Self::Other(refusal.to_string()),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::Bad(words) => (StatusCode::BAD_REQUEST, words),
            Self::Missing(words) => (StatusCode::NOT_FOUND, words),
            Self::TooLarge(words) => (StatusCode::PAYLOAD_TOO_LARGE, words),
            Self::Other(words) => (StatusCode::INTERNAL_SERVER_ERROR, words),
        };
        text(status, words)
    }
}

/// A status with a line of text, without one where it is empty.
pub(super) fn text(status: StatusCode, words: String) -> Response {
    let mut response = Response::new(Body::from(words.clone()));
    *response.status_mut() = status;
    if !words.is_empty() {
        set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    }
    response
}

/// 200 without a body.
pub(super) fn done() -> Response {
    text(StatusCode::OK, String::new())
}

/// 200 with JSON; laid out for people where they ask for it.
pub(super) fn json(value: &impl Serialize, query: &Query) -> Response {
    let bytes = match query.has("pretty") {
        true => serde_json::to_vec_pretty(value),
        false => serde_json::to_vec(value),
    };
    match bytes {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            set(&mut response, CONTENT_TYPE, "application/json");
            response
        }
        Err(error) => Error::Other(error.to_string()).into_response(),
    }
}

/// With the headers of a read: up to which index it is current.
pub(super) fn indexed(mut response: Response, index: u64) -> Response {
    set(&mut response, HeaderName::from_static("x-consul-index"), &index.to_string());
    set(&mut response, HeaderName::from_static("x-consul-knownleader"), "true");
    set(&mut response, HeaderName::from_static("x-consul-lastcontact"), "0");
    set(&mut response, HeaderName::from_static("x-consul-effective-consistency"), "leader");
    response
}

/// Sets a header whose value is sound.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
