//! `cargo xtask demo`, run for real: what it says, and that nothing is left behind.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::daemon;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Longest wait for a process to end or for things to go away.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_demo_shows_what_it_promises_and_leaves_nothing_behind() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    let text = demo.rest()?;
    assert!(demo.wait()?.success(), "{text}");
    assert_eq!(demo.left_behind(), Vec::<PathBuf>::new());

    let [b1, b2, b3] = ["b1", "b2", "b3"].map(|name| spread(&text, name));
    assert_eq!(b1.0 + b2.0 + b3.0, 1200, "{text}");
    assert_eq!(b1.1 + b2.1 + b3.1, 600, "{text}");
    assert!(b1 > b2 && b2 > b3 && b3.0 > 0, "{text}");

    let rows = rows_between(&text, "b1 is killed", "b1 is started again");
    let [.., first, second] = rows.as_slice() else { panic!("too few rows: {text}") };
    for row in [first, second] {
        assert_eq!((row[0], row[3]), (0, 0), "{text}");
        assert!(row[1] > 0 && row[2] > 0, "{text}");
    }
    assert!(text.contains("10.0.1.11:80  down"), "{text}");
    assert!(text.contains("b2 got 0, "), "{text}");
    assert!(text.contains("10.0.1.12:80  up, drained"), "{text}");
    assert!(text.contains("With no daemon 600 of 600 new connections are answered, and 24 of 24"));
    assert!(text.contains("adopted from an earlier run"), "{text}");
    assert!(text.contains("packets to backends"), "{text}");
    assert!(!text.contains('\x1b'), "colours where there is no terminal");
    Ok(())
}

#[test]
fn a_demo_that_is_kept_can_be_looked_at_and_taken_down_as_it_says() -> Result<()> {
    let mut demo = Demo::start(&["--keep"])?;
    let text = demo.rest()?;
    assert!(demo.wait()?.success(), "{text}");
    let (_, last) = text.split_once("It stays up").context("nothing is said of how to go on")?;
    let commands: Vec<_> = last.lines().filter_map(|line| line.strip_prefix("     ")).collect();
    let (down, others) = commands.split_last().context("no commands")?;
    assert!(others.len() >= 7, "{last}");
    for command in others {
        let said = sh(command)?;
        if command.contains(" backends ") {
            assert_eq!(said.matches("  up ").count(), 6, "{said}");
        }
        if command.contains("curl") {
            assert!(["b1\n", "b2\n", "b3\n"].contains(&said.as_str()), "{said}");
        }
    }
    assert_ne!(demo.left_behind(), Vec::<PathBuf>::new(), "it is not there any more");
    sh(down)?;
    demo.wait_until_gone()
}

#[test]
fn an_interrupted_demo_takes_everything_down() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.read_until("2. Connections")?;
    demo.signal(Signal::SIGINT)?;
    let text = demo.rest()?;
    assert_eq!(demo.wait()?.code(), Some(130), "{text}");
    assert!(text.contains("Interrupted. Everything is taken down again."), "{text}");
    assert_eq!(demo.left_behind(), Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_demo_whose_terminal_goes_away_takes_everything_down() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.read_until("2. Connections")?;
    demo.signal(Signal::SIGKILL)?;
    demo.wait()?;
    demo.wait_until_gone()
}

#[test]
fn what_a_killed_demo_left_is_removed() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    demo.read_until("2. Connections")?;
    kill(Pid::from_raw(demo.player), Signal::SIGKILL)?;
    assert_eq!(demo.wait()?.code(), Some(1));
    demo.wait_until_gone()
}

/// The command, as started by `cargo xtask demo`.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it printed so far.
    text: String,
    /// The process that made namespaces and instance, whose names hold its pid.
    player: i32,
}

impl Demo {
    /// Starts it and waits until its daemon runs.
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(daemon::built("xtask"));
        command.arg("demo").args(arguments).env("LB_BIN", daemon::binary());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut demo = Self { child, output, text: String::new(), player: 0 };
        let line = demo.read_until(", instance lbt-")?;
        let pid = line.split_once("lbt-").and_then(|(_, rest)| rest.split('-').next());
        demo.player = pid.context("no pid")?.parse()?;
        Ok(demo)
    }

    /// Reads up to the line with this text, and returns it.
    fn read_until(&mut self, wanted: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "no {wanted:?} in {}", self.text);
            self.text += &line;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
    }

    /// Reads to the end, and returns everything.
    fn rest(&mut self) -> Result<String> {
        self.output.read_to_string(&mut self.text)?;
        Ok(self.text.clone())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Whatever is there and bears its name.
    fn left_behind(&self) -> Vec<PathBuf> {
        let own = format!("lbt-{}-", self.player);
        let places = ["/run/netns", "/sys/fs/bpf/lb", "/run/lb", "/var/lib/lb"].map(PathBuf::from);
        let places = places.into_iter().chain([env::temp_dir()]);
        let files = places.filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
        let own = files.filter(|file| file.file_name().to_string_lossy().starts_with(&own));
        own.map(|file| file.path()).collect()
    }

    /// Waits until the process that plays has ended and left nothing.
    fn wait_until_gone(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let process = PathBuf::from(format!("/proc/{}", self.player));
        while is_running(&process) || !self.left_behind().is_empty() {
            ensure!(Instant::now() < deadline, "still there: {:?}", self.left_behind());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Of a test that failed half-way; one that ended needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is more than an entry for a parent that doesn't wait.
fn is_running(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn sh(command: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", command]).output()?;
    lb_tests::shell::checked(command, output)
}

/// HTTP connections and UDP flows that a backend got in the table of shares.
fn spread(text: &str, name: &str) -> (u64, u64) {
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name}  weight")));
    let words: Vec<_> = line.into_iter().flat_map(str::split_whitespace).collect();
    // … 611 50.9% 306 51.0%
    let [.., http, _, udp, _] = words.as_slice() else { panic!("no shares of {name} in {text}") };
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{word:?} in {text}"));
    (number(http), number(udp))
}

/// The numbers of each row (b1, b2, b3, failed) between two lines.
fn rows_between(text: &str, from: &str, to: &str) -> Vec<Vec<u64>> {
    let lines = text.lines().skip_while(|line| !line.contains(from));
    let lines = lines.take_while(|line| !line.contains(to));
    let numbers = |line: &str| line.split_once(" s ").map(|(_, row)| numbers(row));
    lines.filter_map(numbers).collect()
}

fn numbers(row: &str) -> Vec<u64> {
    row.split_whitespace().map_while(|word| word.parse().ok()).collect()
}
