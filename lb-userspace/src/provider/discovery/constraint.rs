//! `constraints`: which instances count, by their labels and tags.

use std::collections::BTreeMap;

use regex::Regex;

use crate::config::names::nearest;

/// An expression such as ``Label(`env`, `prod`) && !Tag(`old`)``.
#[derive(Clone, Debug)]
pub(crate) enum Constraint {
    /// Every instance counts.
    Everything,
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Label(String, String),
    LabelRegex(String, Regex),
    Tag(String),
    TagRegex(Regex),
}

/// Deepest nesting.
const DEEPEST: usize = 32;

impl Constraint {
    /// Reads an expression; an empty one lets everything through.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::Everything);
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let constraint = parser.any()?;
        match parser.rest() {
            "" => Ok(constraint),
            _ => Err(parser.expected("`&&`, `||` or the end")),
        }
    }

    /// Whether an instance with these labels and tags counts.
    pub(crate) fn holds(&self, labels: &BTreeMap<String, String>, tags: &[String]) -> bool {
        match self {
            Self::Everything => true,
            Self::All(parts) => parts.iter().all(|part| part.holds(labels, tags)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(labels, tags)),
            Self::Not(part) => !part.holds(labels, tags),
            Self::Label(key, value) => labels.get(key) == Some(value),
            Self::LabelRegex(key, regex) => {
                labels.get(key).is_some_and(|value| regex.is_match(value))
            }
            Self::Tag(tag) => tags.contains(tag),
            Self::TagRegex(regex) => tags.iter().any(|tag| regex.is_match(tag)),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Constraint, String> {
        let mut parts = vec![self.all()?];
        while self.eat("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Constraint::Any(parts) })
    }

    fn all(&mut self) -> Result<Constraint, String> {
        let mut parts = vec![self.one()?];
        while self.eat("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Constraint::All(parts) })
    }

    fn one(&mut self) -> Result<Constraint, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("nests deeper than {DEEPEST} levels"));
        }
        let part = if self.eat("!") {
            Constraint::Not(Box::new(self.one()?))
        } else if self.eat("(") {
            let inner = self.any()?;
            if !self.eat(")") {
                return Err(self.expected("`)`"));
            }
            inner
        } else {
            self.call()?
        };
        self.depth -= 1;
        Ok(part)
    }

    fn call(&mut self) -> Result<Constraint, String> {
        const NAMES: [&str; 4] = ["Label", "LabelRegex", "Tag", "TagRegex"];
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..length];
        let Some(name) = NAMES.into_iter().find(|name| name.eq_ignore_ascii_case(word)) else {
            let hint = nearest(word, NAMES).map(|name| format!("; did you mean `{name}`?"));
            let hint = hint.unwrap_or_default();
            return Err(self.expected("Label(…), LabelRegex(…), Tag(…) or TagRegex(…)") + &hint);
        };
        self.at += length;
        let wanted = if name.starts_with("Label") { 2 } else { 1 };
        let mut values = self.arguments()?;
        if values.len() != wanted {
            return Err(format!("{name} takes {wanted} texts, not {}", values.len()));
        }
        let last = values.pop().unwrap_or_default();
        let regex =
            || Regex::new(&last).map_err(|_| format!("{name}: {last:?} is no regular expression"));
        Ok(match (name, values.pop()) {
            ("Label", Some(key)) => Constraint::Label(key, last),
            ("LabelRegex", Some(key)) => Constraint::LabelRegex(key, regex()?),
            ("TagRegex", _) => Constraint::TagRegex(regex()?),
            _ => Constraint::Tag(last),
        })
    }

    fn arguments(&mut self) -> Result<Vec<String>, String> {
        if !self.eat("(") {
            return Err(self.expected("`(`"));
        }
        let mut values = Vec::new();
        loop {
            let rest = self.rest();
            let quote = rest.chars().next().filter(|c| matches!(c, '`' | '"' | '\''));
            let quote = quote.ok_or_else(|| self.expected("a text in backquotes"))?;
            let (value, _) = rest[1..].split_once(quote).ok_or("a text that doesn't end")?;
            values.push(value.to_owned());
            self.at += value.len() + 2;
            if self.eat(")") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    /// What hasn't been read, without blanks before it.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn eat(&mut self, word: &str) -> bool {
        let eats = self.rest().starts_with(word);
        self.at += if eats { word.len() } else { 0 };
        eats
    }

    fn expected(&self, what: &str) -> String {
        let at = self.text[..self.at].chars().count() + 1;
        format!("expected {what} at character {at}")
    }
}

#[cfg(test)]
mod tests;
