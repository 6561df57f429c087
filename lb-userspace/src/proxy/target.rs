//! A request's target as routers and servers get it: without `/../` and the like, which one of
//! them could resolve and the other not.

use super::Head;

/// Resolves dot segments and doubled slashes of the path (RFC 3986 §5.2.4) where `sanitize`, and
/// writes `;` in the query as `%3B` where `encode`.
pub(crate) fn clean(head: &mut Head, sanitize: bool, encode: bool) {
    let target = head.target();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let dirty = sanitize && is_dirty(path);
    let encodes = encode && query.is_some_and(|query| query.contains(';'));
    if !dirty && !encodes {
        return;
    }
    let mut new = if dirty { resolve(path) } else { path.to_owned() };
    if let Some(query) = query {
        new.push('?');
        match encodes {
            true => new.push_str(&query.replace(';', "%3B")),
            false => new.push_str(query),
        }
    }
    head.set_target(&new);
}

/// Whether a path may have anything to resolve.
fn is_dirty(path: &str) -> bool {
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'/', bytes).any(|at| {
        matches!(bytes.get(at + 1), Some(b'/' | b'.'))
            || bytes.get(at + 1..at + 4).is_some_and(|next| next.eq_ignore_ascii_case(b"%2e"))
    })
}

fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split('/').skip(1) {
        let dots = dots(segment);
        ends_open = segment.is_empty() || dots.is_some();
        match dots {
            _ if segment.is_empty() => {}
            Some(1) => {}
            Some(_) => drop(kept.pop()),
            None => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    if ends_open || out.is_empty() {
        out.push('/');
    }
    out
}

/// How many dots a segment is, if it is one or two and nothing else, percent-encoded or not.
fn dots(segment: &str) -> Option<usize> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        rest = match rest.strip_prefix('.') {
            Some(rest) => rest,
            None if rest.get(..3)?.eq_ignore_ascii_case("%2e") => &rest[3..],
            None => return None,
        };
        count += 1;
    }
    (1..=2).contains(&count).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(target: &str) -> String {
        let mut head = Head::request("GET", target);
        clean(&mut head, true, true);
        head.target().to_owned()
    }

    macro_rules! cases {
        ($($test:ident: $from:literal => $to:literal;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(cleaned($from), $to);
            })+
        };
    }

    cases! {
        a_clean_path_stays: "/a/b.c/.well-known?x=/../y" => "/a/b.c/.well-known?x=/../y";
        two_dots_go_up: "/a/../b" => "/b";
        never_above_the_root: "/../../etc/passwd" => "/etc/passwd";
        one_dot_is_nothing: "/a/./b" => "/a/b";
        slashes_fall_together: "//a///b" => "/a/b";
        encoded_dots_are_dots: "/a/%2e%2E/b/.%2e/c" => "/c";
        three_dots_are_a_name: "/.../x" => "/.../x";
        a_last_slash_stays: "/a/b/" => "/a/b/";
        up_at_the_end_leaves_a_slash: "/a/b/.." => "/a/";
        the_root_stays: "/" => "/";
        semicolons_are_encoded: "/a?b;c" => "/a?b%3Bc";
        the_star_stays: "*" => "*";
    }
}
