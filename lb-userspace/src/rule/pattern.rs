//! Regular expressions, and v2's templates that come to them.

use std::fmt;

/// Largest compiled expression: a label of a container must not take the memory of the host.
const LARGEST: usize = 1 << 20;

/// A regular expression that is known by its text.
#[derive(Clone)]
pub(super) struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Compiles an expression in the syntax that Go, RE2 and Rust share.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Self::build(text, false)
    }

    /// As [`Self::new`], for names of hosts: their case doesn't count.
    pub(super) fn of_hosts(text: &str) -> Result<Self, String> {
        Self::build(text, true)
    }

    fn build(text: &str, ignore_case: bool) -> Result<Self, String> {
        let mut builder = regex::bytes::RegexBuilder::new(text);
        let regex = builder.case_insensitive(ignore_case).size_limit(LARGEST).build();
        regex
            .map(Self)
            .map_err(|error| format!("{text:?} is not a regular expression: {}", reason(&error)))
    }

    /// A template that matches a whole name, `{label}` being one label of it.
    pub(super) fn of_host_template(template: &str) -> Result<Self, String> {
        Self::of_hosts(&format!("^{}$", expand(template, "[^.]+")?))
    }

    /// A template that matches a whole path, `{segment}` being one segment of it.
    pub(super) fn of_path_template(template: &str) -> Result<Self, String> {
        Self::new(&format!("^{}$", expand(template, "[^/]+")?))
    }

    /// A template that matches the beginning of a path.
    pub(super) fn of_prefix_template(template: &str) -> Result<Self, String> {
        Self::new(&format!("^{}", expand(template, "[^/]+")?))
    }

    /// A template that matches a whole value of a query.
    pub(super) fn of_value_template(template: &str) -> Result<Self, String> {
        Self::new(&format!("^{}$", expand(template, ".*")?))
    }

    /// Whether it is found in `text`.
    pub(super) fn matches(&self, text: impl AsRef<[u8]>) -> bool {
        self.0.is_match(text.as_ref())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Whether v2 takes a text for a template.
pub(super) fn has_braces(text: &str) -> bool {
    text.contains(['{', '}'])
}

/// Whether a text has one of v2's `{name}` or `{name:regex}` in it.
pub(super) fn is_template(text: &str) -> bool {
    pieces(text).is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Variable(_))))
}

enum Piece<'a> {
    Literal(&'a str),
    /// What stands between the braces.
    Variable(&'a str),
}

/// A template as a regular expression, without anchors.
fn expand(template: &str, by_default: &str) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Literal(text) => out.push_str(&regex::escape(text)),
            Piece::Variable(inner) => {
                let (name, pattern) = inner.split_once(':').unwrap_or((inner, by_default));
                if name.is_empty() || pattern.is_empty() {
                    return Err(format!(
                        "`{{{inner}}}` in {template:?} lacks its name or its pattern"
                    ));
                }
                out.push_str(&format!("(?:{pattern})"));
            }
        }
    }
    Ok(out)
}

/// Takes a template apart at its outermost braces.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let unbalanced = || format!("the braces of {template:?} don't pair up");
    let mut pieces = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, byte) in template.bytes().enumerate() {
        match byte {
            b'{' => {
                depth += 1;
                if depth == 1 {
                    pieces.push(Piece::Literal(&template[from..at]));
                    from = at + 1;
                }
            }
            b'}' => {
                depth = depth.checked_sub(1).ok_or_else(unbalanced)?;
                if depth == 0 {
                    pieces.push(Piece::Variable(&template[from..at]));
                    from = at + 1;
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(unbalanced());
    }
    pieces.push(Piece::Literal(&template[from..]));
    Ok(pieces)
}

/// The last line of what the compiler says, which is the reason.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_as_gorillas_do() {
        let host = Pattern::of_host_template("{sub:[a-z]{2,3}}.example.com").expect("a template");
        assert!(host.matches("abc.example.com") && host.matches("ABC.EXAMPLE.COM"));
        assert!(!host.matches("abcd.example.com") && !host.matches("ab.exampleXcom"));
        let path = Pattern::of_path_template("/users/{id}").expect("a template");
        assert!(
            path.matches("/users/7") && !path.matches("/users/7/x") && !path.matches("/users/")
        );
        let prefix = Pattern::of_prefix_template("/v{n:[0-9]+}/").expect("a template");
        assert!(prefix.matches("/v12/x") && !prefix.matches("/vx/") && !prefix.matches("/a/v1/"));
    }

    #[test]
    fn what_is_faulty_is_refused_with_the_reason() {
        for (text, part) in [
            ("a{", "braces"),
            ("a}", "braces"),
            ("{:x}", "lacks"),
            ("{x:}", "lacks"),
            ("{x:(}", "unclosed group"),
        ] {
            let error = Pattern::of_host_template(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
        let error = Pattern::new("(((a{1,1000}){1,1000}){1,1000})").expect_err("too large");
        assert!(error.ends_with("it is too large"), "{error}");
    }

    #[test]
    fn a_template_is_told_from_a_plain_text() {
        assert!(is_template("{a}") && is_template("/x/{a:b{1}}"));
        assert!(!is_template("/x") && !is_template("/{") && !is_template("}{"));
    }
}
