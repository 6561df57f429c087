//! From the text of a template to its parts.

use super::{Field, Function, Part, Term, Value};
use crate::config::names::nearest;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word or a field, as written.
    Word(String),
    Constant(Value),
    Open,
    Close,
    Pipe,
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// Deepest nesting of brackets and `if`.
const DEEPEST: usize = 32;

pub(super) fn template(text: &str) -> Result<Vec<Part>, String> {
    let mut pieces = pieces(text)?.into_iter();
    let (parts, end) = block(&mut pieces, 0)?;
    match end {
        None => Ok(parts),
        Some(tokens) => Err(format!("`{}` without `if`", word(&tokens))),
    }
}

/// Cuts at `{{` and `}}`; `{{-` and `-}}` trim the text beside them.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let mut before = if trims { before.trim_start() } else { before };
        let trimmed = after.and_then(|after| after.strip_prefix("- "));
        if trimmed.is_some() {
            before = before.trim_end();
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let Some(after) = trimmed.or(after) else { return Ok(pieces) };
        let (tokens, tail, trims_next) = action(after)?;
        (rest, trims) = (tail, trims_next);
        // Comments come to no tokens.
        if !tokens.is_empty() {
            pieces.push(Piece::Action(tokens));
        }
    }
}

/// The tokens up to `}}`, what follows, and whether that is trimmed.
fn action(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix("}}") {
            return Ok((tokens, tail, false));
        }
        if let Some(tail) = rest.strip_prefix("-}}") {
            return Ok((tokens, tail, true));
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or("a comment that doesn't end")?.1;
            continue;
        }
        let first = rest.chars().next().ok_or("`{{` without `}}`")?;
        let (token, tail) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            '|' => (Token::Pipe, &rest[1..]),
            '"' | '`' => quoted(rest, first)?,
            _ => bare(rest)?,
        };
        tokens.push(token);
        rest = tail;
    }
}

fn quoted(text: &str, quote: char) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut characters = text[1..].char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            _ if c == quote => {
                return Ok((Token::Constant(Value::Text(value)), &text[at + 2..]));
            }
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c)) => value.push(c),
                None => break,
            },
            _ => value.push(c),
        }
    }
    Err("a text that doesn't end".to_owned())
}

fn bare(text: &str) -> Result<(Token, &str), String> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '"' | '`' | '}');
    let (word, tail) = text.split_at(text.find(is_end).unwrap_or(text.len()));
    let token = match (word, word.parse()) {
        ("", _) => return Err(format!("can't read {:?}", text.chars().next().unwrap_or(' '))),
        ("true", _) => Token::Constant(Value::Bool(true)),
        ("false", _) => Token::Constant(Value::Bool(false)),
        (_, Ok(number)) => Token::Constant(Value::Number(number)),
        _ => Token::Word(word.to_owned()),
    };
    Ok((token, tail))
}

/// Parts up to `else` or `end`, whose tokens are returned, or up to the end.
#[allow(clippy::type_complexity, reason = "one caller, itself")]
fn block(
    pieces: &mut std::vec::IntoIter<Piece>,
    depth: usize,
) -> Result<(Vec<Part>, Option<Vec<Token>>), String> {
    if depth > DEEPEST {
        return Err(format!("`if` nests deeper than {DEEPEST} levels"));
    }
    let mut parts = Vec::new();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(text) => parts.push(Part::Text(text)),
            Piece::Action(tokens) => match word(&tokens) {
                "if" => parts.push(branches(&tokens[1..], pieces, depth)?),
                "else" | "end" => return Ok((parts, Some(tokens))),
                "range" | "with" | "define" | "template" | "block" => {
                    return Err(format!("`{}` isn't done: use `if`", word(&tokens)));
                }
                _ => parts.push(Part::Put(pipeline(&tokens)?)),
            },
        }
    }
    Ok((parts, None))
}

fn word(tokens: &[Token]) -> &str {
    match tokens.first() {
        Some(Token::Word(word)) => word,
        _ => "",
    }
}

fn branches(
    condition: &[Token],
    pieces: &mut std::vec::IntoIter<Piece>,
    depth: usize,
) -> Result<Part, String> {
    let mut found = Vec::new();
    let mut condition = Some(pipeline(condition)?);
    loop {
        let (parts, end) = block(pieces, depth + 1)?;
        let end = end.ok_or("`if` without `end`")?;
        let Some(asked) = condition.take() else {
            return match word(&end) {
                "end" => Ok(Part::If(found, parts)),
                _ => Err("a second `else`".to_owned()),
            };
        };
        found.push((asked, parts));
        match (word(&end), word(end.get(1..).unwrap_or_default())) {
            ("end", _) => return Ok(Part::If(found, Vec::new())),
            (_, "if") => condition = Some(pipeline(&end[2..])?),
            _ => {}
        }
    }
}

fn pipeline(tokens: &[Token]) -> Result<Term, String> {
    let mut parser = Terms { tokens, at: 0, depth: 0 };
    let term = parser.pipeline()?;
    match parser.tokens.get(parser.at) {
        None => Ok(term),
        Some(_) => Err("a `)` too many".to_owned()),
    }
}

struct Terms<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl Terms<'_> {
    fn pipeline(&mut self) -> Result<Term, String> {
        let mut term = self.command(None)?;
        while self.tokens.get(self.at) == Some(&Token::Pipe) {
            self.at += 1;
            term = self.command(Some(term))?;
        }
        Ok(term)
    }

    /// A function with its arguments, the last one of which may be piped to it; or a value.
    fn command(&mut self, piped: Option<Term>) -> Result<Term, String> {
        let function = match self.tokens.get(self.at) {
            Some(Token::Word(word)) if !word.starts_with('.') => Some(function(word)?),
            _ => None,
        };
        self.at += usize::from(function.is_some());
        let mut terms = Vec::new();
        while let Some(term) = self.operand()? {
            terms.push(term);
        }
        terms.extend(piped);
        match function {
            Some(function) => {
                let (name, least, most) = function.takes();
                if !(least..=most).contains(&terms.len()) {
                    return Err(format!("`{name}` doesn't take {} arguments", terms.len()));
                }
                Ok(Term::Call(function, terms))
            }
            None if terms.len() == 1 => Ok(terms.remove(0)),
            None if terms.is_empty() => Err("expected a value".to_owned()),
            None => Err("expected a function before these values".to_owned()),
        }
    }

    fn operand(&mut self) -> Result<Option<Term>, String> {
        let term = match self.tokens.get(self.at) {
            Some(Token::Constant(value)) => Term::Constant(value.clone()),
            Some(Token::Word(word)) if word.starts_with('.') => Term::Field(field(word)?),
            Some(Token::Word(word)) => Term::Call(no_arguments(word)?, Vec::new()),
            Some(Token::Open) => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(format!("brackets nest deeper than {DEEPEST} levels"));
                }
                self.at += 1;
                let term = self.pipeline()?;
                if self.tokens.get(self.at) != Some(&Token::Close) {
                    return Err("`(` without `)`".to_owned());
                }
                self.depth -= 1;
                term
            }
            Some(Token::Close | Token::Pipe) | None => return Ok(None),
        };
        self.at += 1;
        Ok(Some(term))
    }
}

fn function(word: &str) -> Result<Function, String> {
    Function::find(word).ok_or_else(|| {
        let hint = nearest(word, Function::NAMES.iter().copied());
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("no function `{word}`{hint}")
    })
}

/// No function works without arguments: in brackets it would.
fn no_arguments(word: &str) -> Result<Function, String> {
    function(word)?;
    Err(format!("put `{word}` and its arguments into brackets"))
}

fn field(word: &str) -> Result<Field, String> {
    match word.strip_prefix('.').unwrap_or(word).split_once('.') {
        None if word == ".Name" => Ok(Field::Name),
        None if word == ".ContainerName" => Ok(Field::Instance),
        None if word == ".Labels" => Ok(Field::Labels),
        Some(("Labels", key)) if !key.is_empty() => Ok(Field::Label(key.to_owned())),
        _ => Err(format!("no `{word}`: there are `.Name`, `.ContainerName` and `.Labels`")),
    }
}
