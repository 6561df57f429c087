//! From what Docker says of a container to an instance.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerInspectResponse, ContainerState, EndpointSettings, HealthStatusEnum,
};

use super::super::discovery::{Health, Instance, template::normalize};
use crate::model;

/// Labels of compose: a service's containers are instances of one service.
const COMPOSE: [&str; 2] = ["com.docker.compose.service", "com.docker.compose.project"];

/// Whose network a container uses, where it is another container's.
pub(super) fn shares_network_of(container: &ContainerInspectResponse) -> Option<&str> {
    let host = container.host_config.as_ref()?;
    host.network_mode.as_deref()?.strip_prefix("container:")
}

/// The instance that a container is, or `None` where it doesn't run. `network_of` is the container
/// whose network it shares, if any.
pub(super) fn instance(
    container: &ContainerInspectResponse,
    network_of: Option<&ContainerInspectResponse>,
    settings: &model::Docker,
) -> Option<Instance> {
    let state = container.state.as_ref()?;
    if state.running != Some(true) {
        return None;
    }
    let name = container.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
    let config = container.config.as_ref();
    let labels = config.and_then(|config| config.labels.clone()).unwrap_or_default();
    let mut instance = Instance {
        id: container.id.clone()?,
        origin: format!("docker container {name:?}"),
        service: service(&name, &labels.clone().into_iter().collect()),
        name,
        labels: labels.into_iter().collect(),
        health: health(state),
        since: when(&container.created),
        ..Instance::default()
    };
    (instance.tcp, instance.udp) = ports(container);
    match address(&instance, network_of.unwrap_or(container), settings) {
        Ok(address) => instance.address = Some(address),
        Err(why) => instance.unreachable = why,
    }
    Some(instance)
}

/// As Traefik names it.
fn service(name: &str, labels: &BTreeMap<String, String>) -> String {
    match COMPOSE.map(|label| labels.get(label)) {
        [Some(service), Some(project)] => normalize(&format!("{service}_{project}")),
        _ => normalize(name),
    }
}

fn health(state: &ContainerState) -> Health {
    if state.paused == Some(true) {
        return Health::Bad("paused".to_owned());
    }
    match state.health.as_ref().and_then(|health| health.status) {
        Some(status @ (HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY)) => {
            Health::Bad(status.to_string())
        }
        _ => Health::Good,
    }
}

/// A time in digits alone, which orders as the time does.
fn when(time: &Option<impl ToString>) -> u64 {
    let text = time.as_ref().map(ToString::to_string).unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(17).collect();
    digits.parse().unwrap_or_default()
}

/// Ports of TCP and of UDP, rising: those that the image exposes and those that are published.
fn ports(container: &ContainerInspectResponse) -> (Vec<u16>, Vec<u16>) {
    let config = container.config.as_ref();
    let exposed = config.and_then(|config| config.exposed_ports.clone()).unwrap_or_default();
    let network = container.network_settings.as_ref();
    let published = network.and_then(|network| network.ports.clone()).unwrap_or_default();
    let (mut tcp, mut udp) = (Vec::new(), Vec::new());
    for port in exposed.into_iter().chain(published.into_keys()) {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let Ok(number) = number.parse() else { continue };
        match protocol {
            "tcp" => tcp.push(number),
            "udp" => udp.push(number),
            _ => {}
        }
    }
    for ports in [&mut tcp, &mut udp] {
        ports.sort_unstable();
        ports.dedup();
    }
    (tcp, udp)
}

/// Its address in the network that is asked for, else in the first one by name.
fn address(
    instance: &Instance,
    container: &ContainerInspectResponse,
    settings: &model::Docker,
) -> Result<String, String> {
    let mode = container.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
    if mode == Some("host") {
        return Ok("127.0.0.1".to_owned());
    }
    let networks = container.network_settings.as_ref().and_then(|all| all.networks.as_ref());
    let networks: BTreeMap<&str, String> = networks
        .into_iter()
        .flatten()
        .filter_map(|(name, endpoint)| Some((name.as_str(), ip(endpoint)?)))
        .collect();
    let prefixes: Vec<&str> = settings.exposure.prefixes.iter().map(String::as_str).collect();
    let wanted = instance.option(&prefixes, "docker.network").or(settings.network.as_deref());
    let names: Vec<&str> = networks.keys().copied().collect();
    match wanted {
        Some(wanted) => networks.get(wanted).cloned().ok_or_else(|| match names.as_slice() {
            [] => format!("not in network {wanted:?}, nor in any other"),
            names => format!("not in network {wanted:?}; in {}", names.join(", ")),
        }),
        None => networks.into_values().next().ok_or_else(|| "in no network".to_owned()),
    }
}

fn ip(endpoint: &EndpointSettings) -> Option<String> {
    let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
    addresses.into_iter().flatten().map(ToString::to_string).find(|address| !address.is_empty())
}
