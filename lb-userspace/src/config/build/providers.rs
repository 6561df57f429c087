//! `providers`: from raw to settings.

use std::{path::Path, time::Duration};

use super::{consul, events};
use crate::{
    config::{
        decode::{At, Field},
        raw,
        values::Toggle,
    },
    model::{
        ClientTls, Docker, Exposure, Fault, FileProvider, HttpProvider, NatsProvider, Settings,
    },
    proxy::fetch,
};

/// How long an answer of a source may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fills in what `providers` says.
pub(super) fn build(
    raw: &raw::Providers,
    main: &Path,
    settings: &mut Settings,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) {
    let folder = main.parent().unwrap_or(Path::new(""));
    settings.throttle = raw.throttle.or(Duration::ZERO);
    settings.file = raw.file.at().and_then(|raw| file(raw, folder, faults));
    settings.nats = raw.nats.at().and_then(|raw| nats(raw, folder, faults));
    let catalog = raw.consul_catalog.get().and_then(Toggle::on);
    settings.consul_catalog = catalog.map(|raw| consul::catalog(raw, folder, faults, warnings));
    let kv = raw.consul.get().and_then(Toggle::on);
    settings.consul_kv = kv.map(|raw| consul::kv(raw, folder, faults, warnings));
    settings.docker = raw.docker.get().and_then(Toggle::on).map(|raw| docker(raw, folder, faults));
    settings.http = raw.http.at().and_then(|raw| http(raw, folder, faults));
}

/// Between two looks at a URL, and how long one may take.
const POLL: Duration = Duration::from_secs(5);

fn http(raw: &At<raw::HttpSource>, folder: &Path, faults: &mut Vec<Fault>) -> Option<HttpProvider> {
    let http = &raw.value;
    let endpoint = http.endpoint.required("endpoint", &raw.spot, faults)?;
    if let Err(why) = fetch::parse(&endpoint.value) {
        faults.push(endpoint.spot.fault(why));
    }
    for at in [&http.interval, &http.timeout].into_iter().filter_map(Field::at) {
        if at.value.is_zero() {
            faults.push(at.spot.fault("expected a time above 0"));
        }
    }
    let headers = http.headers.get().map(|headers| headers.objects.as_slice()).unwrap_or_default();
    Some(HttpProvider {
        endpoint: endpoint.value.clone(),
        interval: http.interval.or(POLL),
        timeout: http.timeout.or(POLL),
        headers: headers.iter().map(|(name, at)| (name.clone(), at.value.0.clone())).collect(),
        tls: http.tls.at().and_then(|at| tls(at, folder, faults)),
    })
}

fn nats(
    at: &At<raw::NatsProvider>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Option<NatsProvider> {
    let raw = &at.value;
    let reached = raw::Nats {
        servers: raw.servers.clone(),
        credentials: raw.credentials.clone(),
        nkey: raw.nkey.clone(),
        token: raw.token.clone(),
        user: raw.user.clone(),
        password: raw.password.clone(),
        tls: raw.tls.clone(),
    };
    let reached = At { value: reached, spot: at.spot.clone() };
    Some(NatsProvider {
        server: events::nats(&reached, folder, faults)?,
        bucket: events::named(&raw.bucket, events::BUCKET, faults),
        root: raw.root_key.get().cloned().unwrap_or_default(),
        exposure: exposure(
            &raw.exposed_by_default,
            &raw.default_rule,
            &raw.constraints,
            &raw.allow_empty_services,
        ),
    })
}

fn file(raw: &At<raw::File>, folder: &Path, faults: &mut Vec<Fault>) -> Option<FileProvider> {
    let (at, is_directory) = match (raw.value.filename.at(), raw.value.directory.at()) {
        (Some(_), Some(directory)) => {
            faults.push(directory.spot.fault("stands beside `filename`; give one of them"));
            return None;
        }
        (Some(filename), None) => (filename, false),
        (None, Some(directory)) => (directory, true),
        (None, None) => {
            if raw.value.filename.is_absent() && raw.value.directory.is_absent() {
                faults.push(raw.spot.fault("\"filename\" or \"directory\" is missing"));
            }
            return None;
        }
    };
    if at.value.is_empty() {
        faults.push(at.spot.fault("a path can't be empty"));
    }
    Some(FileProvider {
        path: folder.join(&at.value),
        is_directory,
        watch: raw.value.watch.or(true),
    })
}

fn docker(raw: &raw::Docker, folder: &Path, faults: &mut Vec<Fault>) -> Docker {
    let exposure = exposure(
        &raw.exposed_by_default,
        &raw.default_rule,
        &raw.constraints,
        &raw.allow_empty_services,
    );
    let endpoint = raw.endpoint.or("unix:///var/run/docker.sock".to_owned());
    if let Some(at) = raw.endpoint.at() {
        docker_endpoint(at, raw, faults);
    }
    let timeout = raw.timeout.get().copied().filter(|timeout| !timeout.is_zero());
    Docker {
        exposure,
        endpoint,
        tls: raw.tls.at().and_then(|at| tls(at, folder, faults)),
        network: raw.network.get().cloned(),
        watch: raw.watch.or(true),
        timeout: timeout.unwrap_or(TIMEOUT),
    }
}

fn docker_endpoint(at: &At<String>, raw: &raw::Docker, faults: &mut Vec<Fault>) {
    let scheme = at.value.split_once("://").map(|(scheme, rest)| (scheme, rest.is_empty()));
    match scheme {
        Some(("unix", false)) if raw.tls.at().is_some() => {
            faults.push(at.spot.fault("a unix socket has no TLS: remove `tls`"));
        }
        Some(("unix" | "tcp" | "http" | "https", false)) => {}
        Some(("ssh", _)) => faults.push(at.spot.fault("SSH isn't done yet; use tcp:// with `tls`")),
        _ => faults.push(at.spot.fault(
            "expected an endpoint such as \"unix:///var/run/docker.sock\" or \"tcp://10.0.0.1:2376\"",
        )),
    }
}

/// What every provider that finds instances has.
pub(super) fn exposure(
    exposed_by_default: &Field<bool>,
    default_rule: &Field<raw::DefaultRule>,
    constraints: &Field<raw::Constraints>,
    allow_empty_services: &Field<bool>,
) -> Exposure {
    let default = Exposure::default();
    Exposure {
        exposed_by_default: exposed_by_default.or(default.exposed_by_default),
        default_rule: default_rule.get().map_or(default.default_rule, |rule| rule.0.clone()),
        constraints: constraints.get().map_or(default.constraints, |text| text.0.clone()),
        allow_empty_services: allow_empty_services.or(default.allow_empty_services),
        prefixes: default.prefixes,
    }
}

/// `tls` of a provider.
pub(super) fn tls(
    raw: &At<raw::ProviderTls>,
    folder: &Path,
    faults: &mut Vec<Fault>,
) -> Option<ClientTls> {
    let tls = &raw.value;
    let pair = match (tls.cert.get(), tls.key.get()) {
        (Some(cert), Some(key)) => Some((cert.pem(folder), key.pem(folder))),
        (None, None) => None,
        _ => {
            faults.push(raw.spot.fault("`cert` and `key` go together: give both"));
            return None;
        }
    };
    Some(ClientTls {
        skip_verify: tls.skip_verify.or(false),
        root_cas: tls.ca.get().map(|ca| ca.pem(folder)).into_iter().collect(),
        certificates: pair.into_iter().collect(),
        ..ClientTls::default()
    })
}
