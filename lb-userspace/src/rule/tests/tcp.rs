//! TCP rules and connections.

use super::*;

fn takes(rule: &str, client: &str, server_name: Option<&str>, alpn: &[&str]) -> bool {
    let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let client = client.parse().expect("an address");
    tcp(rule).matches(&Connection { client, server_name, alpn: &alpn })
}

#[test]
fn host_sni() {
    for name in ["db.example.com", "DB.example.com"] {
        assert!(takes("HostSNI(`db.example.com`)", "192.0.2.1", Some(name), &[]));
        assert!(takes("HostSNI(`Db.Example.Com.`)", "192.0.2.1", Some(name), &[]));
        assert!(takes("HostSNI(`*.example.com`)", "192.0.2.1", Some(name), &[]));
        assert!(takes("HostSNI(`a.example`, `db.example.com`)", "192.0.2.1", Some(name), &[]));
        assert!(!takes("HostSNI(`example.com`)", "192.0.2.1", Some(name), &[]));
    }
    assert!(!takes("HostSNI(`db.example.com`)", "192.0.2.1", None, &[]));
    assert!(takes("HostSNI(`*`)", "192.0.2.1", None, &[]));
    assert!(takes("HostSNI(`*`)", "192.0.2.1", Some("any.example"), &[]));
}

#[test]
fn host_sni_regexp() {
    let name = Some("db7.example.com");
    assert!(takes(r"HostSNIRegexp(`^db\d+\.example\.com$`)", "192.0.2.1", name, &[]));
    assert!(takes("HostSNIRegexp(`{x:db[0-9]}.example.com`)", "192.0.2.1", name, &[]));
    assert!(!takes("HostSNIRegexp(`^example`)", "192.0.2.1", name, &[]));
}

#[test]
fn alpn() {
    assert!(takes("ALPN(`h2`)", "192.0.2.1", None, &["http/1.1", "h2"]));
    assert!(takes("ALPN(`mqtt`, `h2`)", "192.0.2.1", None, &["h2"]));
    assert!(!takes("ALPN(`h2`)", "192.0.2.1", None, &["h3"]));
    assert!(!takes("ALPN(`h2`)", "192.0.2.1", None, &[]));
}

#[test]
fn client_ip() {
    let rule = "ClientIP(`10.0.0.0/8`) && HostSNI(`*`)";
    assert!(takes(rule, "10.1.2.3", None, &[]));
    assert!(takes(rule, "::ffff:10.1.2.3", None, &[]));
    assert!(!takes(rule, "192.0.2.1", None, &[]));
    assert!(takes("ClientIP(`2001:db8::/32`)", "2001:db8::7", None, &[]));
}
