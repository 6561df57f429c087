//! The proxy end to end: the real daemon in a namespace of its own, real origins and real clients.

mod addresses;
mod balance;
mod certs;
mod deploy;
mod ending;
mod errors;
mod faults;
mod h2;
mod health;
mod kit;
mod limits;
mod load;
mod messages;
mod reload;
mod routing;
mod shared;
mod takeover;
mod tls;
mod upgrade;
