//! What the tables are written with: a world with one client, one balancer, one backend of each
//! kind; frames that are run through the real programs; and what has to come of them.

mod context;
mod lane;
mod seen;
mod view;
mod way;
mod world;

use anyhow::Result;

pub(super) use context::Extra;
pub(super) use lane::Lane;
pub(super) use seen::{Action, Seen, same_bytes};
pub(super) use view::{ring, vip};
pub(super) use way::{Way, segment};
pub(super) use world::World;
pub(super) use world::{acknowledged, sibling, syn_ack};

use super::wire::Mac;

/// Interface towards clients, and its MAC.
pub(super) const CLIENT_IF: u32 = 10;
pub(super) const CLIENT_SIDE_MAC: Mac = [2, 0, 0, 0, 0, 0x10];
/// Interface towards backends, and its MAC.
pub(super) const BACKEND_IF: u32 = 20;
pub(super) const BACKEND_SIDE_MAC: Mac = [2, 0, 0, 0, 0, 0x20];
/// Where clients' frames come from, and where backends' do.
pub(super) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0xc1, 0x1e];
pub(super) const NEXT_HOP_MAC: Mac = [2, 0, 0, 0, 0xbe, 0x01];

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Xdp,
    Tc,
}

/// Runs one row in a world of its own, on one CPU: rotations are each CPU's own.
pub(super) fn row(hook: Hook, body: fn(&mut World)) -> Result<()> {
    let mut world = World::new(hook, Lane::take()?);
    let ns = world.lane.ns.clone();
    let cpu = nix::sched::sched_getcpu()?;
    ns.run(|| {
        super::race::pin(cpu);
        body(&mut world);
    });
    world.lane.give_back()
}

/// As [`row`], with tables for so many connections.
pub(super) fn row_of(hook: Hook, connections: u32, body: fn(&mut World)) -> Result<()> {
    let settings = lb_userspace::model::Datapath {
        connections,
        backends: 16,
        ..lb_userspace::model::Datapath::default()
    };
    let mut world = World::new(hook, Lane::new(&settings)?);
    let ns = world.lane.ns.clone();
    ns.run(|| body(&mut world));
    Ok(())
}

/// Rows for both programs: each a named test of `lb_xdp` and one of `lb_tc`.
macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every row needs all of them")]
            use super::*;

            fn row($world: &mut $crate::packets::kit::World) $body

            #[test]
            fn xdp() -> anyhow::Result<()> {
                $crate::packets::kit::row($crate::packets::kit::Hook::Xdp, row)
            }

            #[test]
            fn tc() -> anyhow::Result<()> {
                $crate::packets::kit::row($crate::packets::kit::Hook::Tc, row)
            }
        }
    )+};
}

/// Rows that only `lb_xdp` can show, or in which `lb_tc` doesn't differ.
macro_rules! xdp {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() -> anyhow::Result<()> {
            fn row($world: &mut $crate::packets::kit::World) $body
            $crate::packets::kit::row($crate::packets::kit::Hook::Xdp, row)
        }
    )+};
}

/// Rows that only `lb_tc` can show.
macro_rules! tc {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() -> anyhow::Result<()> {
            fn row($world: &mut $crate::packets::kit::World) $body
            $crate::packets::kit::row($crate::packets::kit::Hook::Tc, row)
        }
    )+};
}

pub(super) use {both, tc, xdp};
