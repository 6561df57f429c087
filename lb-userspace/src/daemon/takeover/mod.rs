//! `lb run --takeover`: a new daemon takes the place of the one that runs, with its lock, its
//! listening sockets and what it has found out. The old one ends once its connections have.
//!
//! ```text
//! new                                    old
//! Ask ─────────────────────────────────▶ goes on serving, and changes nothing any more
//!     ◀───────────────────────────────── Lock, Sockets…, Verdicts…, Whole
//! brings its configuration into force,
//! from the sockets that both have now
//! Serving ─────────────────────────────▶ accepts no more, lets connections end, and ends
//! ```
//!
//! A new one that fails says nothing or closes: then the old one goes on as if it hadn't been asked.

mod new;
mod old;
mod wire;

pub(super) use new::{Inherited, ask};
pub(super) use old::{Asked, listen};
pub(super) use wire::{Listening, Verdict};
