//! What holds for every text.

use proptest::prelude::*;

use super::*;
use crate::proxy::Exchange;

/// Pieces of rules, so that arbitrary texts get beyond the first word.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "Host",
            "HostRegexp",
            "Path",
            "PathPrefix",
            "PathRegexp",
            "Header",
            "Headers",
            "HeaderRegexp",
            "Method",
            "Query",
            "QueryRegexp",
            "ClientIP",
            "HostSNI",
            "HostSNIRegexp",
            "ALPN",
            "(",
            ")",
            "(`",
            "`)",
            "`",
            "\"",
            "'",
            ",",
            "&&",
            "||",
            "!",
            " ",
            "/a",
            "{x:[a-z]+}",
            "*",
            "**.a",
            "10.0.0.0/8",
            "a.example",
            "\\",
            "(((",
            "^$",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in pieces()) {
        let exchange = Exchange::made_up("GET /a%41?x=%zz&y\nHost: A.example:80\nX: é");
        for protocol in [Protocol::Http, Protocol::Tcp] {
            for syntax in [Syntax::Auto, Syntax::V3, Syntax::V2] {
                if let Ok(rule) = Rule::parse(&text, protocol, syntax) {
                    let _matches = rule.matches(&exchange);
                    prop_assert_eq!(rule.text(), &text);
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(text in "\\PC*") {
        let _outcome = Rule::parse(&text, Protocol::Http, Syntax::Auto);
    }

    #[test]
    fn a_rule_that_takes_all_does_so_however_bracketed(depth in 0_usize..30, spaces in " {0,3}") {
        let rule = format!("{}{spaces}HostSNI(`*`){}", "(".repeat(depth), ")".repeat(depth));
        prop_assert!(tcp(&rule).is_catch_all());
    }

    #[test]
    fn what_is_negated_matches_where_it_did_not(path in "/[ab]{0,2}", target in "/[ab]{0,3}") {
        let exchange = Exchange::made_up(&format!("GET {target}"));
        let plain = http(&format!("PathPrefix(`{path}`)"), Syntax::V3);
        let negated = http(&format!("!PathPrefix(`{path}`)"), Syntax::V3);
        prop_assert_ne!(plain.matches(&exchange), negated.matches(&exchange));
    }
}
