//! Tests of the whole way from bytes to model and faults.

mod examples;
mod golden;
mod properties;
mod readme;
mod tables;

use std::path::Path;

use super::{HostPorts, Loaded, load_bytes};
use crate::model::Fault;

/// Loads a text as the main file `lb.yaml` on a host with Linux's usual ports.
fn load(file: &str, text: &str) -> Result<Loaded, Vec<Fault>> {
    load_bytes(Path::new(file), text.as_bytes(), &HostPorts::parse("32768 60999", ""))
}
