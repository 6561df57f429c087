//! TOML to the value tree.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    syntax::SyntaxError,
    tree::{Key, Node, Pos, Value},
};

/// Reads one document.
///
/// # Errors
/// Every syntax error, in the order of the file.
pub(crate) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node::new(Pos { line: 1, column: 1 }, map(table.get_ref(), &lines)));
    }
    let error = |error: &toml::de::Error| SyntaxError {
        pos: error.span().map(|span| lines.pos(span.start)).unwrap_or_default(),
        message: error.message().to_owned(),
    };
    let mut errors: Vec<SyntaxError> = errors.iter().map(error).collect();
    errors.sort_by_key(|error| (error.pos.line, error.pos.column));
    Err(errors)
}

fn map(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().to_string();
            (Key { pos: lines.pos(key.span().start), name }, node(value, lines))
        })
        .collect();
    entries.sort_by_key(|(key, _)| (key.pos.line, key.pos.column));
    Value::Map(entries)
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let tree = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => i128::from_str_radix(n.as_str(), n.radix())
            .map_or_else(|_| Value::Text(n.to_string()), Value::Int),
        DeValue::Float(n) => {
            n.as_str().parse().map_or_else(|_| Value::Text(n.to_string()), Value::Float)
        }
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(table) => map(table, lines),
    };
    Node::new(lines.pos(value.span().start), tree)
}

/// Byte offsets to places, without reading the text anew for each.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    fn pos(&self, offset: usize) -> Pos {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts[line - 1];
        let end = offset.min(self.text.len());
        let column = self.text.get(start..end).map_or(0, |text| text.chars().count());
        Pos { line: small(line), column: small(column + 1) }
    }
}
