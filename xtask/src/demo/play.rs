//! The process that plays: it makes the network, goes through the steps and
//! takes everything down, whichever way it ends.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, process};

use anyhow::{Result, ensure};
use lb_tests::{Lab, Shape, reaper};

use super::screen::Screen;
use super::stage::Stage;
use super::steps::STEPS;
use super::stop::Stop;

/// What a shell says of a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// # Errors
/// What did not go as it should; everything is taken down by then.
pub(super) fn run(keep: bool) -> Result<()> {
    // Fails for the leader of a session alone, who has what is wanted.
    let _ = nix::unistd::setsid();
    let (started, screen, stop) = (Instant::now(), Screen::new(), Stop::install()?);
    let played = play(&screen, &stop, keep);
    if stop.asked() && !keep {
        screen.end("Interrupted. Everything is taken down again.");
        process::exit(INTERRUPTED);
    }
    played?;
    let left = left_behind();
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    screen.end(&format!(
        "That was lb, in {:.0} s. Nothing is left behind: namespaces, programs, pins and files \
         are gone.\n`cargo xtask demo --keep` leaves it up, for you to look around.",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn play(screen: &Screen, stop: &Stop, keep: bool) -> Result<()> {
    screen.topology();
    reaper::reap();
    let lab = Lab::new(Shape::default())?;
    let mut stage = Stage::new(&lab, screen, stop)?;
    for (n, step) in STEPS.iter().enumerate() {
        stop.check()?;
        screen.title(n + 1, step.title);
        (step.play)(&mut stage)?;
    }
    if keep {
        look_around(&stage);
        stop.stay()?;
    }
    Ok(())
}

/// How to go on by hand.
fn look_around(stage: &Stage<'_>) {
    let lb = from_here(&lb_tests::daemon::binary());
    let (instance, client) = (&stage.daemon.instance, stage.lab.client.name());
    let config = from_here(&stage.daemon.config());
    let log = stage.daemon.log_path();
    stage.screen.title(STEPS.len() + 1, "It stays up, for you to look around");
    let command = |line: &str| stage.screen.say(&format!("  {line}"));
    let say = |text: &str| {
        stage.screen.space();
        stage.screen.say(text);
    };
    for words in
        ["status", "backends", "flows", "drain web 10.0.1.12:80", "undrain web 10.0.1.12:80"]
    {
        command(&format!("{} {words} --instance {instance}", lb.display()));
    }
    command(&format!("ip netns exec {client} curl -s http://{}/", stage.web()));
    command(&format!("tail {}", log.display()));
    say(&format!("After a change of {}:", config.display()));
    command(&format!("{} reload --instance {instance}", lb.display()));
    say("To take it all down:");
    command(&format!("kill {}", process::id()));
}

/// As short as it can be typed from the current folder.
fn from_here(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// Whatever is there and bears the name of this process.
fn left_behind() -> Vec<String> {
    let own = format!("lbt-{}-", process::id());
    let places = ["/run/netns", "/sys/fs/bpf/lb", "/run/lb", "/var/lib/lb"].map(PathBuf::from);
    let places = places.into_iter().chain([env::temp_dir()]);
    let files = places.filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    let own = files.filter(|file| file.file_name().to_string_lossy().starts_with(&own));
    own.map(|file| file.path().display().to_string()).collect()
}
