//! Labels of containers and tags of services.

use std::collections::BTreeMap;

use super::fuzz;
use crate::{
    model::{Exposure, Shared},
    provider::discovery::{Assembler, Instance, Rules},
};

const WORDS: &[&str] = &[
    "traefik.enable",
    "traefik.http.routers.a.",
    "traefik.http.services.a.loadbalancer.",
    "traefik.http.middlewares.a.",
    "traefik.tcp.routers.a.",
    "traefik.udp.services.a.loadbalancer.server.port",
    "lb.",
    "rule",
    "service",
    "middlewares",
    "priority",
    "entrypoints",
    "tls.domains[0].main",
    "server.port",
    "server.weight",
    "server.url",
    "sticky.cookie.name",
    "healthcheck.path",
    "basicauth.users",
    "headers.customrequestheaders.X",
    "chain.middlewares",
    "=",
    "=true",
    "=80",
    "=-1",
    "[0]",
    "[99999999999]",
    ".",
    "..",
    "\n",
    "Host(`a`)",
    "$$",
    ",",
];

fn instance(n: u8, labels: BTreeMap<String, String>) -> Instance {
    Instance {
        id: n.to_string(),
        origin: format!("container {n}"),
        name: format!("c{n}"),
        service: format!("s{n}"),
        address: Some(format!("10.0.0.{n}")),
        tcp: vec![80],
        labels,
        since: n.into(),
        ..Instance::default()
    }
}

#[test]
fn labels() {
    let sound = BTreeMap::from([("traefik.enable".to_owned(), "true".to_owned())]);
    let rules = Rules::new("docker", &Exposure::default());
    fuzz("labels", WORDS, |input| {
        let text = String::from_utf8_lossy(input);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let both = [instance(1, sound.clone()), instance(2, labels)].map(Shared::from);
        let told = Assembler::new(rules.clone()).assemble(&both);
        assert_eq!(told.serving + told.skipped.len(), 2, "one is lost: {:?}", told.skipped);
        // The older one stays, whatever the other says.
        assert!(told.skipped.iter().all(|one| one.instance == "container 2"), "{:?}", told.skipped);
        for fault in &told.faults {
            assert!(fault.place.file == "container 2" && !fault.message.is_empty(), "{fault}");
        }
        let [first, second] = both;
        let turned = Assembler::new(rules.clone()).assemble(&[second, first]);
        assert_eq!(turned.document.services.len(), told.document.services.len());
        (told.skipped.first().map(|one| one.reason.label()), told.faults.len().min(4))
    });
}
