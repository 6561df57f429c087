//! Why a packet was dropped, and what else is counted: one enum each feeds the
//! kernel's index, the metric's label and the documentation.

macro_rules! counted {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every value, in the order of its index.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are: the size of the map that counts them.
            pub const COUNT: u32 = Self::ALL.len() as u32;

            /// The label of the metric.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// One sentence for the documentation and `lb status`.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

counted! {
    /// Why a packet was dropped. Label of `lb_l4_drops_total`.
    DropReason {
        /// Lengths or header fields contradict each other.
        Malformed = "malformed",
        /// The service has no healthy backend and `onEmpty: drop`.
        NoBackend = "no_backend",
        /// The service has no healthy backend; answered with RST or port unreachable.
        NoBackendReset = "no_backend_reset",
        /// The next hop's MAC is not known yet.
        Unresolved = "unresolved_next_hop",
        /// No NAT address of the backend's family, or none at all.
        NoNatAddress = "no_nat_address",
        /// Every NAT port towards that backend is taken.
        PortsExhausted = "ports_exhausted",
        /// No slot in the half-open part of the flow table.
        TableFull = "table_full",
        /// Another CPU was still writing the same new flow.
        Contended = "contended",
        /// A later fragment whose first one was not seen.
        FragmentOrphan = "fragment_without_first",
        /// More IPv6 extension headers than are walked.
        ExtensionHeaders = "ipv6_extension_headers",
        /// Longer than the egress MTU; answered with frag-needed or packet-too-big.
        TooBig = "too_big",
        /// TTL or hop limit used up; answered with time exceeded.
        TtlExceeded = "ttl_exceeded",
        /// The flow's backend is dead or removed; answered with RST.
        BackendReset = "backend_reset",
        /// A TCP packet of no known flow, under an algorithm that can't find its backend again; answered with RST.
        NoFlow = "no_flow",
        /// An RST for no known flow.
        StrayReset = "stray_reset",
        /// Impossible flags: SYN with FIN or RST, or none at all.
        BadFlags = "bad_tcp_flags",
        /// The client's route back could not be found (`returnPath: route`).
        NoReturnRoute = "no_return_route",
        /// An ICMP error about a flow that is not known.
        IcmpOrphan = "icmp_without_flow",
        /// To a NAT address while flows were being carried over, and not copied yet or of none: sent again by its sender.
        CarryingOver = "carrying_over",
        /// The kernel refused to resize or rewrite the packet.
        Rewrite = "rewrite_failed",
        /// A map value that must be there was not: a fault in lb.
        Internal = "internal",
    }
}

counted! {
    /// What else is worth counting. Label of `lb_l4_events_total`.
    Event {
        /// XDP left a packet to TC, because its way out can't be redirected to.
        ToTc = "left_to_tc",
        /// A flow became established.
        Established = "established",
        /// No room among the established: the flow stays with the half-open ones.
        EstablishedFull = "established_full",
        /// A half-open flow gave its place to a newer one.
        HalfOpenEvicted = "half_open_evicted",
        /// A flow that was closed, or whose time was up, gave its place to another.
        ExpiredReused = "expired_reused",
        /// A closed flow gave up its NAT port.
        ClosedPortReused = "closed_port_reused",
        /// A half-open flow gave up its NAT port.
        HalfOpenPortReused = "half_open_port_reused",
        /// The client's port could not be kept.
        PortTranslated = "port_translated",
        /// A TCP flow was picked up in the middle.
        PickedUp = "picked_up",
        /// A SYN began a new connection on a closing flow.
        SynOnClosing = "syn_on_closing",
        /// A UDP or half-open flow moved off a dead backend.
        Moved = "moved",
        /// An ICMP error was translated to its flow.
        IcmpTranslated = "icmp_translated",
        /// A later fragment followed its first.
        FragmentFollowed = "fragment_followed",
        /// RSTs that lb sent.
        ResetSent = "reset_sent",
        /// ICMP errors that lb sent.
        IcmpSent = "icmp_sent",
    }
}
