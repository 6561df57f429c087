//! From snapshot to kernel: [`lower`] makes a [`KernelView`], [`Plan::between`]
//! compares two, and a [`MapSink`] (aya's maps, or a fake) carries the plan out.
//! Pure: no I/O, no tokio, no aya (invariant 1).

mod diff;
pub mod fake;
mod lower;
pub mod maglev;
mod render;
pub mod rotation;
mod turns;
pub mod view;
pub mod vip_table;

pub use diff::Plan;
pub use fake::FakeSink;
pub use lower::{KernelFacts, Lowered, Lowerer, Obstacle, lower};
pub use view::{IfaceView, KernelView, MapSink, NetView, NextHop, Op, RingView};
pub use vip_table::{VipKey, VipTable, VipTableError};
