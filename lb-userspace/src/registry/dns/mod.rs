//! DNS: services by name, over UDP and TCP.

mod answer;
mod serve;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use answer::Zone;
pub(crate) use serve::serve;
