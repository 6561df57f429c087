//! Answers are those of a real manager (20.10), shortened to what differs.

use super::*;
use crate::{model::Exposure, provider::discovery::Health};

/// A service's labels, and what stands in `EndpointSpec` and `Endpoint`.
fn service(labels: &str, spec: &str, endpoint: &str) -> String {
    format!(
        r#"{{"ID":"s1","Version":{{"Index":44}},"CreatedAt":"2026-01-02T03:04:05.6Z",
        "UpdatedAt":"2026-01-02T03:04:05.7Z","Spec":{{"Name":"shop_web","Labels":{{{labels}}},
        "TaskTemplate":{{"ContainerSpec":{{"Image":"web:1"}},"Networks":[{{"Target":"n1"}}]}},
        "Mode":{{"Replicated":{{"Replicas":2}}}},"EndpointSpec":{{{spec}}}}},"Endpoint":{{{endpoint}}}}}"#
    )
}

fn task(id: &str, slot: &str, state: &str, desired: &str, attachments: &str) -> String {
    format!(
        r#"{{"ID":"{id}","Version":{{"Index":58}},"CreatedAt":"2026-01-02T03:04:06.7Z","ServiceID":"s1",
        {slot}"NodeID":"node1","Status":{{"State":"{state}","Message":"started","PortStatus":{{}}}},
        "DesiredState":"{desired}","NetworksAttachments":{attachments}}}"#
    )
}

fn attachment(network: &str, driver: &str, addresses: &str) -> String {
    let ingress = if network == "ingress" { r#","Ingress":true"# } else { "" };
    format!(
        r#"{{"Network":{{"ID":"n1","Spec":{{"Name":"{network}","Labels":{{}},
        "DriverConfiguration":{{"Name":"{driver}"}}{ingress},"Scope":"swarm"}}}}{addresses}}}"#
    )
}

fn overlay(address: &str) -> String {
    attachment("ov", "overlay", &format!(r#","Addresses":["{address}/24"]"#))
}

fn instances(service: &str, tasks: &[String], network: Option<&str>) -> Vec<Instance> {
    let service: Service = serde_json::from_str(service).unwrap();
    let tasks: Vec<Task> = serde_json::from_str(&format!("[{}]", tasks.join(","))).unwrap();
    let settings = model::Docker {
        exposure: Exposure::default(),
        endpoint: "unix:///var/run/docker.sock".to_owned(),
        tls: None,
        network: network.map(str::to_owned),
        watch: true,
        timeout: std::time::Duration::from_secs(1),
    };
    let swarm = Swarm {
        networks: [("n1", "ov"), ("n2", "back"), ("n3", "ingress")]
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .into(),
        nodes: [("node1".to_owned(), "192.0.2.7".to_owned())].into(),
        settings: &settings,
    };
    swarm.instances(&[("s1".to_owned(), service)].into(), &tasks)
}

/// `name address ports`, or why there is none.
fn words(instances: &[Instance]) -> Vec<String> {
    let of = |one: &Instance| {
        let address = one.address.as_deref().unwrap_or(&one.unreachable);
        let leaving = if one.leaving { " leaving" } else { "" };
        format!("{} {address} {:?}{leaving}", one.name, one.tcp)
    };
    instances.iter().map(of).collect()
}

fn of_task(attachments: &[String], labels: &str, network: Option<&str>) -> String {
    let attachments = format!("[{}]", attachments.join(","));
    let tasks = [task("t1", r#""Slot":1,"#, "running", "running", &attachments)];
    let found = instances(&service(labels, r#""Mode":"vip""#, ""), &tasks, network);
    words(&found).join("\n")
}

#[test]
fn running_tasks_are_instances_with_the_services_labels() {
    let tasks = [
        task("t1", r#""Slot":1,"#, "running", "running", &format!("[{}]", overlay("10.0.1.5"))),
        task("t2", r#""Slot":2,"#, "running", "shutdown", &format!("[{}]", overlay("10.0.1.6"))),
        task("t3", r#""Slot":3,"#, "starting", "running", &format!("[{}]", overlay("10.0.1.7"))),
        task("t4", r#""Slot":2,"#, "shutdown", "shutdown", "null"),
        task("t5", r#""Slot":4,"#, "failed", "shutdown", "[]"),
    ];
    let found = instances(&service(r#""traefik.enable":"true""#, "", ""), &tasks, None);
    assert_eq!(words(&found), ["shop_web.1 10.0.1.5 []", "shop_web.2 10.0.1.6 [] leaving"]);
    assert_eq!(found[0].labels["traefik.enable"], "true");
    assert_eq!((found[0].service.as_str(), &found[0].health), ("shop-web", &Health::Good));
    assert_eq!(found[0].origin, "swarm task \"shop_web.1\"");
}

#[test]
fn task_of_a_global_service_is_named_by_its_id() {
    let tasks = [task("t1", "", "running", "running", &format!("[{}]", overlay("10.0.1.5")))];
    assert_eq!(words(&instances(&service("", "", ""), &tasks, None)), ["shop_web.t1 10.0.1.5 []"]);
}

#[test]
fn ports_are_the_targets_of_published_ones() {
    let spec = r#""Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8081,"PublishMode":"host"},
        {"Protocol":"udp","TargetPort":53,"PublishedPort":53,"PublishMode":"ingress"}]"#;
    let tasks = [task("t1", "", "running", "running", &format!("[{}]", overlay("10.0.1.5")))];
    let found = instances(&service("", spec, ""), &tasks, None);
    assert_eq!((&found[0].tcp, &found[0].udp), (&vec![80], &vec![53]));
}

macro_rules! addresses {
    ($($test:ident: [$($attachment:expr),*], $labels:expr, $network:expr => $words:expr;)+) => {
        $(#[test]
        fn $test() {
            assert_eq!(of_task(&[$($attachment),*], $labels, $network), format!("shop_web.1 {} []", $words));
        })+
    };
}

addresses! {
    the_ingress_network_is_none_to_reach_it_by:
        [attachment("ingress", "overlay", r#","Addresses":["10.0.0.9/24"]"#), overlay("10.0.1.5")], "", None => "10.0.1.5";
    the_first_network_by_name:
        [overlay("10.0.1.5"), attachment("back", "overlay", r#","Addresses":["10.0.2.5/24"]"#)], "", None => "10.0.2.5";
    the_network_that_the_configuration_names:
        [overlay("10.0.1.5"), attachment("back", "overlay", r#","Addresses":["10.0.2.5/24"]"#)], "", Some("ov") => "10.0.1.5";
    the_network_that_a_label_names:
        [overlay("10.0.1.5"), attachment("back", "overlay", r#","Addresses":["10.0.2.5/24"]"#)],
        r#""traefik.swarm.network":"ov""#, Some("back") => "10.0.1.5";
    the_network_that_a_label_of_dockers_names:
        [overlay("10.0.1.5"), attachment("back", "overlay", r#","Addresses":["10.0.2.5/24"]"#)],
        r#""traefik.docker.network":"ov""#, None => "10.0.1.5";
    another_network_is_named:
        [overlay("10.0.1.5")], r#""lb.swarm.network":"front""#, None => "not in network \"front\"; in ov";
    no_network_and_one_is_named:
        [], "", Some("ov") => "not in network \"ov\", nor in any other";
    no_network: [], "", None => "in no network with an address: give the service an overlay network";
    the_nodes_own_network: [attachment("host", "host", "")], "", None => "192.0.2.7";
    a_bridge_of_the_node_has_no_address_here:
        [attachment("bridge", "bridge", "")], "", None => "in no network with an address: give the service an overlay network";
    an_ipv6_address: [overlay("2001:db8::5")], "", None => "2001:db8::5";
}

const LB_SWARM: &str = r#""traefik.swarm.lbswarm":"true""#;
const VIPS: &str = r#""Spec":{"Mode":"vip"},"VirtualIPs":[{"NetworkID":"n3","Addr":"10.0.0.4/24"},
    {"NetworkID":"n1","Addr":"10.0.1.4/24"},{"NetworkID":"n2","Addr":"10.0.2.4/24"},{"NetworkID":"gone","Addr":"10.0.9.4/24"}]"#;

#[test]
fn swarm_balances_where_it_is_asked_to() {
    let tasks = [task("t1", "", "running", "running", &format!("[{}]", overlay("10.0.1.5")))];
    let with = |labels: &str, spec: &str, network| {
        words(&instances(&service(labels, spec, VIPS), &tasks, network)).join("\n")
    };
    let vip = r#""Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80}]"#;
    assert_eq!(with(LB_SWARM, vip, Some("ov")), "shop_web 10.0.1.4 [80]");
    assert_eq!(with(LB_SWARM, vip, None), "shop_web 10.0.2.4 [80]");
    // Traefik's label of before.
    assert_eq!(
        with(r#""traefik.docker.lbswarm":"true""#, vip, Some("ov")),
        "shop_web 10.0.1.4 [80]"
    );
    assert_eq!(with(r#""traefik.swarm.lbswarm":"false""#, vip, None), "shop_web.t1 10.0.1.5 [80]");
    // There is no address of its own: its tasks serve.
    assert_eq!(with(LB_SWARM, r#""Mode":"dnsrr""#, None), "shop_web.t1 10.0.1.5 []");
}
