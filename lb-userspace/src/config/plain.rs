//! YAML as nearly all large files have it, many times as quick: mappings and lists by indentation, and
//! on one line scalars, `{…}` and `[…]`. Whatever else a text holds is left to the parser of all YAML
//! ([`super::yaml`]), and so is every text that may have a fault: what this reads, that one reads the same.

use std::cmp::Ordering;

use super::{
    tree::{Key, Node, Pos, Value},
    yaml,
};

/// Nested deeper than this is left to the other parser.
const DEEPEST: usize = 32;

/// Reads a document, a large one; `None` for one that isn't as plain as that.
pub(super) fn parse(text: &str) -> Option<Node> {
    let is_plain = |byte: &u8| *byte == b'\n' || (b' '..=b'~').contains(byte);
    if !text.as_bytes().iter().all(is_plain) {
        return None;
    }
    let mut reader = Reader { lines: text.split('\n'), number: 0, line: None };
    reader.advance();
    let document = reader.block(0)?;
    // What is indented as nothing above it is.
    reader.line.is_none().then_some(document)
}

/// A line, or what is left of it.
#[derive(Clone, Copy)]
struct Line<'t> {
    number: u32,
    /// Spaces in front.
    indent: usize,
    /// Neither empty nor a comment.
    text: &'t str,
}

impl Line<'_> {
    fn pos(&self) -> Pos {
        Pos { line: self.number, column: self.indent as u32 + 1 }
    }

    fn is_item(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }
}

struct Reader<'t> {
    lines: std::str::Split<'t, char>,
    number: u32,
    /// Where it is.
    line: Option<Line<'t>>,
}

impl<'t> Reader<'t> {
    fn advance(&mut self) {
        self.line = self.lines.by_ref().find_map(|line| {
            self.number += 1;
            let text = line.trim_start_matches(' ');
            let is_told = !text.is_empty() && !text.starts_with('#');
            is_told.then(|| Line { number: self.number, indent: line.len() - text.len(), text })
        });
    }

    /// What begins with this line, and all of its depth.
    fn block(&mut self, depth: usize) -> Option<Node> {
        let first = self.line.filter(|_| depth < DEEPEST)?;
        match first.is_item() {
            true => self.list(first, depth),
            false => self.mapping(first, depth),
        }
    }

    fn mapping(&mut self, first: Line<'t>, depth: usize) -> Option<Node> {
        let mut entries = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent == first.indent) {
            let name = key(line.text)?;
            let value = behind(line, name.len() + 1);
            let node = if value.text.is_empty() || value.text.starts_with('#') {
                self.advance();
                self.below(line, depth)?
            } else {
                self.advance();
                on_line(value)?
            };
            entries.push((Key { pos: line.pos(), name: name.to_owned() }, node));
        }
        entries.shrink_to_fit();
        Some(Node::new(first.pos(), Value::Map(entries)))
    }

    /// The value of a key that has nothing behind it.
    fn below(&mut self, key: Line<'t>, depth: usize) -> Option<Node> {
        let next = self.line?;
        match next.indent.cmp(&key.indent) {
            Ordering::Greater => self.block(depth + 1),
            // A list as far left as its key begins, to the other parser, with its first item.
            Ordering::Equal if next.is_item() => {
                let list = self.block(depth + 1)?;
                Some(Node { pos: behind(next, 1).pos(), ..list })
            }
            Ordering::Equal | Ordering::Less => None,
        }
    }

    fn list(&mut self, first: Line<'t>, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        let is_of_it = |line: &Line<'_>| line.indent == first.indent && line.is_item();
        while let Some(line) = self.line.filter(is_of_it) {
            let item = behind(line, 1);
            if item.is_item() {
                return None;
            }
            items.push(if key(item.text).is_some() {
                self.line = Some(item);
                self.block(depth + 1)?
            } else {
                self.advance();
                on_line(item)?
            });
        }
        items.shrink_to_fit();
        Some(Node::new(first.pos(), Value::List(items)))
    }
}

/// What stands on a line behind `length` of it and spaces.
fn behind(line: Line<'_>, length: usize) -> Line<'_> {
    let text = line.text[length..].trim_start_matches(' ');
    Line { indent: line.indent + line.text.len() - text.len(), text, ..line }
}

/// The key that a line begins with.
fn key(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"_-./@".contains(c))?;
    let (name, rest) = text.split_at(end);
    let ends = rest == ":" || rest.starts_with(": ");
    (ends && is_name(name)).then_some(name)
}

/// Whether a plain scalar is a text by its first letters.
fn is_name(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let begins =
        |word: &str| text.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
        && !begins("inf")
        && !begins("nan")
}

/// A value on one line, with nothing behind it but a comment.
fn on_line(line: Line<'_>) -> Option<Node> {
    let mut cursor = Cursor { line, at: 0, depth: 0 };
    let node = match line.text.as_bytes().first()? {
        b'{' | b'[' | b'"' | b'\'' => cursor.value()?,
        _ => {
            let end = line.text.find(" #").unwrap_or(line.text.len());
            let text = line.text[..end].trim_end_matches(' ');
            if text.ends_with(':') || text.contains(": ") {
                return None;
            }
            return Some(Node::new(line.pos(), scalar(text)?));
        }
    };
    let rest = &line.text[cursor.at..];
    let is_over = rest.trim_start_matches(' ').is_empty() || rest.trim_start().starts_with('#');
    (is_over && !rest.starts_with('#')).then_some(node)
}

/// A plain scalar: a text at first sight, or whatever the other parser makes of it.
fn scalar(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if is_name(text) || first == b'/' {
        return Some(Value::Text(text.to_owned()));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 18;
    if is_number && (first != b'0' || text.len() == 1) {
        return text.parse().ok().map(Value::Int);
    }
    match (first, text) {
        (_, "true") => Some(Value::Bool(true)),
        (_, "false") => Some(Value::Bool(false)),
        (b'-', _) if !text[1..].starts_with(|c: char| c.is_ascii_digit()) => None,
        (b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z', _) => yaml::scalar(text),
        _ => None,
    }
}

/// Reads `{…}`, `[…]` and quoted texts on one line.
struct Cursor<'t> {
    line: Line<'t>,
    /// How much of it is read.
    at: usize,
    depth: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.line.text[self.at..]
    }

    fn pos(&self) -> Pos {
        Pos { line: self.line.number, column: (self.line.indent + self.at) as u32 + 1 }
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    /// Passes over one character, if that is the next one.
    fn pass(&mut self, next: char) -> bool {
        let is_next = self.rest().starts_with(next);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self) -> Option<Node> {
        let pos = self.pos();
        let value = match self.rest().as_bytes().first()? {
            b'{' => self.collection(Self::entries)?,
            b'[' => self.collection(Self::items)?,
            b'"' | b'\'' => Value::Text(self.quoted()?.to_owned()),
            _ => scalar(self.plain()?)?,
        };
        Some(Node::new(pos, value))
    }

    fn collection(&mut self, inner: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        self.at += 1;
        self.depth += 1;
        self.skip_spaces();
        let value = if self.depth < DEEPEST { inner(self) } else { None };
        self.depth -= 1;
        value
    }

    fn entries(&mut self) -> Option<Value> {
        let mut entries = Vec::new();
        if self.pass('}') {
            return Some(Value::Map(entries));
        }
        loop {
            let (pos, name) = (self.pos(), key(self.rest())?);
            self.at += name.len() + 1;
            self.skip_spaces();
            entries.push((Key { pos, name: name.to_owned() }, self.value()?));
            if self.ends('}')? {
                return Some(Value::Map(entries));
            }
        }
    }

    fn items(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        if self.pass(']') {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.ends(']')? {
                return Some(Value::List(items));
            }
        }
    }

    /// Whether the collection ends here, or goes on behind a comma.
    fn ends(&mut self, close: char) -> Option<bool> {
        self.skip_spaces();
        if self.pass(close) {
            return Some(true);
        }
        let goes_on = self.pass(',');
        self.skip_spaces();
        goes_on.then_some(false)
    }

    /// Between quotes, without escapes.
    fn quoted(&mut self) -> Option<&'t str> {
        let quote = self.rest().chars().next()?;
        let inner = &self.rest()[1..];
        let text = &inner[..inner.find(quote)?];
        self.at += text.len() + 2;
        let is_escaped = match quote {
            '"' => text.contains('\\'),
            _ => self.rest().starts_with(quote),
        };
        (!is_escaped).then_some(text)
    }

    fn plain(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let end = rest.find([',', '[', ']', '{', '}'])?;
        let text = rest[..end].trim_end_matches(' ');
        if text.ends_with(':') || text.contains(": ") || text.contains(" #") {
            return None;
        }
        self.at += text.len();
        Some(text)
    }
}

#[cfg(test)]
mod tests;
