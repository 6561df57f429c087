//! Rules of TCP routers. Only the one that takes everything can be served without a proxy; the
//! others are told from misspelt ones.

use super::names::{nearest, one_of};

/// What a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// ``HostSNI(`*`)``: every connection.
    CatchAll,
    /// Something that only the proxy could decide, as the subject of a sentence.
    Proxy(String),
}

/// Why a rule doesn't build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Matchers of TCP rules.
const MATCHERS: &[&str] = &["HostSNI", "HostSNIRegexp", "ClientIP", "ALPN"];
/// Matchers of HTTP rules, which end up here by mistake.
const HTTP: &[&str] = &[
    "Host",
    "HostRegexp",
    "Path",
    "PathPrefix",
    "PathRegexp",
    "Method",
    "Header",
    "Headers",
    "HeaderRegexp",
    "Query",
];
/// Deepest nesting of brackets and `!`.
const DEEPEST: usize = 64;

/// Reads a rule: matchers joined by `&&`, `||`, `!` and brackets, arguments in backquotes or
/// double quotes.
///
/// # Errors
/// What is wrong and at which character.
pub(crate) fn parse(text: &str) -> Result<Rule, RuleError> {
    let mut parser = Parser { text, at: 0, matchers: Vec::new(), joined: false, depth: 0 };
    parser.either()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.expected("`&&`, `||` or the end of the rule"));
    }
    let mut others =
        parser.matchers.iter().filter(|(name, argument)| !(*name == "HostSNI" && argument == "*"));
    Ok(match others.next() {
        Some((name, argument)) => Rule::Proxy(format!("{name}(`{argument}`)")),
        None if parser.joined => Rule::Proxy("a rule with `&&`, `||` or `!`".to_owned()),
        None => Rule::CatchAll,
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Each with its first argument.
    matchers: Vec<(&'static str, String)>,
    joined: bool,
    depth: usize,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<(), RuleError> {
        self.both()?;
        while self.eat("||") {
            self.joined = true;
            self.both()?;
        }
        Ok(())
    }

    fn both(&mut self) -> Result<(), RuleError> {
        self.unary()?;
        while self.eat("&&") {
            self.joined = true;
            self.unary()?;
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<(), RuleError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(error(format!("the rule nests deeper than {DEEPEST} levels")));
        }
        if self.eat("!") {
            self.joined = true;
            self.unary()?;
        } else if self.eat("(") {
            self.either()?;
            if !self.eat(")") {
                return Err(self.expected("`)`"));
            }
        } else {
            self.matcher()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn matcher(&mut self) -> Result<(), RuleError> {
        self.space();
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..length];
        if word.is_empty() {
            return Err(self.expected("a matcher such as HostSNI(`*`)"));
        }
        let name = known(word)?;
        self.at += length;
        if !self.eat("(") {
            return Err(self.expected("`(`"));
        }
        let first = self.argument()?;
        while self.eat(",") {
            self.argument()?;
        }
        if !self.eat(")") {
            return Err(self.expected("`,` or `)`"));
        }
        self.matchers.push((name, first));
        Ok(())
    }

    fn argument(&mut self) -> Result<String, RuleError> {
        self.space();
        let rest = &self.text[self.at..];
        let quote = rest.chars().next().filter(|c| matches!(c, '`' | '"'));
        let Some(quote) = quote else {
            return Err(self.expected("an argument in backquotes"));
        };
        let Some(length) = rest[1..].find(quote) else {
            return Err(self.expected(&format!("a closing {quote}")));
        };
        self.at += length + 2;
        Ok(rest[1..=length].to_owned())
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
        let rest = &self.text[self.at..];
        let found = match rest.chars().next() {
            Some(c) => format!("found {:?}", c.to_string()),
            None => "found its end".to_owned(),
        };
        let character = self.text[..self.at].chars().count() + 1;
        error(format!("expected {what} at character {character} of the rule, {found}"))
    }
}

fn known(word: &str) -> Result<&'static str, RuleError> {
    if let Some(name) = MATCHERS.iter().find(|name| name.eq_ignore_ascii_case(word)) {
        return Ok(name);
    }
    if HTTP.iter().any(|name| name.eq_ignore_ascii_case(word)) {
        let names = one_of(MATCHERS.iter().copied());
        return Err(error(format!("{word} matches HTTP requests; a TCP rule has {names}")));
    }
    let message = format!("no matcher {word:?} for TCP");
    Err(RuleError { message, hint: nearest(word, MATCHERS.iter().copied()) })
}

fn error(message: String) -> RuleError {
    RuleError { message, hint: None }
}
