//! Every documented key, as a label and as a key of a store, means what it means in a file.

mod http;
mod l4;
mod middlewares;
mod refused;

use std::path::Path;

use crate::{
    config::{
        build::{self, Document, Parsed},
        flat::{Style, Tree, after_prefix, after_root},
    },
    model::Place,
};

/// Rows `name: "KEY=VALUE; KEY=VALUE" => "YAML"`; keys follow the prefix that the table has, and the
/// YAML stands in place of `@` in its frame.
macro_rules! means {
    ($prefix:literal, $frame:literal, $also:literal; $($test:ident: $pairs:literal => $yaml:literal;)+) => {
        $(#[test]
        fn $test() {
            $crate::provider::discovery::tests::labels::compare($prefix, $frame, $also, $pairs, $yaml);
        })+
    };
}
pub(super) use means;

/// `also` are pairs that every row of a table has, with whole keys.
pub(super) fn compare(prefix: &str, frame: &str, also: &str, pairs: &str, yaml: &str) {
    let wanted = said(&build::provider_file(
        Path::new("f.yaml"),
        frame.replace('@', yaml).as_bytes(),
        "docker",
    ));
    let split = |pairs: &str, prefix: &str| -> Vec<(String, String)> {
        let pairs = pairs.split(';').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (key, value) = pair.split_once('=').expect("KEY=VALUE");
                (format!("{prefix}{key}"), value.to_owned())
            })
            .collect()
    };
    let pairs = [split(pairs, prefix), split(also, "")].concat();
    assert_eq!(said(&labels(&pairs, "traefik.")), wanted, "as labels");
    assert_eq!(said(&labels(&pairs, "lb.")), wanted, "as labels of lb's");
    assert_eq!(said(&keys(&pairs)), wanted, "as keys");
}

pub(super) fn labels(pairs: &[(String, String)], prefix: &str) -> Parsed {
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| (format!("{prefix}{k}"), v.as_str())).collect();
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), *value));
    let tree = Tree::read("a", Style::Dotted, pairs, |key| after_prefix(key, &["traefik", "lb"]));
    build::labels(&tree, "docker")
}

/// `a.b[0].c` becomes `traefik/a/b/0/c`.
fn keys(pairs: &[(String, String)]) -> Parsed {
    let key = |key: &str| key.replace('[', ".").replace(']', "").replace('.', "/");
    let pairs: Vec<_> =
        pairs.iter().map(|(k, v)| (format!("traefik/{}", key(k)), v.as_str())).collect();
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), *value));
    let tree = Tree::read("a", Style::Slashed, pairs, |key| after_root(key, "traefik"));
    build::keys(&tree, "docker")
}

/// What a document says, without places.
fn said(parsed: &Parsed) -> Vec<String> {
    let faults: Vec<&str> = parsed.faults.iter().map(|fault| fault.message.as_str()).collect();
    assert!(faults.is_empty(), "{:?}", parsed.faults);
    let Document { routers, services, middlewares, transports, .. } = &parsed.document;
    let mut said = Vec::new();
    for draft in routers {
        let mut config = draft.config.clone();
        config.place = Place::default();
        let off: Vec<&str> = draft.off.iter().map(|fault| fault.message.as_str()).collect();
        said.push(format!("{config:?} {off:?} {:?}", draft.resolver.as_ref().map(|at| &at.value)));
    }
    said.extend(services.iter().map(|draft| format!("{:?}", draft.service)));
    for draft in middlewares {
        let settings = draft.settings.as_ref().map_err(|faults| &faults[0].message);
        if let Err(why) = settings {
            // The one thing that a table can't have.
            assert!(why.contains("No such file"), "{why}");
        }
        said.push(format!("{} {settings:?}", draft.id));
    }
    said.extend(transports.iter().map(|at| format!("{:?}", at.value)));
    said.sort();
    assert!(!said.is_empty());
    said
}
