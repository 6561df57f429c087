//! Rules on Rust sources and manifests.

use super::tree::{Fault, File, Tree};

/// Names that stand for I/O or for who does it.
const IMPURE: &[&str] = &[
    "tokio",
    "aya",
    "hyper",
    "axum",
    "rtnetlink",
    "nix",
    "libc",
    "socket2",
    "std::fs",
    "std::process",
    "std::thread",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
];
const PURE: &[&str] = &["lb-userspace/src/model/", "lb-userspace/src/plan/"];
/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["lb-common/", "lb-ebpf/", "lb-userspace/src/kernel/"];
/// Exceptions outside the product: the tests' programs for the far end of a
/// veth are loaded without aya, which xtask would else have to compile.
const UNSAFE_TESTS: &[&str] = &["tests/src/bytecode.rs"];
const LONGEST: usize = 450;
/// What the kernel programs may be made of.
const DATA_PATH: &[&str] = &["lb-common", "aya-ebpf", "aya-log-ebpf"];

pub(super) fn pure(tree: &Tree) -> Vec<Fault> {
    search(
        tree,
        |file| begins(file, PURE),
        |line| {
            let name = IMPURE.iter().find(|name| has_word(line, name))?;
            Some(format!("{name} is I/O, and this module computes alone"))
        },
    )
}

pub(super) fn unsafe_places(tree: &Tree) -> Vec<Fault> {
    search(
        tree,
        |file| !begins(file, UNSAFE) && !begins(file, UNSAFE_TESTS),
        |line| {
            has_word(line, "unsafe").then(|| format!("unsafe is for {} alone", UNSAFE.join(", ")))
        },
    )
}

pub(super) fn snapshots(tree: &Tree) -> Vec<Fault> {
    let elsewhere = |file: &&File| {
        let home = ["lb-userspace/src/reconcile.rs", "lb-userspace/src/reconcile/"];
        file.path.starts_with("lb-userspace/src/") && !begins(file, &home) && !for_tests(tree, file)
    };
    let made = |file: &File| {
        // Tests stand last in a file, and may make up whatever they need.
        let code = file.code().into_iter().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        let made = code.filter(|(_, line)| makes_snapshot(line));
        made.map(|(at, _)| file.fault(at, "a snapshot is made by reconcile alone")).collect()
    };
    tree.rust().filter(elsewhere).flat_map(|file| -> Vec<_> { made(file) }).collect()
}

/// Whether the module that declares this file, or the folder it is in, does so
/// under `#[cfg(test)]`.
fn for_tests(tree: &Tree, file: &File) -> bool {
    let mut module = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    while let Some((folder, name)) = module.rsplit_once('/') {
        let declaration = format!("mod {name};");
        let parents = [".rs", "/mod.rs", "/lib.rs", "/main.rs"].map(|end| format!("{folder}{end}"));
        let declared = parents.iter().filter_map(|parent| tree.file(parent)).any(|parent| {
            let code = parent.code();
            let pairs = code.windows(2);
            pairs
                .into_iter()
                .any(|pair| pair[0].1.trim() == "#[cfg(test)]" && pair[1].1.ends_with(&declaration))
        });
        if declared {
            return true;
        }
        module = folder;
    }
    false
}

/// `-> Snapshot {` opens a function, `impl Snapshot {` a block; neither makes one.
fn makes_snapshot(line: &str) -> bool {
    let Some(at) = line.find("Snapshot {") else { return false };
    let before = line[..at].trim_end();
    let declares = ["struct", "impl", "for"].iter().any(|word| has_word(before, word));
    let longer_name = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    !declares && !longer_name && !before.ends_with("->")
}

/// The kernel programs can't read configuration if nothing that reads it is linked in.
pub(super) fn data_path(tree: &Tree) -> Vec<Fault> {
    let Some(manifest) = tree.file("lb-ebpf/Cargo.toml") else { return Vec::new() };
    let mut faults = Vec::new();
    let mut in_dependencies = false;
    for (at, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.trim() == "[dependencies]";
        } else if in_dependencies && line.contains('=') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if !DATA_PATH.contains(&name) {
                faults.push(manifest.fault(at + 1, format!("the data path needs no {name}")));
            }
        }
    }
    faults
}

pub(super) fn length(tree: &Tree) -> Vec<Fault> {
    let long = |file: &&File| file.text.lines().count() > LONGEST;
    tree.rust()
        .filter(long)
        .map(|file| {
            let lines = file.text.lines().count();
            file.fault(LONGEST + 1, format!("{lines} lines; {LONGEST} are the most"))
        })
        .collect()
}

pub(super) fn ignored(tree: &Tree) -> Vec<Fault> {
    search(
        tree,
        |_| true,
        |line| {
            let text = line.replace(' ', "");
            let ignored = text.contains("#[ignore") || text.contains(",ignore]");
            (ignored || text.contains(",ignore)"))
                .then(|| "a skipped test proves nothing".to_owned())
        },
    )
}

/// Applies `check` to each line of code in the files that `within` takes.
fn search(
    tree: &Tree,
    within: impl Fn(&File) -> bool,
    check: impl Fn(&str) -> Option<String>,
) -> Vec<Fault> {
    let faults = |file: &File| {
        let lines = file.code().into_iter();
        let found = lines.filter_map(|(at, line)| check(&line).map(|text| file.fault(at, text)));
        found.collect::<Vec<_>>()
    };
    tree.rust().filter(|file| within(file)).flat_map(faults).collect()
}

fn begins(file: &File, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|p| file.path.starts_with(p))
}

/// Whether `word` stands in `line` with no letter, digit or `_` beside it.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Fault, Tree};
    use super::{data_path, ignored, length, pure, snapshots, unsafe_places};

    /// Lines at which `check` faults this one file.
    fn lines(check: fn(&Tree) -> Vec<Fault>, path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn a_module_for_tests_alone_makes_what_it_needs() {
        let parent = "#[cfg(test)]\npub(crate) mod samples;\nmod rows;";
        let files =
            |name| Tree::of(&[("lb-userspace/src/api/mod.rs", parent), (name, "Snapshot { a }")]);
        assert_eq!(snapshots(&files("lb-userspace/src/api/samples.rs")), []);
        assert_eq!(snapshots(&files("lb-userspace/src/api/samples/more.rs")), []);
        assert_eq!(snapshots(&files("lb-userspace/src/api/rows.rs")).len(), 1);
    }

    macro_rules! rules {
        ($($name:ident: $check:ident($path:literal, $text:expr) => $lines:expr,)+) => {
            $(#[test] fn $name() {
                let expected: &[usize] = &$lines;
                assert_eq!(lines($check, $path, $text), expected);
            })+
        };
    }

    rules! {
        model_with_a_file: pure("lb-userspace/src/model/x.rs", "\nuse std::fs;") => [2],
        model_with_tokio: pure("lb-userspace/src/model/x.rs", "use tokio::time;") => [1],
        plan_with_aya: pure("lb-userspace/src/plan/x.rs", "fn f(m: aya::maps::Map) {}") => [1],
        plan_with_a_socket: pure("lb-userspace/src/plan/x.rs", "use std::net::{IpAddr, UdpSocket};") => [1],
        plan_with_addresses: pure("lb-userspace/src/plan/x.rs", "use std::net::IpAddr; // tokio") => [],
        model_with_a_longer_word: pure("lb-userspace/src/model/x.rs", "struct Bayaya;") => [],
        elsewhere_io_is_free: pure("lb-userspace/src/kernel/x.rs", "use aya::Ebpf;") => [],

        unsafe_in_the_api: unsafe_places("lb-userspace/src/api/x.rs", "fn f() {\n unsafe { g() }") => [2],
        unsafe_in_the_kernel_module: unsafe_places("lb-userspace/src/kernel/x.rs", "unsafe { g() }") => [],
        unsafe_in_the_tests_loader: unsafe_places("tests/src/bytecode.rs", "unsafe { g() }") => [],
        unsafe_in_another_test: unsafe_places("tests/src/netns.rs", "unsafe { g() }") => [1],
        unsafe_in_prose: unsafe_places("lb-userspace/src/api/x.rs", "// unsafe\nf(\"unsafe\")") => [],
        unsafe_in_a_name: unsafe_places("lb-userspace/src/api/x.rs", "fn unsafe_places() {}") => [],

        snapshot_made_by_the_api: snapshots("lb-userspace/src/api/x.rs", "let s = Snapshot { generation: 1 };") => [1],
        snapshot_made_by_its_path: snapshots("lb-userspace/src/api/x.rs", "model::Snapshot { generation }") => [1],
        snapshot_made_by_reconcile: snapshots("lb-userspace/src/reconcile.rs", "Snapshot { generation: 1 }") => [],
        snapshot_declared: snapshots("lb-userspace/src/model/mod.rs", "pub struct Snapshot {") => [],
        snapshot_implemented: snapshots("lb-userspace/src/model/mod.rs", "impl Default for Snapshot {") => [],
        snapshot_returned: snapshots("lb-userspace/src/api/x.rs", "fn now() -> Snapshot {") => [],
        snapshot_made_by_a_test: snapshots("lb-userspace/src/api/x.rs", "#[cfg(test)]\nmod tests { f(Snapshot { generation: 1 }) }") => [],
        another_snapshot: snapshots("lb-userspace/src/api/x.rs", "NetSnapshot { a }") => [],

        data_path_with_yaml: data_path("lb-ebpf/Cargo.toml", "[dependencies]\nserde_yaml = \"1\"") => [2],
        data_path_as_it_is: data_path("lb-ebpf/Cargo.toml", "[dependencies]\nlb-common.workspace = true\n[lints]\nworkspace = true") => [],

        file_too_long: length("xtask/src/x.rs", &"\n".repeat(451)) => [451],
        file_just_short_enough: length("xtask/src/x.rs", &"\n".repeat(450)) => [],

        test_ignored: ignored("tests/e2e/x.rs", "#[test]\n#[ignore]\nfn f() {}") => [2],
        test_ignored_with_a_reason: ignored("tests/e2e/x.rs", "#[ignore = \"slow\"]") => [1],
        test_ignored_by_condition: ignored("tests/e2e/x.rs", "#[cfg_attr(miri, ignore)]") => [1],
        ignoring_in_prose: ignored("tests/e2e/x.rs", "// #[ignore]") => [],
    }
}
