//! Control and life cycle: the real daemon under the real command line and API.

mod api;
mod changes;
mod check;
mod detach;
mod dns;
mod exit_codes;
mod explain;
mod files;
mod flows;
mod health;
mod http_checks;
mod instances;
mod kit;
mod metrics;
mod names;
mod output;
mod readme;
mod refused;
mod reload;
mod signals;
mod status;
mod trace;
mod zone;

pub(crate) use kit::ask;
