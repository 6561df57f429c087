//! What holds for every input: no text makes the reader panic, and every fault has its place.

use std::time::Duration;

use proptest::prelude::*;

use super::load;
use crate::config::{duration, names, tree::quoted};

/// Pieces of configuration, so that arbitrary texts get beyond the parser's first line.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("entryPoints".to_owned()),
        Just("tcp".to_owned()),
        Just("services".to_owned()),
        Just("loadBalancer".to_owned()),
        Just("servers".to_owned()),
        Just("address".to_owned()),
        Just("http".to_owned()),
        Just("routers".to_owned()),
        Just("rule".to_owned()),
        Just("middlewares".to_owned()),
        Just("url".to_owned()),
        Just("tls".to_owned()),
        Just(": ".to_owned()),
        Just("\n  ".to_owned()),
        Just("\n".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("- ".to_owned()),
        Just("\"".to_owned()),
        Just("[2001:db8::1]:80".to_owned()),
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A value as a file may spell it, put where a key of this name stands.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", "[0-9.:/\\[\\]a-z-]{0,16}", "-?[0-9]{1,40}"]
}

proptest! {
    #[test]
    fn no_text_panics_as_yaml(text in pieces()) {
        let _outcome = load("lb.yaml", &text);
    }

    #[test]
    fn no_text_panics_as_toml(text in pieces()) {
        let _outcome = load("lb.toml", &text);
    }

    #[test]
    fn no_text_panics_as_json(text in pieces()) {
        let _outcome = load("lb.json", &text);
    }

    #[test]
    fn every_fault_of_a_value_has_its_place(
        key in prop_oneof![Just("address"), Just("weight")],
        value in value(),
    ) {
        let text = format!(
            "tcp:\n  services:\n    s:\n      loadBalancer:\n        servers:\n          - {key}: {}\n",
            serde_json::to_string(&value).expect("a JSON text")
        );
        for fault in load("lb.yaml", &text).err().into_iter().flatten() {
            prop_assert_eq!(fault.place.line, 6, "{}", &fault);
            prop_assert!(fault.place.column > 0, "{}", &fault);
            prop_assert!(fault.path.starts_with("tcp.services.s.loadBalancer.servers[0]"));
        }
    }

    #[test]
    fn durations_as_rust_shows_them_are_read_back(nanos in 0_u64..u64::MAX / 2) {
        let duration = Duration::from_nanos(nanos);
        prop_assert_eq!(duration::parse(&format!("{duration:?}")), Ok(duration));
    }

    #[test]
    fn a_name_is_nearest_to_itself(word in "[a-z]{2,12}", others in prop::collection::vec("[a-z]{2,12}", 0..5)) {
        let all = others.iter().map(String::as_str).chain([word.as_str()]);
        prop_assert_eq!(names::nearest(&word, all), Some(word.clone()));
    }

    #[test]
    fn what_is_quoted_stays_short(text in "\\PC{0,400}") {
        prop_assert!(quoted(&text).chars().count() <= 700);
    }
}
