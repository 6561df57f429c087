//! lb: one daemon, one model, two layers. See ARCHITECTURE.md for the flow of
//! data and the invariants that `cargo xtask tidy` checks.

pub mod api;
pub mod balance;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod events;
#[cfg(test)]
mod fuzz;
pub mod health;
pub mod kernel;
pub mod metrics;
pub mod middleware;
pub mod model;
mod nats;
pub mod plan;
pub mod provider;
pub mod proxy;
pub mod reconcile;
pub mod registry;
pub mod rule;
pub mod shift;
pub mod state;
