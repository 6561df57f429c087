//! Real sockets: clients, an entry point, servers.

use std::{sync::Mutex, sync::atomic::Ordering::Relaxed};

use tokio::{net::UdpSocket, task::LocalSet};

use super::*;
use crate::{
    model::{Protocol, Transport},
    proxy::{
        Wait,
        proxy_protocol::Ends,
        tcp::{Place, Servers, Upstream},
        tls::Store,
    },
};

/// Patience, never a measure.
const LONG: Duration = Duration::from_secs(30);

/// Servers by turns.
struct Turns {
    servers: Vec<SocketAddr>,
    next: Mutex<usize>,
    failed: Arc<Mutex<Vec<SocketAddr>>>,
}

struct Turn(u64, SocketAddr, Arc<Mutex<Vec<SocketAddr>>>);

impl Servers for Turns {
    fn pick<'a>(&'a self, _: Ends, avoid: &'a [u64]) -> Wait<'a, Option<Box<dyn Place>>> {
        Box::pin(async move {
            let mut next = self.next.lock().unwrap();
            for _ in 0..self.servers.len() {
                let at = *next % self.servers.len();
                *next += 1;
                if !avoid.contains(&(at as u64)) {
                    let place = Turn(at as u64, self.servers[at], Arc::clone(&self.failed));
                    return Some(Box::new(place) as Box<dyn Place>);
                }
            }
            None
        })
    }
}

impl Place for Turn {
    fn id(&self) -> u64 {
        self.0
    }
    fn address(&self) -> SocketAddr {
        self.1
    }
    fn host(&self) -> &str {
        ""
    }
    fn is_tls(&self) -> bool {
        false
    }
    fn reached(&self, is_reached: bool, _took: Duration) {
        assert!(!is_reached);
        self.2.lock().unwrap().push(self.1);
    }
}

struct Fixed(Upstream);

impl Service for Fixed {
    fn now(&self, _: Ends) -> Option<Upstream> {
        Some(self.0.clone())
    }
}

/// An entry point at `address`, before these servers.
struct Running {
    entry: Arc<Entry>,
    address: SocketAddr,
    failed: Arc<Mutex<Vec<SocketAddr>>>,
    /// Told to close when this is dropped.
    open: tokio::sync::oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(address: &str, servers: &[SocketAddr], timeout: Duration, most: usize) -> Self {
        let failed = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let transport = Transport::new(Id::new(Protocol::Udp, "t", "file"));
        let upstream = Upstream {
            servers: Arc::new(Turns {
                servers: servers.to_vec(),
                next: Mutex::new(0),
                failed: Arc::clone(&failed),
            }),
            connector: Store::default().connector(&transport),
            transport: Arc::new(transport),
        };
        let route = Route {
            id: Id::new(Protocol::Udp, "r", "file"),
            service: Arc::new(Fixed(upstream)),
            timeout,
            stats: Arc::default(),
        };
        let entry = Arc::new(Entry { name: "e".into(), route: ArcSwapOption::from_pointee(route) });
        let socket = bind(address.parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let socket = Socket::new(socket).unwrap();
        let (open, closed) = tokio::sync::oneshot::channel::<()>();
        let serving = serve_up_to(most, socket, Arc::clone(&entry), closed);
        let serving = tokio::task::spawn_local(serving);
        Self { entry, address, failed, open, serving }
    }

    fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.entry.route.load().as_ref().unwrap().stats)
    }

    fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.stats().refusals().filter(|(_, count)| *count > 0).collect()
    }
}

/// A server that answers with its name and what it got.
async fn server(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; LONGEST];
        while let Ok((count, client)) = socket.recv_from(&mut buffer).await {
            let answer = [name.as_bytes(), &buffer[..count]].concat();
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    address
}

async fn client(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// Asks until there is an answer: datagrams may be lost.
async fn ask(client: &UdpSocket, question: &str) -> String {
    let mut buffer = vec![0; LONGEST];
    let asking = async {
        loop {
            let _lost = client.send(question.as_bytes()).await;
            let answer = client.recv(&mut buffer);
            if let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(1), answer).await {
                return String::from_utf8(buffer[..count].to_vec()).unwrap();
            }
        }
    };
    tokio::time::timeout(LONG, asking).await.expect("an answer")
}

#[tokio::test(flavor = "current_thread")]
async fn each_client_keeps_its_server() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let servers = [server("a:").await, server("b:").await];
            let running = Running::start("127.0.0.1:0", &servers, LONG, 10);
            let (one, two) = (client(running.address).await, client(running.address).await);
            for question in ["1", "22", "333"] {
                assert_eq!(ask(&one, question).await, format!("a:{question}"));
                assert_eq!(ask(&two, question).await, format!("b:{question}"));
            }
            let longest = "x".repeat(9000);
            assert_eq!(ask(&one, &longest).await, format!("a:{longest}"));
            let stats = running.stats();
            let counted = [&stats.connections, &stats.open].map(|count| count.load(Relaxed));
            assert_eq!(counted, [2, 2]);
            assert!(stats.received.load(Relaxed) >= 9012 && stats.sent.load(Relaxed) >= 9026);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_silent_session_ends() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let servers = [server("a:").await, server("b:").await];
            let running = Running::start("127.0.0.1:0", &servers, Duration::from_millis(300), 10);
            let one = client(running.address).await;
            assert_eq!(ask(&one, "x").await, "a:x");
            let ended = async {
                while running.stats().open.load(Relaxed) > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(LONG, ended).await.expect("the session ends");
            assert_eq!(ask(&one, "x").await, "b:x");
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn sessions_are_bounded() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let running = Running::start("127.0.0.1:0", &[server("a:").await], LONG, 2);
            let (one, two) = (client(running.address).await, client(running.address).await);
            assert_eq!((ask(&one, "x").await, ask(&two, "x").await), ("a:x".into(), "a:x".into()));
            let three = client(running.address).await;
            let refused = async {
                while running.refusals().is_empty() {
                    three.send(b"x").await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(LONG, refused).await.unwrap();
            assert_eq!(running.refusals()[0].0, "too_many_sessions");
            assert_eq!(ask(&one, "y").await, "a:y");
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn another_server_takes_over_where_one_is_gone() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let servers = [gone, server("b:").await];
            let running = Running::start("127.0.0.1:0", &servers, LONG, 10);
            let one = client(running.address).await;
            assert_eq!(ask(&one, "x").await, "b:x");
            assert_eq!(*running.failed.lock().unwrap(), [gone]);
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_server_datagrams_are_dropped_and_counted() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let running = Running::start("127.0.0.1:0", &[], LONG, 10);
            let one = client(running.address).await;
            one.send(b"x").await.unwrap();
            let counted = async {
                while running.refusals().is_empty() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(LONG, counted).await.unwrap();
            assert_eq!(running.refusals(), [("no_server", 1)]);
        })
        .await;
}

/// Else the client, which listens to whom it asked, would not hear it.
#[tokio::test(flavor = "current_thread")]
async fn the_answer_comes_from_the_address_that_was_asked() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let servers = [server("a:").await];
            for (bound, asked) in
                [("0.0.0.0:0", &["127.0.0.2", "127.0.0.3"][..]), ("[::]:0", &["127.0.0.2", "::1"])]
            {
                let running = Running::start(bound, &servers, LONG, 10);
                for ip in asked {
                    let to = SocketAddr::new(ip.parse().unwrap(), running.address.port());
                    assert_eq!(ask(&client(to).await, "x").await, "a:x", "{bound} {ip}");
                }
            }
        })
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_router_that_comes_later_is_served() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let running = Running::start("127.0.0.1:0", &[server("a:").await], LONG, 10);
            let route = running.entry.route.swap(None);
            let (one, other) = (client(running.address).await, client(running.address).await);
            other.send(b"x").await.unwrap();
            tokio::task::yield_now().await;
            running.entry.route.store(route);
            assert_eq!(ask(&one, "y").await, "a:y");
        })
        .await;
}

/// What a server is about to say is waited for, and then it ends.
#[tokio::test(flavor = "current_thread")]
async fn answers_under_way_arrive_after_the_end() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let slow = socket.local_addr().unwrap();
            let (heard, hears) = tokio::sync::oneshot::channel();
            tokio::task::spawn_local(async move {
                let mut buffer = [0; 100];
                let (count, client) = socket.recv_from(&mut buffer).await.unwrap();
                heard.send(()).unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
                socket.send_to(&buffer[..count], client).await.unwrap();
            });
            let running = Running::start("127.0.0.1:0", &[slow], LONG, 10);
            let client = client(running.address).await;
            client.send(b"late").await.unwrap();
            hears.await.unwrap();
            running.open.send(()).unwrap();
            let mut buffer = [0; 100];
            let answer = tokio::time::timeout(LONG, client.recv(&mut buffer)).await;
            assert_eq!(answer.expect("an answer").unwrap(), 4);
            tokio::time::timeout(LONG, running.serving).await.expect("an end").unwrap();
        })
        .await;
}
