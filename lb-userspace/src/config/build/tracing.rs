//! `tracing`.

use std::{path::Path, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::providers;
use crate::{
    config::{
        decode::{At, ByName, Field, Spot},
        raw,
        values::{Scalar, Toggle},
    },
    model::{Collector, Fault, Tracing},
    proxy::fetch,
};

/// Relative paths start at `folder`.
pub(super) fn build(
    raw: &Field<raw::Tracing>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Option<Arc<Tracing>> {
    let at = raw.at()?;
    faults.extend(refused(&at.spot, cfg!(feature = "otel")));
    let raw = &at.value;
    let default = Tracing::default();
    let otlp = raw.otlp.get().and_then(Toggle::on);
    let http = otlp.and_then(|otlp| otlp.http.get()).and_then(Toggle::on);
    Some(Arc::new(Tracing {
        service_name: raw.service_name.or(default.service_name),
        resource: pairs(&raw.resource),
        sample_rate: raw.sample_rate.get().map_or(default.sample_rate, |rate| rate.0),
        request_headers: headers(&raw.request_headers, faults),
        response_headers: headers(&raw.response_headers, faults),
        safe_query: texts(&raw.safe_query).map(|at| at.value.clone()).collect(),
        internals: raw.internals.or(default.internals),
        collector: http.map_or(default.collector, |http| collector(http, folder, faults)),
    }))
}

/// What is said where this lb can't do it.
fn refused(spot: &Spot, can: bool) -> Option<Fault> {
    (!can).then(|| {
        spot.fault(
            "this lb is built without spans; one that has them is built by `cargo xtask build \
             --release --features otel`. Trace context (W3C) is passed on without them",
        )
    })
}

fn collector(raw: &raw::OtlpHttp, folder: &Path, faults: &mut Vec<Fault>) -> Collector {
    if let Some(at) = raw.endpoint.at()
        && let Err(why) = fetch::parse(&at.value)
    {
        let example = "\"http://10.0.0.9:4318/v1/traces\"";
        faults.push(at.spot.fault(why.replace("\"http://auth.example.com/verify\"", example)));
    }
    for (name, at) in raw.headers.get().map(|all| all.objects.as_slice()).unwrap_or_default() {
        let is_sound = HeaderName::from_bytes(name.as_bytes()).is_ok()
            && HeaderValue::from_str(&at.value.0).is_ok();
        if !is_sound {
            // The value may be a secret, which no fault repeats.
            faults.push(at.spot.fault("no header can have this name, or this value"));
        }
    }
    Collector {
        endpoint: raw.endpoint.or(Collector::default().endpoint),
        headers: pairs(&raw.headers),
        tls: raw.tls.at().and_then(|at| providers::tls(at, folder, faults)),
    }
}

fn pairs(raw: &Field<ByName<Scalar>>) -> Vec<(String, String)> {
    let all = raw.get().map(|all| all.objects.as_slice()).unwrap_or_default();
    all.iter().map(|(name, at)| (name.clone(), at.value.0.clone())).collect()
}

fn texts(raw: &Field<Vec<At<String>>>) -> impl Iterator<Item = &At<String>> {
    raw.get().into_iter().flatten()
}

/// Names in lower case, as attributes have them.
fn headers(raw: &Field<Vec<At<String>>>, faults: &mut Vec<Fault>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for at in texts(raw) {
        let name = at.value.to_ascii_lowercase();
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            faults.push(at.spot.fault(format!("no header can be named {:?}", at.value)));
        } else if names.contains(&name) {
            faults.push(at.spot.fault(format!("{:?} stands twice; keep one", at.value)));
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_spans_refuses_them_and_names_the_one_that_has_them() {
        let fault = refused(&Spot::default(), false).expect("refused");
        assert!(fault.message.contains("--features otel"), "{}", fault.message);
        assert!(refused(&Spot::default(), true).is_none());
    }

    #[test]
    fn this_build_does_as_it_was_told() {
        let at = At { value: raw::Tracing::default(), spot: Spot::default() };
        let mut faults = Vec::new();
        let built = build(&Field::Given(Box::new(at)), Path::new(""), &mut faults);
        assert_eq!(built.as_deref(), Some(&Tracing::default()));
        assert_eq!(faults.is_empty(), cfg!(feature = "otel"), "{faults:?}");
    }
}
