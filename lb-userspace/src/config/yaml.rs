//! YAML (and JSON, which is read as YAML) to the value tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Budget, DuplicateKeyPolicy, Location, Options, Spanned};

use super::{
    plain,
    syntax::SyntaxError,
    tree::{Key, Node, Pos, Value},
};

/// From this size on, in bytes, a text is tried as plain YAML first: some seconds count there. What
/// people write by hand is read by the one parser of all YAML.
const LARGE: usize = 1 << 20;

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let plain = (text.len() >= LARGE).then(|| plain::parse(text)).flatten();
    plain.map_or_else(|| parse_any(text), Ok)
}

/// Reads a document of whatever kind.
pub(super) fn parse_any(text: &str) -> Result<Node, SyntaxError> {
    match serde_yaml::from_str_with_options::<Spanned<Value>>(text, options()) {
        Ok(node) => Ok(node.into()),
        Err(error) => Err(syntax_error(&error, text)),
    }
}

/// What a plain scalar stands for; `None` where it isn't one.
pub(super) fn scalar(text: &str) -> Option<Value> {
    let value = serde_yaml::from_str_with_options::<Value>(text, options()).ok()?;
    (!matches!(value, Value::List(_) | Value::Map(_))).then_some(value)
}

/// YAML 1.2 booleans (`on` is a name, not a boolean); duplicate keys reach the decoder, which
/// reports each; room for some 100,000 servers, still bounded against alias bombs.
fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_events = 4_000_000;
    budget.max_nodes = 2_000_000;
    budget.max_documents = 2;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.strict_booleans = true;
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.with_snippet = false;
    options.alias_limits.max_total_replayed_events = 100_000;
    options
}

fn syntax_error(error: &serde_yaml::Error, text: &str) -> SyntaxError {
    let pos = error.location().map(pos).unwrap_or_default();
    let line = text.lines().nth(pos.line.saturating_sub(1) as usize).unwrap_or_default();
    let message = match error {
        serde_yaml::Error::MultipleDocuments { .. } => {
            "a second document begins here (`---`); one file holds one document".to_owned()
        }
        _ if line.contains("{{") => "not YAML: files are no templates (`{{`)".to_owned(),
        other => first_line(&other.without_snippet().to_string()),
    };
    SyntaxError { pos, message }
}

/// The parser's own words, without the place it appends.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    let line = line.split(" at line ").next().unwrap_or(line);
    line.trim_start_matches("error: ").trim().to_owned()
}

fn pos(at: Location) -> Pos {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { line: small(at.line()), column: small(at.column()) }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self::new(pos(spanned.referenced), spanned.value)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_i128<E>(self, n: i128) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_u128<E: serde::de::Error>(self, n: u128) -> Result<Value, E> {
        i128::try_from(n).map(Value::Int).map_err(|_| E::custom("number out of range"))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element::<Spanned<Value>>()? {
            list.push(node.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            entries.push((Key { pos: pos(key.referenced), name: key.value }, node.into()));
        }
        Ok(Value::Map(entries))
    }
}
