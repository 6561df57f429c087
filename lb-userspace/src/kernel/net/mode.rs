//! How lb attaches to an interface, and why so.

use crate::model::Mode;

use super::LinkKind;

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachMode {
    /// XDP in the driver.
    Native,
    /// XDP after the driver.
    Generic,
    /// TC (TCX) on ingress.
    Tc,
}

impl AttachMode {
    /// The name shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}

/// What the choice for one interface depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name, for the advice in reasons.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Whether clients' packets come in there, so that the operator means it;
    /// else it only leads to backends.
    pub named: bool,
    /// The NIC takes VLAN tags off received frames, so that XDP doesn't see them.
    pub strips_vlan: bool,
    /// The NIC merges received TCP segments (LRO), so that XDP doesn't see whole packets.
    pub merges: bool,
    /// Why the kernel refused XDP, when it has.
    pub refused: Option<String>,
}

/// A choice and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How to attach.
    pub mode: AttachMode,
    /// Why, in half a sentence.
    pub reason: String,
    /// Set when the operator asked for something else.
    pub error: Option<String>,
}

/// Chooses for one interface.
///
/// `auto` takes native XDP where the driver brings whole packets, else TC.
/// `native` is native wherever the kernel accepts it; `generic` never stands
/// on an interface that hands over local frames. Whatever isn't possible
/// becomes TC, with the error told where the operator named the interface.
pub fn choose(mode: Mode, facts: &Facts) -> Choice {
    let why = match (mode, unfinished(&facts.kind), &facts.refused) {
        (Mode::Auto, ..) => return auto(facts),
        (Mode::Tc, ..) => return chosen(AttachMode::Tc, "as configured"),
        // Native XDP on a veth is the operator's word against the odds: taken
        // where it was given, not on every veth that leads to a backend.
        (Mode::Generic, Some(why), _) => why.to_owned(),
        (Mode::Native, Some(why), _) if !facts.named => why.to_owned(),
        (_, _, Some(why)) => format!("the kernel refused {} XDP: {why}", mode.name()),
        (Mode::Native, _, None) => return asked(AttachMode::Native, facts),
        (Mode::Generic, _, None) => return asked(AttachMode::Generic, facts),
    };
    let error = format!("datapath.mode: {} is not possible here, tc is used: {why}", mode.name());
    Choice { mode: AttachMode::Tc, reason: why, error: facts.named.then_some(error) }
}

fn auto(facts: &Facts) -> Choice {
    let name = &facts.name;
    if let Some(why) = unfinished(&facts.kind).or_else(|| no_native(&facts.kind)) {
        return chosen(AttachMode::Tc, why);
    }
    if facts.strips_vlan {
        return chosen(
            AttachMode::Tc,
            &format!(
                "receive VLAN stripping hides tags from XDP; `ethtool -K {name} rxvlan off` makes native XDP possible"
            ),
        );
    }
    if facts.merges {
        return chosen(
            AttachMode::Tc,
            &format!(
                "LRO merges packets before XDP sees them; `ethtool -K {name} lro off` makes native XDP possible"
            ),
        );
    }
    match &facts.refused {
        Some(why) => chosen(AttachMode::Tc, &format!("the kernel refused native XDP: {why}")),
        None => chosen(AttachMode::Native, "the driver brings whole packets"),
    }
}

/// XDP because the operator says so, with what is wrong about it.
fn asked(mode: AttachMode, facts: &Facts) -> Choice {
    let warning = if facts.strips_vlan {
        ", though receive VLAN stripping hides tags from XDP"
    } else if facts.merges {
        ", though LRO merges packets before XDP sees them"
    } else if mode == AttachMode::Native && unfinished(&facts.kind).is_some() {
        ", though right only where every peer sends finished checksums and no GSO frames"
    } else {
        ""
    };
    chosen(mode, &format!("as configured{warning}"))
}

/// Kinds whose frames may come from a socket of this machine.
fn unfinished(kind: &LinkKind) -> Option<&'static str> {
    match kind {
        LinkKind::Veth => Some("veth hands over GSO frames and unfinished checksums"),
        LinkKind::Bridge => Some("a bridge hands over GSO frames and unfinished checksums"),
        LinkKind::Other(name) => match name.as_str() {
            "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => {
                Some("its siblings hand over GSO frames and unfinished checksums")
            }
            "tun" => Some("tun and tap hand over GSO frames and unfinished checksums"),
            "netkit" => Some("netkit hands over GSO frames and unfinished checksums"),
            _ => None,
        },
        _ => None,
    }
}

/// Kinds without XDP of their own.
fn no_native(kind: &LinkKind) -> Option<&'static str> {
    match kind {
        LinkKind::Device | LinkKind::Bond => None,
        LinkKind::Vlan => Some("a VLAN device has no native XDP"),
        _ => Some("this kind of interface has no native XDP"),
    }
}

fn chosen(mode: AttachMode, reason: &str) -> Choice {
    Choice { mode, reason: reason.to_owned(), error: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Facts {
        Facts {
            name: "eth0".into(),
            kind: LinkKind::Device,
            named: true,
            strips_vlan: false,
            merges: false,
            refused: None,
        }
    }

    fn of(kind: LinkKind) -> Facts {
        Facts { kind, ..device() }
    }

    fn other(kind: &str) -> Facts {
        of(LinkKind::Other(kind.into()))
    }

    fn strips() -> Facts {
        Facts { strips_vlan: true, ..device() }
    }

    fn merges() -> Facts {
        Facts { merges: true, ..device() }
    }

    fn unnamed(facts: Facts) -> Facts {
        Facts { named: false, ..facts }
    }

    fn refused() -> Facts {
        Facts { refused: Some("Operation not supported".into()), ..device() }
    }

    macro_rules! table {
        ($($name:ident: $mode:ident, $facts:expr => $chosen:ident, $reason:literal $(, $error:literal)?;)*) => {$(
            #[test]
            fn $name() {
                let error: Option<String> = None$(.or(Some($error.into())))?;
                let expected =
                    Choice { mode: AttachMode::$chosen, reason: $reason.into(), error };
                assert_eq!(choose(Mode::$mode, &$facts), expected);
            }
        )*};
    }

    table! {
        auto_takes_native_xdp_on_a_nic: Auto, device() => Native, "the driver brings whole packets";
        auto_takes_native_xdp_on_a_bond: Auto, of(LinkKind::Bond) => Native,
            "the driver brings whole packets";
        auto_takes_tc_on_veth: Auto, of(LinkKind::Veth) => Tc,
            "veth hands over GSO frames and unfinished checksums";
        auto_takes_tc_on_a_bridge: Auto, of(LinkKind::Bridge) => Tc,
            "a bridge hands over GSO frames and unfinished checksums";
        auto_takes_tc_on_a_vlan_device: Auto, of(LinkKind::Vlan) => Tc,
            "a VLAN device has no native XDP";
        auto_takes_tc_on_macvlan: Auto, other("macvlan") => Tc,
            "its siblings hand over GSO frames and unfinished checksums";
        auto_takes_tc_on_tap: Auto, other("tun") => Tc,
            "tun and tap hand over GSO frames and unfinished checksums";
        auto_takes_tc_on_netkit: Auto, other("netkit") => Tc,
            "netkit hands over GSO frames and unfinished checksums";
        auto_takes_tc_on_vxlan: Auto, other("vxlan") => Tc,
            "this kind of interface has no native XDP";
        auto_takes_tc_where_tags_are_hidden: Auto, strips() => Tc,
            "receive VLAN stripping hides tags from XDP; `ethtool -K eth0 rxvlan off` makes native XDP possible";
        auto_takes_tc_where_packets_are_merged: Auto, merges() => Tc,
            "LRO merges packets before XDP sees them; `ethtool -K eth0 lro off` makes native XDP possible";
        auto_takes_tc_where_the_driver_refuses: Auto, refused() => Tc,
            "the kernel refused native XDP: Operation not supported";
        native_is_native_on_a_nic: Native, device() => Native, "as configured";
        native_is_native_on_veth: Native, of(LinkKind::Veth) => Native,
            "as configured, though right only where every peer sends finished checksums and no GSO frames";
        native_is_native_where_tags_are_hidden: Native, strips() => Native,
            "as configured, though receive VLAN stripping hides tags from XDP";
        native_falls_back_where_the_driver_refuses: Native, refused() => Tc,
            "the kernel refused native XDP: Operation not supported",
            "datapath.mode: native is not possible here, tc is used: the kernel refused native XDP: Operation not supported";
        generic_is_generic_on_a_nic: Generic, device() => Generic, "as configured";
        generic_is_generic_on_a_vlan_device: Generic, of(LinkKind::Vlan) => Generic, "as configured";
        generic_is_never_on_veth: Generic, of(LinkKind::Veth) => Tc,
            "veth hands over GSO frames and unfinished checksums",
            "datapath.mode: generic is not possible here, tc is used: veth hands over GSO frames and unfinished checksums";
        generic_is_never_on_a_bridge: Generic, of(LinkKind::Bridge) => Tc,
            "a bridge hands over GSO frames and unfinished checksums",
            "datapath.mode: generic is not possible here, tc is used: a bridge hands over GSO frames and unfinished checksums";
        generic_falls_back_where_the_kernel_refuses: Generic, refused() => Tc,
            "the kernel refused generic XDP: Operation not supported",
            "datapath.mode: generic is not possible here, tc is used: the kernel refused generic XDP: Operation not supported";
        native_is_native_on_a_nic_to_backends: Native, unnamed(device()) => Native, "as configured";
        native_is_tc_on_a_veth_to_backends: Native, unnamed(of(LinkKind::Veth)) => Tc,
            "veth hands over GSO frames and unfinished checksums";
        native_is_tc_on_a_nic_to_backends_that_refuses: Native, unnamed(refused()) => Tc,
            "the kernel refused native XDP: Operation not supported";
        generic_is_tc_on_a_veth_to_backends: Generic, unnamed(of(LinkKind::Veth)) => Tc,
            "veth hands over GSO frames and unfinished checksums";
        tc_is_tc_on_a_nic: Tc, device() => Tc, "as configured";
        tc_is_tc_on_veth: Tc, of(LinkKind::Veth) => Tc, "as configured";
    }
}
