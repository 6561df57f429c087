//! Rings: one for each service and IP version, filled only when something
//! changed, shared where equal.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    panic::resume_unwind,
    sync::Arc,
    thread,
};

use lb_common::{
    hash,
    ring::{MAX_RINGS, RING_MEMBERS},
};

use super::{
    Obstacle,
    memory::{Asked, Known, Memory},
    vips::Route,
};
use crate::{
    model::{Algorithm, Backend, Id, Service},
    plan::{KernelView, RingView, maglev, rotation},
};

/// The rings and who uses them.
#[derive(Default)]
pub(super) struct Rings {
    /// By id.
    pub(super) view: BTreeMap<u32, Arc<RingView>>,
    uses: HashMap<(Id, bool), u32>,
}

impl Rings {
    /// Id and length of the ring of a VIP; `None` where no backend takes connections.
    pub(super) fn of(&self, route: &Route<'_>) -> Option<(u32, u32)> {
        let id = *self.uses.get(&use_of(route))?;
        Some((id, self.view.get(&id)?.slots.len() as u32))
    }
}

fn use_of(route: &Route<'_>) -> (Id, bool) {
    (route.service.id.clone(), route.vip.is_ipv4())
}

/// Finds or fills the rings of `routes`, of `size` slots at most.
pub(super) fn lower(
    routes: &[Route<'_>],
    memory: &mut Memory,
    size: u32,
    previous: &KernelView,
    obstacles: &mut Vec<Obstacle>,
) -> Rings {
    let filled: HashMap<u64, u32> =
        previous.rings.iter().map(|(&id, ring)| (ring.recipe, id)).collect();
    let mut recipes: HashMap<u64, Option<Recipe>> = HashMap::new();
    let mut uses: HashMap<(Id, bool), u64> = HashMap::new();
    for route in routes {
        let key = use_of(route);
        let Some(known) = memory.of.get_mut(&route.service.id) else { continue };
        if is_of_other_family(known, key.1) {
            let service = route.service.id.clone();
            obstacles.push(Obstacle::OtherFamily { vip: route.vip, service });
        }
        if uses.contains_key(&key) {
            continue;
        }
        let (asked, recipe) = ask(known, key.1, size, &filled);
        obstacles.extend(asked.obstacle);
        if let Some(name) = asked.recipe {
            uses.insert(key, name);
            recipes.insert(name, recipe);
        }
    }
    let ids = place(recipes, &filled, previous);
    let mut rings = Rings::default();
    for (key, name) in uses {
        let Some((id, ring)) = ids.get(&name) else {
            obstacles.push(Obstacle::TooManyRings { service: key.0 });
            continue;
        };
        rings.view.insert(*id, ring.clone());
        rings.uses.insert(key, *id);
    }
    rings
}

/// Whether it has backends, and none of this IP version.
fn is_of_other_family(known: &Known, v4: bool) -> bool {
    let mut backends = known.backends();
    !known.entries.is_empty() && backends.all(|(_, b)| b.address.is_ipv4() != v4)
}

/// What the ring of a service is filled from, remembered; with the recipe itself where it is not
/// filled already.
fn ask(
    known: &mut Known,
    v4: bool,
    size: u32,
    filled: &HashMap<u64, u32>,
) -> (Asked, Option<Recipe>) {
    let family = usize::from(!v4);
    if let Some(asked) = &known.rings[family]
        && asked.recipe.is_none_or(|name| filled.contains_key(&name))
    {
        return (asked.clone(), None);
    }
    let mut obstacle = None;
    let backends = known.backends();
    let recipe = Recipe::new(&known.service, backends, v4, size, &mut obstacle);
    let asked = Asked { recipe: recipe.as_ref().map(Recipe::name), obstacle };
    known.rings[family] = Some(asked.clone());
    (asked, recipe)
}

/// Gives each recipe a ring: the one filled by it before, or a new one under a
/// free id. The ids of rings in use rest, so that a ring is never refilled under a VIP.
fn place(
    recipes: HashMap<u64, Option<Recipe>>,
    filled: &HashMap<u64, u32>,
    previous: &KernelView,
) -> HashMap<u64, (u32, Arc<RingView>)> {
    let (known, new): (Vec<_>, Vec<_>) =
        recipes.into_iter().partition(|(name, _)| filled.contains_key(name));
    let known = known.into_iter().map(|(name, _)| (name, filled[&name]));
    let mut out: HashMap<u64, (u32, Arc<RingView>)> =
        known.map(|(name, id)| (name, (id, previous.rings[&id].clone()))).collect();
    let mut taken: BTreeSet<u32> = out.values().map(|(id, _)| *id).collect();
    let with_recipe = |(name, recipe): (u64, Option<Recipe>)| Some((name, recipe?));
    let mut new: Vec<(u64, Recipe)> = new.into_iter().filter_map(with_recipe).collect();
    new.sort_by(|a, b| a.1.members.cmp(&b.1.members).then(a.0.cmp(&b.0)));
    let mut free = (0..MAX_RINGS).filter(|id| !previous.rings.contains_key(id));
    let unnamed = Unnamed::new(previous);
    for ring in fill(&new) {
        let same = unnamed.find(&ring).filter(|id| !taken.contains(id));
        if let Some(id) = same.or_else(|| free.next()) {
            taken.insert(id);
            out.insert(ring.recipe, (id, Arc::new(ring)));
        }
    }
    out
}

/// Rings read back from the kernel, by their members.
struct Unnamed<'a>(HashMap<&'a [u32], Vec<(u32, &'a RingView)>>);

impl<'a> Unnamed<'a> {
    fn new(previous: &'a KernelView) -> Self {
        let mut rings: HashMap<&[u32], Vec<(u32, &RingView)>> = HashMap::new();
        for (&id, ring) in previous.rings.iter().filter(|(_, ring)| ring.recipe == 0) {
            rings.entry(&ring.members).or_default().push((id, ring));
        }
        Self(rings)
    }

    fn find(&self, ring: &RingView) -> Option<u32> {
        let candidates = self.0.get(ring.members.as_slice())?;
        candidates.iter().find(|(_, other)| **other == *ring).map(|(id, _)| *id)
    }
}

/// What a ring is filled from.
struct Recipe {
    filling: Filling,
    size: u32,
    /// Id, address and weight.
    members: Vec<(u32, SocketAddr, u32)>,
}

/// How the slots are filled; several algorithms read the same way.
#[derive(Clone, Copy)]
enum Filling {
    Maglev,
    Rotation,
    LeastConn,
}

impl Recipe {
    /// `None` where nobody takes connections.
    fn new<'b>(
        service: &Service,
        backends: impl Iterator<Item = (u32, &'b Backend)>,
        v4: bool,
        size: u32,
        obstacle: &mut Option<Obstacle>,
    ) -> Option<Self> {
        let filling = match service.algorithm {
            Algorithm::Maglev | Algorithm::SourceHash => Filling::Maglev,
            Algorithm::RoundRobin | Algorithm::Random => Filling::Rotation,
            // The last two are refused for services of the kernel.
            Algorithm::LeastConn | Algorithm::P2c | Algorithm::LeastTime => Filling::LeastConn,
        };
        let size = maglev::prime_up_to(size);
        let mut members: Vec<(u32, SocketAddr, u32)> = backends
            .filter(|(_, backend)| backend.address.is_ipv4() == v4 && backend.takes_new())
            .map(|(id, backend)| (id, backend.address, backend.weight()))
            .collect();
        let limit = RING_MEMBERS.min(size as usize);
        if members.len() > limit {
            *obstacle = Some(Obstacle::RingTooSmall {
                service: service.id.clone(),
                backends: members.len(),
                limit,
            });
            // The same ones on every node, in whatever order they came.
            members.sort_by_key(|&(_, address, _)| address);
            members.truncate(limit);
        }
        (!members.is_empty()).then_some(Self { filling, size, members })
    }

    /// Hash of it all; never 0.
    fn name(&self) -> u64 {
        let mix = |h: u64, word: u64| hash::finish(h.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word);
        let head = mix(self.filling as u64 + 1, u64::from(self.size));
        let whole = self.members.iter().fold(head, |h, &(id, address, weight)| {
            let [high, low] = words(address.ip());
            let h = mix(mix(mix(h, high), low), u64::from(address.port()));
            mix(h, u64::from(id) << 32 | u64::from(weight))
        });
        whole.max(1)
    }

    fn fill(&self) -> RingView {
        let weights = || self.members.iter().map(|&(_, _, weight)| weight).collect::<Vec<_>>();
        let slots = match self.filling {
            Filling::Rotation => rotation::table(&weights(), self.size),
            Filling::LeastConn => rotation::least_conn(&weights(), self.size),
            Filling::Maglev => {
                let member = |&(_, address, weight): &_| maglev::Member {
                    identity: maglev::identity(address),
                    weight,
                };
                maglev::ring(&self.members.iter().map(member).collect::<Vec<_>>(), self.size)
            }
        };
        let members = self.members.iter().map(|&(id, _, _)| id).collect();
        RingView { members, slots, recipe: self.name() }
    }
}

fn words(ip: IpAddr) -> [u64; 2] {
    let bits = match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64]
}

/// Fills rings on all processors: a start with a thousand services takes a second on one.
fn fill(recipes: &[(u64, Recipe)]) -> Vec<RingView> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = recipes.len().div_ceil(threads).max(1);
    if threads == 1 || recipes.len() == 1 {
        return recipes.iter().map(|(_, recipe)| recipe.fill()).collect();
    }
    thread::scope(|scope| {
        let fill = |part: &[(u64, Recipe)]| part.iter().map(|(_, r)| r.fill()).collect::<Vec<_>>();
        let parts: Vec<_> =
            recipes.chunks(share).map(|part| scope.spawn(move || fill(part))).collect();
        let join = |part: thread::ScopedJoinHandle<'_, _>| {
            part.join().unwrap_or_else(|p| resume_unwind(p))
        };
        parts.into_iter().flat_map(join).collect()
    })
}
