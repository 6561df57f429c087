//! Rust without what is no code, so that a rule doesn't stumble over prose.

/// Blanks comments and the contents of string and character literals; lines
/// and columns stay where they are.
pub(super) fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let previous = out.chars().next_back();
        let length = comment(rest).or_else(|| literal(rest, previous));
        match length {
            Some(length) => {
                let (blank, tail) = rest.split_at(length);
                out.extend(blank.chars().map(|c| if c == '\n' { c } else { ' ' }));
                rest = tail;
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// The length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

/// The length of the string or character literal that `text` begins with.
fn literal(text: &str, previous: Option<char>) -> Option<usize> {
    let in_word = previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && (text.starts_with('r') || text.starts_with("br")) {
        let after = &text[text.find('r')? + 1..];
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let start = text.len() - after.len() + hashes + 1;
            return Some(
                text[start..].find(&close).map_or(text.len(), |i| start + i + close.len()),
            );
        }
    }
    match text.chars().next()? {
        '"' => Some(quoted(text, '"')),
        '\'' => character(text),
        _ => None,
    }
}

/// A lifetime begins like a character; only the latter closes at once.
fn character(text: &str) -> Option<usize> {
    let mut chars = text[1..].chars();
    let first = chars.next()?;
    if first == '\\' {
        return Some(quoted(text, '\''));
    }
    (chars.next()? == '\'').then(|| 2 + first.len_utf8())
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::code;

    macro_rules! strips {
        ($($name:ident: $source:expr => $code:expr,)+) => {
            $(#[test] fn $name() { assert_eq!(code($source), $code); })+
        };
    }

    strips! {
        line_comment: "a // unsafe\nb" => "a          \nb",
        nested_comment: "a /* x /* y */ z */ b" => "a                   b",
        string: "f(\"unsafe\")" => "f(        )",
        escaped_quote: r#"f("\"x") y"# => "f(     ) y",
        raw_string: "r#\"a\"b\"# c" => "         c",
        byte_string: "b\"ab\" c" => "b     c",
        character: "['\"', 'x']" => "[   ,    ]",
        escaped_character: r"'\'' x" => "     x",
        lifetime: "fn f<'a>(x: &'a str)" => "fn f<'a>(x: &'a str)",
        name_that_ends_in_r: "for\"x\"" => "for   ",
        lines_stay: "\"a\nb\" c" => "  \n   c",
        open_to_the_end: "/* a" => "    ",
    }
}
