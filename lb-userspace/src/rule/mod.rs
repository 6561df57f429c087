//! The routing language: rules of HTTP and TCP routers, parsed to an expression of matchers, and an
//! index that finds the router of a request among any number of them.
//!
//! [`parse`] reads a text, [`matcher`] holds what a rule may ask for (a file and a line each),
//! [`expression`] joins them, [`facts`] is what is asked, [`index`] finds.

mod expression;
mod facts;
mod host;
mod index;
mod matcher;
mod parse;
mod pattern;
mod percent;
#[cfg(test)]
mod tests;

use expression::Expression;
pub use facts::{Connection, Subject};
pub use index::{Index, Route};
pub use parse::RuleError;
pub(crate) use percent::routing_path;

use crate::model::Protocol;

/// Which of Traefik's languages a rule is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Version 3's, or else version 2's.
    #[default]
    Auto,
    /// Version 3's alone.
    V3,
    /// Version 2's alone: several arguments, `Headers`, `{name:regex}` templates.
    V2,
}

/// A rule: its text, and what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
    protocol: Protocol,
    expression: Expression,
}

impl Rule {
    /// Reads a rule: matchers joined by `&&`, `||`, `!` and brackets, arguments in backquotes or
    /// quotes.
    ///
    /// ```
    /// use lb_userspace::{model::{Protocol, Rule}, proxy::Exchange, rule::Syntax};
    /// let rule = "Host(`example.com`) && (PathPrefix(`/api`) || Method(`POST`))";
    /// let rule = Rule::parse(rule, Protocol::Http, Syntax::Auto).unwrap();
    /// assert!(rule.matches(&Exchange::made_up("GET /api/v1\nHost: Example.com:8080")));
    /// assert!(!rule.matches(&Exchange::made_up("GET /other\nHost: example.com")));
    /// ```
    ///
    /// # Errors
    /// What is wrong and at which character.
    pub fn parse(text: &str, protocol: Protocol, syntax: Syntax) -> Result<Self, RuleError> {
        let expression = parse::parse(text, protocol, syntax)?;
        Ok(Self { text: text.to_owned(), protocol, expression })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it takes everything without asking for anything, ``HostSNI(`*`)`` alone: what the
    /// kernel can serve.
    pub fn is_catch_all(&self) -> bool {
        self.expression.is_catch_all()
    }

    /// The priority of a router that has none of its own: the length of the rule, the stars of
    /// `**.example.com` not counted; the last for ``HostSNI(`*`)``.
    pub fn default_priority(&self) -> i64 {
        if self.protocol == Protocol::Tcp && self.is_catch_all() {
            return -1;
        }
        let stars = self.hosts().filter(|host| host.starts_with("**.")).count() * 2;
        self.text.len() as i64 - stars as i64
    }

    /// The names of all `Host` and `HostSNI` that are not negated, as Traefik takes them for the
    /// domains of certificates.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.expression.hosts().into_iter()
    }

    /// Whether it matches. [`Index`] gives the same answer for many rules at once.
    pub fn matches(&self, subject: &dyn Subject) -> bool {
        self.expression.matches(&facts::Facts::of(subject))
    }
}
