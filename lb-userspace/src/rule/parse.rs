//! From the text of a rule to its expression.

use super::{
    Syntax,
    expression::Expression,
    matcher::{self, Arguments, Matcher},
};
use crate::model::Protocol;

/// Why a rule doesn't build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// What is wrong, and at which character.
    pub message: String,
    /// The name that may have been meant.
    pub hint: Option<String>,
    /// How far the rule was understood, in bytes.
    at: usize,
}

/// Deepest nesting of brackets and `!`.
const DEEPEST: usize = 64;

/// Reads a rule in one syntax, or as v3 and then as v2. Where both fail, the one that came further
/// tells why.
pub(super) fn parse(
    text: &str,
    protocol: Protocol,
    syntax: Syntax,
) -> Result<Expression, RuleError> {
    let run = |syntax| Parser { text, at: 0, depth: 0, protocol, syntax }.rule();
    match syntax {
        Syntax::V3 | Syntax::V2 => run(syntax),
        Syntax::Auto => run(Syntax::Auto)
            .or_else(|v3| run(Syntax::V2).map_err(|v2| if v2.at > v3.at { v2 } else { v3 })),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    protocol: Protocol,
    syntax: Syntax,
}

impl Parser<'_> {
    fn rule(mut self) -> Result<Expression, RuleError> {
        let expression = self.either()?;
        self.space();
        if self.at < self.text.len() {
            return Err(self.expected("`&&`, `||` or the end of the rule"));
        }
        Ok(expression)
    }

    fn either(&mut self) -> Result<Expression, RuleError> {
        let first = self.both()?;
        let mut parts = vec![first];
        while self.eat("||") {
            parts.push(self.both()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn both(&mut self) -> Result<Expression, RuleError> {
        let first = self.unary()?;
        let mut parts = vec![first];
        while self.eat("&&") {
            parts.push(self.unary()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    fn unary(&mut self) -> Result<Expression, RuleError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("the rule nests deeper than {DEEPEST} levels"), None));
        }
        let expression = if self.eat("!") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.eat("(") {
            let inner = self.either()?;
            if !self.eat(")") {
                return Err(self.expected("`&&`, `||` or `)`"));
            }
            inner
        } else {
            Expression::Matcher(self.matcher()?)
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn matcher(&mut self) -> Result<Matcher, RuleError> {
        self.space();
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..length];
        if word.is_empty() {
            let example = if self.protocol == Protocol::Http {
                "Host(`example.com`)"
            } else {
                "HostSNI(`*`)"
            };
            return Err(self.expected(&format!("a matcher such as {example}")));
        }
        let at = self.character(self.at);
        let kind = matcher::find(word, at, self.protocol, self.syntax)
            .map_err(|unknown| self.error(unknown.message, unknown.hint))?;
        let from = self.at;
        self.at += length;
        let values = self.arguments()?;
        let arguments = Arguments { values: &values, syntax: self.syntax };
        kind.build(&arguments).map_err(|why| {
            let at = self.character(from);
            self.error(format!("{} at character {at} of the rule: {why}", kind.name()), None)
        })
    }

    fn arguments(&mut self) -> Result<Vec<String>, RuleError> {
        if !self.eat("(") {
            return Err(self.expected("`(`"));
        }
        let mut values = Vec::new();
        if self.eat(")") {
            return Ok(values);
        }
        loop {
            values.push(self.argument()?);
            if self.eat(")") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    /// A quoted text. In backquotes it stands as it is, in quotes `\` escapes as in Go.
    fn argument(&mut self) -> Result<String, RuleError> {
        self.space();
        let rest = &self.text[self.at..];
        let mut characters = rest.char_indices();
        let quote = characters.next().map(|(_, c)| c).filter(|c| matches!(c, '`' | '"' | '\''));
        let Some(quote) = quote else {
            return Err(self.expected("an argument in backquotes"));
        };
        let mut value = String::new();
        while let Some((at, c)) = characters.next() {
            match c {
                _ if c == quote => {
                    self.at += at + 1;
                    return Ok(value);
                }
                '\\' if quote != '`' => {
                    let escaped = characters.next().map(|(_, c)| c);
                    value.push(unescaped(escaped).ok_or_else(|| self.escape(at, escaped))?);
                }
                _ => value.push(c),
            }
        }
        let at = self.character(self.at);
        Err(self.error(
            format!(
                "the argument that begins at character {at} of the rule lacks its closing {quote}"
            ),
            None,
        ))
    }

    fn escape(&self, at: usize, escaped: Option<char>) -> RuleError {
        let at = self.character(self.at + at);
        let escaped = escaped.map(String::from).unwrap_or_default();
        let message = format!(
            "`\\{escaped}` at character {at} of the rule is no escape; in backquotes `\\` stands for itself"
        );
        self.error(message, None)
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expected(&self, what: &str) -> RuleError {
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("found {:?}", c.to_string()),
            None => "found its end".to_owned(),
        };
        let character = self.character(self.at);
        self.error(format!("expected {what} at character {character} of the rule, {found}"), None)
    }

    /// Counted from 1.
    fn character(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn error(&self, message: String, hint: Option<String>) -> RuleError {
        RuleError { message, hint, at: self.at }
    }
}

fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => {
            parts.shrink_to_fit();
            join(parts)
        }
    }
}

fn unescaped(c: Option<char>) -> Option<char> {
    match c? {
        c @ ('\\' | '"' | '\'' | '`') => Some(c),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        _ => None,
    }
}
