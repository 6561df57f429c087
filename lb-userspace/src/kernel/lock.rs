//! One daemon per instance.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
};

use nix::fcntl::{Flock, FlockArg};

use super::{
    KernelError, Paths,
    error::{KernelError as E, Result},
};

/// The lock of an instance; given up when dropped or when the process dies.
#[derive(Debug)]
pub struct InstanceLock {
    _file: Flock<File>,
}

impl InstanceLock {
    /// Takes the lock and writes this process's id beside it.
    ///
    /// # Errors
    /// [`KernelError::Running`] with the holder's pid when another process has it.
    pub fn take(paths: &Paths) -> Result<Self> {
        fs::create_dir_all(paths.run_folder()).map_err(E::file(paths.run_folder()))?;
        let path = paths.pid_file();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(E::file(&path))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(KernelError::Running {
                    instance: paths.instance().into(),
                    pid: read_pid(&mut file),
                });
            }
            Err((_, errno)) => return Err(E::file(path)(errno.into())),
        };
        write_pid(&mut file).map_err(E::file(path))?;
        Ok(Self { _file: file })
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
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(None),
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
    fn an_instance_never_run_has_no_holder() {
        assert_eq!(InstanceLock::holder(&paths("never")).unwrap(), None);
    }
}
