use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A server that answers each request on a connection in its turn, and then closes.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    seen: Arc<std::sync::Mutex<Vec<String>>>,
}

async fn serve(answers: Vec<&'static str>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server { address, accepted: Arc::default(), seen: Arc::default() };
    let (accepted, seen) = (Arc::clone(&server.accepted), Arc::clone(&server.seen));
    tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            accepted.fetch_add(1, SeqCst);
            for answer in &answers {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.ends_with(b"END") && !request.ends_with(b"\r\n\r\n") {
                    match socket.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => request.extend_from_slice(&buffer[..n]),
                    }
                }
                if request.is_empty() {
                    break;
                }
                seen.lock().unwrap().push(String::from_utf8(request).unwrap());
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
    });
    server
}

fn fetcher(server: &Server, limits: FetchLimits) -> Fetcher {
    let url = format!("http://localhost:{}/x", server.address.port());
    Fetcher::new(&url, &ClientTls::default(), limits).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nX-User: a\r\nX-User: b\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn requests_are_sent_and_answers_read() {
    let server = serve(vec![OK]).await;
    let fetcher = fetcher(&server, FetchLimits::default());
    let mut head = Head::request("POST", "/verify?a=b");
    head.add("X-One", "1");
    head.add("Host", "other");
    let answer = fetcher.fetch(head, "body END".into()).await.unwrap();
    assert_eq!((answer.head.status(), &answer.body[..]), (200, &b"hi"[..]));
    assert_eq!(answer.head.values("X-User").collect::<Vec<_>>(), [b"a", b"b"]);
    let seen = server.seen.lock().unwrap()[0].to_ascii_lowercase();
    assert!(seen.starts_with("post /verify?a=b http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: localhost:{}\r\n", server.address.port())), "{seen}");
    assert!(seen.contains("x-one: 1\r\n") && seen.contains("content-length: 8\r\n"), "{seen}");
    assert!(!seen.contains("other") && seen.ends_with("\r\n\r\nbody end"), "{seen}");
}

#[tokio::test]
async fn connections_are_kept_and_given_up_when_closed() {
    // Each connection serves two requests.
    let server = serve(vec![OK, OK]).await;
    let fetcher = fetcher(&server, FetchLimits::default());
    for i in 0..6 {
        let answer = fetcher.fetch(Head::request("GET", "/"), Bytes::new()).await;
        assert_eq!(answer.unwrap().head.status(), 200, "{i}");
    }
    assert_eq!(server.accepted.load(SeqCst), 3);
    assert_eq!(server.seen.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let get = || Head::request("GET", "/");
    let garbage = serve(vec!["nonsense\r\n\r\n"]).await;
    let fetched = fetcher(&garbage, FetchLimits::default()).fetch(get(), Bytes::new()).await;
    assert!(matches!(fetched, Err(FetchError::NoAnswer(..))), "{fetched:?}");

    let cut = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"]).await;
    let fetched = fetcher(&cut, FetchLimits::default()).fetch(get(), Bytes::new()).await;
    assert!(matches!(fetched, Err(FetchError::NoAnswer(..))), "{fetched:?}");

    let long = serve(vec![OK]).await;
    let limits = FetchLimits { most: 1, ..FetchLimits::default() };
    let fetched = fetcher(&long, limits).fetch(get(), Bytes::new()).await;
    assert!(matches!(fetched, Err(FetchError::TooLarge(_, 1))), "{fetched:?}");

    let silent = serve(vec!["", ""]).await;
    let limits = FetchLimits { whole: Duration::from_millis(50), ..FetchLimits::default() };
    let fetched = fetcher(&silent, limits).fetch(get(), Bytes::new()).await;
    assert!(matches!(fetched, Err(FetchError::Timeout(..))), "{fetched:?}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", closed.local_addr().unwrap().port());
    drop(closed);
    let fetcher = Fetcher::new(&url, &ClientTls::default(), FetchLimits::default()).unwrap();
    let fetched = fetcher.fetch(get(), Bytes::new()).await;
    assert!(matches!(fetched, Err(FetchError::Unreachable(..))), "{fetched:?}");
}

#[test]
fn only_urls_of_http_are_taken() {
    for (url, right) in [
        ("http://auth.example.com/verify?x=y", true),
        ("https://[2001:db8::1]:8443", true),
        ("http://auth", true),
        ("ftp://auth/", false),
        ("auth.example.com", false),
        ("/verify", false),
        ("http://user:password@auth/", false),
        ("http://", false),
        ("http://a b/", false),
    ] {
        assert_eq!(parse(url).is_ok(), right, "{url}");
    }
}
