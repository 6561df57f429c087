//! The harness itself: what the other tests build on.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use lb_tests::{
    Back, Front, Lab, Namespace, Shape,
    client::{http, tcp, udp},
    link::{make_wire, veth},
    server::{UdpEcho, echo, http::HttpServer},
};

#[test]
fn namespaces_go_away_with_their_owner() -> Result<()> {
    let ns = Namespace::new("gone")?;
    let path = ns.path();
    assert!(path.exists());
    drop(ns);
    assert!(!path.exists());
    Ok(())
}

#[test]
fn two_namespaces_reach_each_other() -> Result<()> {
    let (a, b) = pair()?;
    let address: SocketAddr = "10.9.0.2:7".parse()?;
    let server = echo::start(&b, address, "b")?;
    assert_eq!(a.run(|| tcp::transfer(address, 1 << 20, 1))?, "b");
    assert_eq!(server.accepted(), 1);
    Ok(())
}

#[test]
fn a_killed_server_resets_and_one_that_listens_again_answers() -> Result<()> {
    let (a, b) = pair()?;
    let address: SocketAddr = "10.9.0.2:7".parse()?;
    let mut server = echo::start(&b, address, "b")?;
    let mut open = a.run(|| tcp::Echo::connect(address))?;
    server.kill();
    assert!(open.ping(b"x").is_err());
    assert!(a.run(|| tcp::Echo::connect(address)).is_err());
    server.listen(&b)?;
    assert_eq!(a.run(|| tcp::short_connections(address, 3))?.get("b"), Some(&3));
    Ok(())
}

#[test]
fn a_stopped_server_keeps_its_connections() -> Result<()> {
    let (a, b) = pair()?;
    let address: SocketAddr = "10.9.0.2:7".parse()?;
    let mut server = echo::start(&b, address, "b")?;
    let mut open = a.run(|| tcp::Echo::connect(address))?;
    server.stop();
    open.ping(b"still here")?;
    assert!(a.run(|| tcp::Echo::connect(address)).is_err());
    Ok(())
}

#[test]
fn the_http_server_answers_its_name_its_health_and_big_bodies() -> Result<()> {
    let (a, b) = pair()?;
    let address: SocketAddr = "10.9.0.2:80".parse()?;
    let server = HttpServer::start(&b, address, "web")?;
    a.run(|| -> Result<()> {
        assert_eq!(http::get(address, "/")?.text(), "web");
        assert_eq!(http::get(address, "/health")?.status, 200);
        server.set_health(503);
        let mut kept = http::Connection::open(address)?;
        assert_eq!(kept.get("/health")?.status, 503);
        assert_eq!(kept.get("/slow/10")?.text(), "web");
        assert_eq!(kept.get("/big/100000")?.body, lb_tests::pattern::bytes(100_000, 100_000));
        assert_eq!(kept.post("/", b"hello")?.body, b"hello");
        Ok(())
    })
}

#[test]
fn the_udp_server_echoes_with_its_name() -> Result<()> {
    let (a, b) = pair()?;
    let address: SocketAddr = "10.9.0.2:7".parse()?;
    let mut server = UdpEcho::start(&b, address, "u")?;
    assert_eq!(a.run(|| udp::spread(address, 5))?.get("u"), Some(&5));
    server.kill();
    assert!(a.run(|| udp::Pinger::new(address)?.ping(b"x")).is_err());
    Ok(())
}

#[test]
fn a_veth_made_like_a_wire_still_carries_tcp() -> Result<()> {
    let (a, b) = pair()?;
    let _wire = make_wire((&a, "eth0"), (&b, "eth0"))?;
    let address: SocketAddr = "10.9.0.2:7".parse()?;
    let _server = echo::start(&b, address, "b")?;
    assert_eq!(a.run(|| tcp::transfer(address, 1 << 20, 1))?, "b");
    assert!(b.ip("link show dev eth0")?.contains("xdp"));
    Ok(())
}

#[test]
fn what_a_dead_process_left_is_removed() -> Result<()> {
    // No process has this id: it is above the kernel's limit.
    let name = "lbt-4194999-0-dead";
    lb_tests::shell::run(&format!("ip netns add {name}"))?;
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(folder.join("inside"))?;
    lb_tests::reaper::reap();
    assert!(!Path::new("/run/netns").join(name).exists());
    assert!(!folder.exists());
    Ok(())
}

/// The balancer reaches its backends and the client the balancer, in every shape.
macro_rules! shapes {
    ($($name:ident: $shape:expr;)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            let lab = Lab::new($shape)?;
            for host in &lab.backends {
                for address in [host.at(7), host.at6(7)] {
                    let _server = echo::start(&host.ns, address, &host.name)?;
                    assert_eq!(lab.lb.run(|| tcp::transfer(address, 100_000, 1))?, host.name);
                }
            }
            let own = if matches!(lab.shape.front, Front::Router(_)) { "203.0.113.1:7" } else { "192.0.2.1:7" };
            let own: SocketAddr = own.parse()?;
            let _server = echo::start(&lab.lb, own, "lb")?;
            assert_eq!(lab.client.run(|| tcp::transfer(own, 100_000, 1))?, "lb");
            Ok(())
        }
    )+};
}

shapes! {
    shape_switch: Shape::default();
    shape_switch_of_wires: Shape { wires: true, ..Shape::default() };
    shape_small_mtu: Shape { back_mtu: 1280, ..Shape::default() };
    shape_router_and_gateway: Shape { front: Front::Router(1280), back: Back::Gateway(1280), ..Shape::default() };
    shape_router_and_gateway_of_wires: Shape { front: Front::Router(1280), back: Back::Gateway(1280), wires: true, ..Shape::default() };
    shape_bridge: Shape { back: Back::Bridge, ..Shape::default() };
    shape_routed: Shape { back: Back::Routed, ..Shape::default() };
    shape_one_arm: Shape { back: Back::OneArm, ..Shape::default() };
    shape_one_arm_of_wires: Shape { back: Back::OneArm, wires: true, ..Shape::default() };
}

fn pair() -> Result<(Namespace, Namespace)> {
    let (a, b) = (Namespace::new("a")?, Namespace::new("b")?);
    veth((&a, "eth0"), (&b, "eth0"))?;
    a.ip("addr add 10.9.0.1/24 dev eth0")?;
    b.ip("addr add 10.9.0.2/24 dev eth0")?;
    Ok((a, b))
}
