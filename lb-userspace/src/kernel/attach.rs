//! Programs on interfaces, by pinned links that outlive the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, SchedClassifier, TcAttachType, Xdp,
        links::{FdLink, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions},
        xdp::XdpLink,
    },
};
use aya_obj::{
    generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE},
    programs::XdpAttachType,
};

use super::{
    Paths,
    error::{KernelError as E, Result},
    load,
    net::{AttachMode, AttachPoint},
    paths::LayoutPaths,
    sys,
};

/// Where a program is to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// How.
    pub mode: AttachMode,
    /// Beside XDP, TC too.
    pub also_tc: bool,
}

impl From<&AttachPoint> for Attachment {
    fn from(point: &AttachPoint) -> Self {
        Self {
            ifindex: point.index,
            name: point.name.clone(),
            mode: point.mode,
            also_tc: point.also_tc,
        }
    }
}

/// How an interface stands after [`attach`](super::Datapath::attach).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachStatus {
    /// What was asked for.
    pub wanted: Attachment,
    /// XDP as attached now: [`AttachMode::Native`] or [`AttachMode::Generic`].
    pub xdp: Option<AttachMode>,
    /// Whether TC is attached now.
    pub tc: bool,
    /// Why not all of what was asked for is attached.
    pub error: Option<String>,
}

/// A hook that a link occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    /// TC ingress.
    Tc,
    /// XDP in the driver.
    Native,
    /// XDP after the driver.
    Generic,
}

/// A link by the name of its pin: `tc-3`, `xdp-3`, `xdpgeneric-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkName {
    pub(super) hook: Hook,
    pub(super) ifindex: u32,
}

impl LinkName {
    fn parse(text: &str) -> Option<Self> {
        let (hook, ifindex) = text.split_once('-')?;
        let hook = match hook {
            "tc" => Hook::Tc,
            "xdp" => Hook::Native,
            "xdpgeneric" => Hook::Generic,
            _ => return None,
        };
        Some(Self { hook, ifindex: ifindex.parse().ok()? })
    }

    fn file(self) -> String {
        let hook = match self.hook {
            Hook::Tc => "tc",
            Hook::Native => "xdp",
            Hook::Generic => "xdpgeneric",
        };
        format!("{hook}-{}", self.ifindex)
    }

    pub(super) fn path(self, paths: &Paths) -> PathBuf {
        paths.links().join(self.file())
    }
}

/// The pinned links, those of interfaces that are gone removed.
pub(super) fn pinned(paths: &Paths) -> Result<Vec<LinkName>> {
    let folder = paths.links();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(E::file(folder)(e)),
    };
    let mut links = Vec::new();
    for entry in entries {
        let path = entry.map_err(E::file(&folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(LinkName::parse);
        match name {
            Some(name) if is_alive(name, &path)? => links.push(name),
            _ => drop(load::remove_pin(&path)?),
        }
    }
    links.sort();
    Ok(links)
}

/// Interfaces with a pinned link at native XDP.
pub(super) fn native(paths: &Paths) -> Result<BTreeSet<u32>> {
    let links = pinned(paths)?.into_iter();
    Ok(links.filter(|link| link.hook == Hook::Native).map(|link| link.ifindex).collect())
}

/// Puts this object's programs in place of those that the pinned links run, without a
/// packet in between that meets none.
pub(super) fn swap(paths: &Paths, ebpf: &mut Ebpf) -> Result<()> {
    for name in pinned(paths)? {
        let swapped = match name.hook {
            Hook::Tc => swap_tc(load::tc(ebpf)?, &name.path(paths)),
            Hook::Native | Hook::Generic => {
                swap_xdp(load::xdp(ebpf, load::XDP)?, &name.path(paths))
            }
        };
        unless_gone(paths, name, swapped)?;
    }
    Ok(())
}

/// As [`swap`], with programs that are pinned already.
pub(super) fn swap_to_pinned(paths: &Paths, programs: &LayoutPaths) -> Result<()> {
    let tc = programs.program(load::TC);
    let mut tc = SchedClassifier::from_pin(tc).map_err(E::program(load::TC))?;
    let xdp = programs.program(load::XDP);
    let mut xdp = Xdp::from_pin(xdp, XdpAttachType::Interface).map_err(E::program(load::XDP))?;
    for name in pinned(paths)? {
        let swapped = match name.hook {
            Hook::Tc => swap_tc(&mut tc, &name.path(paths)),
            Hook::Native | Hook::Generic => swap_xdp(&mut xdp, &name.path(paths)),
        };
        unless_gone(paths, name, swapped)?;
    }
    Ok(())
}

/// An interface may vanish at any time; its link has nothing to swap then.
fn unless_gone(paths: &Paths, name: LinkName, swapped: Result<()>) -> Result<()> {
    match swapped {
        Err(_) if !is_alive(name, &name.path(paths))? => Ok(()),
        other => other,
    }
}

/// Whether [`attach`] would attach anything.
pub(super) fn adds(paths: &Paths, wanted: &[Attachment]) -> Result<bool> {
    let there = pinned(paths)?;
    Ok(wanted.iter().flat_map(hooks).any(|name| !there.contains(&name)))
}

/// Makes the attachments what is wanted: attaches what is missing, then detaches the rest.
pub(super) fn attach(
    paths: &Paths,
    ebpf: &mut Ebpf,
    wanted: &[Attachment],
) -> Result<Vec<AttachStatus>> {
    let folder = paths.links();
    fs::create_dir_all(&folder).map_err(E::file(folder))?;
    let targets: BTreeMap<LinkName, &Attachment> =
        wanted.iter().flat_map(|a| hooks(a).map(move |name| (name, a))).collect();
    let mut there = pinned(paths)?;
    let mut errors: BTreeMap<u32, String> = BTreeMap::new();
    for (name, attachment) in &targets {
        if there.contains(name) {
            continue;
        }
        // Native and generic XDP exclude each other.
        let rival = there.iter().position(|other| name.excludes(*other));
        if let Some(rival) = rival {
            remove(&there.swap_remove(rival).path(paths))?;
        }
        match attach_one(paths, ebpf, *name, attachment) {
            Ok(()) => there.push(*name),
            Err(e) => drop(errors.insert(name.ifindex, e.to_string())),
        }
    }
    for name in there.extract_if(.., |name| !targets.contains_key(name)) {
        remove(&name.path(paths))?;
    }
    let has = |hook, ifindex| there.contains(&LinkName { hook, ifindex });
    Ok(wanted
        .iter()
        .map(|a| AttachStatus {
            wanted: a.clone(),
            xdp: match () {
                () if has(Hook::Native, a.ifindex) => Some(AttachMode::Native),
                () if has(Hook::Generic, a.ifindex) => Some(AttachMode::Generic),
                () => None,
            },
            tc: has(Hook::Tc, a.ifindex),
            error: errors.remove(&a.ifindex),
        })
        .collect())
}

/// Takes the program of a pinned link off its interface, and the pin away. To remove the pin
/// alone would let the program run on, and keep others out, until the kernel gets round to it.
pub(super) fn remove(path: &Path) -> Result<()> {
    let link = sys::open_pin(path).map_err(E::file(path))?;
    sys::detach_link(link.as_fd()).map_err(E::file(path))?;
    load::remove_pin(path).map(drop)
}

impl LinkName {
    fn excludes(self, other: Self) -> bool {
        let is_xdp = |hook| matches!(hook, Hook::Native | Hook::Generic);
        self.ifindex == other.ifindex && self != other && is_xdp(self.hook) && is_xdp(other.hook)
    }
}

/// TC first, so that an interface that changes its mode is never without.
fn hooks(attachment: &Attachment) -> impl Iterator<Item = LinkName> {
    let ifindex = attachment.ifindex;
    let xdp = match attachment.mode {
        AttachMode::Native => Some(Hook::Native),
        AttachMode::Generic => Some(Hook::Generic),
        AttachMode::Tc => None,
    };
    let tc = (attachment.also_tc || xdp.is_none()).then_some(Hook::Tc);
    tc.into_iter().chain(xdp).map(move |hook| LinkName { hook, ifindex })
}

fn attach_one(
    paths: &Paths,
    ebpf: &mut Ebpf,
    name: LinkName,
    attachment: &Attachment,
) -> Result<()> {
    let path = name.path(paths);
    let flags = match name.hook {
        Hook::Tc => return attach_tc(load::tc(ebpf)?, &attachment.name, &path),
        Hook::Native => XDP_FLAGS_DRV_MODE,
        Hook::Generic => XDP_FLAGS_SKB_MODE,
    };
    // Not by aya's `attach`: where the kernel refuses a link, that falls back to netlink, and
    // such an attachment can't be pinned.
    let program = load::xdp(ebpf, load::XDP)?.fd().map_err(E::program(load::XDP))?;
    let link = sys::create_xdp_link(program.as_fd(), name.ifindex, flags)
        .map_err(|e| E::program(load::XDP)(e.into()))?;
    sys::pin(link.as_fd(), &path).map_err(E::file(path))
}

fn attach_tc(program: &mut SchedClassifier, interface: &str, path: &Path) -> Result<()> {
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(interface, TcAttachType::Ingress, first)
        .map_err(E::program(load::TC))?;
    let link = program.take_link(id).map_err(E::program(load::TC))?;
    let link = FdLink::try_from(link).map_err(|e| other(path, e))?;
    link.pin(path).map_err(|e| other(path, e))?;
    Ok(())
}

fn swap_tc(program: &mut SchedClassifier, path: &Path) -> Result<()> {
    let link = PinnedLink::from_pin(path).map_err(|e| other(path, e))?;
    let link = SchedClassifierLink::try_from(FdLink::from(link)).map_err(|e| other(path, e))?;
    let id = program.attach_to_link(link).map_err(E::program(load::TC))?;
    // Closes the descriptor; the pin keeps the link.
    program.take_link(id).map(drop).map_err(E::program(load::TC))
}

fn swap_xdp(program: &mut Xdp, path: &Path) -> Result<()> {
    let link = PinnedLink::from_pin(path).map_err(|e| other(path, e))?;
    let link = XdpLink::try_from(FdLink::from(link)).map_err(|e| other(path, e))?;
    let id = program.attach_to_link(link).map_err(E::program(load::XDP))?;
    // Closes the descriptor; the pin keeps the link.
    program.take_link(id).map(drop).map_err(E::program(load::XDP))
}

fn is_alive(name: LinkName, path: &Path) -> Result<bool> {
    let link = sys::open_pin(path).map_err(E::file(path))?;
    let at = sys::link_ifindex(link.as_fd()).map_err(E::file(path))?;
    Ok(at == Some(name.ifindex))
}

fn other(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> E {
    E::File { path: path.into(), source: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_survive_the_round_trip() {
        for hook in [Hook::Tc, Hook::Native, Hook::Generic] {
            let name = LinkName { hook, ifindex: 7 };
            assert_eq!(LinkName::parse(&name.file()), Some(name));
        }
        for text in ["", "tc", "tc-", "xdp-x", "egress-3", "xdp--1"] {
            assert_eq!(LinkName::parse(text), None, "{text}");
        }
    }

    fn attachment(mode: AttachMode, also_tc: bool) -> Attachment {
        Attachment { ifindex: 3, name: "eth0".into(), mode, also_tc }
    }

    macro_rules! hooks {
        ($($test:ident: $mode:ident, $also_tc:literal => [$($hook:ident),+];)+) => {
            $(#[test]
            fn $test() {
                let at = attachment(AttachMode::$mode, $also_tc);
                let found: Vec<_> = hooks(&at).map(|name| name.hook).collect();
                assert_eq!(found, [$(Hook::$hook),+]);
            })+
        };
    }

    hooks! {
        native_takes_xdp: Native, false => [Native];
        native_with_tc_takes_tc_first: Native, true => [Tc, Native];
        generic_takes_xdp: Generic, false => [Generic];
        tc_takes_tc_once: Tc, true => [Tc];
    }

    #[test]
    fn native_and_generic_exclude_each_other_on_one_interface() {
        let name = |hook, ifindex| LinkName { hook, ifindex };
        assert!(name(Hook::Native, 3).excludes(name(Hook::Generic, 3)));
        assert!(!name(Hook::Native, 3).excludes(name(Hook::Generic, 4)));
        assert!(!name(Hook::Native, 3).excludes(name(Hook::Tc, 3)));
        assert!(!name(Hook::Native, 3).excludes(name(Hook::Native, 3)));
    }
}
