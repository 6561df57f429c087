//! From what Consul says of an instance to ours.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::discovery::{Health, Instance};

/// The instances of a service, from what `/v1/health/service/NAME` answers.
///
/// # Errors
/// It is no such answer.
pub(crate) fn instances(body: &[u8], states: &[String]) -> Result<Vec<Instance>, String> {
    let entries: Vec<Entry> = super::parse(body)?;
    Ok(entries.iter().map(|entry| entry.instance(states)).collect())
}

/// An element of `/v1/health/service/NAME`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    node: String,
    address: String,
    datacenter: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Option<Vec<String>>,
    address: String,
    port: u16,
    weights: Weights,
    create_index: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Weights {
    passing: u32,
    warning: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    status: String,
    output: String,
}

/// What an instance of a service is to a provider, wherever it is registered.
#[derive(Debug)]
pub(in super::super) struct Found<'e> {
    /// Of the provider: `consulCatalog`.
    pub(in super::super) provider: &'e str,
    pub(in super::super) key: String,
    pub(in super::super) id: &'e str,
    pub(in super::super) service: &'e str,
    pub(in super::super) tags: &'e [String],
    pub(in super::super) address: &'e str,
    pub(in super::super) port: u16,
    pub(in super::super) weight: u32,
    /// Its worst check's.
    pub(in super::super) status: &'e str,
    pub(in super::super) output: &'e str,
    pub(in super::super) since: u64,
}

impl Found<'_> {
    /// With tags as labels; only those of `states` serve.
    pub(in super::super) fn instance(&self, states: &[String]) -> Instance {
        let label = |tag: &String| {
            let (key, value) = tag.split_once('=')?;
            Some((key.trim().to_owned(), value.to_owned()))
        };
        let serves = states.iter().any(|state| state.eq_ignore_ascii_case(self.status));
        let why = || format!("{}: {:.200}", self.status, self.output.trim());
        let ports: Vec<u16> = (self.port > 0).then_some(self.port).into_iter().collect();
        let address = (!self.address.is_empty()).then(|| self.address.to_owned());
        Instance {
            id: self.key.clone(),
            origin: format!("{} service {:?} instance {:?}", self.provider, self.service, self.id),
            name: self.id.to_owned(),
            service: self.service.to_owned(),
            unreachable: match address {
                Some(_) => String::new(),
                None => "neither the service nor its node has an address".to_owned(),
            },
            address,
            tcp: ports.clone(),
            udp: ports,
            labels: self.tags.iter().filter_map(label).collect::<BTreeMap<_, _>>(),
            tags: self.tags.to_vec(),
            weight: Some(self.weight.min(65_535)),
            health: if serves { Health::Good } else { Health::Bad(why()) },
            leaving: false,
            since: self.since,
        }
    }
}

impl Entry {
    fn instance(&self, states: &[String]) -> Instance {
        let order = |status: &str| match status {
            "passing" => 0,
            "warning" => 1,
            _ => 2,
        };
        let worst = self.checks.iter().max_by_key(|check| order(&check.status));
        let (status, output) = worst.map_or(("passing", ""), |c| (&c.status, &c.output));
        let Service { id, service, tags, address, port, weights, create_index } = &self.service;
        let weight = if status == "warning" { weights.warning } else { weights.passing };
        Found {
            provider: "consulCatalog",
            key: format!("{}/{}/{id}", self.node.datacenter, self.node.node),
            id,
            service,
            tags: tags.as_deref().unwrap_or_default(),
            address: if address.is_empty() { &self.node.address } else { address },
            port: *port,
            weight,
            status,
            output,
            since: *create_index,
        }
        .instance(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Instance {
        let entry: Entry = serde_json::from_str(text).unwrap();
        entry.instance(&["passing".to_owned()])
    }

    #[test]
    fn tags_are_labels() {
        let one = read(
            r#"{"Node":{"Node":"n","Address":"10.0.0.1","Datacenter":"dc1"},
            "Service":{"ID":"api-1","Service":"api","Tags":["traefik.enable=true","plain","a=b=c"],
            "Address":"10.0.1.5","Port":8080,"Weights":{"Passing":7,"Warning":1},"CreateIndex":5},
            "Checks":[{"Status":"passing"}]}"#,
        );
        assert_eq!(one.labels["traefik.enable"], "true");
        assert_eq!(one.labels["a"], "b=c");
        assert_eq!((one.labels.len(), one.tags.len()), (2, 3));
        assert_eq!(one.address.as_deref(), Some("10.0.1.5"));
        assert_eq!((one.tcp, one.weight, one.health), (vec![8080], Some(7), Health::Good));
        assert_eq!(one.id, "dc1/n/api-1");
    }

    #[test]
    fn no_address_is_the_nodes_and_null_is_nothing() {
        let one = read(
            r#"{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"a","Service":"a","Tags":null,"Address":""}}"#,
        );
        assert_eq!(one.address.as_deref(), Some("10.0.0.1"));
        assert!(one.tcp.is_empty());
    }

    #[test]
    fn the_worst_check_counts() {
        let one = read(
            r#"{"Node":{},"Service":{"ID":"a","Service":"a"},
            "Checks":[{"Status":"passing"},{"Status":"warning","Output":"hm"},{"Status":"passing"}]}"#,
        );
        assert_eq!(one.health, Health::Bad("warning: hm".to_owned()));
    }
}
