//! Links between namespaces: veth pairs, bridges, and veth made like a wire.

use anyhow::Result;

use crate::{Namespace, bytecode, shell};

/// One end of a link: a namespace and the interface's name there.
pub type End<'a> = (&'a Namespace, &'a str);

/// Makes a veth pair with an end in each namespace, both up.
pub fn veth(a: End<'_>, b: End<'_>) -> Result<()> {
    let ((a_ns, a_dev), (b_ns, b_dev)) = (a, b);
    shell::run(&format!(
        "ip link add {a_dev} netns {} type veth peer name {b_dev} netns {}",
        a_ns.name(),
        b_ns.name()
    ))?;
    a_ns.ip(&format!("link set {a_dev} up"))?;
    b_ns.ip(&format!("link set {b_dev} up"))?;
    Ok(())
}

/// Makes a veth pair behave like a wire, so that native XDP is right on it:
/// complete checksums, tags in the frame and frames within the MTU (their
/// offloads off on both ends), and a peer that receives what XDP sends (a program
/// that passes everything, at the end named `far`). Held by the answer.
pub fn make_wire(near: End<'_>, far: End<'_>) -> Result<bytecode::Attached> {
    for (ns, dev) in [near, far] {
        ns.shell(&format!("ethtool -K {dev} tx off txvlan off rxvlan off"))?;
    }
    bytecode::pass(far.0, far.1)
}

/// Makes a bridge of the given interfaces, all up.
pub fn bridge(ns: &Namespace, name: &str, ports: &[&str]) -> Result<()> {
    let mut lines = format!("link add {name} type bridge\nlink set {name} up\n");
    for port in ports {
        lines += &format!("link set {port} master {name}\nlink set {port} up\n");
    }
    ns.ip_batch(&lines)
}
