//! The routing language: rules of HTTP and TCP routers, parsed to an expression of matchers.

/// A rule: its text, and what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
}

impl Rule {
    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }
}
