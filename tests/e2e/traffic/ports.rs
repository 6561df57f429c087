//! NAT ports: reused within TIME_WAIT, taken from pools, kept clear of the host's own sockets.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use lb_tests::{
    Shape,
    client::{tcp::Echo, udp::Pinger},
    server::TcpServer,
};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Socket, Type};

use super::{
    config::Config,
    kit::{PATIENCE, PORT, Rig, eventually, rig},
};

const ONE: Shape = Shape {
    backends: 1,
    front: lb_tests::Front::Direct,
    back: lb_tests::Back::Switch,
    back_mtu: 1500,
    wires: false,
};

/// Who ends a connection first, and so has it in TIME_WAIT afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Client,
    Server,
}

/// A server of one byte in place of the echo server.
fn one_byte_server(rig: &mut Rig<'_>, first: First) -> Result<TcpServer> {
    rig.servers[0].tcp[0].kill();
    let host = &rig.lab.backends[0];
    let handler = move |mut stream: TcpStream| {
        // A client that goes away is seen by itself.
        let _ = stream.write_all(b"!");
        if first == First::Server {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let _ = stream.read(&mut [0; 1]);
    };
    TcpServer::start(&host.ns, host.at(PORT), Arc::new(handler))
}

/// One connection from `source` to its orderly end.
fn one(source: SocketAddr, vip: SocketAddr, first: First) -> Result<()> {
    let socket = Socket::new(Domain::for_address(vip), Type::STREAM, None)?;
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&vip.into(), PATIENCE).context("connecting")?;
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0; 2];
    ensure!(stream.read(&mut byte).context("the byte")? == 1 && byte[0] == b'!', "{byte:?}");
    match first {
        First::Client => stream.shutdown(Shutdown::Write)?,
        First::Server => ensure!(stream.read(&mut byte).context("the end")? == 0, "more bytes"),
    }
    if first == First::Client {
        ensure!(stream.read(&mut byte).context("the end")? == 0, "more bytes");
    }
    Ok(())
}

/// `total` connections over so many addresses of the client, on several threads.
fn many(rig: &Rig<'_>, addresses: u8, total: usize, first: First) -> Result<()> {
    let client = Ipv4Addr::new(192, 0, 2, 2);
    let more = (1..addresses).map(|n| Ipv4Addr::new(192, 0, 2, 100 + n));
    let sources: Vec<Ipv4Addr> = std::iter::once(client).chain(more).collect();
    for source in &sources[1..] {
        rig.lab.client.ip(&format!("addr add {source}/24 dev eth0"))?;
    }
    let (vip, threads) = (rig.vip(), 4);
    std::thread::scope(|scope| {
        let work = |thread: usize| {
            let sources = sources.iter().cycle().skip(thread);
            let sources = sources.map(|ip| SocketAddr::from((*ip, 0))).take(total / threads);
            rig.client(|| {
                for (n, source) in sources.enumerate() {
                    one(source, vip, first)
                        .with_context(|| format!("connection {n} of {source}"))?;
                }
                Ok(())
            })
        };
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        running.into_iter().try_for_each(|t| t.join().expect("a client panicked"))
    })
}

fn range(ports: &str) -> impl FnOnce(Config) -> Config {
    let option = format!("nat: {{ ports: {ports} }}");
    move |config| config.datapath(&option)
}

#[test]
fn ten_thousand_connections_of_one_client_that_closes_first() -> Result<()> {
    rig(
        ONE,
        |config| config,
        |rig| {
            let server = one_byte_server(rig, First::Client)?;
            many(rig, 1, 10_000, First::Client)?;
            ensure!(server.accepted() == 10_000, "{} were accepted", server.accepted());
            Ok(())
        },
    )
}

/// The server's TIME_WAITs stand in the way of every port that the client uses again.
#[test]
fn ten_thousand_connections_over_a_thousand_ports_that_the_server_closes_first() -> Result<()> {
    rig(
        ONE,
        |config| config,
        |rig| {
            rig.lab.client.sysctl("net/ipv4/ip_local_port_range", "20000 20999")?;
            let server = one_byte_server(rig, First::Server)?;
            many(rig, 1, 10_000, First::Server)?;
            ensure!(server.accepted() == 10_000, "{} were accepted", server.accepted());
            Ok(())
        },
    )
}

/// Five addresses with the same ports meet in one NAT address: four of five need
/// another port, and those who came before have used up the range.
#[test]
fn ten_thousand_connections_share_a_small_range_of_one_nat_address() -> Result<()> {
    rig(ONE, range("2000-2999"), |rig| {
        rig.lab.client.sysctl("net/ipv4/ip_local_port_range", "20000 23999")?;
        let server = one_byte_server(rig, First::Client)?;
        many(rig, 5, 10_000, First::Client)?;
        ensure!(server.accepted() == 10_000, "{} were accepted", server.accepted());
        let used: BTreeSet<u16> = nat_ports(rig)?.into_iter().collect();
        ensure!(used.iter().any(|port| (2000..=2999).contains(port)), "no port was translated");
        Ok(())
    })
}

/// The NAT ports of all flows in the table.
fn nat_ports(rig: &Rig<'_>) -> Result<Vec<u16>> {
    let flows = rig.flows(&["--service", "tcp4", "--limit", "0"])?;
    let port = |nat: &str| nat.parse::<SocketAddr>().ok().map(|nat| nat.port());
    flows.iter().map(|f| f["nat"].as_str().and_then(port).context("no NAT source")).collect()
}

/// Established flows never give up their ports: those that find none are told.
#[test]
fn exhausted_ports_are_counted_and_leave_established_flows_alone() -> Result<()> {
    rig(ONE, range("2000-2009"), |rig| {
        let vip = rig.vip();
        let source = |n: u8| SocketAddr::from(([192, 0, 2, 100 + n], 20_000));
        let mut held = Vec::new();
        for n in 0..11 {
            rig.lab.client.ip(&format!("addr add {}/24 dev eth0", source(n).ip()))?;
            held.push(rig.client(|| Echo::connect_from(source(n), vip))?);
        }
        rig.lab.client.ip(&format!("addr add {}/24 dev eth0", source(11).ip()))?;
        let patience = std::time::Duration::from_secs(1);
        let refused = rig.client(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&source(11).into())?;
            Ok::<_, anyhow::Error>(socket.connect_timeout(&vip.into(), patience))
        })?;
        ensure!(refused.is_err(), "a twelfth of eleven ports");
        let drops = rig.drops()?;
        ensure!(drops.contains_key("ports_exhausted"), "{drops:?}");
        held.iter_mut().try_for_each(|echo| echo.ping(b"unharmed"))?;
        held.swap_remove(3).close()?;
        eventually("a port that is free again", || {
            rig.client(|| Echo::connect_from(source(11), vip))
        })
        .map(drop)
    })
}

#[test]
fn a_pool_of_nat_addresses_is_used_by_all_its_members() -> Result<()> {
    let pool = "nat: { addresses: [ \"10.0.1.2\", \"10.0.1.3\", \"2001:db8:2::2\" ] }";
    rig(
        ONE,
        |config| config.datapath(pool),
        |rig| {
            // The backends must know who answers for them.
            rig.lab.lb.ip_batch(
                "addr add 10.0.1.2/24 dev eth1\naddr add 10.0.1.3/24 dev eth1\n\
             addr add 2001:db8:2::2/64 dev eth1 nodad\n",
            )?;
            let mut echoes = rig.connect_all(40)?;
            echoes.iter_mut().try_for_each(|echo| echo.ping(b"through the pool"))?;
            let vip6 = rig.vip6();
            let _six = rig.client(|| Echo::connect(vip6))?;
            let flows = rig.flows(&[])?;
            let address = |nat: &str| nat.parse::<SocketAddr>().ok().map(|nat| nat.ip());
            let used: BTreeSet<IpAddr> =
                flows.iter().filter_map(|flow| address(flow["nat"].as_str()?)).collect();
            let expected: [IpAddr; 3] =
                ["10.0.1.2".parse()?, "10.0.1.3".parse()?, "2001:db8:2::2".parse()?];
            ensure!(used == BTreeSet::from(expected), "{used:?}");
            Ok(())
        },
    )
}

/// From a port of the client's, towards a backend to which the host's own socket holds that port.
fn beside(rig: &Rig<'_>, vip: SocketAddr, host: SocketAddr, port: u16) -> Result<()> {
    let any = |address: SocketAddr| -> SocketAddr {
        match address {
            SocketAddr::V4(_) => ([0; 4], port).into(),
            SocketAddr::V6(_) => ([0u16; 8], port).into(),
        }
    };
    let mut own = rig.lab.lb.run(|| Echo::connect_from(any(host), host))?;
    let mut through = rig.client(|| Echo::connect_from(any(vip), vip))?;
    for _ in 0..20 {
        own.ping(b"of the host")?;
        through.ping(b"of the client")?;
    }
    own.close()?;
    through.close()
}

#[test]
fn the_hosts_own_connections_keep_their_ports() -> Result<()> {
    rig(
        ONE,
        |config| config,
        |rig| {
            let host = &rig.lab.backends[0];
            beside(rig, rig.vip(), host.at(PORT), 40_000)?;
            beside(rig, rig.vip6(), host.at6(PORT), 40_001)
        },
    )
}

#[test]
fn the_hosts_own_datagrams_keep_their_ports() -> Result<()> {
    rig(
        ONE,
        |config| config,
        |rig| {
            let backend = rig.lab.backends[0].at(PORT);
            let connect = |address: SocketAddr| -> Result<Pinger> {
                let socket = std::net::UdpSocket::bind("0.0.0.0:40000")?;
                socket.connect(address)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                Ok(Pinger { socket })
            };
            let own = rig.lab.lb.run(|| connect(backend))?;
            own.ping(b"of the host")?;
            let vip = rig.vip();
            let through = rig.client(|| connect(vip))?;
            for n in 0..20 {
                own.ping(format!("of the host {n}").as_bytes())?;
                through.ping(format!("of the client {n}").as_bytes())?;
            }
            Ok(())
        },
    )
}

/// Checks go on from ports of their own while clients use theirs: all 512 of them.
#[test]
fn health_checks_and_clients_do_not_collide() -> Result<()> {
    let check = "healthCheck: { port: 7000, interval: 10ms, timeout: 2s, fall: 1 }";
    rig(
        ONE,
        |config| config.service(check),
        |rig| {
            let vip = rig.vip();
            rig.client(|| {
                for port in 32_256..=32_767 {
                    let mut echo = Echo::connect_from(([192, 0, 2, 2], port).into(), vip)?;
                    echo.ping(b"of a client")?;
                    echo.close()?;
                }
                Ok::<_, anyhow::Error>(())
            })?;
            for service in ["tcp4", "tcp6", "udp4", "udp6"] {
                let row = rig.backend(service, "b1")?;
                ensure!(row["state"] == "up" && row["transitions"].as_u64() <= Some(1), "{row}");
            }
            Ok(())
        },
    )
}

/// A host port that listens is no reason to translate the client's.
#[test]
fn a_listener_of_the_host_does_not_stand_in_the_way() -> Result<()> {
    rig(
        ONE,
        |config| config,
        |rig| {
            let _listener = rig.lab.lb.run(|| TcpListener::bind("0.0.0.0:40000"))?;
            let vip = rig.vip();
            let mut echo =
                rig.client(|| Echo::connect_from(([192, 0, 2, 2], 40_000).into(), vip))?;
            echo.ping(b"kept")?;
            let ports = nat_ports(rig)?;
            if ports != [40_000] {
                bail!("NAT ports {ports:?}");
            }
            Ok(())
        },
    )
}
