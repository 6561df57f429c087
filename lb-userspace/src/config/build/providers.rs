//! `providers`: from raw to settings.

use std::{path::Path, time::Duration};

use super::{consul, dns, events};
use crate::{
    config::{
        decode::{At, Field},
        raw,
        values::Toggle,
    },
    model::{
        ClientTls, ConsulCatalog, Docker, Exposure, Fault, FileProvider, HttpProvider,
        NatsProvider, Settings, Swarm,
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
    register(catalog, kv, settings, faults);
    settings.dns = raw.dns.at().and_then(|raw| dns::build(raw, faults));
    settings.docker = raw.docker.get().and_then(Toggle::on).map(|raw| docker(raw, folder, faults));
    settings.swarm = raw.swarm.get().and_then(Toggle::on).map(|raw| swarm(raw, folder, faults));
    settings.http = raw.http.at().and_then(|raw| http(raw, folder, faults));
}

/// lb is registered once, by whichever of the two says so.
fn register(
    catalog: Option<&raw::ConsulCatalog>,
    kv: Option<&raw::ConsulKv>,
    settings: &mut Settings,
    faults: &mut Vec<Fault>,
) {
    let of = |field: &Field<Toggle<raw::Register>>| {
        Some((field.at()?.spot.clone(), field.get()?.on()?.clone()))
    };
    let by_catalog = catalog.and_then(|raw| of(&raw.register));
    let by_kv = kv.and_then(|raw| of(&raw.register));
    if let (Some(_), Some((spot, _))) = (&by_catalog, &by_kv) {
        faults.push(spot.fault("lb registers once: `providers.consulCatalog` has this as well"));
    }
    let prefix = |catalog: &ConsulCatalog| catalog.exposure.prefixes.first().cloned();
    let catalog = settings.consul_catalog.as_ref().map(|one| (&one.endpoint, prefix(one)));
    let kv = settings.consul_kv.as_ref().map(|kv| (&kv.endpoint, None));
    let Some(((spot, raw), (endpoint, prefix))) = by_catalog.zip(catalog).or(by_kv.zip(kv)) else {
        return;
    };
    let prefix = prefix.as_deref().unwrap_or("traefik");
    settings.register = Some(consul::register(&raw, &spot, endpoint, prefix, faults));
}

/// Entry points that `register` names, to be looked up with those of routers.
pub(super) fn registered_entry_points(raw: &raw::Providers) -> Vec<&At<String>> {
    let catalog = raw.consul_catalog.get().and_then(Toggle::on).map(|raw| &raw.register);
    let kv = raw.consul.get().and_then(Toggle::on).map(|raw| &raw.register);
    let on = [catalog, kv].into_iter().flatten().filter_map(|field| field.get()?.on());
    on.filter_map(|raw| raw.entry_points.get()).flatten().collect()
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
    if let Some(at) = raw.endpoint.at() {
        docker_endpoint(at, raw.tls.at().is_some(), faults);
    }
    if let Some(at) = raw.tls.at() {
        docker_tls(at, faults);
    }
    let timeout = raw.timeout.get().copied().filter(|timeout| !timeout.is_zero());
    Docker {
        exposure: exposure(
            &raw.exposed_by_default,
            &raw.default_rule,
            &raw.constraints,
            &raw.allow_empty_services,
        ),
        endpoint: raw.endpoint.or("unix:///var/run/docker.sock".to_owned()),
        tls: raw.tls.at().and_then(|at| tls(at, folder, faults)),
        network: raw.network.get().cloned(),
        watch: raw.watch.or(true),
        timeout: timeout.unwrap_or(TIMEOUT),
    }
}

/// Between two lists of a Swarm that tells nothing.
const REFRESH: Duration = Duration::from_secs(15);

/// All but `refreshSeconds` is as Docker's own provider has it.
fn swarm(raw: &raw::Swarm, folder: &Path, faults: &mut Vec<Fault>) -> Swarm {
    let as_docker = raw::Docker {
        endpoint: raw.endpoint.clone(),
        tls: raw.tls.clone(),
        exposed_by_default: raw.exposed_by_default.clone(),
        default_rule: raw.default_rule.clone(),
        constraints: raw.constraints.clone(),
        allow_empty_services: raw.allow_empty_services.clone(),
        network: raw.network.clone(),
        watch: raw.watch.clone(),
        timeout: raw.timeout.clone(),
    };
    if let Some(at) = raw.refresh.at().filter(|at| at.value.is_zero()) {
        faults.push(at.spot.fault("expected a time above 0"));
    }
    Swarm { docker: docker(&as_docker, folder, faults), refresh: raw.refresh.or(REFRESH) }
}

/// Docker's TLS is mutual, and its library reads files.
fn docker_tls(at: &At<raw::ProviderTls>, faults: &mut Vec<Fault>) {
    let tls = &at.value;
    if let Some(at) = tls.skip_verify.at().filter(|at| at.value) {
        faults.push(at.spot.fault("lb always verifies Docker: give its `ca`"));
    }
    let files = [&tls.ca, &tls.cert, &tls.key];
    if files.iter().any(|field| field.is_absent()) {
        faults.push(at.spot.fault("`ca`, `cert` and `key` are needed, each a file"));
    }
    for at in files.into_iter().filter_map(Field::at).filter(|at| !at.value.is_file()) {
        faults.push(at.spot.fault("expected a file's path"));
    }
}

fn docker_endpoint(at: &At<String>, has_tls: bool, faults: &mut Vec<Fault>) {
    let scheme = at.value.split_once("://").map(|(scheme, rest)| (scheme, rest.is_empty()));
    match scheme {
        Some(("unix", false)) if has_tls => {
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
