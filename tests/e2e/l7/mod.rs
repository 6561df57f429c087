//! The proxy end to end: the real daemon in a namespace of its own, real origins and real clients.

mod deploy;
mod ending;
mod errors;
mod kit;
mod limits;
mod load;
mod messages;
mod reload;
mod routing;
mod upgrade;
