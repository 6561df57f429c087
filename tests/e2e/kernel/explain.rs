//! `explain`: the programs themselves, and nothing changed by them.

use anyhow::Result;
use lb_common::verdict::action;
use lb_userspace::{
    kernel::{Explainer, FlowFilter, Question},
    plan::{MapSink, Op},
};

use super::kit::{Instance, apply, small, view, vip_entry};

fn question(proto: u8, src: &str, dst: &str) -> Question {
    Question { proto, src: src.parse().unwrap(), dst: dst.parse().unwrap(), ifindex: None }
}

#[test]
fn a_new_connection_is_explained_down_to_its_backend() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    let mut explainer = Explainer::load(&datapath)?;
    let answer = explainer.explain(&question(6, "192.0.2.2:4000", "198.51.100.10:80"))?;
    assert_eq!(answer.verdict.action, action::FORWARD, "{answer:?}");
    assert_eq!(answer.vip, Some((0, wanted.vips[&0])));
    let (id, entry) = answer.backend.expect("a backend");
    assert_eq!(entry, wanted.backends[&id]);
    assert_eq!(answer.nat, Some("10.0.1.1:4000".parse()?));
    assert_eq!(answer.verdict.flow, 0);
    let slot = answer.verdict.ring_slot - 1;
    assert_eq!(u32::from(wanted.rings[&0].slots[slot as usize]), id);
    Ok(())
}

#[test]
fn explaining_changes_nothing() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    let reader = datapath.reader();
    let before = reader.stats(0..3)?;
    let mut explainer = Explainer::load(&datapath)?;
    for port in 1..100 {
        for dst in ["198.51.100.10:80", "198.51.100.10:81", "198.51.100.99:80"] {
            explainer.explain(&question(6, &format!("192.0.2.2:{port}"), dst))?;
            explainer.explain(&question(17, &format!("192.0.2.2:{port}"), dst))?;
        }
    }
    assert_eq!(reader.stats(0..3)?, before);
    assert_eq!(reader.flows(&FlowFilter::default())?, []);
    assert_eq!(datapath.read_view()?, wanted);
    Ok(())
}

#[test]
fn the_same_client_gets_the_same_answer() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    let mut explainer = Explainer::load(&datapath)?;
    let asked = question(6, "192.0.2.2:4000", "198.51.100.10:80");
    let first = explainer.explain(&asked)?;
    for _ in 0..10 {
        assert_eq!(explainer.explain(&asked)?, first);
    }
    Ok(())
}

#[test]
fn a_port_that_is_no_vip_passes() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    let mut explainer = Explainer::load(&datapath)?;
    let answer = explainer.explain(&question(6, "192.0.2.2:4000", "198.51.100.10:81"))?;
    assert_eq!((answer.verdict.action, answer.vip), (action::PASS, None));
    Ok(())
}

#[test]
fn an_ipv6_vip_and_a_udp_vip_are_explained() -> Result<()> {
    let instance = Instance::new();
    let mut datapath = instance.open(&small())?;
    let mut wanted = view(&datapath, 3)?;
    apply(&mut datapath, &wanted)?;
    wanted.vips.insert(1, vip_entry("[2001:db8:100::10]:80".parse()?, 6, 0, 9));
    wanted.vips.insert(2, vip_entry("198.51.100.10:53".parse()?, 17, 0, 9));
    for id in [1, 2] {
        datapath.sink().apply(&Op::Vip(id, wanted.vips[&id]))?;
    }
    datapath.sink().apply(&Op::VipTable(wanted.vips.clone()))?;
    let mut explainer = Explainer::load(&datapath)?;
    let v6 = explainer.explain(&question(6, "[2001:db8:1::2]:4000", "[2001:db8:100::10]:80"))?;
    assert_eq!(v6.vip.map(|(id, _)| id), Some(1), "{v6:?}");
    let udp = explainer.explain(&question(17, "192.0.2.2:4000", "198.51.100.10:53"))?;
    assert_eq!(udp.vip.map(|(id, _)| id), Some(2), "{udp:?}");
    Ok(())
}

#[test]
fn a_question_of_two_families_is_refused() -> Result<()> {
    let instance = Instance::new();
    let datapath = instance.open(&small())?;
    let mut explainer = Explainer::load(&datapath)?;
    let refused = explainer.explain(&question(6, "192.0.2.2:4000", "[2001:db8::1]:80"));
    assert!(refused.is_err());
    let refused = explainer.explain(&question(1, "192.0.2.2:4000", "192.0.2.1:80"));
    assert!(refused.unwrap_err().to_string().contains("neither TCP nor UDP"));
    Ok(())
}
