//! Real engines (NATS, Consul, Docker, …), which `cargo xtask setup` unpacks.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The folder of the engines' programs: `$LB_ENGINES/bin`, else `engines/bin` in cargo's target
/// folder, in which this process's own program lies.
///
/// # Panics
/// When there is none: no test does without its engine.
pub fn folder() -> PathBuf {
    let named = env::var_os("LB_ENGINES").map(|root| Path::new(&root).join("bin"));
    let program = env::current_exe().expect("this process's program");
    let near = program.ancestors().map(|folder| folder.join("engines/bin"));
    let found = named.into_iter().chain(near).find(|folder| folder.is_dir());
    found.expect("no engines here: `cargo xtask setup` unpacks them")
}

/// An engine's program by name.
///
/// # Panics
/// When it isn't there.
pub fn program(name: &str) -> PathBuf {
    let program = folder().join(name);
    assert!(program.exists(), "no {name} here: `cargo xtask setup` unpacks it");
    program
}

/// The folder of one engine, for what is no program.
///
/// # Panics
/// When it isn't there.
pub fn part(name: &str) -> PathBuf {
    let part = folder().with_file_name(name);
    assert!(part.is_dir(), "no {name} here: `cargo xtask setup` unpacks it");
    part
}

/// `PATH` with the engines in front: Docker's daemon starts others by name.
pub fn path() -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = [folder()].into_iter().chain(env::split_paths(&rest));
    env::join_paths(folders).expect("no folder has a colon")
}
