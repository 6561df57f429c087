//! Rules, as requests and connections meet them.

mod catalogue;
mod faults;
mod matching;
mod properties;
mod tcp;

use super::*;

fn http(rule: &str, syntax: Syntax) -> Rule {
    Rule::parse(rule, Protocol::Http, syntax).unwrap_or_else(|error| panic!("{rule}: {error}"))
}

fn tcp(rule: &str) -> Rule {
    Rule::parse(rule, Protocol::Tcp, Syntax::Auto).unwrap_or_else(|error| panic!("{rule}: {error}"))
}
