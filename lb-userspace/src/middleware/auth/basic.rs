//! `basicAuth`: name and password by RFC 7617.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand::SystemRandom};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::sync::Semaphore;

use super::{
    admit, credentials,
    hash::Hash,
    quoted_string,
    users::{self, Entry, Users},
};
use crate::{
    config::decode::{At, object},
    middleware::{Kind, Surroundings, parts, reasons},
    model::Fault,
    proxy::{Exchange, Filter, Outcome, Reply, Step},
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
pub struct BasicAuth {
    users: Vec<String>,
    users_file: Option<PathBuf>,
    realm: String,
    remove_header: bool,
    header_field: Option<String>,
}

impl std::fmt::Debug for BasicAuth {
    /// Hashes are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { users_file, realm, .. } = self;
        f.debug_struct("BasicAuth").field("users_file", users_file).field("realm", realm).finish()
    }
}

/// Traefik's, which browsers have passwords under.
pub(super) const REALM: &str = "traefik";

impl Kind for BasicAuth {
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
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Arc::new(Basic {
            challenge: format!("Basic realm={}", quoted_string(&self.realm)),
            users: Users::new(&self.users, self.users_file.as_deref())?,
            key: key.map_err(|_| "no random numbers are to be had")?,
            settings: self.clone(),
        }))
    }
}

struct User {
    hash: Hash,
    /// Of the password that was right, so that a slow hash is worked out once.
    verified: OnceLock<hmac::Tag>,
}

impl Entry for User {
    fn parse(line: &str) -> Result<(String, Self), &'static str> {
        const WHAT: &str = "expected `name:hash`, the hash by MD5 ($apr1$), SHA1 or bcrypt, as \
                            htpasswd writes it";
        let (name, hash) = line.split_once(':').ok_or(WHAT)?;
        let hash = Hash::parse(hash).ok_or(WHAT)?;
        Ok((name.to_owned(), Self { hash, verified: OnceLock::new() }))
    }
}

struct Basic {
    settings: BasicAuth,
    challenge: String,
    users: Users<User>,
    /// Of this filter alone, so that what is kept of passwords says nothing elsewhere.
    key: hmac::Key,
}

/// Slow checks at a time, so that a flood of wrong passwords leaves CPUs for the rest.
static SLOW_CHECKS: Semaphore = Semaphore::const_new(2);

impl Filter for Basic {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some((name, password)) = given(exchange) else { return Step::Reply(self.refusal()) };
        let Some((user, is_theirs)) = self.users.find(&name) else {
            return Step::Reply(self.refusal());
        };
        let tag = hmac::sign(&self.key, &password);
        let known = user.verified.get().map(|right| right.as_ref());
        if known.is_some_and(|right| verify_slices_are_equal(right, tag.as_ref()).is_ok()) {
            return self.settle(exchange, &name, is_theirs);
        }
        if !user.hash.is_slow() {
            return self.settle(exchange, &name, is_theirs && user.hash.verifies(&password));
        }
        Step::Wait(Box::pin(async move {
            let is_right = verifies_elsewhere(&user, password).await;
            if is_right {
                let _ = user.verified.set(tag);
            }
            match self.settle(exchange, &name, is_theirs && is_right) {
                Step::Reply(reply) => Outcome::Reply(reply),
                _ => Outcome::Next,
            }
        }))
    }
}

impl Basic {
    fn settle<'a>(&self, exchange: &mut Exchange, name: &str, is_right: bool) -> Step<'a> {
        if !is_right {
            return Step::Reply(self.refusal());
        }
        let field = self.settings.header_field.as_deref();
        admit(exchange, name, self.settings.remove_header, field);
        Step::Next
    }

    fn refusal(&self) -> Reply {
        let mut reply = Reply::text(401, reasons::BASIC_AUTH, "Unauthorized");
        reply.head.add("WWW-Authenticate", &self.challenge);
        reply
    }
}

/// Name and password of the request.
fn given(exchange: &Exchange) -> Option<(String, Vec<u8>)> {
    let mut both = STANDARD.decode(credentials(exchange, "Basic")?).ok()?;
    let colon = both.iter().position(|&byte| byte == b':')?;
    let password = both.split_off(colon + 1);
    both.truncate(colon);
    Some((String::from_utf8(both).ok()?, password))
}

/// Checks a password where nobody waits for it.
async fn verifies_elsewhere(user: &Arc<User>, password: Vec<u8>) -> bool {
    let Ok(_permit) = SLOW_CHECKS.acquire().await else { return false };
    let user = Arc::clone(user);
    tokio::task::spawn_blocking(move || user.hash.verifies(&password)).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::testing::{fault, filter, read, request, told};

    const USERS: &str = "users: ['test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/', \
                         'sha:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=', \
                         'bc:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a']";

    fn with(authorization: &str) -> Exchange {
        Exchange::made_up(&format!("GET /\nX-User: forged\nAuthorization: {authorization}"))
    }

    fn basic(both: &str) -> String {
        format!("Basic {}", STANDARD.encode(both))
    }

    #[test]
    fn users_come_in_and_nobody_else() {
        let filter = filter(&format!("basicAuth: {{ {USERS} }}"));
        for (authorization, user) in [
            (basic("test:test"), Some("test")),
            (basic("sha:test"), Some("sha")),
            (basic("bc:secret"), Some("bc")),
            // From memory now, and still no other.
            (basic("test:test"), Some("test")),
            (basic("bc:secret"), Some("bc")),
            (basic("bc:secret2"), None),
            (basic("bc:"), None),
            (basic("test:secret"), None),
            (basic("sha:"), None),
            (basic("nobody:test"), None),
            (basic("nobody:secret"), None),
            (basic("test"), None),
            (basic("test:test").replace("Basic", "bAsIc"), Some("test")),
            (basic("test:test").replace("Basic", "Bearer"), None),
            ("Basic !!!".to_owned(), None),
            (String::new(), None),
        ] {
            let mut exchange = with(&authorization);
            let reply = request(&*filter, &mut exchange);
            let expected = user.is_none().then_some((401, "basic_auth"));
            assert_eq!(told(reply.as_ref()), expected, "{authorization}");
            assert_eq!(exchange.user.as_deref(), user, "{authorization}");
            let challenge = reply.as_ref().map(|r| r.head.text_of("WWW-Authenticate").unwrap());
            assert_eq!(challenge, user.is_none().then_some("Basic realm=\"traefik\""));
        }
    }

    #[test]
    fn servers_may_be_told_the_user_and_not_the_password() {
        let keys = "removeHeader: true, headerField: X-User, realm: 'a \"b\"'";
        let filter = filter(&format!("basicAuth: {{ {USERS}, {keys} }}"));
        let mut exchange = with(&basic("sha:test"));
        assert!(request(&*filter, &mut exchange).is_none());
        assert!(!exchange.request.has("Authorization"));
        assert_eq!(exchange.request.values("X-User").collect::<Vec<_>>(), [b"sha"]);
        let reply = request(&*filter, &mut with("")).unwrap();
        let challenge = reply.head.text_of("WWW-Authenticate");
        assert_eq!(challenge, Some("Basic realm=\"a \\\"b\\\"\""));
    }

    #[test]
    fn users_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        std::fs::write(&file, "sha:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n").unwrap();
        let filter = filter(&format!("basicAuth: {{ usersFile: '{}' }}", file.display()));
        assert!(request(&*filter, &mut with(&basic("sha:test"))).is_none());
        assert!(request(&*filter, &mut with(&basic("test:test"))).is_some());
    }

    #[test]
    fn faults_keep_secrets() {
        let told = fault("basicAuth: { users: ['name:secret'] }");
        assert!(told.contains("expected `name:hash`") && !told.contains("secret"), "{told}");
        assert!(fault("basicAuth: {}").contains("nobody could come in"));
        let told = fault("basicAuth: { usersFile: /missing/users }");
        assert_eq!(
            told,
            "basicAuth.usersFile: /missing/users: No such file or directory (os error 2)"
        );
        let settings = read(&format!("basicAuth: {{ {USERS} }}")).unwrap();
        assert!(!format!("{settings:?}").contains("apr1"));
    }
}
