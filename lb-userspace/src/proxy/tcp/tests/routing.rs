//! Whose connection it is.

use tokio::{io::AsyncWriteExt, task::LocalSet};

use super::kit::{Line, World, client, pair};
use crate::proxy::{
    Stream,
    io::Plain,
    tls::hello::{Peeked, peek},
};

/// What becomes of a client of `name` by TLS that offers `alpn`.
async fn by_tls(world: &World, name: &str, alpn: &[&str]) -> String {
    let (near, far) = pair().await;
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let calling = Stream::connect(Plain::from(near), client(alpn), name);
    let handled = async { world.handle(far).await.told() };
    // A connection that is passed through is ended, as no server is there.
    let (_, told) = tokio::join!(calling, handled);
    told
}

/// What becomes of a client that sends these bytes, and nothing more.
async fn by_bytes(world: &World, bytes: &[u8]) -> String {
    let (mut near, far) = pair().await;
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let told = world.handle(far).await.told();
    drop(near);
    told
}

const MIXED: &[Line] = &[
    ("pass", "HostSNI(`pass.test`)", "passthrough"),
    ("term", "HostSNI(`term.test`)", "tls"),
    ("level", "HostSNI(`*.level.test`)", "passthrough"),
    ("numbered", "HostSNIRegexp(`^n[0-9]+\\.test$`)", "passthrough"),
    ("mqtt", "HostSNI(`term.test`) && ALPN(`mqtt`)", "passthrough"),
    ("all", "HostSNI(`*`)", ""),
    ("http/web", "Host(`web.test`)", "options=a"),
    ("http/twice", "Host(`twice.test`)", "options=a"),
    ("http/again", "Host(`twice.test`) && PathPrefix(`/b`)", "options=b"),
    ("http/clear", "Host(`clear.test`)", ""),
];

#[tokio::test(flavor = "current_thread")]
async fn each_connection_finds_its_router() {
    let world = World::new(MIXED);
    for (name, alpn, expected) in [
        ("pass.test", &[][..], "pass"),
        ("term.test", &[], "term"),
        ("term.test", &["mqtt"], "mqtt"),
        ("x.level.test", &[], "level"),
        ("level.test", &[], "https default"),
        ("n12.test", &[], "numbered"),
        ("nx.test", &[], "https default"),
        ("web.test", &[], "https a@file"),
        ("WEB.test", &[], "https a@file"),
        ("twice.test", &[], "https default"),
        ("other.test", &[], "https default"),
        ("127.0.0.1", &[], "https default"),
    ] {
        assert_eq!(by_tls(&world, name, alpn).await, expected, "{name} {alpn:?}");
    }
    assert_eq!(by_bytes(&world, b"GET / HTTP/1.1\r\n").await, "all");
    assert_eq!(by_bytes(&world, b"x").await, "all");
    assert_eq!(
        world.table().faults,
        [(
            None,
            "routers for twice.test ask for the TLS options b@file and a@file: the default ones hold"
                .to_owned()
        )]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn routers_for_every_host_come_last_and_https_before_tcp() {
    let both = World::new(&[
        ("all", "HostSNI(`*`)", "passthrough"),
        ("one", "HostSNI(`one.test`)", "passthrough"),
        ("http/any", "PathPrefix(`/`)", "tls"),
    ]);
    assert_eq!(by_tls(&both, "one.test", &[]).await, "one");
    assert_eq!(by_tls(&both, "two.test", &[]).await, "https default");

    let web = World::new(&[
        ("all", "HostSNI(`*`)", "passthrough"),
        ("http/web", "Host(`web.test`)", "tls"),
    ]);
    assert_eq!(by_tls(&web, "web.test", &[]).await, "https default");
    assert_eq!(by_tls(&web, "two.test", &[]).await, "all");
    assert_eq!(by_tls(&web, "127.0.0.1", &[]).await, "all");
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_nobodys_is_ended_with_the_reason_counted() {
    let world = World::new(&[("one", "HostSNI(`one.test`)", "tls")]);
    assert_eq!(by_tls(&world, "two.test", &[]).await, "no_router");
    assert_eq!(by_bytes(&world, b"GET / HTTP/1.1\r\n").await, "no_router");
    assert_eq!(by_bytes(&world, b"").await, "silent");
    assert_eq!(by_bytes(&world, b"\x16\x03\x01\x00\x00").await, "malformed_hello");
    assert_eq!(by_bytes(&world, b"\x16\x03\x01\x02").await, "malformed_hello");
    let refusals: Vec<_> = world.table().stats.refusals().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refusals, [("no_router", 2), ("silent", 1), ("malformed_hello", 2)]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_is_nobodys_is_told_by_an_alert() {
    let world = World::new(&[("one", "HostSNI(`one.test`)", "tls")]);
    let (near, far) = pair().await;
    let name = "two.test".try_into().unwrap();
    let calling = Stream::connect(Plain::from(near), client(&[]), name);
    let (called, _) = tokio::join!(calling, world.handle(far));
    let error = *called.unwrap_err().into_inner().unwrap().downcast::<rustls::Error>().unwrap();
    let expected = rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName);
    assert_eq!(error, expected);
}

#[tokio::test(flavor = "current_thread")]
async fn http_has_what_no_tcp_router_takes() {
    let world = World::new(&[
        ("near", "ClientIP(`192.0.2.0/24`)", ""),
        ("http/clear", "Host(`clear.test`)", ""),
    ]);
    assert_eq!(by_bytes(&world, b"GET / HTTP/1.1\r\n").await, "http");
    let secure_only = World::new(&[("http/web", "Host(`web.test`)", "tls")]);
    assert_eq!(by_bytes(&secure_only, b"GET / HTTP/1.1\r\n").await, "http");
    assert!(!secure_only.table().is_plain_http());
    let clear_only = World::new(&[("http/clear", "Host(`clear.test`)", "")]);
    assert!(clear_only.table().is_plain_http());
    assert!(World::new(&[]).table().is_plain_http());
}

#[tokio::test(flavor = "current_thread")]
async fn where_nobody_speaks_tls_nothing_is_waited_for() {
    let world = World::new(&[("all", "HostSNI(`*`)", ""), ("http/clear", "Path(`/`)", "")]);
    let (_silent, far) = pair().await;
    assert_eq!(world.handle(far).await.told(), "all");
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_read_is_handed_on() {
    let world = World::new(MIXED);
    let hello = {
        let config = client(&[]);
        let mut bytes = Vec::new();
        let name = "pass.test".try_into().unwrap();
        rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    };
    assert!(matches!(peek(&hello), Peeked::Hello(_)));
    LocalSet::new()
        .run_until(async {
            let got = super::serving::swallowing(&world, "pass", &hello).await;
            assert_eq!(got, hello);
            let got = super::serving::swallowing(&world, "all", b"SSH-2.0-x").await;
            assert_eq!(got, b"SSH-2.0-x");
        })
        .await;
}
