//! From the client to the server and back.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::LocalSet,
};

use super::kit::{Fixed, LONG, World, client, echo, nobody, pair, server, server_tls};
use crate::{
    model::{Id, Middleware, Pem, Protocol, Snapshot},
    proxy::{
        Stream,
        io::Plain,
        tcp::arrive::{POSTGRES, POSTGRES_YES},
    },
};

/// What a server of `service` gets when a client sends these bytes.
pub(super) async fn swallowing(world: &World, service: &str, bytes: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.lead(service, Fixed::of([listener.local_addr().unwrap()]), |_| {});
    let (mut near, far) = pair().await;
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let serving = async {
        let mut got = Vec::new();
        listener.accept().await.unwrap().0.read_to_end(&mut got).await.unwrap();
        got
    };
    tokio::join!(world.handle(far), serving).1
}

/// What a client hears that sends `question`.
async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, question: &str) -> String {
    stream.write_all(question.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    heard
}

#[tokio::test(flavor = "current_thread")]
async fn passed_through_terminated_and_encrypted_anew() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[
                ("pass", "HostSNI(`pass.test`)", "passthrough"),
                ("term", "HostSNI(`term.test`)", "tls"),
                ("again", "HostSNI(`again.test`)", "tls"),
                ("clear", "HostSNI(`*`)", ""),
            ]);
            let (config, pem) = server_tls();
            let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let secure_address = secure.local_addr().unwrap();
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = secure.accept().await {
                    let config = Arc::clone(&config);
                    tokio::task::spawn_local(async move {
                        let stream = Stream::accept(Plain::from(stream), config).await.unwrap();
                        echo(stream, "secure: ").await;
                    });
                }
            });
            let clear = server("clear: ").await;
            world.lead("pass", Fixed::of([secure_address]), |_| {});
            world.lead("term", Fixed::of([clear]), |_| {});
            world.lead("clear", Fixed::of([clear]), |_| {});
            let encrypted = Fixed { is_tls: true, ..Fixed::of([secure_address]) };
            world.lead("again", encrypted, |transport| {
                transport.tls.root_cas = vec![Pem::Text(pem.into())];
            });
            for (name, answer) in [
                ("pass.test", "secure: hello"),
                ("term.test", "clear: hello"),
                ("again.test", "secure: hello"),
            ] {
                let (near, far) = pair().await;
                let asking = async {
                    let name = name.try_into().unwrap();
                    let stream =
                        Stream::connect(Plain::from(near), client(&[]), name).await.unwrap();
                    ask(stream, "hello").await
                };
                let (heard, _) = tokio::join!(asking, world.handle(far));
                assert_eq!(heard, answer, "{name}");
            }
            let (near, far) = pair().await;
            let (heard, _) = tokio::join!(ask(near, "hello"), world.handle(far));
            assert_eq!(heard, "clear: hello");
            let table = world.table();
            let route = table.routes().find(|route| route.id.name == "clear").unwrap();
            let stats = &route.stats;
            let counted = [&stats.connections, &stats.open, &stats.received, &stats.sent]
                .map(|count| count.load(Relaxed));
            assert_eq!(counted, [1, 0, 5, 12]);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_server_may_speak_first() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[("all", "HostSNI(`*`)", "")]);
            world.lead("all", Fixed::of([server("220 ready").await]), |_| {});
            let (mut near, far) = pair().await;
            let hearing = async {
                let mut heard = [0; 9];
                near.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"220 ready");
                drop(near);
            };
            tokio::join!(hearing, world.handle(far));
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_next_server_is_asked_where_one_cannot_be_reached() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[("all", "HostSNI(`*`)", "")]);
            let (dead, alive) = (nobody().await, server("alive: ").await);
            let servers = Fixed::of([dead, alive]);
            world.lead("all", servers.clone(), |_| {});
            let (near, far) = pair().await;
            let (heard, _) = tokio::join!(ask(near, "x"), world.handle(far));
            assert_eq!(heard, "alive: x");
            assert_eq!(*servers.outcomes.lock().unwrap(), [(dead, false), (alive, true)]);
            assert_eq!(servers.busy.load(Relaxed), 0);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_server_the_client_is_reset_and_the_reason_counted() {
    let world = World::new(&[("all", "HostSNI(`*`)", "")]);
    let refusals = |world: &World| -> Vec<_> {
        let table = world.table();
        let stats = &table.routes().next().unwrap().stats;
        stats.refusals().filter(|(_, count)| *count > 0).collect()
    };
    for (servers, counted) in [
        (Fixed::default(), &[("no_server", 1)][..]),
        (Fixed::of([nobody().await, nobody().await]), &[("no_server", 1), ("unreachable", 1)]),
    ] {
        world.lead("all", servers, |_| {});
        let (mut near, far) = pair().await;
        let (read, _) = tokio::join!(near.read_u8(), world.handle(far));
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(refusals(&world), counted);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_dial_that_takes_too_long_is_given_up() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[("all", "HostSNI(`*`)", "")]);
            // Accepts, and never shakes hands.
            let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let servers = Fixed { is_tls: true, ..Fixed::of([mute.local_addr().unwrap()]) };
            world.lead("all", servers.clone(), |transport| {
                transport.dial_timeout = std::time::Duration::from_millis(100);
            });
            let (mut near, far) = pair().await;
            let both = async { tokio::join!(near.read_u8(), world.handle(far)) };
            let (read, _) = tokio::time::timeout(LONG, both).await.unwrap();
            assert!(read.is_err());
            assert_eq!(servers.outcomes.lock().unwrap().len(), 1);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_server_is_told_who_the_client_is() {
    for version in [1, 2] {
        let world = World::new(&[("all", "HostSNI(`*`)", "")]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.lead("all", Fixed::of([listener.local_addr().unwrap()]), |transport| {
            transport.proxy_protocol = Some(version);
        });
        let (mut near, far) = pair().await;
        let (client, lb) = (near.local_addr().unwrap(), near.peer_addr().unwrap());
        near.write_all(b"hello").await.unwrap();
        near.shutdown().await.unwrap();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let (plain, ends) = crate::proxy::proxy_protocol::accept(stream, LONG).await.unwrap();
            let ends = ends.unwrap();
            assert_eq!((ends.source, ends.destination), (client, lb));
            let mut got = String::new();
            Stream::Plain(plain).read_to_string(&mut got).await.unwrap();
            got
        };
        let (_, got) = tokio::join!(world.handle(far), serving);
        assert_eq!(got, "hello", "version {version}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn middlewares_let_in_count_and_outlive_reloads() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[]);
            let one_at_a_time = |snapshot| with_middleware(snapshot, "inFlightConn: { amount: 1 }");
            let lines = &[("all", "HostSNI(`*`)", "")];
            world.follow_with(lines, one_at_a_time);
            world.lead("all", Fixed::of([server("in").await]), |_| {});
            let (mut first, far) = pair().await;
            let (mut second, other) = pair().await;
            let talking = async {
                let mut heard = [0; 2];
                first.read_exact(&mut heard).await.unwrap();
                world.follow_with(lines, one_at_a_time);
                world.handle(other).await;
                assert!(second.read_u8().await.is_err(), "one too many");
                drop(first);
            };
            tokio::join!(world.handle(far), talking);
            let (third, far) = pair().await;
            let (heard, _) = tokio::join!(ask(third, ""), world.handle(far));
            assert_eq!(heard, "in");
            let table = world.table();
            let stats = &table.routes().next().unwrap().stats;
            let refusals: Vec<_> = stats.refusals().filter(|(_, count)| *count > 0).collect();
            assert_eq!(refusals, [("middleware", 1)]);

            let strangers = |s| with_middleware(s, "ipAllowList: { sourceRange: [192.0.2.0/24] }");
            world.follow_with(lines, strangers);
            let (mut fourth, far) = pair().await;
            let (read, _) = tokio::join!(fourth.read_u8(), world.handle(far));
            assert!(read.is_err());
        })
        .await;
}

/// With a middleware in front of every router.
fn with_middleware(mut snapshot: Snapshot, yaml: &str) -> Snapshot {
    let settings = crate::middleware::tcp::tests::read(yaml).unwrap();
    let id = Id::new(Protocol::Tcp, "m", "file");
    let settings = Arc::new(crate::middleware::Settings::Tcp(settings));
    let middleware = Middleware { id: id.clone(), settings };
    snapshot.middlewares.insert(id.clone(), Arc::new(middleware));
    for router in Arc::make_mut(&mut snapshot.routers).values_mut() {
        router.middlewares = vec![id.clone()];
    }
    snapshot
}

#[tokio::test(flavor = "current_thread")]
async fn reloads_keep_counters_and_connections() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[("all", "HostSNI(`*`)", "")]);
            world.lead("all", Fixed::of([server("old ").await]), |_| {});
            let (mut near, far) = pair().await;
            let talking = async {
                let mut heard = [0; 4];
                near.read_exact(&mut heard).await.unwrap();
                world.lead("all", Fixed::of([server("new ").await]), |_| {});
                world.follow(&[("all", "HostSNI(`*`)", ""), ("x", "HostSNI(`x.test`)", "tls")]);
                let (next, far) = pair().await;
                let asking = ask(next, "y");
                let (heard, _) = tokio::join!(asking, world.handle(far));
                assert_eq!(heard, "new y");
                assert_eq!(ask(near, "z").await, "z");
            };
            tokio::join!(world.handle(far), talking);
            let table = world.table();
            let all = table.routes().find(|route| route.id.name == "all").unwrap();
            assert_eq!(all.stats.connections.load(Relaxed), 2);
            assert_eq!(all.stats.open.load(Relaxed), 0);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn postgresql_asks_for_tls_in_its_own_way() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[
                ("pass", "HostSNI(`pass.test`)", "passthrough"),
                ("term", "HostSNI(`term.test`)", "tls"),
                ("clear", "HostSNI(`*`)", ""),
            ]);
            world.lead("term", Fixed::of([server("terminated: ").await]), |_| {});
            world.lead("clear", Fixed::of([server("clear: ").await]), |_| {});
            let (config, _) = server_tls();
            let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
            world.lead("pass", Fixed::of([database.local_addr().unwrap()]), |_| {});
            tokio::task::spawn_local(async move {
                let (mut tcp, _) = database.accept().await.unwrap();
                let mut asked = [0; 8];
                tcp.read_exact(&mut asked).await.unwrap();
                assert_eq!(asked, POSTGRES);
                tcp.write_all(&[POSTGRES_YES]).await.unwrap();
                let stream = Stream::accept(Plain::from(tcp), config).await.unwrap();
                echo(stream, "passed: ").await;
            });
            for (name, answer) in [("pass.test", "passed: x"), ("term.test", "terminated: x")] {
                let (mut near, far) = pair().await;
                let asking = async {
                    near.write_all(&POSTGRES[..3]).await.unwrap();
                    tokio::task::yield_now().await;
                    near.write_all(&POSTGRES[3..]).await.unwrap();
                    assert_eq!(near.read_u8().await.unwrap(), POSTGRES_YES);
                    let name = name.try_into().unwrap();
                    let stream =
                        Stream::connect(Plain::from(near), client(&[]), name).await.unwrap();
                    ask(stream, "x").await
                };
                let (heard, _) = tokio::join!(asking, world.handle(far));
                assert_eq!(heard, answer, "{name}");
            }
            let (near, far) = pair().await;
            let (heard, _) = tokio::join!(ask(near, "\0\0\0\u{8}\u{4}x"), world.handle(far));
            assert_eq!(heard, "clear: \0\0\0\u{8}\u{4}x", "what only begins like it");
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_reset_once_its_server_is_gone_for_good() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let world = World::new(&[("all", "HostSNI(`*`)", "")]);
            let servers = Fixed::of([server("in").await]);
            world.lead("all", servers.clone(), |_| {});
            let (mut near, far) = pair().await;
            let talking = async {
                let mut heard = [0; 2];
                near.read_exact(&mut heard).await.unwrap();
                world.cuts.tick();
                near.write_all(b"x").await.unwrap();
                assert_eq!(near.read_u8().await.unwrap(), b'x', "it lives");
                servers.must_end.store(true, Relaxed);
                world.cuts.tick();
                near.read_u8().await.unwrap_err().kind()
            };
            let (_, heard) = tokio::join!(world.handle(far), talking);
            assert_eq!(heard, std::io::ErrorKind::ConnectionReset);
        })
        .await;
}
