//! Packet tables: bytes in, action and bytes out, flows and counters, through the real programs
//! by `BPF_PROG_TEST_RUN`. Each row is a test with a name. What has to come out is built from
//! scratch by `wire`, never by the code under test.

mod answer;
mod back;
mod coverage;
mod down;
mod forward;
mod frag;
mod icmp;
mod kit;
mod parse;
mod peers;
mod ports;
mod race;
mod select;
mod size;
mod table;
mod tcp;
mod udp;
mod vip;
mod wire;
