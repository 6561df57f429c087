//! One daemon per instance.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use super::{
    KernelError, Paths,
    error::{KernelError as E, Result},
};

/// The lock of an instance; given up once every process that has it has dropped it or is dead.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

impl InstanceLock {
    /// Takes the lock and writes this process's id beside it.
    ///
    /// # Errors
    /// [`KernelError::Running`] with the holder's pid when another process has it.
    pub fn take(paths: &Paths) -> Result<Self> {
        fs::create_dir_all(paths.run_folder()).map_err(E::file(paths.run_folder()))?;
        let path = paths.pid_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(E::file(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(KernelError::Running {
                    instance: paths.instance().into(),
                    pid: read_pid(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(E::file(path)(error)),
        }
        let mut lock = Self { file };
        lock.sign(paths)?;
        Ok(lock)
    }

    /// Takes over the lock that another process has handed over; it is both's now. That
    /// process's id stays beside it until [`Self::sign`].
    pub fn inherit(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }

    /// For whoever takes it over.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Writes this process's id beside it.
    ///
    /// # Errors
    /// The pid file can't be written.
    pub fn sign(&mut self, paths: &Paths) -> Result<()> {
        write_pid(&mut self.file).map_err(E::file(paths.pid_file()))
    }

    /// The pid of the daemon that runs the instance, if one does.
    ///
    /// # Errors
    /// The pid file can't be opened.
    pub fn holder(paths: &Paths) -> Result<Option<u32>> {
        let path = paths.pid_file();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(E::file(path)(e)),
        };
        let pid = read_pid(&mut file);
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(_) => Ok(Some(pid)),
        }
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

/// 0 while the holder has not written it yet.
fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let _unreadable = file.rewind().and_then(|()| file.read_to_string(&mut text));
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(test: &str) -> Paths {
        Paths::new(&format!("unit-{}-{test}", std::process::id())).unwrap()
    }

    #[test]
    fn a_second_daemon_is_refused_with_the_pid_of_the_first() {
        let paths = paths("second");
        let lock = InstanceLock::take(&paths).unwrap();
        let refused = InstanceLock::take(&paths).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(refused, KernelError::Running { pid: p, .. } if p == pid), "{refused}");
        assert_eq!(InstanceLock::holder(&paths).unwrap(), Some(pid));
        drop(lock);
        assert_eq!(InstanceLock::holder(&paths).unwrap(), None);
        InstanceLock::take(&paths).unwrap();
        fs::remove_file(paths.pid_file()).unwrap();
    }

    #[test]
    fn a_lock_that_is_handed_over_outlives_its_first_holder() {
        let paths = paths("inherited");
        let lock = InstanceLock::take(&paths).unwrap();
        let second = InstanceLock::inherit(lock.descriptor().try_clone_to_owned().unwrap());
        drop(lock);
        assert!(InstanceLock::take(&paths).is_err());
        drop(second);
        drop(InstanceLock::take(&paths).unwrap());
        fs::remove_file(paths.pid_file()).unwrap();
    }

    #[test]
    fn an_instance_never_run_has_no_holder() {
        assert_eq!(InstanceLock::holder(&paths("never")).unwrap(), None);
    }
}
