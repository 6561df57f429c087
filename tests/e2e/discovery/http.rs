//! `providers.http` with a server that has ETags, dies, and says nonsense.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::Result;
use lb_tests::{Daemon, Namespace, server::http::HttpServer};

use super::kit::{PATIENCE, get, provider};

/// What the server says, and how often it said that nothing has changed.
#[derive(Default)]
struct Site {
    text: Mutex<String>,
    is_away: AtomicBool,
    unchanged: AtomicUsize,
}

impl Site {
    fn say(&self, host: &str) {
        let text = format!(
            "http:\n  routers: {{ r: {{ rule: 'Host(`{host}`)', service: s }} }}\n  services: \
             {{ s: {{ loadBalancer: {{ servers: [ {{ url: 'http://127.0.0.1:8121' }} ] }} }} }}\n"
        );
        *self.text.lock().expect("no panic") = text;
    }

    fn serve(self: &Arc<Self>, ns: &Namespace) -> Result<()> {
        let listener = ns.run(|| TcpListener::bind("127.0.0.1:8122"))?;
        let site = Arc::clone(self);
        // It ends with the process; nobody asks once the daemon is gone.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let mut tag = String::new();
                for line in lines.by_ref().take_while(|line| !line.is_empty()) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("if-none-match: ") {
                        value.clone_into(&mut tag);
                    }
                }
                let text = site.text.lock().expect("no panic").clone();
                let own = format!("\"{}\"", text.len());
                let (status, text) = match (site.is_away.load(Relaxed), tag == own) {
                    (true, _) => ("503 Away", String::new()),
                    (false, true) => ("304 Not Modified", String::new()),
                    (false, false) => ("200 OK", text),
                };
                site.unchanged.fetch_add(usize::from(status.starts_with("304")), Relaxed);
                let head = format!(
                    "HTTP/1.1 {status}\r\nETag: {own}\r\nContent-Type: application/yaml\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                let _sent = (&stream).write_all(head.as_bytes());
            }
        });
        Ok(())
    }
}

#[test]
fn a_url_is_followed_and_its_last_good_state_stays() -> Result<()> {
    let ns = Namespace::new("http")?;
    let _origin = HttpServer::start(&ns, "127.0.0.1:8121".parse()?, "origin")?;
    let site = Arc::new(Site::default());
    site.say("a.example");
    site.serve(&ns)?;
    let daemon = Daemon::start(
        &ns,
        "entryPoints: { web: { address: \"127.0.0.1:8120\" } }\n\
         providers: { http: { endpoint: \"http://127.0.0.1:8122/lb\", pollInterval: 50ms } }\n",
    )?;
    let serves = |host: &str| -> Result<bool> { Ok(get(&ns, 8120, host, "/")?.text() == "origin") };
    daemon.wait_for("the first text", PATIENCE, |_| serves("a.example"))?;
    daemon.wait_for("it is unchanged", PATIENCE, |_| Ok(site.unchanged.load(Relaxed) > 2))?;
    site.say("second.example");
    daemon.wait_for("the second text", PATIENCE, |_| serves("second.example"))?;
    assert!(!serves("a.example")?);

    "http: { routrs: {} }".clone_into(&mut site.text.lock().expect("no panic"));
    daemon.wait_for("the fault is told", PATIENCE, |daemon| {
        Ok(daemon.ok(&["status"])?.contains("http.yaml:1:9: http.routrs: unknown key"))
    })?;
    assert!(serves("second.example")?, "the last good state stays");

    site.is_away.store(true, Relaxed);
    daemon.wait_for("the failure is told", PATIENCE, |daemon| {
        let error = &provider(daemon, "http")?["lastError"];
        Ok(error.as_str().is_some_and(|error| error.contains("503")))
    })?;
    assert!(serves("second.example")?, "the last good state stays");
    site.say("third-one.example");
    site.is_away.store(false, Relaxed);
    daemon.wait_for("the third text", PATIENCE, |_| serves("third-one.example"))
}
