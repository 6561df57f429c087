//! From an operator's words to an object.

use std::{net::SocketAddr, sync::Arc};

use super::ApiError;
use crate::{
    config::names::nearest,
    model::{Backend, Composed, Id, Service, Snapshot},
};

/// The service that answers to `words`: `name`, `name@provider`, `tcp/name` or both.
pub(crate) fn service<'a>(
    snapshot: &'a Snapshot,
    words: &str,
) -> Result<&'a Arc<Service>, ApiError> {
    let found: Vec<_> = snapshot.services.values().filter(|s| s.id.answers_to(words)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(ApiError::NotFound(unknown_service(snapshot, words))),
        many => Err(ApiError::Ambiguous {
            words: words.to_owned(),
            candidates: many.iter().map(|s| s.id.to_string()).collect(),
        }),
    }
}

/// The backends of `service` that `words` names: those of the configured `host:port` or URL, or
/// the one at that address.
pub(crate) fn backends<'a>(
    service: &'a Service,
    words: &str,
) -> Result<Vec<&'a Backend>, ApiError> {
    let address: Option<SocketAddr> = words.parse().ok();
    let url = crate::config::server_of(words);
    let is_meant = |b: &&Backend| match &url {
        Some((scheme, server)) => b.options.scheme == *scheme && b.server == *server,
        None => b.server == words,
    };
    let of_server: Vec<_> = service.backends.iter().filter(is_meant).collect();
    if !of_server.is_empty() {
        return Ok(of_server);
    }
    let at: Vec<_> = service.backends.iter().filter(|b| Some(b.address) == address).collect();
    if !at.is_empty() {
        return Ok(at);
    }
    if service.servers.iter().any(|s| s.address() == words) {
        return Err(ApiError::Unavailable(format!(
            "{words} of {} has no address yet; try again when its name resolves",
            service.id
        )));
    }
    let names = service.backends.iter().map(|b| b.server.as_str());
    Err(ApiError::NotFound(missing("backend", words, &service.id.to_string(), names)))
}

/// The part of a weighted service that `words` names.
pub(crate) fn part<'a>(service: &'a Service, words: &str) -> Result<&'a Id, ApiError> {
    let Some(Composed::Weighted { services, .. }) = &service.composed else {
        let why = format!("{} has neither servers nor weights of its own", service.id);
        return Err(ApiError::Refused(why));
    };
    let found = services.iter().map(|(id, _)| id).find(|id| id.answers_to(words));
    let names = || services.iter().map(|(id, _)| id.name.as_str());
    found
        .ok_or_else(|| ApiError::NotFound(missing("part", words, &service.id.to_string(), names())))
}

fn unknown_service(snapshot: &Snapshot, words: &str) -> String {
    let qualified: Vec<String> = snapshot
        .services
        .keys()
        .flat_map(|id: &Id| {
            let short = format!("{}/{}", id.protocol, id.name);
            [id.name.to_string(), id.qualified(), short, id.to_string()]
        })
        .collect();
    match nearest(words, qualified.iter().map(String::as_str)) {
        Some(hint) => format!("no service {words:?}; did you mean {hint:?}?"),
        None => format!("no service {words:?}; `lb services` lists them"),
    }
}

fn missing<'a>(
    what: &str,
    words: &str,
    owner: &str,
    names: impl Iterator<Item = &'a str>,
) -> String {
    match nearest(words, names) {
        Some(hint) => format!("no {what} {words:?} in {owner}; did you mean {hint:?}?"),
        None => format!("no {what} {words:?} in {owner}; `lb {what}s` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    macro_rules! services {
        ($($test:ident: $words:expr => $expected:expr;)+) => {
            $(#[test]
            fn $test() {
                let found = service(&samples::snapshot(), $words)
                    .map(|s| s.id.to_string())
                    .map_err(|e| e.to_string());
                let expected: Result<&str, &str> = $expected;
                assert_eq!(found.as_deref().map_err(String::as_str), expected);
            })+
        };
    }

    services! {
        service_by_name: "pg" => Ok("tcp/pg@file");
        service_by_name_and_provider: "pg@file" => Ok("tcp/pg@file");
        service_by_protocol_and_name: "udp/dns" => Ok("udp/dns@file");
        service_by_all_of_it: "tcp/dns@file" => Ok("tcp/dns@file");
        service_of_two_protocols: "dns" =>
            Err("\"dns\" is ambiguous: name one of tcp/dns@file, udp/dns@file");
        service_of_another_provider: "pg@docker" => Err("no service \"pg@docker\"; did you mean \"pg\"?");
        service_misspelt: "tcp/dnss" => Err("no service \"tcp/dnss\"; did you mean \"tcp/dns\"?");
        service_of_no_such_protocol: "udp/pg" => Err("no service \"udp/pg\"; did you mean \"tcp/pg\"?");
    }

    macro_rules! found {
        ($($test:ident: $words:expr => $expected:expr;)+) => {
            $(#[test]
            fn $test() {
                let snapshot = samples::snapshot();
                let pg = service(&snapshot, "pg").unwrap();
                let found = backends(pg, $words)
                    .map(|all| all.iter().map(|b| b.address.to_string()).collect::<Vec<_>>().join(" "))
                    .map_err(|e| e.to_string());
                let expected: Result<&str, &str> = $expected;
                assert_eq!(found.as_deref().map_err(String::as_str), expected);
            })+
        };
    }

    #[test]
    fn backend_by_its_url() {
        let snapshot = samples::http();
        let web = service(&snapshot, "web").unwrap();
        let found = |words: &str| backends(web, words).map(|all| all.len()).ok();
        assert_eq!(found("https://10.0.1.5:8443/app"), Some(1));
        assert_eq!(found("https://10.0.1.5:8443"), Some(1));
        assert_eq!(found("10.0.1.5:8443"), Some(1));
        assert_eq!(found("http://10.0.1.5:8443"), None);
    }

    found! {
        backend_by_address: "10.0.1.5:5432" => Ok("10.0.1.5:5432");
        backend_by_host_name_is_all_its_addresses: "db:5432" => Ok("10.0.2.1:5432 10.0.2.2:5432");
        backend_by_one_address_of_a_host_name: "10.0.2.2:5432" => Ok("10.0.2.2:5432");
        backend_not_resolved_yet: "later:5432" =>
            Err("later:5432 of tcp/pg@file has no address yet; try again when its name resolves");
        backend_misspelt: "10.0.1.55:5432" =>
            Err("no backend \"10.0.1.55:5432\" in tcp/pg@file; did you mean \"10.0.1.5:5432\"?");
        backend_unknown: "x" => Err("no backend \"x\" in tcp/pg@file; `lb backends` lists them");
    }
}
