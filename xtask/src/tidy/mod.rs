//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a reader of the
//! source can check, what must be absent above all.

mod code;
mod prose;
mod strip;
mod tree;

use anyhow::{Result, bail};

use crate::workspace;
use tree::{Fault, Tree};

/// One invariant. Adding one touches its function and this table.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Fault>,
}

const RULES: &[Rule] = &[
    Rule { name: "model and plan do no I/O", check: code::pure },
    Rule { name: "unsafe has its places", check: code::unsafe_places },
    Rule { name: "reconcile alone makes snapshots", check: code::snapshots },
    Rule { name: "the data path knows no configuration", check: code::data_path },
    Rule { name: "files stay short", check: code::length },
    Rule { name: "no test is ignored", check: code::ignored },
    Rule { name: "every example is named by the documentation", check: prose::examples },
    Rule { name: "every drop and event is explained", check: prose::reasons },
    Rule { name: "every page that is named exists", check: prose::pages },
    Rule { name: "no path of one machine", check: prose::machine_paths },
];

/// Checks every rule.
///
/// # Errors
/// When one is broken; each place is printed.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&workspace::root())?;
    let mut faults = 0;
    for rule in RULES {
        for fault in (rule.check)(&tree) {
            eprintln!("{fault} [{}]", rule.name);
            faults += 1;
        }
    }
    if faults > 0 {
        bail!("{faults} places break an invariant");
    }
    println!("{} invariants hold in {} files", RULES.len(), tree.files.len());
    Ok(())
}
