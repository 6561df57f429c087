//! `/api/events` and `lb events`.

use std::{
    io::{BufRead, BufReader, Read},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use lb_tests::{Daemon, Namespace};

use super::kit::{Follower, PATIENCE, ask, config, counter, open};

#[test]
fn what_operators_and_files_change_is_told() -> Result<()> {
    let ns = Namespace::new("events")?;
    let daemon = Daemon::start(&ns, &config(""))?;
    let all = Follower::start(&ns, &daemon, &["--past"])?;
    assert_eq!(all.next("lb.daemon.started")?["data"]["generation"], 1);
    let server = "127.0.1.1:8000";
    daemon.ok(&["weight", "app", server, "7"])?;
    let event = all.next("lb.weight.changed")?;
    assert_eq!(event["subject"], format!("http/app@file/{server}"));
    assert_eq!((&event["data"]["from"], &event["data"]["to"]), (&1.into(), &7.into()));
    assert_eq!(event["data"]["set"], true);
    daemon.ok(&["drain", "app", server])?;
    assert_eq!(all.next("lb.drain.changed")?["data"]["drained"], true);
    daemon.ok(&["undrain", "app", server])?;
    assert_eq!(all.next("lb.drain.changed")?["data"]["drained"], false);

    daemon.configure(&config("log: { level: debug }").replace("127.0.1.2", "127.0.1.3"))?;
    daemon.ok(&["reload"])?;
    let event = all.next("lb.reload.succeeded")?;
    assert_eq!(event["data"]["count"], 2, "{event}");
    assert_eq!(all.next("lb.backend.leaving")?["data"]["backend"], "127.0.1.2:8000");
    assert_eq!(all.next("lb.backend.added")?["data"]["backend"], "127.0.1.3:8000");
    daemon.configure(&config("lgo: {}"))?;
    assert_eq!(daemon.cli(&["reload"])?.code, 1);
    let event = all.next("lb.reload.refused")?;
    assert!(event["data"]["faults"][0].as_str().context("a fault")?.contains("lgo"), "{event}");
    assert_eq!(counter(&daemon, "lb_events_total{type=\"lb.reload.refused\"}")?, 1);
    assert_eq!(counter(&daemon, "lb_events_total{type=\"lb.drain.changed\"}")?, 2);
    Ok(())
}

#[test]
fn verdicts_and_ejections_are_told() -> Result<()> {
    let ns = Namespace::new("events")?;
    let text = "entryPoints: { web: { address: \"127.0.0.1:8080\" } }\n\
        http:\n  routers: { all: { rule: \"PathPrefix(`/`)\", service: app } }\n  services:\n\
        \x20   app: { loadBalancer: { servers: [ { url: \"http://127.0.1.1:8000\" } ], \
        healthCheck: { path: /, interval: 200ms, timeout: 5s, fall: 1 } } }\n";
    let daemon = Daemon::start(&ns, text)?;
    let all = Follower::start(&ns, &daemon, &["--past", "lb.health"])?;
    let event = all.next("lb.health.changed")?;
    assert_eq!((&event["data"]["from"], &event["data"]["to"]), (&"pending".into(), &"down".into()));
    assert!(event["data"]["reason"].as_str().context("a reason")?.contains("refused"), "{event}");
    Ok(())
}

#[test]
fn a_reader_goes_on_where_it_was() -> Result<()> {
    let ns = Namespace::new("events")?;
    let daemon = Daemon::start(&ns, &config(""))?;
    for weight in ["2", "3", "4"] {
        daemon.ok(&["weight", "app", "127.0.1.1:8000", weight])?;
    }
    let mut past = Follower::start(&ns, &daemon, &["--past", "-n", "3"])?;
    past.next("lb.daemon.started")?;
    past.next("lb.weight.changed")?;
    let second = past.next("lb.weight.changed")?;
    assert!(past.has_ended_well()?, "lb events -n 3 ends after three");
    let id = second["id"].as_str().context("an id")?;
    let stream = open(&daemon, "GET /api/events", &format!("Last-Event-ID: {id}\r\n"))?;
    let lines = BufReader::new(stream).lines();
    let data = lines.map_while(Result::ok).find(|line| line.starts_with("data: "));
    assert!(data.context("an event")?.contains("\"to\":4"));
    let refused = ask(&daemon, "GET /api/events?knd=lb", "")?;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    Ok(())
}

#[test]
fn a_router_may_lead_to_the_stream() -> Result<()> {
    let ns = Namespace::new("events")?;
    let text = config("api: {}").replace("service: app }", "service: api@internal }");
    let daemon = Daemon::start(&ns, &text)?;
    let stream = ns.run(|| std::net::TcpStream::connect("127.0.0.1:8080"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    std::io::Write::write_all(
        &mut &stream,
        b"GET /api/events HTTP/1.1\r\nHost: lb\r\nLast-Event-ID: 0\r\n\r\n",
    )?;
    let mut lines = BufReader::new(stream).lines();
    let mut until = |what: &str| -> Result<()> {
        loop {
            let line = lines.next().context("the stream ended")??;
            if line.contains(what) {
                return Ok(());
            }
        }
    };
    until("event: lb.daemon.started")?;
    daemon.ok(&["weight", "app", "127.0.1.1:8000", "5"])?;
    until("event: lb.weight.changed")
}

#[test]
fn who_reads_too_slowly_is_sent_away_and_counted() -> Result<()> {
    let ns = Namespace::new("events")?;
    let servers = |weight: u32| {
        let server = |n: u32| {
            format!("{{ address: \"10.1.{}.{}:80\", weight: {weight} }}", n / 250, n % 250)
        };
        let servers: Vec<String> = (0..4000).map(server).collect();
        format!(
            "events: {{ buffer: 500 }}\n\
             tcp: {{ services: {{ many: {{ loadBalancer: {{ servers: [ {} ] }} }} }} }}\n",
            servers.join(", ")
        )
    };
    let daemon = Daemon::start(&ns, &servers(1))?;
    let mut slow = open(&daemon, "GET /api/events", "")?;
    let mut head = [0; 12];
    slow.read_exact(&mut head)?;
    assert_eq!(&head, b"HTTP/1.1 200");
    let began = Instant::now();
    daemon.configure(&servers(2))?;
    daemon.ok(&["reload"])?;
    ensure!(began.elapsed() < PATIENCE, "nobody waits for a reader");
    let mut text = String::new();
    slow.read_to_string(&mut text)?;
    assert!(text.contains(": too slow, "), "{}", &text[text.len() - 200..]);
    assert!(counter(&daemon, "lb_events_dropped_total{reason=\"slow_reader\"}")? > 0);
    Ok(())
}

#[test]
fn readers_end_with_the_daemon() -> Result<()> {
    let ns = Namespace::new("events")?;
    let mut daemon = Daemon::start(&ns, &config(""))?;
    let mut all = Follower::start(&ns, &daemon, &["--past"])?;
    all.next("lb.daemon.started")?;
    assert!(daemon.terminate()?.success());
    all.next("lb.daemon.stopping")?;
    assert!(all.has_ended_well()?);
    Ok(())
}
