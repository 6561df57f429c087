//! Spans of OpenTelemetry, as a collector and the servers behind lb see them.

use anyhow::{Context, Result};
use lb_tests::Daemon;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{
    collector::{Collector, Seen},
    kit::{ENTRY, PATIENCE, World, app, local, service},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Of a client that records, or doesn't.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// `tracing` towards [`world`]'s collector, and metrics on port 9100.
fn tracing(more: &str) -> String {
    format!(
        "metrics: {{ prometheus: {{ address: \"127.0.0.1:9100\" }} }}\n\
         tracing: {{ otlp: {{ http: {{ endpoint: \"http://127.0.0.1:4318/v1/traces\", \
         headers: {{ X-Token: s3cret }} }} }}{more} }}\n"
    )
}

fn world(origins: usize) -> Result<(World, Collector)> {
    let world = World::new(origins)?;
    let collector = Collector::start(&world.ns, local(4318))?;
    Ok((world, collector))
}

/// The head that the origin got of a request with these fields.
fn forwarded(world: &World, path: &str, fields: &[(&str, &str)]) -> Result<String> {
    let answer = world.connect()?.get(path, fields)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(answer.text())
}

/// Trace, span and flags of the one `traceparent` in a head.
fn told(head: &str) -> Result<(String, String, String)> {
    let fields: Vec<&str> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("traceparent"))
        .map(|(_, value)| value.trim())
        .collect();
    let [one] = fields[..] else { anyhow::bail!("not one traceparent: {head}") };
    let parts: Vec<&str> = one.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { anyhow::bail!("{one}") };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16), "{one}");
    Ok((trace.to_owned(), span.to_owned(), flags.to_owned()))
}

fn of_kind(spans: &[Seen], kind: SpanKind) -> Vec<&Seen> {
    spans.iter().filter(|span| span.kind == kind).collect()
}

/// The one span of a kind.
fn the(spans: &[Seen], kind: SpanKind) -> Result<&Seen> {
    let of_kind = of_kind(spans, kind);
    anyhow::ensure!(of_kind.len() == 1, "not one {kind:?}: {spans:#?}");
    Ok(of_kind[0])
}

fn paths(spans: &[Seen]) -> Vec<&str> {
    of_kind(spans, SpanKind::Server).iter().map(|span| span.get("url.path")).collect()
}

fn metric(world: &World, name: &str) -> Result<f64> {
    let text = world.connect_to(local(9100))?.get("/metrics", &[("Connection", "close")])?.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.with_context(|| format!("no {name}: is lb built with `--features otel`?\n{text}"))?
        .trim()
        .parse()
        .context("a number")
}

fn status(daemon: &Daemon<'_>) -> Result<String> {
    daemon.ok(&["status"])
}

#[test]
fn a_request_is_a_part_of_its_clients_trace() -> Result<()> {
    let (world, collector) = world(1)?;
    let more = ", serviceName: edge, resourceAttributes: { env: test }, safeQueryParams: [page], \
                capturedRequestHeaders: [X-Ask, X-None], capturedResponseHeaders: [X-Server]";
    let daemon = world.start(&(tracing(more) + &app(&[0], "")))?;
    let fields = [
        ("traceparent", traceparent("01")),
        ("tracestate", "a=1,b=2".to_owned()),
        ("X-Ask", "one".to_owned()),
        ("X-Ask", "two".to_owned()),
        ("User-Agent", "test/1".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let head = forwarded(&world, "/head?page=2&key=s3cret", &fields)?;
    let spans = collector.until(&daemon, "/head")?;
    let (own, asked) = (the(&spans, SpanKind::Server)?, the(&spans, SpanKind::Client)?);
    assert_eq!((own.trace.as_str(), own.parent.as_str()), (TRACE, PARENT));
    assert_eq!((&asked.trace, &asked.parent), (&own.trace, &own.span));
    assert_eq!(told(&head)?, (own.trace.clone(), asked.span.clone(), "01".to_owned()));
    assert!(head.contains("tracestate: a=1,b=2"), "{head}");
    assert_eq!((own.flags, asked.flags), (0x301, 0x101));
    assert_eq!((own.state.as_str(), asked.state.as_str()), ("a=1,b=2", "a=1,b=2"));
    assert!(own.times.0 <= asked.times.0 && asked.times.0 <= asked.times.1, "{own:?} {asked:?}");
    assert!(asked.times.1 <= own.times.1, "{own:?} {asked:?}");
    for (span, key, value) in [
        (own, "entry_point", "web"),
        (own, "http.request.method", "GET"),
        (own, "http.response.status_code", "200"),
        (own, "network.protocol.version", "1.1"),
        (own, "network.peer.address", "127.0.0.1"),
        (own, "client.address", "127.0.0.1"),
        (own, "server.address", "lb"),
        (own, "url.scheme", "http"),
        (own, "url.path", "/head"),
        (own, "url.query", "page=2&key=REDACTED"),
        (own, "user_agent.original", "test/1"),
        (own, "http.request.header.x-ask", "one|two"),
        (own, "http.request.header.x-none", ""),
        (own, "http.response.header.x-server", "a"),
        (own, "lb.router.name", "all@file"),
        (own, "lb.service.name", "app@file"),
        (asked, "http.request.method", "GET"),
        (asked, "http.response.status_code", "200"),
        (asked, "url.full", "http://127.0.1.1:8000/head?page=2&key=REDACTED"),
        (asked, "server.address", "127.0.1.1"),
        (asked, "server.port", "8000"),
        (asked, "network.peer.address", "127.0.1.1"),
        (asked, "network.peer.port", "8000"),
        (asked, "http.request.header.x-ask", "one|two"),
        (asked, "http.response.header.x-server", "a"),
        (asked, "error.type", ""),
    ] {
        assert_eq!(span.get(key), value, "{key} of {span:?}");
    }
    assert_eq!((own.name.as_str(), &own.error, &asked.error), ("GET", &None, &None));
    assert_eq!(own.resource["service.name"], "edge");
    assert_eq!(own.resource["env"], "test");
    let sent = &collector.heads()[0];
    assert!(sent.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{sent}");
    let sent = sent.to_ascii_lowercase();
    assert!(sent.contains("content-type: application/x-protobuf\r\n"), "{sent}");
    assert!(sent.contains("x-token: s3cret\r\n"), "{sent}");
    assert!(!daemon.log().contains("s3cret"), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_request_without_a_trace_begins_one() -> Result<()> {
    let (world, collector) = world(1)?;
    let daemon = world.start(&(tracing("") + &app(&[0], "")))?;
    // What is no context means nothing, and so does the state beside it.
    let fields = [("traceparent", "00-1-2-01"), ("tracestate", "a=1")];
    let head = forwarded(&world, "/head", &fields)?;
    let spans = collector.until(&daemon, "/head")?;
    let (own, asked) = (the(&spans, SpanKind::Server)?, the(&spans, SpanKind::Client)?);
    assert_eq!((own.parent.as_str(), own.state.as_str(), own.flags), ("", "", 0x101));
    assert_eq!(asked.parent, own.span);
    assert_eq!(told(&head)?, (own.trace.clone(), asked.span.clone(), "01".to_owned()));
    assert!(!head.to_ascii_lowercase().contains("tracestate"), "{head}");
    assert_eq!(own.resource["service.name"], "lb");
    Ok(())
}

#[test]
fn a_clients_choice_comes_before_the_rate() -> Result<()> {
    let (world, collector) = world(1)?;
    let daemon = world.start(&(tracing(", sampleRate: 0") + &app(&[0], "")))?;
    let (trace, _, flags) = told(&forwarded(&world, "/head/own", &[])?)?;
    assert_ne!(trace, TRACE);
    assert_eq!(flags, "00", "servers are told that nobody records");
    let (unrecorded, recorded) = (traceparent("00"), traceparent("01"));
    // Nobody records, so that it is the client whom servers know.
    let told_of_client = told(&forwarded(&world, "/head/no", &[("traceparent", &unrecorded)])?)?;
    assert_eq!(told_of_client, (TRACE.to_owned(), PARENT.to_owned(), "00".to_owned()));
    forwarded(&world, "/head/yes", &[("traceparent", &recorded)])?;
    assert_eq!(paths(&collector.until(&daemon, "/head/yes")?), ["/head/yes"]);
    daemon.configure(&(tracing(", sampleRate: 1") + &app(&[0], "")))?;
    assert!(daemon.ok(&["reload"])?.contains("tracing: changed"));
    forwarded(&world, "/head/no", &[("traceparent", &unrecorded)])?;
    forwarded(&world, "/head/own", &[])?;
    assert_eq!(paths(&collector.until(&daemon, "/head/own")?), ["/head/yes", "/head/own"]);
    Ok(())
}

#[test]
fn errors_are_told_with_their_reason() -> Result<()> {
    let (world, collector) = world(1)?;
    let config = format!(
        "{}{ENTRY}http:\n  middlewares:\n    again: {{ retry: {{ attempts: 2 }} }}\n  routers:\n    \
         app: {{ rule: \"PathPrefix(`/status`)\", service: app }}\n    \
         gone: {{ rule: \"PathPrefix(`/gone`)\", service: gone }}\n    \
         die: {{ rule: \"PathPrefix(`/die`)\", service: app, middlewares: [again] }}\n  services:\n{}{}",
        tracing(""),
        service("app", &[0], ""),
        service("gone", &[7], "")
    );
    let daemon = world.start(&config)?;
    let spans = |path: &str, code: u16| -> Result<(Seen, Vec<Seen>)> {
        assert_eq!(world.get(path)?.status, code);
        let all = collector.until(&daemon, path)?;
        let own = all.iter().find(|span| span.get("url.path") == path).context("a span")?;
        assert_eq!(own.get("http.response.status_code"), code.to_string());
        let below = all.iter().filter(|span| span.parent == own.span).cloned().collect();
        Ok((own.clone(), below))
    };
    let (own, asked) = spans("/status/503", 503)?;
    assert_eq!((own.error.as_deref(), own.get("error.type")), (Some(""), "503"));
    assert_eq!((asked[0].error.as_deref(), asked[0].get("error.type")), (Some(""), "503"));
    let (own, asked) = spans("/status/404", 404)?;
    assert_eq!((&own.error, own.get("error.type")), (&None, ""), "the client's fault");
    assert_eq!((asked[0].error.as_deref(), asked[0].get("error.type")), (Some(""), "404"));
    let (own, asked) = spans("/gone", 502)?;
    let reason = own.get("lb.reason");
    assert!(reason.starts_with("connect"), "{own:?}");
    assert_eq!((own.error.as_deref(), own.get("error.type")), (Some(reason), reason));
    assert_eq!((asked[0].error.as_deref(), asked[0].get("error.type")), (Some(reason), reason));
    assert_eq!(asked[0].get("http.response.status_code"), "");
    let (own, asked) = spans("/nowhere", 404)?;
    assert_eq!((&own.error, own.get("lb.reason"), asked.len()), (&None, "no_router", 0));
    let (_, asked) = spans("/die", 502)?;
    let resent: Vec<_> = asked.iter().map(|one| one.get("http.request.resend_count")).collect();
    assert_eq!(resent, ["", "1"], "{asked:#?}");
    assert!(asked.iter().all(|one| one.get("error.type") == "server_closed"), "{asked:#?}");
    Ok(())
}

#[test]
fn http2_belongs_to_the_same_trace() -> Result<()> {
    let (world, collector) = world(1)?;
    let config = format!(
        "{}{ENTRY}  inner: {{ address: \"127.0.0.1:8081\" }}\nhttp:\n  routers:\n    \
         front: {{ entryPoints: [web], rule: \"PathPrefix(`/`)\", service: next }}\n    \
         back: {{ entryPoints: [inner], rule: \"PathPrefix(`/`)\", service: app }}\n  services:\n    \
         next: {{ loadBalancer: {{ servers: [ {{ url: \"h2c://127.0.0.1:8081\" }} ] }} }}\n{}",
        tracing(""),
        service("app", &[0], "")
    );
    let daemon = world.start(&config)?;
    let head = forwarded(&world, "/head", &[("traceparent", &traceparent("01"))])?;
    daemon.wait_for("four spans", PATIENCE, |_| Ok(collector.seen().len() == 4))?;
    let spans = collector.seen();
    let mut parent = PARENT.to_owned();
    for (kind, key, value) in [
        (SpanKind::Server, "network.protocol.version", "1.1"),
        (SpanKind::Client, "server.port", "8081"),
        (SpanKind::Server, "network.protocol.version", "2"),
        (SpanKind::Client, "server.port", "8000"),
    ] {
        let span = spans.iter().find(|span| span.parent == parent).context("a child")?;
        assert_eq!((span.kind, span.get(key), span.trace.as_str()), (kind, value, TRACE));
        parent.clone_from(&span.span);
    }
    assert_eq!(told(&head)?.1, parent);
    Ok(())
}

#[test]
fn some_requests_are_left_out() -> Result<()> {
    let (world, collector) = world(1)?;
    let config = |more: &str| {
        format!(
            "{}entryPoints:\n  web: {{ address: \"127.0.0.1:8080\", observability: {{ tracing: false }} }}\n\
             http:\n  routers:\n    \
             ping: {{ rule: \"Path(`/ping`)\", service: \"ping@internal\", observability: {{ tracing: true }} }}\n    \
             quiet: {{ rule: \"PathPrefix(`/head/quiet`)\", service: app }}\n    \
             heard: {{ rule: \"PathPrefix(`/head/heard`)\", service: app, observability: {{ tracing: true }} }}\n  \
             services:\n{}ping: {{}}\n",
            tracing(more),
            service("app", &[0], "")
        )
    };
    let daemon = world.start(&config(""))?;
    let head = forwarded(&world, "/head/quiet", &[])?;
    assert!(!head.contains("traceparent"), "{head}");
    assert_eq!(world.get("/ping")?.status, 200);
    forwarded(&world, "/head/heard", &[])?;
    assert_eq!(paths(&collector.until(&daemon, "/head/heard")?), ["/head/heard"]);
    daemon.configure(&config(", addInternals: true"))?;
    daemon.ok(&["reload"])?;
    assert_eq!(world.get("/ping")?.status, 200);
    collector.until(&daemon, "/ping")?;
    Ok(())
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() -> Result<()> {
    let (world, mut collector) = world(1)?;
    let daemon = world.start(&(tracing("") + &app(&[0], "")))?;
    collector.tcp.kill();
    // Longer than what a span holds of it: two spans of each request have it.
    let long = "x".repeat(5000);
    let mut connection = world.connect()?;
    let mut asked = 0;
    daemon.wait_for("spans are dropped", PATIENCE, |_| {
        for _ in 0..200 {
            assert_eq!(connection.get(&format!("/{long}"), &[])?.brief(), (200, "a".to_owned()));
        }
        asked += 200;
        Ok(metric(&world, "lb_spans_dropped_total{reason=\"queue_full\"}")? > 0.0)
    })?;
    assert!(asked >= 800, "8 MiB are taken by some thousand requests, not {asked}");
    daemon.wait_for("the failure is shown", PATIENCE, |daemon| {
        Ok(status(daemon)?.contains("spans don't reach the collector: 127.0.0.1:4318"))
    })?;
    assert!(metric(&world, "lb_span_export_failures_total")? >= 1.0);
    assert!(daemon.log().contains("spans don't reach the collector"), "{}", daemon.log());
    collector.tcp.listen(&world.ns)?;
    // Once there is room again, what comes is taken.
    daemon.wait_for("what waited arrives", PATIENCE, |daemon| {
        Ok(collector.seen().len() > 100 && !status(daemon)?.contains("the collector"))
    })?;
    let of_long = collector.seen().iter().map(|span| span.get("url.path").len()).max();
    assert_eq!(of_long, Some(4096), "longer values are cut");
    daemon.wait_for("new ones arrive", PATIENCE, |_| {
        world.get("/new")?;
        Ok(paths(&collector.seen()).contains(&"/new"))
    })?;
    assert!(metric(&world, "lb_spans_exported_total")? > 100.0);
    assert!(daemon.log().contains("spans reach the collector again"), "{}", daemon.log());
    Ok(())
}

#[test]
fn what_a_collector_says_is_heard() -> Result<()> {
    let (world, collector) = world(1)?;
    let mut daemon = world.start(&(tracing("") + &app(&[0], "")))?;
    let dropped = || metric(&world, "lb_spans_dropped_total{reason=\"refused\"}");
    collector.answer(503);
    assert_eq!(world.get("/later")?.status, 200);
    daemon.wait_for("it is tried twice", PATIENCE, |_| Ok(collector.refused() >= 2))?;
    collector.answer(200);
    collector.until(&daemon, "/later")?;
    assert_eq!(dropped()?, 0.0);
    collector.answer(400);
    assert_eq!(world.get("/never")?.status, 200);
    daemon.wait_for("it is given up", PATIENCE, |_| Ok(dropped()? == 2.0))?;
    assert!(status(&daemon)?.contains("127.0.0.1:4318 answers 400"));
    collector.answer(200);
    collector.reject(1);
    assert_eq!(world.get("/half")?.status, 200);
    daemon.wait_for("one of two is taken", PATIENCE, |_| Ok(dropped()? == 3.0))?;
    assert!(status(&daemon)?.contains("127.0.0.1:4318 rejects 1 spans: too many"));
    assert_eq!(paths(&collector.seen()), ["/later", "/half"]);
    // What waits at the end is sent before the end.
    assert_eq!(world.get("/last")?.status, 200);
    assert!(daemon.terminate()?.success());
    assert_eq!(paths(&collector.seen()), ["/later", "/half", "/last"]);
    Ok(())
}
