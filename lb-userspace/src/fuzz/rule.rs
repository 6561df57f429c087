//! The language of rules.

use super::fuzz;
use crate::{
    model::{Protocol, Rule},
    proxy::Exchange,
    rule::Syntax,
};

const WORDS: &[&str] = &[
    "Host(`a`)",
    "HostRegexp(`^a`)",
    "Path(`/`)",
    "PathPrefix(`/a`)",
    "PathRegexp(`/.*`)",
    "Header(`a`, `b`)",
    "Headers(`a`, `b`)",
    "HeaderRegexp(`a`, `.`)",
    "Method(`GET`)",
    "Query(`a`, `b`)",
    "QueryRegexp(`a`, `.`)",
    "ClientIP(`10.0.0.0/8`)",
    "HostSNI(`*`)",
    "HostSNIRegexp(`.`)",
    "ALPN(`h2`)",
    " && ",
    " || ",
    "!",
    "(",
    ")",
    "`",
    "\"",
    "'",
    ",",
    "{n:[a-z]+}",
    "**.",
    "::",
    "/0",
];

#[test]
fn rules() {
    let asked = Exchange::made_up("GET /a/b?c=d\nHost: a.example\nX-A: b");
    fuzz("rule", WORDS, |input| {
        let text = String::from_utf8_lossy(input);
        let one = |protocol, syntax| match Rule::parse(&text, protocol, syntax) {
            Ok(rule) => {
                assert_eq!(rule.text(), text);
                let _of_any_sign = rule.default_priority();
                let matches = protocol == Protocol::Http && rule.matches(&asked);
                // Read again it means the same.
                let again = Rule::parse(rule.text(), protocol, syntax).expect("it was a rule");
                assert_eq!(rule.hosts().collect::<Vec<_>>(), again.hosts().collect::<Vec<_>>());
                format!("{matches} {}", rule.hosts().count())
            }
            Err(error) => {
                // What is quoted differs with every input: the kind alone is news.
                let text = error.to_string();
                text.split(['"', '`', '\'']).next().unwrap_or_default().to_owned()
            }
        };
        let all = [
            (Protocol::Http, Syntax::Auto),
            (Protocol::Http, Syntax::V2),
            (Protocol::Tcp, Syntax::V3),
        ];
        all.map(|(protocol, syntax)| one(protocol, syntax))
    });
}
