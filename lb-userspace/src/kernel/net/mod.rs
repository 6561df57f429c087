//! The host's network as lb needs it: the ways to backends, the interfaces to
//! attach to and how, and the VIPs on the host. All of it by netlink, of the
//! network namespace of the thread that calls [`NetWatcher::start`].
//!
//! ```text
//! let net = NetWatcher::start(wanted).await?;          // the first state is complete but for neighbours
//! let mut states = net.states();                       // watch::Receiver<Arc<NetState>>
//! net.want(wanted)                                     // whenever backends, settings or attachments change
//! state.view_with(&native)                             // for lower(): with XDP where it is attached by now
//! state.attach                                         // where to attach now, how, and why so; after attaching
//!                                                      // tell `Wanted::native` and `Wanted::refused`
//! state.obstacles                                      // why the kernel path can't reach a backend
//! net.stop().await                                     // forgets the neighbours it kept (not on SIGTERM: L4 goes on)
//! net::release_neighbours().await                      // `lb detach`
//!
//! let vips = VipKeeper::start(record, addresses, net.states()).await?; // follows the same states
//! vips.want(addresses)
//! vips.states()                                        // per VIP: Added | Found | Missing, with Display
//! vips.stop().await                                    // removes what it added (not on SIGTERM)
//! net::remove_recorded(&record).await                  // `lb detach`
//! net::sysctl::local_ports(), net::sysctl::reserved_ports()
//! ```

mod addresses;
mod announce;
mod ethtool;
mod follow;
mod links;
mod mode;
mod neighbours;
mod record;
mod routes;
mod socket;
mod state;
pub mod sysctl;
mod view;
mod vips;
mod watch;

pub use links::{Link, LinkKind, Vlan};
pub use mode::{AttachMode, Choice, Facts, choose};
pub use socket::NetError;
pub use state::{AttachPoint, HostAddress, NetState, Obstacle, Role, Wanted};
pub use vips::{VipKeeper, VipState, VipStates, remove_recorded};
pub use watch::{NetWatcher, Pace, release_neighbours};
