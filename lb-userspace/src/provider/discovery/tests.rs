//! From instances to services, routers and reasons.

mod labels;
mod pooled;

use std::{collections::BTreeMap, path::PathBuf};

use super::{Assembled, Assembler, Instance, Rules};
use crate::model::{Dynamic, Exposure, Shared};

/// An instance `api-1` of the service `api` with these labels.
pub(super) fn instance(labels: &[(&str, &str)]) -> Instance {
    Instance {
        id: "1".to_owned(),
        origin: "docker container \"api-1\"".to_owned(),
        name: "api-1".to_owned(),
        service: "api".to_owned(),
        address: Some("10.0.0.1".to_owned()),
        tcp: vec![80],
        udp: vec![53],
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Instance::default()
    }
}

/// Another one, at an address of its own.
pub(super) fn other(n: u8, labels: &[(&str, &str)]) -> Instance {
    Instance {
        id: n.to_string(),
        origin: format!("docker container \"api-{n}\""),
        name: format!("api-{n}"),
        address: Some(format!("10.0.0.{n}")),
        since: n.into(),
        ..instance(labels)
    }
}

pub(super) fn assemble(instances: &[Instance]) -> Assembled {
    assemble_by(&Exposure::default(), instances)
}

pub(super) fn assemble_by(exposure: &Exposure, instances: &[Instance]) -> Assembled {
    let instances: Vec<_> = instances.iter().cloned().map(Shared::from).collect();
    Assembler::new(Rules::new("docker", exposure)).assemble(&instances)
}

/// What applies, references resolved.
pub(super) fn dynamic(assembled: &Assembled) -> Dynamic {
    let main = PathBuf::from("lb.yaml");
    let entry_points = b"entryPoints: { web: { address: \":80\" }, pg: { address: \":5432\" }, \
                         dns: { address: \":53/udp\" } }\n\
                         certificatesResolvers: { letsencrypt: {} }\n";
    let main = crate::config::build::main_file(
        &main,
        entry_points,
        "file",
        &crate::config::HostPorts::default(),
    );
    assert_eq!(main.faults, []);
    let instance = main.document.instance.clone().unwrap_or_default();
    let sources = [("file", &main.document), ("docker", &assembled.document)];
    let resolved = crate::config::resolve::resolve(&sources, &instance, &Default::default());
    let refused: Vec<_> = resolved.refused.iter().map(|refusal| &refusal.fault).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let none = BTreeMap::from([("docker", Dynamic::default())]);
    let mut dynamic = resolved.dynamic;
    dynamic.remove("docker").unwrap_or_else(|| none["docker"].clone())
}
