//! From what a manager says of services and tasks to instances.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bollard::models::{EndpointPortConfig, EndpointSpecModeEnum, Service};
use serde::Deserialize;

use super::super::discovery::{Instance, template::normalize};
use crate::model;

/// An element of `/tasks`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID")]
    service: String,
    #[serde(rename = "NodeID")]
    node: String,
    slot: Option<u64>,
    created_at: String,
    desired_state: String,
    status: TaskStatus,
    networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskStatus {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    network: Network,
    addresses: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    spec: NetworkSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSpec {
    name: String,
    ingress: bool,
    driver_configuration: Option<Driver>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Driver {
    name: String,
}

/// What is around tasks.
pub(super) struct Swarm<'a> {
    /// Names of networks by id.
    pub(super) networks: HashMap<String, String>,
    /// Addresses of nodes by id.
    pub(super) nodes: HashMap<String, String>,
    pub(super) settings: &'a model::Docker,
}

impl Swarm<'_> {
    /// Running tasks of services; or services themselves, where the swarm is to balance.
    pub(super) fn instances(
        &self,
        services: &BTreeMap<String, Service>,
        tasks: &[Task],
    ) -> Vec<Instance> {
        let mut out = Vec::new();
        for (id, service) in services {
            let Some(mut whole) = service_instance(id, service) else { continue };
            if self.is_balanced_by_swarm(&whole, service) {
                match self.virtual_address(&whole, service) {
                    Ok(address) => whole.address = Some(address),
                    Err(why) => whole.unreachable = why,
                }
                out.push(whole);
                continue;
            }
            let of_service = tasks.iter().filter(|task| task.service == *id);
            let running = of_service.filter(|task| task.status.state == "running");
            out.extend(running.map(|task| self.task(&whole, task)));
        }
        out
    }

    /// `traefik.swarm.lbswarm`, of a service that has an address of its own.
    fn is_balanced_by_swarm(&self, whole: &Instance, service: &Service) -> bool {
        let asks = ["swarm.lbswarm", "docker.lbswarm"]
            .iter()
            .find_map(|name| whole.option(&self.prefixes(), name))
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let mode = service.spec.as_ref().and_then(|spec| spec.endpoint_spec.as_ref()?.mode);
        asks && mode != Some(EndpointSpecModeEnum::DNSRR)
    }

    fn prefixes(&self) -> Vec<&str> {
        self.settings.exposure.prefixes.iter().map(String::as_str).collect()
    }

    fn virtual_address(&self, whole: &Instance, service: &Service) -> Result<String, String> {
        let endpoint = service.endpoint.as_ref();
        let all = endpoint.and_then(|endpoint| endpoint.virtual_ips.as_ref());
        let found = all.into_iter().flatten().filter_map(|ip| {
            let name = self.networks.get(ip.network_id.as_ref()?)?;
            Some((name.as_str(), host(ip.addr.as_deref()?)?))
        });
        self.choose(whole, found.filter(|(name, _)| *name != "ingress").collect())
    }

    fn task(&self, whole: &Instance, task: &Task) -> Instance {
        let name = match task.slot.filter(|slot| *slot > 0) {
            Some(slot) => format!("{}.{slot}", whole.name),
            None => format!("{}.{}", whole.name, task.id),
        };
        let mut instance = Instance {
            id: task.id.clone(),
            origin: format!("swarm task {name:?}"),
            name,
            // It is to end, but is there still.
            leaving: task.desired_state != "running",
            since: when(&task.created_at),
            ..whole.clone()
        };
        match self.address(&instance, task) {
            Ok(address) => instance.address = Some(address),
            Err(why) => instance.unreachable = why,
        }
        instance
    }

    fn address(&self, instance: &Instance, task: &Task) -> Result<String, String> {
        let attached = task.networks_attachments.as_deref().unwrap_or_default();
        let mut found = BTreeMap::new();
        for attachment in attached {
            let spec = &attachment.network.spec;
            let driver = spec.driver_configuration.as_ref().map(|driver| driver.name.as_str());
            let address = match attachment.addresses.as_deref() {
                // The node's own network.
                None | Some([]) if driver == Some("host") => self.node(&task.node),
                addresses => addresses.into_iter().flatten().find_map(|address| host(address)),
            };
            if let (false, Some(address)) = (spec.ingress, address) {
                found.insert(spec.name.as_str(), address);
            }
        }
        self.choose(instance, found)
    }

    /// One that doesn't say where it is is this one.
    fn node(&self, id: &str) -> Option<String> {
        let address: IpAddr = self.nodes.get(id)?.parse().ok()?;
        Some(if address.is_unspecified() { "127.0.0.1".to_owned() } else { address.to_string() })
    }

    /// The network that is asked for, else the first one by name.
    fn choose(&self, one: &Instance, found: BTreeMap<&str, String>) -> Result<String, String> {
        let wanted = ["swarm.network", "docker.network"]
            .iter()
            .find_map(|name| one.option(&self.prefixes(), name))
            .or(self.settings.network.as_deref());
        let names: BTreeSet<&str> = found.keys().copied().collect();
        match wanted {
            Some(wanted) => found.get(wanted).cloned().ok_or_else(|| match names.is_empty() {
                true => format!("not in network {wanted:?}, nor in any other"),
                false => {
                    let names: Vec<&str> = names.into_iter().collect();
                    format!("not in network {wanted:?}; in {}", names.join(", "))
                }
            }),
            None => found.into_values().next().ok_or_else(|| {
                "in no network with an address: give the service an overlay network".to_owned()
            }),
        }
    }
}

/// A service as its tasks are, without an address.
fn service_instance(id: &str, service: &Service) -> Option<Instance> {
    let spec = service.spec.as_ref()?;
    let name = spec.name.clone()?;
    let ports = spec.endpoint_spec.as_ref().and_then(|endpoint| endpoint.ports.as_ref());
    let of = |protocol: &str| -> Vec<u16> {
        let is = |port: &&EndpointPortConfig| {
            port.protocol.map_or("tcp".to_owned(), |p| p.to_string()) == protocol
        };
        let targets = ports.into_iter().flatten().filter(is).filter_map(|port| port.target_port);
        let targets: BTreeSet<u16> = targets.filter_map(|port| port.try_into().ok()).collect();
        targets.into_iter().collect()
    };
    Some(Instance {
        id: id.to_owned(),
        origin: format!("swarm service {name:?}"),
        service: normalize(&name),
        name,
        tcp: of("tcp"),
        udp: of("udp"),
        labels: spec.labels.clone().unwrap_or_default().into_iter().collect(),
        since: service.created_at.as_ref().map_or(0, |time| when(&time.to_string())),
        ..Instance::default()
    })
}

/// Without the length of the prefix.
fn host(address: &str) -> Option<String> {
    let ip = address.split('/').next()?;
    ip.parse::<IpAddr>().ok().map(|ip| ip.to_string())
}

/// A time in digits alone, which orders as the time does.
fn when(time: &str) -> u64 {
    let digits: String = time.chars().filter(char::is_ascii_digit).take(17).collect();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests;
