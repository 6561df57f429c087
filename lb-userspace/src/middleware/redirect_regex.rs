//! `redirectRegex`: sends clients where a regular expression over the whole URL says.

use std::sync::Arc;

use super::{
    Kind, Surroundings,
    parts::{self, Pattern},
    reasons,
    redirect_scheme::redirect,
};
use crate::{
    config::decode::{At, object},
    model::Fault,
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        regex: String = "regex",
        replacement: String = "replacement",
        permanent: bool = "permanent",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectRegex {
    regex: Pattern,
    replacement: String,
    permanent: bool,
}

impl Kind for RedirectRegex {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let regex = raw.value.regex.required("regex", &raw.spot, faults);
        let replacement = raw.value.replacement.required("replacement", &raw.spot, faults);
        let regex = regex.and_then(|at| Pattern::check(at, faults))?;
        let permanent = raw.value.permanent.or_default();
        Some(Self { regex, replacement: replacement?.value.trim().to_owned(), permanent })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Filter for RedirectRegex {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let (scheme, authority) = (parts::scheme_of(exchange), parts::authority_of(exchange));
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority);
        let old = format!("{scheme}://{authority}{}", exchange.request.target());
        if !self.regex.0.is_match(&old) {
            return Step::Next;
        }
        let new = self.regex.0.replace_all(&old, self.replacement.as_str());
        if new == old {
            return Step::Next;
        }
        let right = |b: u8| !b.is_ascii_control() && b != b' ';
        if new.is_empty() || !new.bytes().all(right) {
            return Step::Reply(Reply::text(500, reasons::BAD_REWRITE, "Internal Server Error"));
        }
        Step::Reply(redirect(exchange, self.permanent, &new, reasons::REDIRECT_REGEX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, read, request, told};
    use crate::proxy::Exchange;

    #[test]
    fn what_matches_is_sent_elsewhere() {
        let www = ("^https?://www\\.(.+)", "https://${1}", true);
        let path = ("^http://localhost/(.*)", "http://mydomain/$1", false);
        let tls = "GET /a\nHost: www.b.example:443\nX-Forwarded-Proto: https";
        for ((regex, replacement, permanent), lines, to) in [
            (www, "GET /a?b=c\nHost: www.b.example", Some((301, "https://b.example/a?b=c"))),
            (www, tls, Some((301, "https://b.example/a"))),
            (www, "POST /a\nHost: www.b.example", Some((308, "https://b.example/a"))),
            (www, "GET /a\nHost: b.example", None),
            (path, "GET /a\nHost: localhost:80", Some((302, "http://mydomain/a"))),
            (path, "GET /a\nHost: localhost:8080", None),
            (("(.*)", "$1", false), "GET /a\nHost: b", None),
        ] {
            let yaml = format!(
                "redirectRegex: {{ regex: '{regex}', replacement: '{replacement}', permanent: {permanent} }}"
            );
            let reply = request(&*filter(&yaml), &mut Exchange::made_up(lines));
            let found = reply.as_ref().map(|r| (r.head.status(), r.head.text_of("Location")));
            assert_eq!(found, to.map(|(status, to)| (status, Some(to))), "{yaml} {lines}");
        }
    }

    #[test]
    fn what_is_made_is_checked() {
        let filter = filter("redirectRegex: { regex: '.*', replacement: 'http://a b/' }");
        let reply = request(&*filter, &mut Exchange::made_up("GET /\nHost: a"));
        assert_eq!(told(reply.as_ref()), Some((500, "bad_rewrite")));
        assert_eq!(read("redirectRegex: {}").unwrap_err().len(), 2);
    }
}
