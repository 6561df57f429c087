//! The real `lb`, run inside a namespace as an instance of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Namespace, netns::unique_name, reaper};

/// Longest wait for the daemon to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// An instance of lb. On drop it is ended and detached, and its folder removed.
pub struct Daemon<'a> {
    ns: &'a Namespace,
    lb: PathBuf,
    /// Name of the instance.
    pub instance: String,
    folder: TempDir,
    config: PathBuf,
    child: Option<Child>,
}

impl<'a> Daemon<'a> {
    /// Starts `lb run` with this configuration and waits until `lb status` exits 0.
    pub fn start(ns: &'a Namespace, config: &str) -> Result<Self> {
        Self::start_binary(ns, &binary(), config)
    }

    /// As [`Self::start`], with a binary of the caller's.
    pub fn start_binary(ns: &'a Namespace, lb: &Path, config: &str) -> Result<Self> {
        let mut daemon = Self::prepare(ns, lb, config)?;
        daemon.run(&[])?;
        Ok(daemon)
    }

    /// An instance with its folder and configuration, not started.
    pub fn prepare(ns: &'a Namespace, lb: &Path, config: &str) -> Result<Self> {
        let mut daemon = Self::prepare_file(ns, lb, Path::new(""))?;
        daemon.config = daemon.folder().join("lb.yaml");
        daemon.configure(config)?;
        Ok(daemon)
    }

    /// An instance that reads a file where it stands, not started.
    pub fn prepare_file(ns: &'a Namespace, lb: &Path, config: &Path) -> Result<Self> {
        let instance = unique_name();
        Ok(Self {
            ns,
            lb: lb.to_owned(),
            folder: tempfile::Builder::new().prefix(&format!("{instance}-")).tempdir()?,
            instance,
            config: config.to_owned(),
            child: None,
        })
    }

    /// The folder of the configuration, for further files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Path of the configuration.
    pub fn config(&self) -> PathBuf {
        self.config.clone()
    }

    /// Replaces the configuration as an editor does: a new file, renamed into place.
    pub fn configure(&self, text: &str) -> Result<()> {
        let new = self.folder().join(".lb.yaml.new");
        fs::write(&new, text)?;
        fs::rename(new, self.config())?;
        Ok(())
    }

    /// Starts `lb run` with more arguments and waits until it is ready.
    pub fn run(&mut self, more: &[&str]) -> Result<()> {
        self.spawn(more)?;
        self.wait_ready()
    }

    /// Starts `lb run` and doesn't wait.
    pub fn spawn(&mut self, more: &[&str]) -> Result<()> {
        self.spawn_with(more, |_| {})
    }

    /// As [`Self::spawn`]; `set` may change the command's environment.
    pub fn spawn_with(&mut self, more: &[&str], set: impl FnOnce(&mut Command)) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.instance);
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.lb);
        command.arg("run").arg("-c").arg(self.config()).args(["--instance", &self.instance]);
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        set(&mut command);
        self.child =
            Some(self.ns.start(&mut command).with_context(|| self.lb.display().to_string())?);
        Ok(())
    }

    /// Waits until `lb status` exits 0; an error holds the log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let mut pause = Pause::default();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().context("not started")?.try_wait()? {
                self.child = None;
                bail!("lb run ended with {status}:\n{}", self.log());
            }
            let status = self.cli(&["status"])?;
            if status.code == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not ready: {}{}\n{}", status.stdout, status.stderr, self.log());
            }
            pause.take();
        }
    }

    /// Starts `lb run --takeover` beside the one that runs, and waits until it answers in that
    /// one's place. Returns the old process, which ends by itself.
    pub fn take_over(&mut self) -> Result<Predecessor> {
        let old = Predecessor(Some(self.child.take().context("not running")?));
        self.spawn(&["--takeover"])?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().context("not started")?.try_wait()? {
                self.child = None;
                bail!("lb run --takeover ended with {status}:\n{}", self.log());
            }
            let status = self.cli(&["-o", "json", "status"])?;
            let shown: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
            if status.code == 0 && shown["pid"].as_u64() == self.pid().map(u64::from) {
                return Ok(old);
            }
            ensure!(Instant::now() < deadline, "not taken over: {}\n{}", status.stderr, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Process id of `lb run`.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether `lb run` has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.as_mut().context("not started")?.try_wait()?.is_some())
    }

    /// Runs `lb <args> --instance NAME` inside the namespace.
    pub fn cli(&self, args: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(&self.lb);
        command.args(args).args(["--instance", &self.instance]).stdin(Stdio::null());
        let output = self.ns.run(|| command.output())?;
        Ok(Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// As [`Self::cli`]; an error unless it exits 0. Returns what it printed.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let outcome = self.cli(args)?;
        ensure!(
            outcome.code == 0,
            "lb {} exited {}: {}{}",
            args.join(" "),
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
        Ok(outcome.stdout)
    }

    /// As [`Self::ok`] with `-o json`, parsed.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.ok(&[&["-o", "json"], args].concat())?;
        serde_json::from_str(&text).with_context(|| format!("lb {} printed {text}", args.join(" ")))
    }

    /// Asks again and again until `wanted` says yes, for at most `patience`.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let mut pause = Pause::default();
        let deadline = Instant::now() + patience;
        while !wanted(self)? {
            if Instant::now() > deadline {
                bail!("not so after {patience:?}: {what}\n{}", self.ok(&["backends"])?);
            }
            pause.take();
        }
        Ok(())
    }

    /// Sends a signal to `lb run`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("not running")?;
        kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
        Ok(())
    }

    /// `kill -9`, as a crash is.
    pub fn crash(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait().map(|_| ())
    }

    /// `SIGTERM`, and how it ended.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// Waits until the process has ended by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("not running")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("lb run did not end within {PATIENCE:?}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What `lb run` logged, all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The folder of the instance's pins.
    pub fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf/lb").join(&self.instance)
    }

    /// The unix socket of the API.
    pub fn socket(&self) -> PathBuf {
        Path::new("/run/lb").join(format!("{}.sock", self.instance))
    }

    /// Where `lb run` logs to.
    pub fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.instance, self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        match self.cli(&["detach"]) {
            Ok(outcome) if outcome.code == 0 => {}
            Ok(outcome) => eprintln!("lb detach: {}{}", outcome.stdout, outcome.stderr),
            Err(error) => eprintln!("lb detach: {error:#}"),
        }
        reaper::remove_instance(&self.instance);
    }
}

/// A daemon that another one has taken over; on drop it is ended.
pub struct Predecessor(Option<Child>);

impl Predecessor {
    /// Whether it runs still.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.as_mut().context("ended")?.try_wait()?.is_none())
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let child = self.0.as_mut().context("ended")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the old daemon did not end within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Predecessor {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Between two questions to a daemon: longer and longer, as each is a process of its own,
/// which takes CPU from what is waited for.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Pause {
    const LONGEST: Duration = Duration::from_millis(200);

    fn take(&mut self) {
        std::thread::sleep(self.0);
        self.0 = (self.0 * 3 / 2).min(Self::LONGEST);
    }
}

/// The `lb` to test: `$LB_BIN`, or the one built beside the running executable.
///
/// # Panics
/// When there is none.
pub fn binary() -> PathBuf {
    std::env::var_os("LB_BIN").map_or_else(|| built("lb"), PathBuf::from)
}

/// A binary of the workspace, built beside the running executable.
///
/// # Panics
/// When there is none.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a path of the running executable");
    // target/debug/deps/e2e-… or target/debug/xtask
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    beside.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "no `{name}` beside {}: run the tests by `cargo xtask test`, which builds it",
            own.display()
        )
    })
}
