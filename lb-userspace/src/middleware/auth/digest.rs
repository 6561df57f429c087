//! `digestAuth`: RFC 7616 with MD5 and `qop=auth`, as Traefik has it.

use std::{path::PathBuf, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use md5::{Digest as _, Md5};

use super::{
    admit,
    basic::REALM,
    credentials, hex,
    nonce::{Nonces, Use},
    quoted_string,
    users::{self, Entry, Users},
};
use crate::{
    config::decode::{At, object},
    middleware::{Kind, Surroundings, parts, reasons},
    model::Fault,
    proxy::{Exchange, Filter, Reply, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        users: Vec<At<String>> = "users",
        users_file: String = "usersFile",
        realm: String = "realm",
        remove_header: bool = "removeHeader",
        header_field: String = "headerField",
    }
}

/// Its settings.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestAuth {
    users: Vec<String>,
    users_file: Option<PathBuf>,
    realm: String,
    remove_header: bool,
    header_field: Option<String>,
}

impl std::fmt::Debug for DigestAuth {
    /// Hashes are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { users_file, realm, .. } = self;
        f.debug_struct("DigestAuth").field("users_file", users_file).field("realm", realm).finish()
    }
}

impl Kind for DigestAuth {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let Raw { users, users_file, realm, remove_header, header_field } = &raw.value;
        let (users, users_file) = users::check::<User>(users, users_file, &raw.spot, faults);
        let realm = parts::header_value(realm, faults).unwrap_or_else(|| REALM.to_owned());
        let header_field = parts::header_name(header_field, faults);
        let remove_header = remove_header.or_default();
        Some(Self { users, users_file, realm, remove_header, header_field })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(Digest {
            users: Users::new(&self.users, self.users_file.as_deref())?,
            nonces: Nonces::new()?,
            settings: self.clone(),
        }))
    }
}

/// A line of htdigest.
struct User {
    realm: String,
    /// MD5 of `name:realm:password`.
    sum: String,
}

impl Entry for User {
    fn parse(line: &str) -> Result<(String, Self), &'static str> {
        const WHAT: &str = "expected `name:realm:hash`, as htdigest writes it";
        let (name, rest) = line.split_once(':').ok_or(WHAT)?;
        let (realm, sum) = rest.rsplit_once(':').ok_or(WHAT)?;
        let right = sum.len() == 32 && sum.bytes().all(|b| b.is_ascii_hexdigit());
        let user = Self { realm: realm.to_owned(), sum: sum.to_ascii_lowercase() };
        if right { Ok((name.to_owned(), user)) } else { Err(WHAT) }
    }
}

struct Digest {
    settings: DigestAuth,
    users: Users<User>,
    nonces: Nonces,
}

impl Filter for Digest {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        match self.user(exchange) {
            Ok(name) => {
                let field = self.settings.header_field.as_deref();
                admit(exchange, &name, self.settings.remove_header, field);
                Step::Next
            }
            Err(is_stale) => Step::Reply(self.refusal(is_stale)),
        }
    }
}

impl Digest {
    /// Who asks; otherwise whether a new nonce is all that is missing.
    fn user(&self, exchange: &Exchange) -> Result<String, bool> {
        let given = Given::read(exchange).ok_or(false)?;
        let (user, is_theirs) = self.users.find(&given.username).ok_or(false)?;
        let realm = &self.settings.realm;
        let method = exchange.request.method();
        let expected = given.response_to(&user.sum, method);
        let is_right =
            verify_slices_are_equal(expected.as_bytes(), given.response.as_bytes()).is_ok();
        let is_here =
            given.realm == *realm && user.realm == *realm && given.uri == exchange.request.target();
        if !(is_right && is_theirs && is_here) {
            return Err(false);
        }
        let count = u32::from_str_radix(&given.count, 16).map_err(|_| false)?;
        match self.nonces.spend(&given.nonce, count) {
            Use::First => Ok(given.username),
            Use::Stale => Err(true),
        }
    }

    fn refusal(&self, is_stale: bool) -> Reply {
        let realm = quoted_string(&self.settings.realm);
        let (nonce, opaque) = (self.nonces.new_one(), self.nonces.opaque());
        let stale = if is_stale { ", stale=true" } else { "" };
        let challenge = format!(
            "Digest realm={realm}, qop=\"auth\", algorithm=MD5, nonce=\"{nonce}\", \
             opaque=\"{opaque}\"{stale}"
        );
        let mut reply = Reply::text(401, reasons::DIGEST_AUTH, "Unauthorized");
        reply.head.add("WWW-Authenticate", challenge);
        reply
    }
}

/// What a client says (RFC 7616 §3.4).
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    username: String,
    realm: String,
    nonce: String,
    uri: String,
    response: String,
    /// `nc`.
    count: String,
    cnonce: String,
}

impl Given {
    fn read(exchange: &Exchange) -> Option<Self> {
        let mut given = Self::default();
        let (mut qop, mut algorithm) = (String::new(), "MD5".to_owned());
        for (name, value) in parameters(credentials(exchange, "Digest")?)? {
            let slot = match name.to_ascii_lowercase().as_str() {
                "username" => &mut given.username,
                "realm" => &mut given.realm,
                "nonce" => &mut given.nonce,
                "uri" => &mut given.uri,
                "response" => &mut given.response,
                "nc" => &mut given.count,
                "cnonce" => &mut given.cnonce,
                "qop" => &mut qop,
                "algorithm" => &mut algorithm,
                _ => continue,
            };
            *slot = value;
        }
        let right =
            qop == "auth" && algorithm.eq_ignore_ascii_case("MD5") && given.count.len() == 8;
        right.then_some(given)
    }

    /// What `response` has to be.
    fn response_to(&self, user_sum: &str, method: &str) -> String {
        let Self { nonce, count, cnonce, uri, .. } = self;
        let request = md5(&format!("{method}:{uri}"));
        md5(&format!("{user_sum}:{nonce}:{count}:{cnonce}:auth:{request}"))
    }
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text))
}

/// `name=value, name="quoted value"`.
fn parameters(text: &str) -> Option<Vec<(&str, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.push((name.trim(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(found)
}

/// What stands before the closing quote, and what behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((i, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[i + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::testing::{fault, filter, request, told};

    /// Password `secret`.
    fn line(name: &str, realm: &str) -> String {
        format!("{name}:{realm}:{}", md5(&format!("{name}:{realm}:secret")))
    }

    fn made() -> Arc<dyn Filter> {
        let (a, b) = (line("a", "traefik"), line("b", "elsewhere"));
        filter(&format!(
            "digestAuth: {{ users: ['{a}', '{b}'], headerField: X-User, removeHeader: true }}"
        ))
    }

    fn challenge(filter: &dyn Filter) -> (String, bool) {
        let reply = request(filter, &mut Exchange::made_up("GET /")).expect("a challenge");
        assert_eq!(told(Some(&reply)), Some((401, "digest_auth")));
        read_challenge(&reply)
    }

    fn read_challenge(reply: &Reply) -> (String, bool) {
        let challenge = reply.head.text_of("WWW-Authenticate").unwrap();
        let all = parameters(challenge.strip_prefix("Digest ").unwrap()).unwrap();
        let get = |name| all.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!((get("realm"), get("qop")), (Some("traefik"), Some("auth")));
        assert_eq!((get("algorithm"), get("opaque").map(str::len)), (Some("MD5"), Some(32)));
        (get("nonce").unwrap().to_owned(), get("stale") == Some("true"))
    }

    /// A right answer to a challenge, then edited.
    fn answer(nonce: &str, count: u32, edit: impl Fn(String) -> String) -> Exchange {
        let count = format!("{count:08x}");
        let (first, second) = (md5("a:traefik:secret"), md5("GET:/x?y=z"));
        let response = md5(&format!("{first}:{nonce}:{count}:c\"n:auth:{second}"));
        let header = format!(
            "Digest username=\"a\", realm=\"traefik\", nonce=\"{nonce}\", uri=\"/x?y=z\", \
             cnonce=\"c\\\"n\", nc={count}, qop=auth, response=\"{response}\", opaque=\"o\""
        );
        Exchange::made_up(&format!("GET /x?y=z\nAuthorization: {}", edit(header)))
    }

    #[test]
    fn a_right_answer_passes_once() {
        let filter = made();
        let (nonce, _) = challenge(&*filter);
        let mut exchange = answer(&nonce, 1, |header| header);
        assert!(request(&*filter, &mut exchange).is_none());
        assert_eq!(exchange.user.as_deref(), Some("a"));
        assert_eq!(exchange.request.text_of("X-User"), Some("a"));
        assert!(!exchange.request.has("Authorization"));
        let again = request(&*filter, &mut answer(&nonce, 1, |header| header)).expect("a replay");
        assert!(read_challenge(&again).1, "a new nonce is all that it needs");
        assert!(request(&*filter, &mut answer(&nonce, 2, |header| header)).is_none());
    }

    #[test]
    fn a_wrong_answer_does_not_pass() {
        let filter = made();
        let (nonce, stale) = challenge(&*filter);
        assert!(!stale);
        for (from, to) in [
            ("username=\"a\"", "username=\"b\""),
            ("username=\"a\"", "username=\"nobody\""),
            ("realm=\"traefik\"", "realm=\"elsewhere\""),
            ("uri=\"/x?y=z\"", "uri=\"/x\""),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth, ", ""),
            ("qop=auth", "qop=auth, algorithm=SHA-256"),
            ("nc=00000001", "nc=00000002"),
            ("nc=00000001", "nc=1"),
            ("response=\"", "response=\"0"),
            ("Digest", "Basic"),
            ("opaque=\"o\"", "opaque=\"o"),
        ] {
            let edit = |header: String| {
                assert!(header.contains(from), "{from}");
                header.replace(from, to)
            };
            let reply = request(&*filter, &mut answer(&nonce, 1, edit));
            assert_eq!(told(reply.as_ref()), Some((401, "digest_auth")), "{from} → {to}");
            assert!(!read_challenge(&reply.unwrap()).1, "{from} → {to}");
        }
        let forged = request(&*filter, &mut answer("00112233", 1, |header| header));
        assert!(read_challenge(&forged.unwrap()).1, "a nonce that isn't ours, the answer is right");
    }

    #[test]
    fn lines_are_those_of_htdigest() {
        for line in ["a", "a:b", "a:b:short"] {
            let told = fault(&format!("digestAuth: {{ users: ['{line}'] }}"));
            assert!(told.contains("as htdigest writes it"), "{told}");
        }
        assert!(fault("digestAuth: {}").contains("nobody could come in"));
    }
}
