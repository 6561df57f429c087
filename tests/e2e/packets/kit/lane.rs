//! What rows run on: the loaded programs with their maps, and a namespace with two interfaces.
//! Loading costs the verifier seconds, so a lane is handed from row to row, emptied in between.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use aya::{
    TestRun, TestRunOptions,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues},
    programs::{SchedClassifier, Xdp},
};
use aya_obj::programs::XdpAttachType;
use lb_common::{
    FragKey, FragValue, HostPeers, KernelConfig, VipEntry,
    flow::{FlowBucket, ReplyBucket},
    maps,
};
use lb_tests::{Namespace, netns::unique_name};
use lb_userspace::{
    kernel::{Datapath, Paths, Reader},
    model,
    plan::{KernelView, Plan},
};

use super::{
    BACKEND_IF, BACKEND_SIDE_MAC, CLIENT_IF, CLIENT_SIDE_MAC, Hook, Way,
    context::{self, Extra},
    view,
};
use crate::kernel::kit;

/// A [`HostPeers`].
type Peers = [u8; size_of::<HostPeers>()];

/// Lanes that no row is using.
static FREE: Mutex<Vec<Lane>> = Mutex::new(Vec::new());

pub(in crate::packets) struct Lane {
    pub(in crate::packets) ns: Arc<Namespace>,
    pub(super) datapath: Datapath,
    pub(super) reader: Arc<Reader>,
    pub(super) view: KernelView,
    /// The standard settings: those of the tables, which rows don't change.
    standard: KernelConfig,
    pins: PathBuf,
    xdp: Xdp,
    tc: SchedClassifier,
    /// Last: what is left is its.
    _janitor: Janitor,
}

impl Lane {
    /// A lane with the usual tables, empty and with the standard view in force.
    pub(super) fn take() -> Result<Self> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match free {
            Some(lane) => Ok(lane),
            None => Self::new(&model::Datapath {
                connections: 256,
                backends: 128,
                ..model::Datapath::default()
            }),
        }
    }

    /// Gives it back for the next row.
    pub(super) fn give_back(mut self) -> Result<()> {
        self.empty()?;
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        Ok(())
    }

    /// A lane of one's own, for other tables.
    pub(super) fn new(settings: &model::Datapath) -> Result<Self> {
        let ns = Arc::new(namespace()?);
        let paths = Paths::new(&unique_name())?;
        let janitor = Janitor::start(&paths, &ns)?;
        let datapath = Datapath::open(&paths, settings)?;
        let reader = datapath.reader();
        let pins = layout_folder(&paths)?;
        let program = |name| pins.join("programs").join(name);
        let view = KernelView { config: datapath.base_config()?, ..KernelView::default() };
        let standard = kit::config(&datapath)?;
        let mut lane = Self {
            ns,
            reader,
            view,
            standard,
            xdp: Xdp::from_pin(program("lb_xdp"), XdpAttachType::Interface)?,
            tc: SchedClassifier::from_pin(program("lb_tc"))?,
            datapath,
            pins,
            _janitor: janitor,
        };
        lane.apply(view::standard(standard))?;
        Ok(lane)
    }

    /// Puts a view in force.
    pub(super) fn apply(&mut self, view: KernelView) -> Result<()> {
        Plan::between(&self.view, &view).apply(self.datapath.sink())?;
        self.view = view;
        Ok(())
    }

    /// The VIP of a way, as it is in force.
    pub(in crate::packets) fn vip(&self, way: Way) -> VipEntry {
        self.view.vips[&way.id()]
    }

    /// The settings in force.
    pub(in crate::packets) fn config(&self) -> &KernelConfig {
        &self.view.config
    }

    /// Runs a frame through a program: what it returned, and the frame as it was then. To be
    /// called inside the namespace.
    pub(super) fn run(
        &self,
        hook: Hook,
        ifindex: u32,
        frame: &[u8],
        extra: Extra,
    ) -> Result<(u32, Vec<u8>)> {
        let data: Vec<u8> = [&vec![0; extra.metadata as usize], frame].concat();
        let context = context::of(hook, ifindex, data.len(), extra);
        let mut out = vec![0; data.len() + 256];
        let options = TestRunOptions {
            data_in: Some(&data),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        let ran = match hook {
            Hook::Xdp => self.xdp.test_run(options)?,
            Hook::Tc => self.tc.test_run(options)?,
        };
        out.truncate(ran.data_size_out as usize);
        Ok((ran.return_value, out.split_off(extra.metadata as usize)))
    }

    /// A pinned map as an array.
    pub(in crate::packets) fn array<V: aya::Pod>(&self, name: &str) -> Result<Array<MapData, V>> {
        Ok(Array::try_from(Map::Array(self.map(name)?))?)
    }

    pub(super) fn cursors(&self) -> Result<PerCpuArray<MapData, u32>> {
        Ok(PerCpuArray::try_from(Map::PerCpuArray(self.map(maps::CURSORS)?))?)
    }

    fn frags(&self) -> Result<HashMap<MapData, FragKey, FragValue>> {
        Ok(HashMap::try_from(Map::LruHashMap(self.map(maps::FRAGS)?))?)
    }

    fn map(&self, name: &str) -> Result<MapData> {
        Ok(MapData::from_pin(self.pins.join("maps").join(name))?)
    }

    /// No flows, no fragments, cursors at the start, the standard view.
    fn empty(&mut self) -> Result<()> {
        self.forget_flows()?;
        self.array::<Peers>(maps::HOST_PEERS)?.set(0, [0; size_of::<HostPeers>()], 0)?;
        let mut frags = self.frags()?;
        let keys: Vec<FragKey> = frags.keys().flatten().collect();
        for key in keys {
            frags.remove(&key)?;
        }
        let mut cursors = self.cursors()?;
        for vip in self.view.vips.keys() {
            let zero = vec![0; aya::util::nr_cpus().map_err(|(_, error)| error)?];
            cursors.set(*vip, PerCpuValues::try_from(zero)?, 0)?;
        }
        // A backend's counters go with it.
        self.apply(KernelView { config: self.view.config, ..KernelView::default() })?;
        self.apply(view::standard(self.standard))
    }

    /// Makes known whom the host talks to, as when programs are attached.
    pub(in crate::packets) fn learn_peers(&mut self) -> Result<()> {
        let mut peers = self.array::<Peers>(maps::HOST_PEERS)?;
        let mut value = peers.get(&0, 0)?;
        value[0] = 0;
        peers.set(0, value, 0)?;
        self.datapath.attach(&[])?;
        ensure!(peers.get(&0, 0)?[0] == 1, "whom the host talks to is not known");
        Ok(())
    }

    /// Empties the flow table.
    pub(in crate::packets) fn forget_flows(&self) -> Result<()> {
        let mut flows = self.array::<FlowBucket>(maps::FLOWS)?;
        for bucket in 0..flows.len() {
            flows.set(bucket, FlowBucket::default(), 0)?;
        }
        let mut replies = self.array::<ReplyBucket>(maps::REPLIES)?;
        for bucket in 0..replies.len() {
            replies.set(bucket, [0; 8], 0)?;
        }
        let mut active = self.array::<u64>(maps::ACTIVE)?;
        for id in 0..active.len() {
            active.set(id, 0, 0)?;
        }
        Ok(())
    }
}

/// Removes a lane's pins and namespace once this process lets go of it, however it ends: lanes
/// that wait for a row are never dropped.
struct Janitor(Child);

impl Janitor {
    fn start(paths: &Paths, ns: &Namespace) -> Result<Self> {
        let script = r#"trap "" INT TERM; cat >/dev/null; rm -rf "$0"; ip netns del "$1";
            rmdir --ignore-fail-on-non-empty /sys/fs/bpf/lb"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(paths.pins()).arg(ns.name());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("a lane's janitor: {error}");
        }
    }
}

fn namespace() -> Result<Namespace> {
    let ns = Namespace::new("packets")?;
    let mac = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    ns.ip_batch(&format!(
        "link add c0 index {CLIENT_IF} address {} type veth \
         peer name b0 index {BACKEND_IF} address {}\nlink set c0 up\nlink set b0 up\n",
        mac(CLIENT_SIDE_MAC),
        mac(BACKEND_SIDE_MAC),
    ))?;
    Ok(ns)
}

fn layout_folder(paths: &Paths) -> Result<PathBuf> {
    let named =
        |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('v'));
    std::fs::read_dir(paths.pins())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| named(path))
        .context("nothing is pinned")
}
