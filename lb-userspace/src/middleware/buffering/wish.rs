//! The functions of `retryExpression`.

use crate::{
    middleware::expression::{Expression, Function},
    proxy::RetryWhen,
};

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// `Attempts()`, the first one included.
    Attempts,
    /// `IsNetworkError()`.
    IsNetworkError,
    /// `ResponseCode()`.
    ResponseCode,
}

impl Function for Wish {
    const NAMES: &'static [&'static str] = &["Attempts", "IsNetworkError", "ResponseCode"];

    fn new(name: &str, arguments: &[f64]) -> Result<Self, String> {
        match name {
            _ if !arguments.is_empty() => Err(format!("{name}() takes no arguments")),
            "Attempts" => Ok(Self::Attempts),
            "IsNetworkError" => Ok(Self::IsNetworkError),
            _ => Ok(Self::ResponseCode),
        }
    }

    fn is_condition(&self) -> bool {
        *self == Self::IsNetworkError
    }
}

impl RetryWhen for Expression<Wish> {
    fn wants(&self, attempts: u32, status: Option<u16>) -> bool {
        let is_network_error = matches!(status, None | Some(502 | 504));
        self.holds(&|wish| match wish {
            Wish::Attempts => f64::from(attempts),
            Wish::IsNetworkError => f64::from(u8::from(is_network_error)),
            // What no server answered is answered by 502.
            Wish::ResponseCode => f64::from(status.unwrap_or(502)),
        })
    }
}
