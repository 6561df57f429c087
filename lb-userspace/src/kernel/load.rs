//! Loading the object over pinned maps.

use std::{fs, panic::resume_unwind, path::Path, thread};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapError, MapInfo},
    programs::{Program, ProgramError, SchedClassifier, Xdp},
};
use lb_common::{KernelConfig, maps};

use super::{
    clock::{self, Clock},
    error::{KernelError as E, Result},
    layout::{Layout, MapShape},
    object::OBJECT,
    paths::LayoutPaths,
    pins, sys,
};

/// The XDP program.
pub(super) const XDP: &str = "lb_xdp";
/// The TC program.
pub(super) const TC: &str = "lb_tc";

/// Times the verifier is asked before its EAGAIN is an error.
const LOAD_ATTEMPTS: u32 = 10;

/// Which copy of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// The one that forwards.
    Forward {
        /// Whether it logs each verdict.
        trace: bool,
    },
    /// The one that only explains: writes nothing but its verdict.
    Explain,
}

/// Loads the object; maps that are pinned under `paths` are used, those that are not are made
/// and pinned. Its programs are loaded too, but for those of [`Copy::Explain`].
pub(super) fn load(paths: &LayoutPaths, layout: &Layout, copy: Copy) -> Result<Ebpf> {
    for folder in [paths.maps(), paths.programs(), paths.rings()] {
        fs::create_dir_all(&folder).map_err(E::file(folder))?;
    }
    let (dry_run, trace) = match copy {
        Copy::Forward { trace } => (0u32, u32::from(trace)),
        Copy::Explain => (1, 0),
    };
    let mut loader = EbpfLoader::new();
    for (name, shape) in &layout.maps {
        loader.map_pin_path(name, paths.map(name)).map_max_entries(name, shape.entries);
    }
    loader.override_global("DRY_RUN", &dry_run, true);
    loader.override_global("TRACE", &trace, true);
    let mut ebpf = loader.load(OBJECT).map_err(|e| out_of_memory(e, layout))?;
    check_shapes(paths, layout)?;
    if copy != Copy::Explain {
        load_programs(&mut ebpf)?;
    }
    Ok(ebpf)
}

/// Loads every program, each on a thread of its own: the verifier takes most of a second for
/// one, and checks several at a time.
fn load_programs(ebpf: &mut Ebpf) -> Result<()> {
    thread::scope(|scope| {
        let load = |(name, program)| scope.spawn(move || load_program(name, program));
        let loading: Vec<_> = ebpf.programs_mut().map(load).collect();
        let loaded = loading.into_iter().map(|t| t.join().unwrap_or_else(|p| resume_unwind(p)));
        loaded.collect()
    })
}

/// Has the verifier check a program, and the kernel keep it. The verifier gives up with EAGAIN
/// when a signal waits for the thread (`kernel/bpf/verifier.c`, `do_check`): it is asked again.
pub(super) fn load_program(name: &str, program: &mut Program) -> Result<()> {
    let mut load = || match program {
        Program::Xdp(xdp) => xdp.load(),
        Program::SchedClassifier(tc) => tc.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    let mut loaded = load();
    for _ in 1..LOAD_ATTEMPTS {
        if !loaded.as_ref().is_err_and(was_interrupted) {
            break;
        }
        loaded = load();
    }
    loaded.map_err(E::program(name))
}

/// Whether a signal kept the kernel from finishing.
fn was_interrupted(error: &ProgramError) -> bool {
    let code = match error {
        ProgramError::LoadError { io_error, .. } => io_error.raw_os_error(),
        _ => None,
    };
    matches!(code, Some(libc::EAGAIN | libc::EINTR))
}

/// Pins the programs, in place of those pinned before.
pub(super) fn pin_programs(ebpf: &mut Ebpf, paths: &LayoutPaths) -> Result<()> {
    for (name, program) in ebpf.programs_mut() {
        let path = paths.program(name);
        remove_pin(&path)?;
        program.pin(&path).map_err(|e| E::file(path)(std::io::Error::other(e)))?;
    }
    Ok(())
}

/// Fills in what the tables of a fresh layout need before a packet comes: a hash key (that of
/// the tables carried over, if any), their sizes and the tick rate.
pub(super) fn initialize(
    paths: &LayoutPaths,
    layout: &Layout,
    old: Option<&KernelConfig>,
) -> Result<()> {
    let mut config = match old {
        Some(old) => *old,
        None => KernelConfig {
            hash_key: random_key()?,
            hz: Clock::open(&paths.program(clock::PROGRAM))?.rate()?,
            ..KernelConfig::default()
        },
    };
    // What was carried over may know no key of its own for choices.
    if config.choice_key == lb_common::HashKey::default() {
        config.choice_key = config.hash_key;
    }
    config.est_buckets = layout.table.est_buckets;
    config.half_buckets = layout.table.half_buckets;
    config.reply_buckets = layout.table.reply_buckets;
    let mut map = pins::array::<KernelConfig>(paths, maps::CONFIG)?;
    map.set(0, config, sys::ANY).map_err(E::aya_map(maps::CONFIG, "write of 0"))
}

/// The XDP program of a loaded object.
pub(super) fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    program(ebpf, name)?.try_into().map_err(E::program(name))
}

/// The TC program of a loaded object.
pub(super) fn tc(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    program(ebpf, TC)?.try_into().map_err(E::program(TC))
}

/// Removes a pin, if it is there.
pub(super) fn remove_pin(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(E::file(path)(e)),
    }
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    ebpf.program_mut(name)
        .ok_or_else(|| E::Internal(format!("the kernel programs have no program {name}")))
}

/// Whether the pins are what their description says: aya opens them without a look.
pub(super) fn check_shapes(paths: &LayoutPaths, layout: &Layout) -> Result<()> {
    for (name, wanted) in &layout.maps {
        let info =
            MapInfo::from_pin(paths.map(name)).map_err(E::aya_map(name, "reading its shape"))?;
        let shape = MapShape {
            kind: info.map_type().map_or(u32::MAX, |kind| kind as u32),
            key: info.key_size(),
            value: info.value_size(),
            entries: info.max_entries(),
            flags: info.map_flags(),
        };
        if shape != *wanted {
            return Err(E::Foreign {
                path: paths.folder().into(),
                why: format!("{name} is {shape:?}, not {wanted:?}"),
            });
        }
    }
    Ok(())
}

fn out_of_memory(error: EbpfError, layout: &Layout) -> E {
    let code = match &error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => io_error.raw_os_error(),
        _ => None,
    };
    match code {
        Some(libc::ENOMEM | libc::E2BIG) => {
            E::Memory { mebibytes: layout.mebibytes(), source: Box::new(error) }
        }
        _ => E::Load(Box::new(error)),
    }
}

fn random_key() -> Result<lb_common::HashKey> {
    let mut bytes = [0u8; size_of::<lb_common::HashKey>()];
    let path = "/dev/urandom";
    fs::File::open(path)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(E::file(path))?;
    let mut key = [0u64; 12];
    for (word, chunk) in key.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut word_bytes = [0; 8];
        word_bytes.copy_from_slice(chunk);
        *word = u64::from_ne_bytes(word_bytes);
    }
    Ok(key)
}

/// Names and kernel ids of the loaded programs.
pub(super) fn ids(ebpf: &Ebpf) -> Result<Vec<(String, u32)>> {
    let mut ids = Vec::new();
    for (name, program) in ebpf.programs() {
        let info = program.info().map_err(E::program(name))?;
        ids.push((name.to_owned(), info.id()));
    }
    ids.sort();
    Ok(ids)
}
