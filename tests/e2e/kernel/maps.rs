//! Plans on the real maps.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use lb_common::{BackendEntry, VipEntry, vip::NO_RING};
use lb_userspace::{
    kernel::{Datapath, KernelError, Layout, Origin, detach, object::OBJECT},
    model,
    plan::{KernelView, MapSink, Op, RingView},
};

use super::kit::{Instance, apply, ring, small, view, vip_entry};

#[test]
fn a_fresh_instance_is_empty_and_knows_its_tables() -> Result<()> {
    let instance = Instance::new();
    assert!(!Datapath::is_pinned(&instance.paths));
    let datapath = instance.open(&small())?;
    assert_eq!(datapath.origin(), Origin::Fresh);
    assert!(Datapath::is_pinned(&instance.paths));
    let config = datapath.base_config()?;
    assert_eq!((config.est_buckets, config.half_buckets, config.reply_buckets), (512, 128, 2048));
    assert!([100, 250, 300, 1000].contains(&config.hz), "{} Hz", config.hz);
    assert!(config.hash_key.iter().all(|word| *word != 0));
    let read = datapath.read_view()?;
    assert_eq!(read, KernelView { config, ..KernelView::default() });
    Ok(())
}

#[test]
fn two_instances_have_keys_of_their_own() -> Result<()> {
    let (one, other) = (Instance::new(), Instance::new());
    let key =
        |instance: &Instance| -> Result<_> { Ok(instance.open(&small())?.base_config()?.hash_key) };
    assert_ne!(key(&one)?, key(&other)?);
    Ok(())
}

#[test]
fn what_a_plan_wrote_is_read_back() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    assert_eq!(datapath.read_view()?, wanted);
    Ok(())
}

#[test]
fn what_is_dropped_is_gone() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    for op in [
        Op::Vip(0, VipEntry { ring: NO_RING, ring_len: 0, ..wanted.vips[&0] }),
        Op::VipTable(BTreeMap::new()),
        Op::DropVip(0),
        Op::DropRing(0),
        Op::DropBackend(2),
    ] {
        datapath.sink().apply(&op)?;
    }
    wanted.vips.clear();
    wanted.rings.clear();
    wanted.backends.remove(&2);
    assert_eq!(datapath.read_view()?, wanted);
    Ok(())
}

#[test]
fn settings_of_other_tables_are_refused() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut config = datapath.base_config()?;
    config.est_buckets += 1;
    let refused = datapath.sink().apply(&Op::Config(config)).unwrap_err();
    assert!(refused.to_string().contains("nothing was written"), "{refused}");
    Ok(())
}

#[test]
fn more_rings_than_are_kept_spare_come_and_go() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut wanted = view(&datapath, 3)?;
    for id in 0..200u32 {
        let at = ([198, 51, 100, 10], 1000 + id as u16).into();
        let slots = vec![(id % 3) as u16; 1 + id as usize];
        let members = (0..=id % 3).collect();
        wanted.rings.insert(id, Arc::new(RingView { members, slots, recipe: 0 }));
        wanted.vips.insert(id, vip_entry(at, 6, id, 1 + id));
    }
    apply(&mut datapath, &wanted)?;
    assert_eq!(datapath.read_view()?, wanted);

    for id in 10..200 {
        wanted.vips.remove(&id);
        wanted.rings.remove(&id);
    }
    datapath.sink().apply(&Op::VipTable(wanted.vips.clone()))?;
    for id in 10..200 {
        datapath.sink().apply(&Op::DropVip(id))?;
    }
    for id in 10..200 {
        datapath.sink().apply(&Op::DropRing(id))?;
    }
    // The next plan fills one that was kept and one that was given back.
    for (id, slots) in [(10, 4), (199, 5)] {
        let slots = vec![0; slots];
        wanted
            .rings
            .insert(id, Arc::new(RingView { members: vec![1], slots: slots.clone(), recipe: 0 }));
        let at = ([198, 51, 100, 11], id as u16).into();
        wanted.vips.insert(id, vip_entry(at, 6, id, slots.len() as u32));
        datapath.sink().apply(&Op::Ring(id, wanted.rings[&id].clone()))?;
    }
    for id in [10, 199] {
        datapath.sink().apply(&Op::Vip(id, wanted.vips[&id]))?;
    }
    datapath.sink().apply(&Op::VipTable(wanted.vips.clone()))?;
    assert_eq!(datapath.read_view()?, wanted);
    Ok(())
}

#[test]
fn a_ring_of_full_size_is_read_back() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut wanted = view(&datapath, 3)?;
    let slots: Vec<u16> = (0..65_537u32).map(|slot| (slot % 3) as u16).collect();
    wanted.rings.insert(0, Arc::new(RingView { members: vec![2, 1, 0], slots, recipe: 0 }));
    wanted.vips.insert(0, VipEntry { ring_len: 65_537, ..wanted.vips[&0] });
    apply(&mut datapath, &wanted)?;
    assert_eq!(datapath.read_view()?, wanted);
    Ok(())
}

#[test]
fn a_backend_beyond_the_map_is_refused_with_the_setting() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let refused = datapath.sink().apply(&Op::Backend(256, BackendEntry::default())).unwrap_err();
    assert!(refused.to_string().contains("datapath.backends: 256 is too few"), "{refused}");
    Ok(())
}

#[test]
fn the_memory_of_the_largest_tables_is_known_beforehand() -> Result<()> {
    let settings = model::Datapath { connections: 64_000_000, ..model::Datapath::default() };
    let needed = Layout::new(OBJECT, &settings)?.mebibytes();
    assert!((10_000..20_000).contains(&needed), "{needed} MiB");
    Ok(())
}

#[test]
fn detach_leaves_nothing() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    drop(datapath);
    let detached = detach(&instance.paths)?;
    assert_eq!(detached.links, 0);
    // The maps, their description, one ring and three programs.
    assert_eq!(detached.pins, lb_common::maps::PINNED.len() + 1 + 1 + 3);
    assert!(!instance.paths.pins().exists());
    assert!(!Datapath::is_pinned(&instance.paths));
    assert_eq!(detach(&instance.paths)?, Default::default());
    Ok(())
}

#[test]
fn a_pin_of_another_shape_is_refused() -> Result<()> {
    let instance = Instance::new();
    drop(instance.open(&small())?);
    let folder = std::fs::read_dir(instance.paths.pins())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('v')))
        .expect("a folder of the layout");
    let pin = folder.join("maps").join(lb_common::maps::NATS);
    std::fs::remove_file(&pin)?;
    aya::maps::Array::<_, u64>::create(4, 0)?.pin(&pin)?;
    let refused = Datapath::open(&instance.paths, &small()).unwrap_err();
    assert!(matches!(refused, KernelError::Foreign { .. }), "{refused}");
    assert!(refused.to_string().contains("lb detach"), "{refused}");
    Ok(())
}

#[test]
fn the_vip_table_flips_as_often_as_it_is_rebuilt() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    for id in 1..20u32 {
        let at = ([198, 51, 100, 10], 1000 + id as u16).into();
        wanted.vips.insert(id, vip_entry(at, 6, 0, 9));
        datapath.sink().apply(&Op::Vip(id, wanted.vips[&id]))?;
        datapath.sink().apply(&Op::VipTable(wanted.vips.clone()))?;
    }
    assert_eq!(datapath.read_view()?, wanted);
    assert_eq!(ring(3).slots.len(), 9);
    Ok(())
}
