//! TCP as far as a flow needs to know (RFC 9293 §3.3.2): what each side's
//! flags do to its state.

use lb_common::{Flow, TcpState, flow::flags};

use crate::{
    conn::set_state,
    frame::Frame,
    packet::{self, Tcp, tcp},
    parse::Packet,
    release, stats,
};

/// Follows a packet from the client. Whether the flow is to become established.
#[inline(always)]
pub(crate) fn from_client<F: Frame>(frame: F, p: &Packet, f: &mut Flow) -> bool {
    let state = f.state & flags::STATE;
    let bits = p.tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK);
    if state == TcpState::Established as u32 && bits == tcp::ACK {
        return false;
    }
    if bits & tcp::RST != 0 {
        close(f);
        return false;
    }
    if state == TcpState::SynReceived as u32 && bits & tcp::SYN == 0 && acknowledges(frame, p, f) {
        if bits & tcp::FIN != 0 {
            f.state |= flags::FIN_CLIENT;
        }
        return true;
    }
    if state >= TcpState::Established as u32 && bits & tcp::SYN == 0 {
        if bits & tcp::FIN != 0 {
            f.state |= flags::FIN_CLIENT;
        }
        settle(f);
        if f.state & (flags::FIN_CLIENT | flags::FIN_BACKEND) != 0 {
            remember(frame, p, f);
        }
    }
    false
}

/// Follows a packet from the backend. Whether the flow is to become established.
#[inline(always)]
pub(crate) fn from_backend<F: Frame>(frame: F, p: &Packet, f: &mut Flow) -> bool {
    let state = f.state & flags::STATE;
    let bits = p.tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST | tcp::ACK);
    if state == TcpState::Established as u32 && bits == tcp::ACK {
        return false;
    }
    if bits & tcp::RST != 0 {
        if state < TcpState::Established as u32 {
            stats::refused(f.backend);
        }
        close(f);
        return false;
    }
    if state < TcpState::Established as u32 {
        if bits & tcp::SYN == 0 {
            return f.state & flags::PICKED_UP != 0;
        }
        if let Some((seq, _)) = clock(frame, p) {
            f.tcp_seq = seq.wrapping_add(1);
            set_state(f, TcpState::SynReceived);
        }
        return false;
    }
    if bits & tcp::SYN == 0 {
        if bits & tcp::FIN != 0 {
            if f.state & flags::FIN_CLIENT == 0 {
                f.state |= flags::BACKEND_FIRST;
            }
            f.state |= flags::FIN_BACKEND;
        }
        settle(f);
    }
    false
}

/// The state that the FINs seen make. A flow closed by a RST alone that carries
/// on was not closed: the RST was not accepted (RFC 5961).
#[inline(always)]
fn settle(f: &mut Flow) {
    let state = match f.state & (flags::FIN_CLIENT | flags::FIN_BACKEND) {
        0 => TcpState::Established,
        both if both == flags::FIN_CLIENT | flags::FIN_BACKEND => TcpState::Closed,
        _ => TcpState::Closing,
    };
    let was = f.state & flags::STATE;
    if was == state as u32 {
        return;
    }
    set_state(f, state);
    if state as u32 == TcpState::Closed as u32 {
        release::uncount(f);
    } else if was == TcpState::Closed as u32 {
        release::recount(f);
    }
}

/// A RST ends the flow: its backend has one active flow less.
#[inline(always)]
fn close(f: &mut Flow) {
    set_state(f, TcpState::Closed);
    release::uncount(f);
}

/// Whether the packet completes the handshake: a blind ACK, from a client that
/// never saw the SYN-ACK, must not take room among the established.
#[inline(always)]
fn acknowledges<F: Frame>(frame: F, p: &Packet, f: &Flow) -> bool {
    match packet::at::<Tcp, _>(frame, p.l4 as usize) {
        // SAFETY: checked against the end of the packet.
        Some(t) => unsafe { (*t).flags & tcp::ACK != 0 && u32::from_be((*t).ack) == f.tcp_seq },
        None => false,
    }
}

/// Remembers where a closing client stands, for `reply::reusable`.
#[inline(always)]
fn remember<F: Frame>(frame: F, p: &Packet, f: &mut Flow) {
    let Some((seq, ts)) = clock(frame, p) else {
        return;
    };
    f.tcp_seq = seq.wrapping_add(payload(frame, p)).wrapping_add(u32::from(p.tcp_flags & tcp::FIN));
    if let Some(ts) = ts {
        f.tcp_ts = ts;
        f.state |= flags::HAS_TS;
    }
}

/// Bytes behind the TCP header.
#[inline(always)]
pub(crate) fn payload<F: Frame>(frame: F, p: &Packet) -> u32 {
    match packet::at::<Tcp, _>(frame, p.l4 as usize) {
        Some(t) => {
            // SAFETY: checked against the end of the packet.
            let header = u32::from(unsafe { (*t).offset } >> 4) * 4;
            p.len.wrapping_sub(p.l4 - p.l3 + header)
        }
        None => 0,
    }
}

/// Sequence number and timestamp of a TCP packet, for `reply::reusable`. The
/// timestamp is looked for where the layouts in use put it: after two NOPs, or
/// in a SYN after MSS (and SACK-permitted).
#[inline(always)]
pub(crate) fn clock<F: Frame>(frame: F, p: &Packet) -> Option<(u32, Option<u32>)> {
    let tcp = packet::at::<Tcp, _>(frame, p.l4 as usize)?;
    // SAFETY: checked against the end of the packet just above.
    let (seq, header) = unsafe { (u32::from_be((*tcp).seq), (*tcp).offset >> 4) };
    let mut ts = None;
    if header >= 8
        && let Some(options) = packet::at::<[u32; 3], _>(frame, p.l4 as usize + 20)
    {
        // SAFETY: checked against the end of the packet just above.
        let words = unsafe { options.read_unaligned() };
        if u32::from_be(words[0]) == 0x0101_080a {
            ts = Some(u32::from_be(words[1]));
        } else if matches!(u32::from_be(words[1]), 0x0402_080a | 0x0101_080a) {
            ts = Some(u32::from_be(words[2]));
        }
    }
    Some((seq, ts))
}
