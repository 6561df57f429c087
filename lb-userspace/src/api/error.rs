//! Answers that are not 2xx.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::types::ErrorBody;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The body, path or query makes no sense: 400.
    #[error("{0}")]
    BadRequest(String),
    /// No such object: 404.
    #[error("{0}")]
    NotFound(String),
    /// A name that several objects answer to: 409.
    #[error("{words:?} is ambiguous: name one of {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        words: String,
        /// What answers to it.
        candidates: Vec<String>,
    },
    /// The configuration files are at fault: 422.
    #[error("the configuration is at fault and the running one stays: {}", .0.join("\n"))]
    Invalid(Vec<String>),
    /// lb won't or can't do that now: 409.
    #[error("{0}")]
    Refused(String),
    /// Not yet, or no longer: 503.
    #[error("{0}")]
    Unavailable(String),
}

impl ApiError {
    /// Status and `code` of the answer.
    const fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Ambiguous { .. } => (StatusCode::CONFLICT, "ambiguous"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Refused(_) => (StatusCode::CONFLICT, "refused"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Ambiguous { candidates, .. } => candidates.clone(),
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let body =
            ErrorBody { message: self.to_string(), code: code.to_owned(), details: self.details() };
        (status, Json(body)).into_response()
    }
}

/// Reads a JSON object, whatever its content type says. (serde takes a list for a struct, too.)
pub(super) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if !bytes.is_empty() && bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::BadRequest("body: expected a JSON object".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|e| ApiError::BadRequest(format!("body: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::BackendChange;

    macro_rules! bodies {
        ($($test:ident: $body:expr => $expected:expr;)+) => {
            $(#[test]
            fn $test() {
                let got = parse::<BackendChange>($body.as_bytes());
                let expected: Result<BackendChange, &str> = $expected;
                match (got, expected) {
                    (Ok(got), Ok(expected)) => assert_eq!(got, expected),
                    (Err(e), Err(part)) => assert!(e.to_string().contains(part), "{e}"),
                    (got, expected) => panic!("{got:?}, expected {expected:?}"),
                }
            })+
        };
    }

    bodies! {
        body_drain: r#"{"drain":true}"# => Ok(BackendChange { drain: Some(true), weight: None });
        body_weight: r#"{"weight":7}"# => Ok(BackendChange { drain: None, weight: Some(Some(7)) });
        body_weight_null: r#"{"weight":null}"# => Ok(BackendChange { drain: None, weight: Some(None) });
        body_weight_too_large: r#"{"weight":65536}"# => Err("expected u16");
        body_weight_negative: r#"{"weight":-1}"# => Err("expected u16");
        body_weight_text: r#"{"weight":"3"}"# => Err("line 1 column 13");
        body_drain_number: r#"{"drain":1}"# => Err("expected a boolean");
        body_unknown_key: r#"{"wieght":1}"# => Err("unknown field `wieght`, expected `drain` or `weight`");
        body_cut_off: r#"{"drain":"# => Err("EOF");
        body_empty: "" => Err("EOF");
        body_list: "[]" => Err("body:");
    }

    #[test]
    fn ambiguous_lists_the_candidates() {
        let error = ApiError::Ambiguous {
            words: "dns".into(),
            candidates: vec!["tcp/dns@file".into(), "udp/dns@file".into()],
        };
        assert_eq!(error.kind().0, StatusCode::CONFLICT);
        assert_eq!(error.details().len(), 2);
        assert_eq!(
            error.to_string(),
            "\"dns\" is ambiguous: name one of tcp/dns@file, udp/dns@file"
        );
    }
}
