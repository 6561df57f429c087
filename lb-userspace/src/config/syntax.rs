//! Bytes to the value tree, by the file's suffix.

use std::path::Path;

use super::{
    toml,
    tree::{Node, Pos, Value},
    yaml,
};

/// Why a text couldn't be read, and where.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) pos: Pos,
    pub(crate) message: String,
}

/// Suffixes that are read as configuration.
pub(crate) const SUFFIXES: &[&str] = &["yaml", "yml", "toml", "json"];

/// Reads a file's bytes: TOML by `.toml`, JSON by `.json`, YAML by any other suffix.
///
/// # Errors
/// Every syntax error that the format's parser can tell apart (YAML's stops at the first); an
/// empty document, which is what a half-written file looks like.
pub(crate) fn parse(file: &Path, bytes: &[u8]) -> Result<Node, Vec<SyntaxError>> {
    let text = text(bytes).map_err(|error| vec![error])?;
    if text.trim().is_empty() {
        return Err(vec![empty()]);
    }
    let suffix = file.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let node = match suffix.to_ascii_lowercase().as_str() {
        "toml" => toml::parse(text)?,
        "json" => json(text).map_err(|error| vec![error])?,
        _ => yaml::parse(text).map_err(|error| vec![error])?,
    };
    match node.value {
        Value::Null => Err(vec![empty()]),
        _ => Ok(node),
    }
}

fn empty() -> SyntaxError {
    SyntaxError {
        pos: Pos::default(),
        message: "the document is empty, as a half-written file is; write `{}` if nothing is meant"
            .to_owned(),
    }
}

/// UTF-8, with or without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, SyntaxError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        SyntaxError { pos: end_of(&good), message: "not UTF-8; save the file as UTF-8".to_owned() }
    })
}

/// JSON is a subset of YAML 1.2 but for what it forbids: its own parser judges the syntax, then
/// YAML's tells the places.
fn json(text: &str) -> Result<Node, SyntaxError> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        return Err(SyntaxError {
            pos: Pos { line: small(error.line()), column: small(error.column()) },
            message,
        });
    }
    yaml::parse(text)
}

/// The place behind `text`.
pub(crate) fn end_of(text: &str) -> Pos {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
    Pos {
        line: small(text.matches('\n').count() + 1),
        column: small(text[line_start..].chars().count() + 1),
    }
}
