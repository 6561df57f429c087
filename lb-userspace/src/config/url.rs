//! URLs of HTTP servers.

use super::{
    address::{Why, expected, host_and_port},
    decode::{Cx, Decode},
    tree::{Node, quoted},
    values::text,
};
use crate::model::Scheme;

/// `servers[].url`: `http://10.0.1.5:8080`, `https://host/path`, `h2c://[2001:db8::1]:50051`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without its last `/`.
    pub(crate) path: String,
}

impl Decode for ServerUrl {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "a server's URL such as \"http://10.0.1.5:8080\"";
        let text = text(node, WHAT, cx)?;
        parse(text).map_err(|why| cx.fault(node, why.unwrap_or_else(|| expected(WHAT, text)))).ok()
    }
}

pub(super) fn parse(text: &str) -> Result<ServerUrl, Why> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| match host_and_port(text) {
        Ok(_) => Some(format!("the scheme is missing: http://{text}, https://… or h2c://…")),
        Err(_) => None,
    })?;
    let scheme = [Scheme::Http, Scheme::Https, Scheme::H2c]
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(scheme))
        .ok_or_else(|| {
            let found = quoted(scheme);
            Some(format!("the scheme is \"http\", \"https\" or \"h2c\", not {found}"))
        })?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(Some("a server's URL holds no user or password".to_owned()));
    }
    if path.contains(['?', '#']) {
        return Err(Some("a server's URL ends with its path: no `?` or `#`".to_owned()));
    }
    if let Some(bad) = path.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(Some(format!("a URL's path can't hold {bad:?}: encode it (%20)")));
    }
    let port = if scheme == Scheme::Https { 443 } else { 80 };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let (host, port) = host_and_port(&authority)?;
    Ok(ServerUrl { scheme, host, port, path: path.trim_end_matches('/').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Scheme, String, u16, String) {
        let ServerUrl { scheme, host, port, path } = parse(text).expect("a URL");
        (scheme, host, port, path)
    }

    fn refused(text: &str) -> String {
        parse(text).expect_err("no URL").unwrap_or_default()
    }

    macro_rules! urls {
        ($($name:ident: $url:literal => $scheme:ident, $host:literal, $port:literal, $path:literal;)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(read($url), (Scheme::$scheme, $host.to_owned(), $port, $path.to_owned()));
            })*
        };
    }

    urls! {
        an_address_and_a_port: "http://10.0.1.5:8080" => Http, "10.0.1.5", 8080, "";
        the_port_of_http: "http://10.0.1.5" => Http, "10.0.1.5", 80, "";
        the_port_of_https: "https://web.example.com" => Https, "web.example.com", 443, "";
        the_port_of_h2c: "h2c://10.0.1.5" => H2c, "10.0.1.5", 80, "";
        a_path: "http://web/app/v1" => Http, "web", 80, "/app/v1";
        a_last_slash_does_not_count: "http://web:81/" => Http, "web", 81, "";
        v6_with_a_port: "http://[2001:db8::1]:81" => Http, "2001:db8::1", 81, "";
        v6_without_a_port: "https://[2001:db8::1]/x" => Https, "2001:db8::1", 443, "/x";
        a_scheme_in_capitals: "HTTP://web" => Http, "web", 80, "";
        an_underscore_in_a_name: "http://my_app:3000" => Http, "my_app", 3000, "";
    }

    macro_rules! faults {
        ($($name:ident: $url:literal => $fault:literal;)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(refused($url), $fault);
            })*
        };
    }

    faults! {
        no_scheme: "10.0.1.5:80" => "the scheme is missing: http://10.0.1.5:80, https://… or h2c://…";
        no_url_at_all: "" => "";
        another_scheme: "ftp://web" => "the scheme is \"http\", \"https\" or \"h2c\", not \"ftp\"";
        a_user: "http://me:secret@web" => "a server's URL holds no user or password";
        a_query: "http://web/?a=b" => "a server's URL ends with its path: no `?` or `#`";
        a_query_without_a_path: "http://web?a=b" => "a server's URL ends with its path: no `?` or `#`";
        a_space: "http://web/a b" => "a URL's path can't hold ' ': encode it (%20)";
        no_host: "http://:80" => "the host is missing in front of the port";
        nothing_behind_the_scheme: "http://" => "the host is missing in front of the port";
        port_zero: "http://web:0" => "expected a port from 1 to 65535, found \"0\"";
        a_host_that_is_none: "http://we b" => "\"we b\" is neither an IP address nor a host name";
    }
}
