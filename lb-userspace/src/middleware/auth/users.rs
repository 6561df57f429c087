//! `users` and `usersFile`: the file is read again when it has changed.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    config::decode::{At, Field},
    middleware::parts,
    model::Fault,
};

/// A user as written in a line.
pub(super) trait Entry: Sized + Send + Sync {
    /// Reads a line; name and entry, or why it is none.
    fn parse(line: &str) -> Result<(String, Self), &'static str>;
}

/// How often the file is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// What a file's bytes depend on.
type Stamp = (SystemTime, u64);

/// Users by name, and what was read of the file.
type State<T> = (HashMap<String, Arc<T>>, Option<Stamp>);

/// The users in force.
pub(super) struct Users<T> {
    inline: Vec<String>,
    file: Option<PathBuf>,
    start: Instant,
    /// Milliseconds from the start to the last look at the file.
    looked: AtomicU64,
    state: ArcSwap<State<T>>,
}

impl<T: Entry> Users<T> {
    /// Reads the file.
    ///
    /// # Errors
    /// It can't be read, or a line of it can't.
    pub(super) fn new(inline: &[String], file: Option<&Path>) -> Result<Self, String> {
        let state = read(inline, file, stamp(file))?;
        Ok(Self {
            inline: inline.to_vec(),
            file: file.map(Path::to_owned),
            start: Instant::now(),
            looked: AtomicU64::new(0),
            state: ArcSwap::from_pointee(state),
        })
    }

    /// The user of this name. Without one, another's entry, so that it takes as long to find out,
    /// and `false`.
    pub(super) fn find(&self, name: &str) -> Option<(Arc<T>, bool)> {
        self.look();
        let state = self.state.load();
        match state.0.get(name) {
            Some(user) => Some((Arc::clone(user), true)),
            None => state.0.values().next().map(|user| (Arc::clone(user), false)),
        }
    }

    /// Looks at the file where that is due. One at fault changes nothing.
    fn look(&self) {
        let Some(file) = &self.file else { return };
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Relaxed);
        let is_due = now.saturating_sub(looked) >= LOOK.as_millis() as u64;
        if is_due && self.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok() {
            self.refresh(file);
        }
    }

    fn refresh(&self, file: &Path) {
        let stamp = stamp(Some(file));
        if stamp == self.state.load().1 {
            return;
        }
        match read(&self.inline, Some(file), stamp) {
            Ok(state) => self.state.store(Arc::new(state)),
            Err(why) => tracing::warn!("{why}; the users that were stay"),
        }
    }
}

fn stamp(file: Option<&Path>) -> Option<Stamp> {
    let metadata = fs::metadata(file?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Users of the file stand before those of the configuration.
fn read<T: Entry>(
    inline: &[String],
    file: Option<&Path>,
    stamp: Option<Stamp>,
) -> Result<State<T>, String> {
    let mut users = HashMap::new();
    for line in inline {
        let (name, user) = T::parse(line).map_err(str::to_owned)?;
        users.insert(name, Arc::new(user));
    }
    if let Some(file) = file {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        for (i, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, user) = T::parse(line).map_err(|why| format!("{shown}:{}: {why}", i + 1))?;
            users.insert(name, Arc::new(user));
        }
    }
    Ok((users, stamp))
}

/// `users` and `usersFile`, checked, what the file holds too; what a user's line is stays out of
/// faults.
pub(super) fn check<T: Entry>(
    users: &Field<Vec<At<String>>>,
    file: &Field<String>,
    owner: &crate::config::decode::Spot,
    faults: &mut Vec<Fault>,
) -> (Vec<String>, Option<PathBuf>) {
    let mut inline = Vec::new();
    for at in users.get().map(Vec::as_slice).unwrap_or_default() {
        match T::parse(at.value.trim()) {
            Ok(_) => inline.push(at.value.trim().to_owned()),
            Err(why) => faults.push(at.spot.fault(why)),
        }
    }
    if users.is_absent() && file.is_absent() {
        faults.push(owner.fault("nobody could come in: give `users` or `usersFile`"));
    }
    let file = file.at().map(|at| {
        let path = parts::path(at);
        if let Err(why) = read::<T>(&[], Some(&path), None) {
            faults.push(at.spot.fault(why));
        }
        path
    });
    (inline, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word(String);

    impl Entry for Word {
        fn parse(line: &str) -> Result<(String, Self), &'static str> {
            let (name, word) = line.split_once(':').ok_or("expected a colon")?;
            Ok((name.to_owned(), Self(word.to_owned())))
        }
    }

    fn word(users: &Users<Word>, name: &str) -> Option<String> {
        let (user, is_theirs) = users.find(name)?;
        is_theirs.then(|| user.0.clone())
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        fs::write(&file, "# who may\n\na:1\n b:2 \n").unwrap();
        let users = Users::<Word>::new(&["a:0".into(), "c:3".into()], Some(&file)).unwrap();
        let all = |users: &Users<Word>| ["a", "b", "c", "d"].map(|name| word(users, name));
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(all(&users), [some("1"), some("2"), some("3"), None]);
        fs::write(&file, "d:40").unwrap();
        users.refresh(&file);
        assert_eq!(all(&users), [some("0"), None, some("3"), some("40")]);
        for broken in ["nonsense", ""] {
            fs::write(&file, broken).unwrap();
            users.refresh(&file);
            assert_eq!(word(&users, "d").is_some(), !broken.is_empty(), "{broken:?}");
        }
        fs::remove_file(&file).unwrap();
        users.refresh(&file);
        assert_eq!(word(&users, "a"), some("0"));
    }

    #[test]
    fn a_file_at_fault_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        let told = Users::<Word>::new(&[], Some(&file)).err().unwrap();
        assert!(told.contains("users: No such file"), "{told}");
        fs::write(&file, "a:1\nb").unwrap();
        let told = Users::<Word>::new(&[], Some(&file)).err().unwrap();
        assert!(told.ends_with("users:2: expected a colon"), "{told}");
    }
}
