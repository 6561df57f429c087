//! Which router takes a request: the rules that the documentation of Traefik shows, old and new.

use anyhow::Result;

use super::kit::{ENTRY, World, service};

/// Routers `NAME: { rule, more }`, each to the service of its name, which is origin `a`, `b`, ….
fn config(routers: &[(&str, &str)]) -> String {
    let mut text = format!("{ENTRY}http:\n  routers:\n");
    for (n, (rule, more)) in routers.iter().enumerate() {
        let name = char::from(b'a' + n as u8);
        text += &format!("    {name}: {{ rule: \"{rule}\", service: {name}{more} }}\n");
    }
    text += "  services:\n";
    for n in 0..routers.len() {
        text += &service(&char::from(b'a' + n as u8).to_string(), &[n], "");
    }
    text
}

/// A request, and the origin that takes it; `-` where none does.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

fn check(routers: &[(&str, &str)], cases: &[Case<'_>]) -> Result<()> {
    let world = World::new(routers.len())?;
    let _daemon = world.start(&config(routers))?;
    let mut connection = world.connect()?;
    for (method, path, headers, wanted) in cases {
        let answer = connection.ask(method, path, headers, b"")?;
        let taken = match answer.status {
            404 => "-".to_owned(),
            _ => answer.header("x-server").unwrap_or_default().to_owned(),
        };
        assert_eq!(&taken, wanted, "{method} {path} {headers:?}: {answer:?}");
    }
    Ok(())
}

#[test]
fn by_host_and_path() -> Result<()> {
    check(
        &[
            ("Host(`api.example.com`)", ""),
            ("Host(`www.example.com`)", ""),
            ("PathPrefix(`/api/users`)", ""),
            ("PathPrefix(`/api/orders`)", ""),
            ("Host(`api.example.com`) && PathPrefix(`/v2`) && Method(`GET`, `POST`)", ""),
        ],
        &[
            ("GET", "/", &[("Host", "api.example.com")], "a"),
            ("GET", "/", &[("Host", "API.Example.COM")], "a"),
            ("GET", "/", &[("Host", "api.example.com:8080")], "a"),
            ("GET", "/", &[("Host", "www.example.com")], "b"),
            ("GET", "/", &[("Host", "example.com")], "-"),
            ("GET", "/api/users/7?x=1", &[("Host", "other")], "c"),
            ("GET", "/api/orders", &[("Host", "other")], "d"),
            ("GET", "/api", &[("Host", "other")], "-"),
            ("GET", "/v2/x", &[("Host", "api.example.com")], "e"),
            ("POST", "/v2/x", &[("Host", "api.example.com")], "e"),
            ("DELETE", "/v2/x", &[("Host", "api.example.com")], "a"),
            ("GET", "/v2/../v1", &[("Host", "api.example.com")], "a"),
        ],
    )
}

#[test]
fn by_header_in_both_syntaxes() -> Result<()> {
    check(
        &[
            ("Headers(`X-API-Version`, `v1`)", ""),
            ("Header(`X-API-Version`, `v2`)", ""),
            ("HeaderRegexp(`X-Tenant`, `^t[0-9]+$`)", ""),
            ("HeadersRegexp(`X-Old`, `^o.*`)", ""),
        ],
        &[
            ("GET", "/", &[("X-API-Version", "v1")], "a"),
            ("GET", "/", &[("x-api-version", "v2")], "b"),
            ("GET", "/", &[("X-API-Version", "v3")], "-"),
            ("GET", "/", &[("X-API-Version", "V1")], "-"),
            ("GET", "/", &[("X-Tenant", "t42")], "c"),
            ("GET", "/", &[("X-Tenant", "x42")], "-"),
            ("GET", "/", &[("X-Old", "old")], "d"),
            ("GET", "/", &[], "-"),
        ],
    )
}

#[test]
fn by_method_query_client_and_regex() -> Result<()> {
    check(
        &[
            ("Method(`PUT`)", ""),
            ("Query(`mobile`, `true`)", ""),
            ("QueryRegexp(`page`, `^[0-9]+$`)", ""),
            ("PathRegexp(`^/products/[0-9]+$`)", ""),
            ("HostRegexp(`^[a-z]+\\\\.shop\\\\.example$`)", ""),
            ("ClientIP(`127.0.0.0/8`) && Path(`/local`)", ""),
            ("ClientIP(`192.0.2.0/24`) && Path(`/far`)", ""),
            ("!Method(`GET`) && (Path(`/x`) || Path(`/y`))", ""),
        ],
        &[
            ("PUT", "/", &[], "a"),
            ("GET", "/?mobile=true", &[], "b"),
            ("GET", "/?mobile=false", &[], "-"),
            ("GET", "/?a=b&page=12", &[], "c"),
            ("GET", "/?page=x", &[], "-"),
            ("GET", "/products/12", &[], "d"),
            ("GET", "/products/x", &[], "-"),
            ("GET", "/", &[("Host", "red.shop.example")], "e"),
            ("GET", "/", &[("Host", "r3d.shop.example")], "-"),
            ("GET", "/local", &[], "f"),
            ("GET", "/far", &[], "-"),
            ("DELETE", "/x", &[], "h"),
            ("OPTIONS", "/y", &[], "h"),
            ("GET", "/x", &[], "-"),
        ],
    )
}

#[test]
fn by_priority() -> Result<()> {
    check(
        &[
            ("Host(`api.example.com`) && Path(`/special`)", ", priority: 100"),
            ("Host(`api.example.com`)", ", priority: 1"),
            ("PathPrefix(`/longer/rules/win`)", ""),
            ("PathPrefix(`/longer`)", ""),
            ("PathPrefix(`/longer/rules/win/unless`)", ", priority: 2"),
        ],
        &[
            ("GET", "/special", &[("Host", "api.example.com")], "a"),
            ("GET", "/else", &[("Host", "api.example.com")], "b"),
            ("GET", "/longer/rules/win", &[], "c"),
            ("GET", "/longer/x", &[], "d"),
            ("GET", "/longer/rules/win/unless", &[], "c"),
        ],
    )
}

#[test]
fn routers_stay_at_their_entry_points() -> Result<()> {
    let world = World::new(2)?;
    let text = config(&[("Path(`/one`)", ", entryPoints: [web]"), ("Path(`/two`)", "")]);
    let text = text.replacen("http:\n", "  other: { address: \"127.0.0.1:8081\" }\nhttp:\n", 1);
    let _daemon = world.start(&text)?;
    let other = super::kit::local(8081);
    assert_eq!(world.get("/one")?.brief(), (200, "a".to_owned()));
    assert_eq!(world.get("/two")?.brief(), (200, "b".to_owned()));
    assert_eq!(world.connect_to(other)?.get("/one", &[])?.status, 404);
    assert_eq!(world.connect_to(other)?.get("/two", &[])?.brief(), (200, "b".to_owned()));
    Ok(())
}
