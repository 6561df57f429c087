//! TLS at an entry point: certificates by name, redirection, client certificates.

use anyhow::Result;
use lb_tests::{Daemon, daemon::binary};

use super::{
    certs::{Cert, client, open},
    kit::{World, local, service},
};

const SECURE: std::net::SocketAddr = local(8443);

/// Entry points `web` and `websecure`, a router with TLS at the latter, and the certificates
/// `a`, `b` and `default` from files.
fn config(world: &World, web: &str, router: &str, tls: &str) -> String {
    assert_eq!(world.origins.len(), 1);
    format!(
        r#"
entryPoints:
  web: {{ address: "127.0.0.1:8080"{web} }}
  websecure: {{ address: "127.0.0.1:8443" }}
http:
  routers:
    all: {{ entryPoints: [websecure], rule: "PathPrefix(`/`)", service: app, tls: {{ {router} }} }}
  services:
{}
tls:
  certificates: [ {{ certFile: a.crt, keyFile: a.key }}, {{ certFile: b.crt, keyFile: b.key }} ]
  stores: {{ default: {{ defaultCertificate: {{ certFile: default.crt, keyFile: default.key }} }} }}
{tls}"#,
        service("app", &[0], "")
    )
}

struct Certs {
    a: Cert,
    b: Cert,
    default: Cert,
}

fn start<'a>(world: &'a World, text: &str) -> Result<(Daemon<'a>, Certs)> {
    let certs = Certs {
        a: Cert::new("a.example")?,
        b: Cert::new("*.b.example")?,
        default: Cert::new("default.example")?,
    };
    let mut daemon = Daemon::prepare(&world.ns, &binary(), text)?;
    certs.a.write(daemon.folder(), "a")?;
    certs.b.write(daemon.folder(), "b")?;
    certs.default.write(daemon.folder(), "default")?;
    daemon.run(&[])?;
    Ok((daemon, certs))
}

#[test]
fn the_certificate_is_that_of_the_name() -> Result<()> {
    let world = World::new(1)?;
    let (_daemon, certs) = start(&world, &config(&world, "", "", ""))?;
    let trusting = client(&[&certs.a, &certs.b, &certs.default], None, &["http/1.1"])?;
    for (name, cert) in
        [("a.example", &certs.a), ("x.b.example", &certs.b), ("default.example", &certs.default)]
    {
        let (mut connection, shown) = open(&world, SECURE, &trusting, name)?;
        assert_eq!(shown, cert.der, "{name}");
        let answer = connection.get("/head", &[("Host", name)])?;
        assert_eq!(answer.status, 200);
        assert!(answer.text().to_ascii_lowercase().contains("x-forwarded-proto: https"));
        let large = lb_tests::pattern::bytes(300_000, 300_000);
        assert_eq!(connection.get("/big/300000", &[])?.body, large);
        assert_eq!(connection.ask("POST", "/sink/300000", &[], &large)?.text(), "same");
    }
    assert!(open(&world, SECURE, &trusting, "c.example").is_err(), "trusted for another name");
    Ok(())
}

#[test]
fn without_tls_there_is_no_such_router() -> Result<()> {
    let world = World::new(1)?;
    let (_daemon, _certs) = start(&world, &config(&world, "", "", ""))?;
    assert_eq!(world.connect_to(SECURE)?.get("/", &[])?.status, 404);
    assert_eq!(world.get("/")?.status, 404);
    assert_eq!(world.origins[0].requests(), 0);
    Ok(())
}

#[test]
fn web_redirects_to_websecure() -> Result<()> {
    let world = World::new(1)?;
    let web = ", http: { redirections: { entryPoint: { to: websecure } } }";
    let (_daemon, _certs) = start(&world, &config(&world, web, "", ""))?;
    let mut connection = world.connect()?;
    let answer = connection.get("/a/b?c=d", &[("Host", "a.example:8080")])?;
    assert_eq!(answer.header("location"), Some("https://a.example:8443/a/b?c=d"));
    assert_eq!(answer.status, 301);
    let answer = connection.ask("POST", "/", &[("Host", "a.example")], b"x")?;
    assert_eq!(answer.status, 308, "a POST is to stay one");
    assert_eq!(world.origins[0].requests(), 0);
    Ok(())
}

#[test]
fn a_client_shows_its_certificate() -> Result<()> {
    let world = World::new(1)?;
    let tls = "  options:\n    mutual: { clientAuth: { caFiles: [client.crt], clientAuthType: RequireAndVerifyClientCert } }\n";
    let text =
        config(&world, "", "options: mutual", tls).replace("PathPrefix(`/`)", "Host(`a.example`)");
    let own = Cert::new("client.example")?;
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &text)?;
    own.write(daemon.folder(), "client")?;
    let cert = Cert::new("a.example")?;
    for name in ["a", "b", "default"] {
        cert.write(daemon.folder(), name)?;
    }
    daemon.run(&[])?;
    let ask = |own: Option<&Cert>| {
        let config = client(&[&cert], own, &["http/1.1"])?;
        open(&world, SECURE, &config, "a.example")?.0.get("/", &[("Host", "a.example")])
    };
    assert_eq!(ask(Some(&own))?.brief(), (200, "a".to_owned()));
    assert!(ask(None).is_err(), "served without a certificate");
    assert!(ask(Some(&Cert::new("other.example")?)).is_err(), "served with any certificate");
    assert_eq!(world.origins[0].requests(), 1);
    Ok(())
}

#[test]
fn a_strict_name_is_asked_for() -> Result<()> {
    let world = World::new(1)?;
    let tls = "  options:\n    default: { sniStrict: true }\n";
    let (_daemon, certs) = start(&world, &config(&world, "", "", tls))?;
    let trusting = client(&[&certs.a, &certs.default], None, &[])?;
    assert_eq!(open(&world, SECURE, &trusting, "a.example")?.0.get("/", &[])?.status, 200);
    assert!(open(&world, SECURE, &trusting, "default.example").is_err());
    Ok(())
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload() -> Result<()> {
    let world = World::new(1)?;
    let (daemon, certs) = start(&world, &config(&world, "", "", ""))?;
    let renewed = Cert::new("a.example")?;
    let trusting = client(&[&certs.a, &renewed], None, &[])?;
    let (mut kept, shown) = open(&world, SECURE, &trusting, "a.example")?;
    assert_eq!(shown, certs.a.der);
    renewed.write(daemon.folder(), "a")?;
    daemon.ok(&["reload"])?;
    daemon.wait_for("the new certificate", super::kit::PATIENCE, |_| {
        Ok(open(&world, SECURE, &trusting, "a.example")?.1 == renewed.der)
    })?;
    assert_eq!(kept.get("/", &[])?.status, 200);
    Ok(())
}

#[test]
fn a_missing_certificate_is_told_and_the_default_one_shown() -> Result<()> {
    let world = World::new(1)?;
    let mut daemon = Daemon::prepare(&world.ns, &binary(), &config(&world, "", "", ""))?;
    let (b, default) = (Cert::new("*.b.example")?, Cert::new("a.example")?);
    b.write(daemon.folder(), "b")?;
    default.write(daemon.folder(), "default")?;
    daemon.run(&[])?;
    let trusting = client(&[&b, &default], None, &[])?;
    assert_eq!(open(&world, SECURE, &trusting, "a.example")?.1, default.der);
    assert_eq!(open(&world, SECURE, &trusting, "x.b.example")?.1, b.der);
    let faults = daemon.json(&["status"])?["faults"].to_string();
    assert!(faults.contains("a.crt"), "{faults}");
    Ok(())
}

#[test]
fn a_router_tells_that_its_resolver_obtains_nothing() -> Result<()> {
    let world = World::new(1)?;
    let resolvers = "certificatesResolvers: { le: { acme: { email: a@b.example, storage: acme.json, httpChallenge: { entryPoint: web } } } }\n";
    let text = config(&world, "", "certResolver: le", resolvers)
        .replace("PathPrefix(`/`)", "Host(`a.example`) || Host(`c.example`)");
    let (daemon, certs) = start(&world, &text)?;
    let trusting = client(&[&certs.a, &certs.default], None, &[])?;
    assert_eq!(open(&world, SECURE, &trusting, "a.example")?.1, certs.a.der);
    let rows = daemon.json(&["routers"])?;
    assert_eq!(rows[0]["state"], "enabled", "{rows}");
    let note = "certResolver \"le\" obtains no certificates yet (there is no ACME): c.example gets \
                the default one";
    assert_eq!(rows[0]["notes"], serde_json::json!([note]), "{rows}");
    assert!(daemon.ok(&["routers"])?.contains(note));
    // With a certificate for every host there is nothing to tell.
    let text = text.replace(" || Host(`c.example`)", "");
    daemon.configure(&text)?;
    daemon.ok(&["reload"])?;
    assert_eq!(daemon.json(&["routers"])?[0]["notes"], serde_json::json!([]));
    Ok(())
}
