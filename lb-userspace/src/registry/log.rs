//! The log on disk: one line for each change, its checksum in front. What isn't whole at the end is
//! of a write that was never acknowledged, and cut off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use flate2::Crc;
use serde::{Deserialize, Serialize};

use super::{change::Change, state::State};

/// A log up to this long is not worth rewriting.
const SMALL: u64 = 4 << 20;
/// Rewritten when so many times longer than what it comes to.
const LOOSE: u64 = 4;

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Length up to which all is on disk.
    length: u64,
    /// Length when it was last rewritten.
    dense: u64,
}

/// A line without its checksum.
#[derive(Serialize, Deserialize)]
struct Entry {
    i: u64,
    c: Change,
}

/// What a log came to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// All of it that is whole.
    pub(crate) state: State,
    /// What was cut off or passed over, in words.
    pub(crate) notices: Vec<String>,
}

impl Log {
    /// Opens the log and replays it; makes one where there is none.
    ///
    /// # Errors
    /// It can't be read or written.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Replay)> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(named)?;
        let bytes = match fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(named)?,
        };
        let (mut replay, whole, damaged) = replay(path, &bytes);
        if damaged > 0 {
            let kept = path.with_extension("log.damaged");
            fs::copy(path, &kept).map_err(named)?;
            let text = "lines can't be read and are passed over; the log as it was is kept as";
            replay.notices.push(format!("{}: {damaged} {text} {}", path.display(), kept.display()));
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(named)?;
        file.set_len(whole).map_err(named)?;
        file.sync_all().and_then(|()| sync_folder(path)).map_err(named)?;
        let mut log = Self { path: path.to_owned(), file, length: whole, dense: 0 };
        if damaged > 0 || log.is_loose(&replay.state) {
            log.rewrite(&replay.state).map_err(named)?;
        }
        Ok((log, replay))
    }

    /// Writes changes and waits until they are on disk.
    ///
    /// # Errors
    /// They aren't; the log is as it was before.
    pub(crate) fn append(&mut self, changes: &[(u64, Change)]) -> io::Result<()> {
        let mut text = Vec::new();
        for (index, change) in changes {
            line(&mut text, *index, change)?;
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += text.len() as u64,
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    /// Rewrites the log as what it comes to, when it has grown far beyond that.
    ///
    /// # Errors
    /// It can't be done; the log is as it was before.
    pub(crate) fn tighten(&mut self, state: &State) -> io::Result<()> {
        if self.is_loose(state) { self.rewrite(state) } else { Ok(()) }
    }

    fn is_loose(&self, state: &State) -> bool {
        let lines = state.instances.len() + state.checks.len() + state.pairs.len();
        let guess = self.dense.max(lines as u64 * 128);
        self.length > SMALL && self.length > guess * LOOSE
    }

    fn rewrite(&mut self, state: &State) -> io::Result<()> {
        let new = self.path.with_extension("log.new");
        let mut text = Vec::new();
        for (index, change) in state.changes() {
            line(&mut text, index, &change)?;
        }
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.length, self.dense) = (text.len() as u64, text.len() as u64);
        Ok(())
    }

    /// Reads again what is on disk, after it and memory parted.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn reread(&self) -> io::Result<State> {
        Ok(replay(&self.path, &fs::read(&self.path)?).0.state)
    }
}

/// A new name in a folder is on disk only when the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn line(text: &mut Vec<u8>, index: u64, change: &Change) -> io::Result<()> {
    let entry = serde_json::to_vec(&Entry { i: index, c: change.clone() })?;
    writeln!(text, "{:08x} {}", checksum(&entry), String::from_utf8_lossy(&entry))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// What `bytes` come to, up to where they are whole, and how many lines before that are not.
fn replay(path: &Path, bytes: &[u8]) -> (Replay, u64, usize) {
    let mut replay = Replay::default();
    let now = Instant::now();
    let (mut at, mut whole, mut bad, mut damaged) = (0, 0, 0, 0);
    while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
        match entry(&bytes[at..at + end]) {
            Some(entry) => {
                replay.state.apply(entry.i, entry.c, now);
                damaged += std::mem::take(&mut bad);
                whole = at + end + 1;
            }
            None => bad += 1,
        }
        at += end + 1;
    }
    if whole < bytes.len() {
        let (path, cut) = (path.display(), bytes.len() - whole);
        let text = "of a write that was never acknowledged are cut off";
        replay.notices.push(format!("{path}: the last {cut} bytes {text}"));
    }
    (replay, whole as u64, damaged)
}

fn entry(line: &[u8]) -> Option<Entry> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(&sum[..8]).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == checksum(json))
        .then(|| serde_json::from_slice(json).ok())
        .flatten()
}
