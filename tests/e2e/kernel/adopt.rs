//! What outlives the daemon: links, programs and maps.

use anyhow::{Context, Result};
use aya::programs::links::PinnedLink;
use lb_tests::{Lab, Namespace, Shape, link};
use lb_userspace::{
    kernel::{Attachment, Datapath, Origin, detach, net::AttachMode},
    model,
};

use super::kit::{Instance, apply, attach, attach_to, lab_view, links, small, view};

/// Two namespaces and a veth between them: `eth0` in the first.
fn pair() -> Result<(Namespace, Namespace)> {
    let (near, far) = (Namespace::new("near")?, Namespace::new("far")?);
    link::veth((&near, "eth0"), (&far, "eth0"))?;
    Ok((near, far))
}

fn attached(ns: &Namespace) -> Result<String> {
    ns.ip("-j link show dev eth0")
}

#[test]
fn a_second_start_adopts_maps_and_swaps_programs() -> Result<()> {
    let lab = Lab::new(Shape::default())?;
    let instance = Instance::new();
    let mut first = instance.open(&small())?;
    let wanted = lab_view(&lab, &first, 7000)?;
    apply(&mut first, &wanted)?;
    attach(&lab, &mut first)?;
    let before = links(&instance.paths)?;
    assert_eq!(before.len(), 2);
    drop(first);

    let second = instance.open(&small())?;
    assert_eq!(second.origin(), Origin::Adopted);
    assert_eq!(second.read_view()?, wanted);
    let after = links(&instance.paths)?;
    assert_eq!(after.len(), 2);
    let ours = second.programs()?;
    for (name, (link, program)) in &after {
        assert_eq!(*link, before[name].0, "{name} was attached anew");
        assert_ne!(*program, before[name].1, "{name} still runs the old program");
        assert!(ours.iter().any(|(_, id)| id == program), "{name} runs another's program");
    }
    Ok(())
}

#[test]
fn attaching_twice_changes_nothing() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let first = attach_to(&near, &mut datapath, &["eth0"], AttachMode::Tc)?;
    assert!(first[0].tc && first[0].xdp.is_none());
    let before = links(&instance.paths)?;
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Tc)?;
    assert_eq!(links(&instance.paths)?, before);
    Ok(())
}

#[test]
fn the_mode_of_an_interface_can_change_to_any_other() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let modes = [AttachMode::Native, AttachMode::Generic, AttachMode::Tc];
    for (mode, next) in modes.iter().flat_map(|a| modes.iter().map(move |b| (*a, *b))) {
        for mode in [mode, next] {
            let status = attach_to(&near, &mut datapath, &["eth0"], mode)?.remove(0);
            let xdp = Some(mode).filter(|mode| *mode != AttachMode::Tc);
            assert_eq!((status.xdp, status.tc), (xdp, mode == AttachMode::Tc));
            let shown = attached(&near)?;
            let kernel = match mode {
                AttachMode::Native => shown.contains(r#""mode":1"#),
                AttachMode::Generic => shown.contains(r#""mode":2"#),
                AttachMode::Tc => !shown.contains(r#""xdp""#),
            };
            assert!(kernel, "{mode:?}: {shown}");
        }
    }
    Ok(())
}

#[test]
fn tc_stands_beside_xdp_where_asked_for() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let ifindex = near.ifindex("eth0")?;
    let wanted =
        Attachment { ifindex, name: "eth0".into(), mode: AttachMode::Native, also_tc: true };
    let status = near.run(|| datapath.attach(&[wanted]))?.remove(0);
    assert_eq!((status.xdp, status.tc, status.error), (Some(AttachMode::Native), true, None));
    let names: Vec<String> = links(&instance.paths)?.into_keys().collect();
    assert_eq!(names, [format!("tc-{ifindex}"), format!("xdp-{ifindex}")]);
    Ok(())
}

#[test]
fn what_is_no_longer_wanted_is_detached() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Generic)?;
    assert!(attached(&near)?.contains("xdp"));
    assert_eq!(near.run(|| datapath.attach(&[]))?, []);
    assert!(!attached(&near)?.contains("xdp"));
    assert!(links(&instance.paths)?.is_empty());
    Ok(())
}

#[test]
fn an_interface_that_vanished_and_returned_is_attached_again() -> Result<()> {
    let (near, far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Native)?;
    near.ip("link del eth0")?;
    assert_eq!(near.run(|| datapath.attach(&[]))?, []);
    assert!(links(&instance.paths)?.is_empty(), "the pin of a dead link stays");
    link::veth((&near, "eth0"), (&far, "eth0"))?;
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Native)?;
    assert_eq!(links(&instance.paths)?.len(), 1);
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_has_its_error() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let point = |ifindex, name: &str, mode| Attachment {
        ifindex,
        name: name.to_owned(),
        mode,
        also_tc: false,
    };
    let good = point(near.ifindex("eth0")?, "eth0", AttachMode::Tc);
    let wanted =
        [point(9_999, "eth9", AttachMode::Native), point(9_998, "eth8", AttachMode::Tc), good];
    let statuses = near.run(|| datapath.attach(&wanted))?;
    let told: Vec<bool> = statuses.iter().map(|status| status.error.is_some()).collect();
    assert_eq!(told, [true, true, false], "{statuses:?}");
    assert!(statuses[2].tc);
    Ok(())
}

#[test]
fn detach_takes_the_programs_off() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Native)?;
    let detached = detach(&instance.paths)?;
    assert_eq!(detached.links, 1);
    assert!(!attached(&near)?.contains("xdp"));
    Ok(())
}

#[test]
fn programs_are_off_at_once_though_their_links_are_held() -> Result<()> {
    let (near, _far) = pair()?;
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let hold = |hook: &str| -> Result<_> {
        let name = format!("{hook}-{}", near.ifindex("eth0")?);
        Ok(PinnedLink::from_pin(instance.paths.links().join(name))?)
    };
    attach_to(&near, &mut datapath, &["eth0"], AttachMode::Native)?;
    let _native = hold("xdp")?;
    let status = attach_to(&near, &mut datapath, &["eth0"], AttachMode::Generic)?.remove(0);
    assert_eq!((status.xdp, status.error), (Some(AttachMode::Generic), None));
    let _generic = hold("xdpgeneric")?;
    detach(&instance.paths)?;
    assert!(!attached(&near)?.contains("xdp"));
    Ok(())
}

#[test]
fn tracing_is_switched_on_by_adopting() -> Result<()> {
    let instance = Instance::new();
    let mut quiet = instance.open(&small())?;
    assert!(quiet.take_log().is_none());
    let wanted = view(&quiet, 2)?;
    apply(&mut quiet, &wanted)?;
    let settings = model::Datapath { trace: true, ..small() };
    let mut traced = instance.open(&settings)?;
    assert_eq!(traced.origin(), Origin::Adopted);
    traced.take_log().context("a log")?;
    assert!(traced.take_log().is_none());
    assert_eq!(traced.read_view()?, wanted);
    Ok(())
}

#[test]
fn a_start_cut_short_is_begun_again() -> Result<()> {
    let instance = Instance::new();
    drop(instance.open(&small())?);
    let folder = std::fs::read_dir(instance.paths.pins())?.next().context("a folder")??.path();
    // The description is pinned last: without it the maps don't count.
    std::fs::remove_file(folder.join("maps/LAYOUT"))?;
    assert!(!Datapath::is_pinned(&instance.paths));
    let again = instance.open(&small())?;
    assert_eq!(again.origin(), Origin::Fresh);
    Ok(())
}
