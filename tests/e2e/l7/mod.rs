//! The proxy end to end: the real daemon in a namespace of its own, real origins and real clients.

mod addresses;
mod balance;
mod certs;
mod composed;
mod deploy;
mod ending;
mod errors;
mod faults;
mod floods;
mod h2;
mod health;
pub(crate) mod kit;
mod limits;
pub(crate) mod load;
mod many;
mod messages;
mod nats;
mod observe;
mod reload;
mod routing;
mod shared;
mod shift;
mod streams;
mod takeover;
mod tls;
mod upgrade;
pub(crate) mod watch;
