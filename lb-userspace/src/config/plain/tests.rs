//! What is read here is what the parser of all YAML reads.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::parse;
use crate::config::yaml;

/// Whether this reads a text, and that it does so as the other parser would.
fn reads(text: &str) -> bool {
    let Some(node) = parse(text) else { return false };
    let of_all = yaml::parse_any(text);
    let of_all = of_all.unwrap_or_else(|error| panic!("{text}\nis refused: {}", error.message));
    assert_eq!(format!("{node:#?}"), format!("{of_all:#?}"), "{text}");
    true
}

macro_rules! read {
    ($($test:ident: $text:literal;)+) => {
        $(#[test]
        fn $test() {
            assert!(reads($text), "{}", $text);
        })+
    };
}

read! {
    a_key: "a: b";
    keys_and_blank_lines: "\n# c\na: b\n\n  # d\nc: d\n";
    nested_keys: "a:\n  b:\n    c: d\n  e: f\ng: h\n";
    any_depth_of_indentation: "a:\n   b: c\n   d:\n    e: f\n";
    all_of_it_indented: "  a: b\n  c: d\n";
    a_list: "a:\n  - b\n  - c\nd: e\n";
    a_list_as_far_left_as_its_key: "a:\n- b\n- c\nd: e\n";
    a_list_of_objects: "a:\n  - b: c\n    d: e\n  -   f: g\n      h:\n        - i\n";
    objects_in_lists_as_far_left_as_their_keys: "a:\n- b:\n  - c: d\n    e: f\n- g: h\n";
    comments_behind: "a: b # c\nd: # e\n  f: \"g\" # h\n  i: {} # j\n";
    a_number_sign_within: "a: b#c\nd: \"e # f\"\n";
    quoted_texts: "a: \"Host(`b`) && PathPrefix(`/c`)\"\nd: 'e: \"f\"'\ng: \"\"\n";
    a_rule_without_quotes: "rule: Host(`a.example`) && PathPrefix(`/b`) || !Method(`GET`)\n";
    urls_and_addresses: "a: http://10.0.0.1:80/x\nb: 10.0.0.1:80\nc: /etc/x.pem\nd: a:80\n";
    numbers: "a: 0\nb: 17\nc: -3\nd: 1.5\ne: 0x1f\nf: 0o17\ng: 017\nh: 1e3\ni: 123456789012345678901234567890\nj: 1_000\n";
    durations: "a: 10s\nb: 300ms\nc: 1h30m\n";
    booleans_and_what_looks_like_them: "a: true\nb: false\nc: yes\nd: on\ne: off\nf: y\ng: True\nh: NO\n";
    nothing_in_words: "a: null\nb: Null\n";
    infinities: "a: inf\nb: nan\nc: infinity\nd: info\n";
    flow: "a: { b: c, d: [e, \"f, g\", { h: 1 }], i: http://x:80 }\nj: []\nk: [ 1, true ]\n";
    rules_in_flow: "a: { rule: \"Host(`a`)\", service: b, tls: {} }\n";
    a_key_twice: "a: 1\na: 2\n";
    names: "a-b_c.d/e@f: g";
    trailing_spaces: "a: b  \nc:   \n  d: \"e\"   \n";
}

macro_rules! left {
    ($($test:ident: $text:literal;)+) => {
        $(#[test]
        fn $test() {
            assert!(!reads($text), "{}", $text);
        })+
    };
}

left! {
    nothing_at_all: "";
    a_scalar_alone: "a";
    a_tab: "a:\tb";
    other_letters: "a: ä";
    carriage_returns: "a: b\r\n";
    no_value: "a:\nb: c";
    no_value_at_the_end: "a:\n";
    an_item_without_a_value: "a:\n  -\n  - b\n";
    lists_of_lists: "a:\n  - - b\n";
    text_on_two_lines: "a: b\n  c\n";
    text_below_its_key: "a:\n  b\n";
    flow_on_two_lines: "a: { b: c,\n  d: e }\n";
    a_comma_too_many: "a: [ b, ]\n";
    a_block_of_text: "a: |\n  b\n";
    an_anchor: "a: &b c\n";
    an_alias: "a: *b\n";
    a_tag: "a: !!str b\n";
    a_merge: "<<: b\n";
    a_document_marker: "---\na: b\n";
    escapes: "a: \"b\\nc\"\n";
    a_doubled_quote: "a: 'b''c'\n";
    two_values: "a: \"b\" c\n";
    a_key_in_a_value: "a: b: c\n";
    fewer_spaces_than_above: "a:\n    b: c\n  d: e\n";
    more_spaces_than_above: "a: b\n  c: d\n";
    a_key_in_words: "true: b\n";
    quoted_keys: "\"a\": b\n";
    a_tilde: "a: ~\n";
    a_template: "a: {{ b }}\n";
}

#[test]
fn examples_are_read_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "yaml") {
            count += usize::from(reads(&fs::read_to_string(path).unwrap()));
        }
    }
    assert!(count > 0, "none of the examples is plain");
}

/// Pieces that make and break texts of this kind.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b: ",
        "c:",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "\n  - ",
        ": ",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        " # ",
        "#",
        "1",
        "-1",
        "0.5",
        "true",
        "on",
        "null",
        "x: y",
        "d: e\n",
        "\nf:\n  g: h",
        "`",
        "(",
        "/",
        "http://i:1",
        "&",
        "*",
        "!",
        "|",
        "%",
        "@",
        "?",
        "\\",
        "~",
        "inf",
        " ",
        "-",
        "---",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn whatever_is_read_is_read_the_same(text in text()) {
        reads(&text);
    }
}
