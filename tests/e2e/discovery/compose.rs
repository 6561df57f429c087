//! Labels as compose files have them, `$$` for `$`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use lb_tests::{
    Daemon, Docker,
    client::http1::{Answer, Connection, connect},
    daemon::binary,
    docker::Container,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use serde_json::Value;

use super::kit::{PATIENCE, config, get, provider, wait_text};

/// Runs the containers of a compose file, for the test of this name.
fn up<'d>(docker: &'d Docker, file: &str, test: &str) -> Result<Vec<Container<'d>>> {
    let file: Value = serde_yaml::from_str(file)?;
    let services = file["services"].as_object().context("services")?;
    let mut containers = Vec::new();
    for (service, said) in services {
        let text = |value: &Value| value.as_str().unwrap_or_default().replace("$$", "$");
        let labels = said["labels"].as_array().context("labels")?.iter().map(text);
        let own = [
            format!("test={test}"),
            format!("com.docker.compose.project={test}"),
            format!("com.docker.compose.service={service}"),
        ];
        let labels: Vec<String> = labels.chain(own).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let environment = said["environment"].as_object().into_iter().flatten();
        let environment: Vec<String> =
            environment.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let more: Vec<&str> = environment.iter().flat_map(|pair| ["-e", pair]).collect();
        containers.push(docker.run(&text(&said["container_name"]), &labels, &more)?);
    }
    Ok(containers)
}

fn wait_serving(daemon: &Daemon<'_>, count: u64) -> Result<()> {
    daemon.wait_for(&format!("{count} serve"), PATIENCE, |daemon| {
        Ok(provider(daemon, "docker")?["serving"] == count)
    })
}

fn header(
    docker: &Docker,
    port: u16,
    host: &str,
    path: &str,
    name: &str,
    value: &str,
) -> Result<Answer> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let headers = [("Host", host), ("Connection", "close"), (name, value)];
    docker.ns.run(|| Connection::open(address)?.get(path, &headers))
}

#[test]
fn an_edge_with_dashboard_basic_auth_and_https() -> Result<()> {
    let docker = Docker::shared()?;
    let _up = up(&docker, include_str!("compose/edge.yaml"), "edge")?;
    let cert = rcgen::generate_simple_self_signed([
        "traefik.example.com".to_owned(),
        "api.example.com".to_owned(),
    ])?;
    let text = config(&docker, "edge", 8111, "    exposedByDefault: false\n")
        .replace("entryPoints: {", "entryPoints: { websecure: { address: \"127.0.0.1:8443\" },")
        + "api: { dashboard: true }\n\
         certificatesResolvers: { letsencrypt: { acme: { email: admin@example.com, storage: acme.json, \
         httpChallenge: { entryPoint: web } } } }\n\
         tls: { certificates: [ { certFile: c.crt, keyFile: c.key } ] }\n";
    let mut daemon = Daemon::prepare(&docker.ns, &binary(), &text)?;
    std::fs::write(daemon.folder().join("c.crt"), cert.cert.pem())?;
    std::fs::write(daemon.folder().join("c.key"), cert.signing_key.serialize_pem())?;
    daemon.run(&[])?;
    wait_serving(&daemon, 2)?;

    let mut roots = RootCertStore::empty();
    roots.add(cert.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);
    let ask = |host: &'static str, path: &str, more: &[(&str, &str)]| -> Result<Answer> {
        let stream = docker.ns.run(|| connect(SocketAddr::from(([127, 0, 0, 1], 8443))))?;
        let session = ClientConnection::new(client.clone(), ServerName::try_from(host)?)?;
        let headers = [&[("Host", host), ("Connection", "close")], more].concat();
        Connection::over(StreamOwned::new(session, stream)).get(path, &headers)
    };
    // What is read is in force a moment later.
    daemon.wait_for("HTTP leads to HTTPS", PATIENCE, |_| {
        let answer = get(&docker.ns, 8111, "api.example.com", "/x?y=z")?;
        Ok(answer.header("location") == Some("https://api.example.com/x?y=z"))
    })?;
    daemon.wait_for("the service is healthy", PATIENCE, |_| {
        Ok(ask("api.example.com", "/", &[])?.status == 200)
    })?;
    assert_eq!(ask("api.example.com", "/", &[])?.text(), "edge-api");
    let none = ask("traefik.example.com", "/api/version", &[])?;
    assert_eq!(none.status, 401, "{}", none.text());
    let basic = |credentials| [("Authorization", credentials)];
    // admin:wrong, admin:test.
    let wrong = ask("traefik.example.com", "/api/version", &basic("Basic YWRtaW46d3Jvbmc="))?;
    assert_eq!(wrong.status, 401);
    let right = ask("traefik.example.com", "/api/version", &basic("Basic YWRtaW46dGVzdA=="))?;
    assert_eq!(right.status, 200, "{}", right.text());
    Ok(())
}

#[test]
fn canary_weights_rules_and_sticky_sessions() -> Result<()> {
    let docker = Docker::shared()?;
    let _up = up(&docker, include_str!("compose/deploy.yaml"), "deploy")?;
    let daemon = Daemon::start(
        &docker.ns,
        &config(&docker, "deploy", 8112, "    exposedByDefault: false\n"),
    )?;
    wait_serving(&daemon, 6)?;
    wait_text(&daemon, &docker, 8112, "api.example.com", "deploy-stable")?;
    let canary = header(&docker, 8112, "api.example.com", "/", "X-Canary", "true")?;
    assert_eq!(canary.text(), "deploy-canary");
    let colours: Vec<String> = (0..40)
        .map(|_| Ok(get(&docker.ns, 8112, "colour.example.com", "/")?.text()))
        .collect::<Result<_>>()?;
    let green = colours.iter().filter(|colour| *colour == "deploy-green").count();
    assert!((1..=9).contains(&green), "{green} of 40");
    let sticky = get(&docker.ns, 8112, "sticky.example.com", "/")?;
    let cookie = sticky.header("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("server_id=") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(sticky.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(&docker.ns, 8112, "paths.example.com", "/api/whoami")?.text(), "deploy-paths");
    assert_eq!(get(&docker.ns, 8112, "paths.example.com", "/")?.status, 404);
    let versioned = header(&docker, 8112, "anything", "/", "X-API-Version", "v1")?;
    assert_eq!(versioned.text(), "deploy-paths");
    Ok(())
}
