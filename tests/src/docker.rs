//! The real Docker daemon, in a network namespace of its own, with an image made here.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{Namespace, engine, netns::unique_name};

/// Longest wait for the daemon to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The image: busybox alone, port 80 exposed.
const IMAGE: &str = "lbtest";
/// What a container runs: a server that says its name at `/`, at `/health` and at `/api/whoami`.
const SERVE: &str = "b=/bin/busybox; $b mkdir -p /w/api /w/cgi-bin; echo $NAME > /w/index.html; \
                     echo $NAME > /w/health; echo $NAME > /w/api/whoami; \
                     exec $b httpd -f -p ${PORT:-80} -h /w";

/// A daemon; it and its containers end on drop.
pub struct Docker {
    /// Where its bridges are.
    pub ns: Namespace,
    folder: TempDir,
    more: Vec<String>,
    child: Child,
}

static SHARED: Mutex<Weak<Docker>> = Mutex::new(Weak::new());

impl Docker {
    /// The one that tests share while any of them uses it.
    pub fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(docker) = shared.upgrade() {
            return Ok(docker);
        }
        let docker = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&docker);
        Ok(docker)
    }

    /// One of the caller's own.
    pub fn start() -> Result<Self> {
        Self::start_with(|_| Ok(Vec::new()))
    }

    /// As [`Self::start`], with more arguments, which may name files in its folder.
    pub fn start_with(more: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        let ns = Namespace::new("docker")?;
        let folder = tempfile::Builder::new().prefix(&format!("{}-", unique_name())).tempdir()?;
        let more = more(folder.path())?;
        let child = spawn(&ns, folder.path(), &more)?;
        let docker = Self { ns, folder, more, child };
        docker.wait()?;
        docker.import()?;
        Ok(docker)
    }

    /// `kill -9` of the daemon, which takes its containers along.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again, after [`Self::kill`], with what it has on disk.
    pub fn run_again(&mut self) -> Result<()> {
        let _stale = fs::remove_file(self.folder().join("pid"));
        self.child = spawn(&self.ns, self.folder.path(), &self.more)?;
        self.wait()
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.folder().join("d.sock").display())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.output(&["version"])?.status.success() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
                bail!("dockerd doesn't answer:\n{log}");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn import(&self) -> Result<()> {
        let bin = self.folder().join("image/bin");
        fs::create_dir_all(&bin)?;
        // The second is what health checks are run by.
        for name in ["busybox", "sh"] {
            fs::copy(engine::program("busybox"), bin.join(name))?;
        }
        let tar = self.folder().join("image.tar");
        let made = Command::new("tar")
            .arg("-C")
            .arg(self.folder().join("image"))
            .arg("-cf")
            .args([tar.as_os_str(), ".".as_ref()])
            .status()?;
        ensure!(made.success(), "tar: {made}");
        let tar = tar.display().to_string();
        self.ok(&["import", "-c", "EXPOSE 80", &tar, IMAGE]).map(drop)
    }

    fn output(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(engine::program("docker"));
        command.args(args).env("DOCKER_HOST", self.endpoint()).stdin(Stdio::null());
        Ok(command.output()?)
    }

    /// `docker ARGS`; its output where it succeeds.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        ensure!(output.status.success(), "docker {}: {}", args.join(" "), text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// Runs a container that says `name`, with these labels and further options.
    pub fn run(&self, name: &str, labels: &[&str], more: &[&str]) -> Result<Container<'_>> {
        let who = format!("NAME={name}");
        let mut args = vec!["run", "-d", "--name", name, "-e", &who];
        labels.iter().for_each(|label| args.extend(["--label", *label]));
        args.extend(more);
        args.extend([IMAGE, "/bin/busybox", "sh", "-c", SERVE]);
        self.ok(&args)?;
        Ok(Container { docker: self, name: name.to_owned() })
    }

    /// Sends a signal to the daemon itself.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.daemon()?), signal)?)
    }

    /// The daemon's process, below the one that made its namespaces.
    fn daemon(&self) -> Result<i32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let daemon = children.split_whitespace().next().context("dockerd has ended")?;
        Ok(daemon.parse()?)
    }

    /// Gives this host an address in an overlay network, as a node has one whose containers run in it:
    /// the network's bridge stands in a namespace of the daemon's own.
    pub fn join_overlay(&self, network: &str, address: &str) -> Result<()> {
        let id = self.ok(&["network", "inspect", "-f", "{{.Id}}", network])?;
        let id = id.get(..10).context("a short id")?;
        let bridge =
            format!("/proc/{}/root{}/exec/netns/1-{id}", self.daemon()?, self.folder().display());
        // A namespace without a name is named by a process in it.
        let mut inside = Command::new("nsenter")
            .arg(format!("--net={bridge}"))
            .args(["sleep", "60"])
            .stdin(Stdio::null())
            .spawn()?;
        let is_in = || -> Result<bool> {
            let of = |path: String| fs::metadata(path).map(|meta| meta.ino());
            Ok(of(format!("/proc/{}/ns/net", inside.id()))? == of(bridge.clone())?)
        };
        let deadline = Instant::now() + PATIENCE;
        while !is_in()? && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        let done = self.ns.ip_batch(&format!(
            "link add ovl0 type veth peer name ovl1\naddr add {address} dev ovl0\nlink set ovl0 up\n\
             link set ovl1 netns {}\n",
            inside.id()
        ));
        let _ended = inside.kill().and_then(|()| inside.wait());
        done?;
        let plugged = Command::new("nsenter")
            .arg(format!("--net={bridge}"))
            .args(["ip", "link", "set", "ovl1", "master", "br0", "up"])
            .status()?;
        ensure!(plugged.success(), "the overlay's bridge: {plugged}");
        Ok(())
    }

    /// What a task of a service runs: a server that says `name`.
    pub fn service(&self, name: &str, labels: &[&str], more: &[&str]) -> Result<()> {
        let who = format!("NAME={name}");
        let mut args = vec!["service", "create", "--detach", "--name", name, "-e", &who];
        labels.iter().for_each(|label| args.extend(["--label", *label]));
        args.extend(more);
        args.extend([IMAGE, "/bin/busybox", "sh", "-c", SERVE]);
        self.ok(&args).map(drop)
    }
}

fn spawn(ns: &Namespace, root: &Path, more: &[String]) -> Result<Child> {
    let log = File::options().create(true).append(true).open(root.join("log"))?;
    // A process namespace: whatever the daemon starts ends with it.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    command.arg("mount --make-rprivate / && exec dockerd \"$@\"").arg("dockerd");
    for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("-p", "pid")] {
        command.arg(option).arg(root.join(name));
    }
    command.arg("-H").arg(format!("unix://{}", root.join("d.sock").display()));
    command.args(["--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
    command.args(["--ip-masq=false", "--userland-proxy=false", "--storage-driver", "overlay2"]);
    command.args(more);
    command.env("PATH", engine::path()).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    Ok(ns.start(&mut command)?)
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Its own child, dockerd, is killed with it, and every container with that.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// A container; removed on drop.
pub struct Container<'d> {
    docker: &'d Docker,
    /// Its name.
    pub name: String,
}

impl Container<'_> {
    /// `docker stop`, with so many seconds before it is killed.
    pub fn stop(&self, seconds: u32) -> Result<()> {
        self.docker.ok(&["stop", "-t", &seconds.to_string(), &self.name]).map(drop)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.docker.ok(&["rm", "-f", "-v", &self.name]);
    }
}
