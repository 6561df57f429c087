//! `lb run --takeover`: a new process in the old one's place, and nobody notices.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    Daemon, Lab, Shape,
    client::{self, http1::request},
    server::{UdpEcho, echo},
};
use lb_userspace::kernel::rights;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    kit::{PATIENCE, World, app, local},
    load::Load,
    upgrade::{frame, open, ping},
};

/// Two origins that are checked, an API on TCP, and a minute for old connections.
fn config() -> String {
    let checked = "healthCheck: { path: /health, interval: 1h }";
    let web = ":8080\", transport: { lifeCycle: { graceTimeOut: 1m } } }";
    let entries = app(&[0, 1], checked).replace(":8080\" }", web);
    format!("api: {{ address: \"127.0.0.1:8081\" }}\n{entries}")
}

#[test]
fn a_new_process_takes_over_under_load() -> Result<()> {
    let world = World::new(2)?;
    let mut daemon = world.start(&config())?;
    daemon.wait_for("both origins are up", PATIENCE, |daemon| {
        let rows = daemon.json(&["backends"])?;
        Ok(rows.as_array().is_some_and(|rows| rows.iter().all(|row| row["state"] == "up")))
    })?;
    let mut socket = open(&world, "/upgrade", "websocket")?;
    let mut download = world.connect()?;
    download.send(&request("GET", "/drip/150/20", &[], b""))?;
    assert_eq!(download.head()?.status, 200);
    let load = Load::start(&world, 4, 4)?;
    load.wait_for(200)?;

    let first = daemon.pid();
    let mut old = daemon.take_over()?;
    assert_ne!(daemon.pid(), first);
    load.wait_for(500)?;
    // Checks come once an hour: what was found out came along.
    let rows = daemon.json(&["backends"])?;
    let states: Vec<_> = rows.as_array().into_iter().flatten().map(|row| &row["state"]).collect();
    assert_eq!(states, ["up", "up"], "{rows}");
    assert_eq!(world.connect_to(local(8081))?.get("/api/version", &[])?.status, 200);

    // A second time, while connections of the first process are open.
    let second = daemon.take_over()?;
    load.wait_for(500)?;
    load.check()?;
    assert_eq!(second.wait()?.code(), Some(0));

    ensure!(old.is_running()?, "cut off: {}", daemon.log());
    ping(&mut socket, &frame(b"still here"))?;
    let mut lines = Vec::new();
    while let Some(chunk) = Some(download.chunk()?).filter(|chunk| !chunk.is_empty()) {
        lines.extend(chunk);
    }
    let wanted: String = (0..150).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(lines)?, wanted);
    ping(&mut socket, &frame(b"and here"))?;
    drop((socket, download));
    assert_eq!(old.wait()?.code(), Some(0), "{}", daemon.log());
    assert!(daemon.socket().exists());
    assert_eq!(daemon.terminate()?.code(), Some(0));
    assert!(!daemon.socket().exists() && !daemon.socket().with_extension("takeover").exists());
    Ok(())
}

#[test]
fn the_kernel_path_and_udp_change_hands() -> Result<()> {
    let lab = Lab::new(Shape { backends: 1, ..Shape::default() })?;
    let host = &lab.backends[0];
    let _tcp = echo::start(&host.ns, host.at(5432), "b1")?;
    let _udp = UdpEcho::start(&host.ns, host.at(5353), "b1")?;
    let config = "datapath: { interfaces: [eth0, eth1], connections: 8192, backends: 256 }\n\
                  entryPoints:\n  pg: { address: \"198.51.100.10:5432\" }\n  \
                  dns: { address: \"198.51.100.10:5353/udp\" }\n\
                  tcp:\n  routers: { pg: { entryPoints: [pg], rule: \"HostSNI(`*`)\", service: pg } }\n  \
                  services: { pg: { loadBalancer: { servers: [ { address: \"10.0.1.11:5432\" } ] } } }\n\
                  udp:\n  routers: { dns: { entryPoints: [dns], service: dns, datapath: proxy } }\n  \
                  services: { dns: { loadBalancer: { servers: [ { address: \"10.0.1.11:5353\" } ] } } }\n";
    let mut daemon = Daemon::start(&lab.lb, config)?;
    let mut load = client::load::Load::start(&lab.client, lab.vip(5432), 3, 2)?;
    load.add_udp(&lab.client, lab.vip(5353), 3)?;
    let status = daemon.json(&["status"])?;
    assert_eq!(status["datapath"]["loaded"], true, "{status}");
    for _ in 0..2 {
        let before = load.connections();
        let old = daemon.take_over()?;
        assert_eq!(old.wait()?.code(), Some(0), "{}", daemon.log());
        daemon.wait_for("load goes on", PATIENCE, |_| Ok(load.connections() > before + 50))?;
    }
    let outcome = load.finish();
    outcome.check()?;
    assert!(outcome.datagrams > 0);
    let status = daemon.json(&["status"])?;
    assert!(
        status["datapath"]["detail"].as_str().is_some_and(|d| d.contains("adopted")),
        "{status}"
    );
    assert_eq!(status["faults"], serde_json::json!([]), "{status}");
    let again = daemon.cli(&["run", "-c", &daemon.config().display().to_string()])?;
    let pid = daemon.pid().unwrap_or_default();
    assert!(again.code == 4 && again.stderr.contains(&format!("process {pid};")), "{again:?}");
    Ok(())
}

/// What a new process of another version, or one that dies at its start, looks like.
fn ask(daemon: &Daemon<'_>, question: &str) -> Result<(Socket, Vec<String>)> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(daemon.socket().with_extension("takeover"))?)?;
    rights::send(&socket, question.as_bytes(), &[])?;
    let mut messages = Vec::new();
    let mut buffer = vec![0; 200_000];
    loop {
        let (count, descriptors) = rights::receive(&socket, &mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let is_last = count == 0 || text.contains("Whole") || text.contains("Refused");
        messages.push(format!("{text} {}", descriptors.len()));
        if is_last {
            return Ok((socket, messages));
        }
    }
}

#[test]
fn a_takeover_that_fails_leaves_the_old_process_in_place() -> Result<()> {
    let world = World::new(2)?;
    let mut daemon = world.start(&config())?;
    let load = Load::start(&world, 2, 2)?;
    let config_path = daemon.config().display().to_string();

    daemon.configure("entryPoints: { web: { adress: 1 } }\n")?;
    let outcome = daemon.cli(&["run", "--takeover", "-c", &config_path])?;
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("did you mean \"address\"?"), "{outcome:?}");
    daemon.configure(&config())?;

    let (_socket, refused) = ask(&daemon, r#"{"Ask":{"protocol":7,"pid":1}}"#)?;
    assert!(refused[0].contains("Refused"), "{refused:?}");

    let (socket, messages) = ask(&daemon, r#"{"Ask":{"protocol":1,"pid":1}}"#)?;
    assert!(messages.iter().any(|text| text.contains("Lock") && text.ends_with(" 1")));
    assert!(messages.iter().any(|text| text.contains("127.0.0.1:8080")), "{messages:?}");
    load.wait_for(100)?;
    drop(socket);
    daemon.ok(&["reload"])?;
    let pid = daemon.json(&["status"])?["pid"].as_u64();
    assert_eq!(pid, daemon.pid().map(u64::from));
    load.check()?;
    assert!(daemon.log().contains("has not taken over"), "{}", daemon.log());
    // And then it may be taken over after all.
    let old = daemon.take_over()?;
    assert_eq!(old.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn without_a_process_to_take_over_it_just_starts() -> Result<()> {
    let world = World::new(2)?;
    let mut daemon = Daemon::prepare(&world.ns, &lb_tests::daemon::binary(), &config())?;
    daemon.run(&["--takeover"])?;
    assert_eq!(world.get("/")?.status, 200);
    daemon.crash()?;
    daemon.run(&["--takeover"])?;
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(world.get("/")?.status, 200);
    Ok(())
}
