//! Flows carried over to tables of another layout, under connections that go on.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use lb_common::maps;
use lb_userspace::{
    kernel::{Datapath, FlowFilter, FlowRecord, KernelError, Layout, Origin, object::OBJECT},
    model,
};

use super::{
    flows::Setup,
    kit::{links, small},
};

fn larger() -> model::Datapath {
    model::Datapath { connections: 9_000, backends: 300, ..small() }
}

/// The flows by client, but for how long they have been idle.
pub(super) fn listed(datapath: &Datapath) -> Result<BTreeMap<String, FlowRecord>> {
    let flows = datapath.reader().flows(&FlowFilter::default())?;
    Ok(flows.into_iter().map(|f| (f.client.to_string(), FlowRecord { idle: 0, ..f })).collect())
}

#[test]
fn flows_go_on_when_the_tables_grow() -> Result<()> {
    let setup = Setup::new(3)?;
    let mut echoes = (0..50).map(|_| setup.connect()).collect::<Result<Vec<_>>>()?;
    for echo in &mut echoes {
        echo.ping(b"before")?;
    }
    // The clients' last acknowledgements are delayed by up to 40 ms (RFC 9293 §3.8.6.3).
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (flows, links_before) = (listed(&setup.datapath)?, links(&setup.instance.paths)?);
    let active: Vec<u64> = (0..3).map(|id| setup.datapath.reader().active(id)).collect();
    let counted = setup.datapath.reader().stats(0..3)?;

    let grown = setup.instance.open(&larger())?;
    assert_eq!(grown.origin(), Origin::CarriedOver { flows: 50 });
    assert_eq!(listed(&grown)?, flows);
    assert_eq!((0..3).map(|id| grown.reader().active(id)).collect::<Vec<_>>(), active);
    assert_eq!(grown.reader().stats(0..3)?.backends, counted.backends);
    let mut view = grown.read_view()?;
    assert_ne!(view.config.est_buckets, setup.view.config.est_buckets);
    assert_eq!(view.config.hash_key, setup.view.config.hash_key);
    view.config = setup.view.config;
    assert_eq!(view, setup.view);
    let links_after = links(&setup.instance.paths)?;
    for (name, (link, program)) in &links_after {
        assert_eq!(*link, links_before[name].0);
        assert_ne!(*program, links_before[name].1);
    }
    for echo in &mut echoes {
        echo.ping(b"after")?;
    }
    let mut more = setup.connect()?;
    more.ping(b"a new one")?;
    assert_eq!(listed(&grown)?.len(), 51);
    assert_eq!(layouts(&setup)?.len(), 1, "the old tables are still pinned");
    Ok(())
}

#[test]
fn a_bulk_transfer_goes_on_through_a_carry_over() -> Result<()> {
    let setup = Setup::new(2)?;
    let echo = setup.connect()?;
    std::thread::scope(|scope| -> Result<()> {
        let transfer = scope.spawn(|| echo.transfer(32 << 20, 1));
        let mut sizes = [larger(), small()].into_iter().cycle();
        while !transfer.is_finished() {
            let settings = sizes.next().context("sizes never end")?;
            setup.instance.open(&settings)?;
        }
        transfer.join().expect("the client panicked")
    })
}

#[test]
fn connections_are_made_throughout_a_carry_over() -> Result<()> {
    let setup = Setup::new(2)?;
    std::thread::scope(|scope| -> Result<()> {
        let clients = scope.spawn(|| -> Result<()> {
            for _ in 0..500 {
                let mut echo = setup.connect()?;
                echo.ping(b"hello")?;
                echo.close()?;
            }
            Ok(())
        });
        let mut sizes = [larger(), small()].into_iter().cycle();
        while !clients.is_finished() {
            let settings = sizes.next().context("sizes never end")?;
            setup.instance.open(&settings)?;
        }
        clients.join().expect("the client panicked")
    })
}

#[test]
fn fewer_backends_than_are_in_use_are_refused() -> Result<()> {
    let setup = Setup::new(3)?;
    let mut echo = setup.connect()?;
    let settings = model::Datapath { backends: 5, ..small() };
    let refused = Datapath::open(&setup.instance.paths, &settings).unwrap_err();
    assert!(matches!(refused, KernelError::TooSmall { needed: 6, .. }), "{refused}");
    assert!(refused.to_string().contains("datapath.backends: 5 is too few"), "{refused}");
    assert_eq!(layouts(&setup)?.len(), 1, "the refused tables are still pinned");
    echo.ping(b"unharmed")
}

#[test]
fn a_description_of_a_later_format_is_refused() -> Result<()> {
    let setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    describe_otherwise(&setup, |layout| layout.format = 7)?;
    let refused = Datapath::open(&setup.instance.paths, &small()).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("lb detach") && text.contains("format 7"), "{text}");
    echo.ping(b"unharmed")
}

#[test]
fn a_description_that_lacks_a_field_is_refused() -> Result<()> {
    let setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    describe_otherwise(&setup, |layout| {
        layout.types.get_mut("Flow").and_then(|flow| flow.fields.remove("nat_port"));
    })?;
    let refused = Datapath::open(&setup.instance.paths, &small()).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("lb detach") && text.contains("Flow.nat_port"), "{text}");
    echo.ping(b"unharmed")
}

#[test]
fn a_description_that_lies_is_refused() -> Result<()> {
    let setup = Setup::new(1)?;
    let mut echo = setup.connect()?;
    describe_otherwise(&setup, |layout| {
        layout.maps.entry(maps::BACKENDS.to_owned()).and_modify(|map| map.value = 32);
    })?;
    let refused = Datapath::open(&setup.instance.paths, &small()).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("lb detach") && text.contains("BACKENDS"), "{text}");
    echo.ping(b"unharmed")
}

pub(super) fn layouts(setup: &Setup) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(setup.instance.paths.pins())?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| !path.ends_with("links")).collect())
}

/// Makes the pinned maps those of another layout, as far as words go.
fn describe_otherwise(setup: &Setup, change: impl FnOnce(&mut Layout)) -> Result<()> {
    let folder = layouts(setup)?.remove(0);
    let mut layout = Layout::new(OBJECT, &small())?;
    change(&mut layout);
    let other = folder.with_file_name("v0123456789abcdef");
    fs::rename(&folder, &other)?;
    fs::remove_file(other.join("maps/LAYOUT"))?;
    Ok(layout.pin(&other.join("maps/LAYOUT"))?)
}
