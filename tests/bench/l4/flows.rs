//! Fills the flow table by packets, as clients and backends would.

use anyhow::{Result, ensure};
use lb_common::TcpState;
use lb_userspace::kernel::{FlowFilter, FlowRecord};

use super::{
    frame::{self, ACK, L4, SYN},
    world::{BACK_MAC, CLIENT_MAC, FRONT_MAC, SERVER_MAC, Service, World},
    wrapper::{Program, Traffic, Wrapper},
};

/// Flows half-open at a time: few enough for their part of the table.
const CHUNK: u32 = 1 << 16;
/// Sequence numbers of client and backend.
const CLIENT_SEQ: u32 = 1000;
const SERVER_SEQ: u32 = 5000;

/// What a client sends in the middle of a flow.
pub(crate) fn data(service: &Service) -> frame::Frame {
    from_client(service, L4::Tcp(ACK, CLIENT_SEQ + 1, SERVER_SEQ + 1))
}

/// What a client begins with.
pub(crate) fn first(service: &Service) -> frame::Frame {
    from_client(service, L4::Tcp(SYN, CLIENT_SEQ, 0))
}

/// What a client sends to a service.
pub(crate) fn from_client(service: &Service, l4: L4) -> frame::Frame {
    let vip = service.address();
    let client = if vip.is_ipv4() { "100.64.0.0:32768" } else { "[2001:db8:1::]:32768" };
    let l4 = if service.proto == 17 { L4::Udp } else { l4 };
    frame::ip([FRONT_MAC, CLIENT_MAC], client.parse().expect("an address and port"), vip, l4)
}

/// What a backend sends in the middle of a flow.
pub(crate) fn reply(flow: &FlowRecord) -> frame::Frame {
    let l4 = if flow.proto == 17 { L4::Udp } else { L4::Tcp(ACK, SERVER_SEQ + 1, CLIENT_SEQ + 1) };
    frame::ip([BACK_MAC, SERVER_MAC], flow.backend, flow.nat, l4)
}

/// Establishes `count` flows of a service, a power of two, and returns one of them.
pub(crate) fn establish(
    world: &World,
    wrapper: &mut Wrapper,
    service: &Service,
    count: u32,
) -> Result<FlowRecord> {
    let chunk = count.min(CHUNK);
    for start in (0..count).step_by(chunk as usize) {
        let turn = |frame| Traffic { frame, first: start, flows: count, varied: true };
        wrapper.run(Program::Balancer, &turn(first(service)), chunk)?;
        for flow in list(world, service, TcpState::New)? {
            let answer = L4::Tcp(SYN | ACK, SERVER_SEQ, CLIENT_SEQ + 1);
            let l4 = if service.proto == 17 { L4::Udp } else { answer };
            let frame = frame::ip([BACK_MAC, SERVER_MAC], flow.backend, flow.nat, l4);
            wrapper.run(Program::Balancer, &Traffic::same(frame), 1)?;
        }
        wrapper.run(Program::Balancer, &turn(data(service)), chunk)?;
    }
    let flows = list(world, service, TcpState::Established)?;
    let wanted = count as usize - count as usize / 100;
    ensure!(
        flows.len() >= wanted,
        "{} of {count} flows of {} could be established; {:?}",
        flows.len(),
        service.vip,
        world.datapath.reader().stats([])?.drops.iter().filter(|d| d.1 > 0).collect::<Vec<_>>()
    );
    flows.into_iter().next().ok_or_else(|| anyhow::anyhow!("no flow of {}", service.vip))
}

fn list(world: &World, service: &Service, state: TcpState) -> Result<Vec<FlowRecord>> {
    let vip = service.address();
    let filter = FlowFilter {
        proto: Some(service.proto),
        vip: Some(vip.ip()),
        vip_port: Some(vip.port()),
        state: Some(state),
        ..FlowFilter::default()
    };
    Ok(world.datapath.reader().flows(&filter)?)
}
