//! Loading, pinning, adopting and carrying over, with the real programs: without
//! the daemon, whose part is played by the tests.

mod adopt;
mod carry;
mod explain;
mod flows;
pub(crate) mod kit;
mod maps;
mod second_layout;
