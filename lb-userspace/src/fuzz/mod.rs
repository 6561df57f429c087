//! Fuzzing of what reads bytes of strangers: each target a file, on whatever compiler builds the
//! rest. A stored corpus is replayed, then inputs are made of it: first some that are the same on
//! every run, then new ones for [`seconds`]. What fails is saved and told.

mod chunked;
mod config;
mod consul;
mod dns;
mod head;
mod hello;
mod keys;
mod labels;
mod mutate;
mod registration;
mod rule;

use std::{
    collections::HashSet,
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mutate::Mutator;

/// Inputs that are the same on every run.
const SAME: usize = 3000;
/// Inputs that showed something new are kept, and changed further.
const MOST_KEPT: usize = 4000;
/// No input may take longer, on a machine that does other things besides.
const SLOWEST: Duration = Duration::from_secs(10);

/// How long new inputs are tried: `LB_FUZZ_SECONDS`, else six.
fn seconds() -> Duration {
    let named = env::var("LB_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(named.unwrap_or(6))
}

/// Fuzzes `check`, which panics where something is wrong, and otherwise tells what kind of outcome
/// it was, so that inputs with a new one are built upon. `words` are what inputs consist of.
fn fuzz<T: Hash>(target: &str, words: &[&str], check: impl Fn(&[u8]) -> T) {
    let mut kept = corpus(target);
    assert!(!kept.is_empty(), "no corpus of {target}");
    let mut outcomes = HashSet::new();
    let mut attempt = |input: &[u8]| {
        let outcome = guarded(target, input, || check(input));
        let mut hasher = DefaultHasher::new();
        outcome.hash(&mut hasher);
        outcomes.insert(hasher.finish())
    };
    for input in &kept {
        attempt(input);
    }
    let mut mutator = Mutator::new(fastrand::Rng::with_seed(1), words);
    for _ in 0..SAME {
        let input = mutator.make(&kept);
        if attempt(&input) && kept.len() < MOST_KEPT {
            kept.push(input);
        }
    }
    let seed = fastrand::u64(..);
    let mut mutator = Mutator::new(fastrand::Rng::with_seed(seed), words);
    let (begun, mut tried) = (Instant::now(), 0u64);
    while begun.elapsed() < seconds() {
        let input = mutator.make(&kept);
        tried += 1;
        if attempt(&input) && kept.len() < MOST_KEPT {
            kept.push(input);
        }
    }
    println!("{target}: {tried} new inputs, {} kinds of outcomes, seed {seed}", outcomes.len());
}

/// Runs a check; an input that fails is saved first.
fn guarded<T>(target: &str, input: &[u8], check: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(check));
    let took = begun.elapsed();
    match outcome {
        Ok(outcome) if took < SLOWEST => outcome,
        Ok(_) => panic!("{took:?} for {}", save(target, input)),
        Err(panic) => {
            eprintln!("{target} fails on {}", save(target, input));
            resume_unwind(panic)
        }
    }
}

/// Keeps an input that fails; its place, and the input itself.
fn save(target: &str, input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let folder = env::temp_dir().join("lb-fuzz").join(target);
    let file = folder.join(format!("{:016x}", hasher.finish()));
    let saved = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    let place = match saved {
        Ok(()) => format!("{}, to be added to tests/corpora/{target}", file.display()),
        Err(error) => format!("an input that can't be saved ({error})"),
    };
    format!("{place}: {}", input.escape_ascii())
}

/// The stored inputs of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a stored input")).collect()
}
