//! Docker over TCP and TLS, Consul with TLS, tokens and several data centres.

use std::path::Path;

use anyhow::{Result, ensure};
use lb_tests::{Daemon, Docker, Namespace, server::Origin};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{
    agent::{ask, bash, register, until, visit},
    consul::Consul,
    kit::{config, provider, wait_text},
};

/// An authority, a server of it at 127.0.0.1 and a client: `ca.pem`, `server.pem`, `server.key`, ….
fn certificates(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    for (name, names) in
        [("server", vec!["127.0.0.1", "localhost", "server.dc1.consul"]), ("client", vec!["lb"])]
    {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let cert = params.signed_by(&key, &issuer)?;
        std::fs::write(folder.join(format!("{name}.pem")), cert.pem())?;
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

fn tls(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!("{{ ca: {}, cert: {}, key: {} }}", at("ca.pem"), at("client.pem"), at("client.key"))
}

#[test]
fn docker_is_followed_over_tcp_and_over_tls() -> Result<()> {
    let docker = Docker::start_with(|folder| {
        certificates(folder)?;
        let at = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
        Ok(vec![
            "-H=tcp://127.0.0.1:2376".to_owned(),
            "--tlsverify".to_owned(),
            at("tlscacert", "ca.pem"),
            at("tlscert", "server.pem"),
            at("tlskey", "server.key"),
        ])
    })?;
    let endpoint = |url: &str, more: &str, port| {
        config(&docker, "tls", port, more).replace(&docker.endpoint(), url)
    };
    let secured = format!("    tls: {}\n", tls(docker.folder()));
    let daemon = Daemon::start(&docker.ns, &endpoint("tcp://127.0.0.1:2376", &secured, 8110))?;
    let _one = docker.run("tls-one", &["test=tls"], &[])?;
    wait_text(&daemon, &docker, 8110, "tls-one", "tls-one")?;
    // Without a certificate there is no way in, and it is said so.
    let bare = Daemon::start(&docker.ns, &endpoint("tcp://127.0.0.1:2376", "", 8111))?;
    bare.wait_for("it is told", super::kit::PATIENCE, |daemon| {
        Ok(provider(daemon, "docker")?["lastError"].is_string())
    })?;
    Ok(())
}

#[test]
fn docker_is_followed_over_tcp_without_tls() -> Result<()> {
    let docker = Docker::start_with(|_| {
        Ok(vec!["-H=tcp://127.0.0.1:2375".to_owned(), "--tls=false".to_owned()])
    })?;
    let text = config(&docker, "tcp", 8112, "").replace(&docker.endpoint(), "tcp://127.0.0.1:2375");
    let daemon = Daemon::start(&docker.ns, &text)?;
    let _one = docker.run("tcp-one", &["test=tcp"], &[])?;
    wait_text(&daemon, &docker, 8112, "tcp-one", "tcp-one")
}

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn a_consul_with_tls_and_tokens_is_followed() -> Result<()> {
    let ns = Namespace::new("secured")?;
    let folder = tempfile::tempdir()?;
    certificates(folder.path())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let hcl = format!(
        "ports {{ https = 8501 }} ca_file = \"{}\" cert_file = \"{}\" key_file = \"{}\" \
         verify_incoming_https = true \
         acl {{ enabled = true default_policy = \"deny\" tokens {{ master = \"{TOKEN}\" agent = \"{TOKEN}\" }} }}",
        at("ca.pem"),
        at("server.pem"),
        at("server.key")
    );
    let curl = format!(
        "--cacert {} --cert {} --key {} -H 'X-Consul-Token: {TOKEN}'",
        at("ca.pem"),
        at("client.pem"),
        at("client.key")
    );
    let _consul = Consul::with(&ns, "127.0.0.1", &["-hcl", &hcl], &curl)?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let config = |token: &str, port: u16| {
        format!(
            "entryPoints: {{ web: {{ address: \"127.0.0.1:{port}\" }} }}\nproviders:\n  consulCatalog:\n\
             \x20   defaultRule: \"Host(`{{{{ .Name }}}}.example.com`)\"\n    register: {{ name: edge }}\n\
             \x20   endpoint: {{ address: \"127.0.0.1:8501\", scheme: https, token: \"{token}\", tls: {tls} }}\n\
             \x20 consul: {{ endpoints: [\"https://127.0.0.1:8501\"], token: \"{token}\", tls: {tls} }}\n",
            tls = tls(folder.path())
        )
    };
    let daemon = Daemon::start(&ns, &config(TOKEN, 8080))?;
    let put = |path: &str, body: &str| {
        bash(&ns, &format!("curl {curl} -f -X PUT https://127.0.0.1:8501{path} -d '{body}'"))
    };
    put(
        "/v1/agent/service/register",
        r#"{"ID":"api-1","Name":"api","Address":"127.0.0.1","Port":9001}"#,
    )?;
    until("the service is routed", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    put("/v1/kv/traefik/http/routers/keys/rule", "Path(`/keys`)")?;
    put("/v1/kv/traefik/http/routers/keys/service", "api@consulCatalog")?;
    until("the key is read", || Ok(daemon.ok(&["routers"])?.contains("keys@consul")))?;
    until("lb is registered", || {
        let curl = format!("curl {curl} https://127.0.0.1:8501/v1/health/service/edge-web?passing");
        Ok(bash(&ns, &curl)?.contains("edge-web"))
    })?;
    // Another token: nothing is seen, which is said where Consul says it.
    let other = Daemon::start(&ns, &config("99999999-2222-3333-4444-555555555555", 8081))?;
    until("the refusal is told", || {
        let why = provider(&other, "consulCatalog")?["lastError"].as_str().map(str::to_owned);
        Ok(why.is_some_and(|why| why.contains("403") || why.contains("ACL not found")))
    })?;
    let told = format!("{}{}", daemon.ok(&["-o", "json", "status"])?, daemon.log());
    ensure!(!told.contains(TOKEN), "the token is told");
    Ok(())
}

#[test]
fn another_data_centre_stands_in() -> Result<()> {
    const CONFIG: &str = r#"
entryPoints:
  web: { address: "127.0.0.1:8080" }
providers:
  consulCatalog:
    defaultRule: "Host(`{{ .Name }}.example.com`)"
    endpoint: { address: "127.0.0.1:8500", datacenter: dc2, fallbackDatacenters: [dc1] }
"#;
    let ns = Namespace::new("centres")?;
    let _here = Consul::start(&ns)?;
    let join =
        ["-datacenter=dc2", "-node=two", "-retry-join-wan=127.0.0.1", "-retry-interval-wan=1s"];
    let mut there = Consul::with(&ns, "127.0.0.2", &join, "")?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let _b = Origin::start(&ns, "127.0.0.1:9002".parse()?, "b")?;
    register(&ns, "api-1", 9001, &[])?;
    let body = r#"{"ID":"api-2","Name":"api","Address":"127.0.0.1","Port":9002}"#;
    bash(
        &ns,
        &format!("curl -f -X PUT http://127.0.0.2:8500/v1/agent/service/register -d '{body}'"),
    )?;
    until("they know each other", || {
        Ok(bash(&ns, "curl http://127.0.0.1:8500/v1/health/service/api?dc=dc2 || true")?
            .contains("api-2"))
    })?;
    let _daemon = Daemon::start(&ns, CONFIG)?;
    until("the second is asked", || Ok(visit(&ns)? == (200, "b".to_owned())))?;
    there.kill()?;
    until("the first stands in", || Ok(visit(&ns)? == (200, "a".to_owned())))?;
    there.run()?;
    until("the second is back", || Ok(visit(&ns)? == (200, "b".to_owned())))?;
    Ok(())
}

#[test]
fn instances_that_warn_serve_by_choice() -> Result<()> {
    let config = |port: u16, strict: &str| {
        format!(
            "entryPoints: {{ web: {{ address: \"127.0.0.1:{port}\" }} }}\nproviders:\n  consulCatalog:\n\
             \x20   defaultRule: \"Host(`{{{{ .Name }}}}.example.com`)\"\n    endpoint: {{ address: \"127.0.0.1:8500\" }}\n{strict}"
        )
    };
    let ns = Namespace::new("strict")?;
    let _consul = Consul::start(&ns)?;
    let _a = Origin::start(&ns, "127.0.0.1:9001".parse()?, "a")?;
    let body = r#"{"ID":"api-1","Name":"api","Address":"127.0.0.1","Port":9001,"Weights":{"Passing":9,"Warning":2},"Check":{"TTL":"10m","Status":"passing"}}"#;
    ask(&ns, "PUT", "/v1/agent/service/register", body)?;
    let strict = Daemon::start(&ns, &config(8080, ""))?;
    let lenient = Daemon::start(&ns, &config(8081, "    strictChecks: [passing, warning]\n"))?;
    let weights = |daemon: &Daemon<'_>| -> Result<Vec<u64>> {
        let rows = daemon.json(&["backends"])?;
        let all = rows.as_array().into_iter().flatten();
        Ok(all.filter_map(|row| row["weight"].as_u64()).filter(|weight| *weight > 0).collect())
    };
    until("both serve it", || Ok(weights(&lenient)? == [9] && weights(&strict)? == [9]))?;
    ask(&ns, "PUT", "/v1/agent/check/warn/service:api-1", "")?;
    until("one serves it, by its other weight", || Ok(weights(&lenient)? == [2]))?;
    until("the other doesn't", || Ok(weights(&strict)?.is_empty()))?;
    ask(&ns, "PUT", "/v1/agent/check/fail/service:api-1", "")?;
    until("nobody does", || Ok(weights(&lenient)?.is_empty()))?;
    ask(&ns, "PUT", "/v1/agent/check/pass/service:api-1", "")?;
    until("both do again", || Ok(weights(&lenient)? == [9] && weights(&strict)? == [9]))?;
    Ok(())
}
