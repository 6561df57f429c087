//! What `drain`, `undrain` and `weight` share: naming a backend and changing it.

use hyper::Method;

use super::{Context, Failure, client::encode, output::Format};
use crate::api::types::{BackendChange, BackendRow};

/// Which backend.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// `name`, `name@provider` or `tcp/name`
    service: String,
    /// The configured `host:port`, or an address it resolved to
    backend: String,
}

impl Target {
    /// Sends the change; the answer is the backend as it is then, one row for
    /// each address of a host name.
    pub(super) fn change(&self, context: &Context, change: BackendChange) -> Result<(), Failure> {
        let path = format!("/api/backends/{}/{}", encode(&self.service), encode(&self.backend));
        let rows: Vec<BackendRow> = context.client().send(Method::PUT, &path, &change)?;
        match context.output {
            Format::Table => super::output::print(&rows.iter().map(line).collect::<String>()),
            format => format.print(&rows, |_| String::new()),
        }
    }
}

fn line(row: &BackendRow) -> String {
    let BackendRow { service, proto, address, weight, .. } = row;
    let kept = match (row.drained, row.weight_override) {
        (true, _) => "drained: takes no new connections until `lb undrain`".to_owned(),
        (false, Some(_)) => {
            format!(
                "weight {weight} until `lb weight … --reset` (configured: {})",
                row.configured_weight
            )
        }
        (false, None) => format!("weight {weight}, as configured"),
    };
    format!("{proto}/{service} {address}: {kept}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! lines {
        ($($test:ident: $drained:expr, $set:expr => $text:expr;)+) => {
            $(#[test]
            fn $test() {
                let row = BackendRow {
                    service: "pg@file".into(),
                    proto: "tcp".into(),
                    address: "10.0.1.5:5432".into(),
                    drained: $drained,
                    weight: if $drained { 0 } else { $set.unwrap_or(1) },
                    weight_override: $set,
                    configured_weight: 1,
                    ..BackendRow::default()
                };
                assert_eq!(line(&row), concat!("tcp/pg@file 10.0.1.5:5432: ", $text, "\n"));
            })+
        };
    }

    lines! {
        drained_says_how_to_take_it_back: true, None =>
            "drained: takes no new connections until `lb undrain`";
        set_weight_says_how_to_reset_it: false, Some(4) =>
            "weight 4 until `lb weight … --reset` (configured: 1)";
        reset_weight_is_as_configured: false, None => "weight 1, as configured";
    }
}
