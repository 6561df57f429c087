//! What services say to lb's registry.

use std::net::Ipv4Addr;

use super::fuzz;
use crate::registry::decode::{self, Sender};

const WORDS: &[&str] = &[
    "\"ID\":",
    "\"Name\":",
    "\"Tags\":",
    "\"Address\":",
    "\"Port\":",
    "\"Check\":",
    "\"Checks\":",
    "\"TTL\":",
    "\"HTTP\":",
    "\"TCP\":",
    "\"GRPC\":",
    "\"Args\":",
    "\"Interval\":",
    "\"Timeout\":",
    "\"DeregisterCriticalServiceAfter\":",
    "\"Weights\":",
    "\"Meta\":",
    "\"TaggedAddresses\":",
    "\"30s\"",
    "\"-1s\"",
    "\"9999999999h\"",
    "\"0.0.0.0\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "-1",
    "65536",
];

#[test]
fn registrations() {
    let sender = Sender { ip: Ipv4Addr::LOCALHOST.into(), scripts: false };
    let kind = |why: &str| why.split([':', '"']).next().unwrap_or_default().to_owned();
    fuzz("registration", WORDS, |input| {
        let service = match decode::service(input, sender) {
            Ok((instance, checks)) => {
                assert!(!instance.name.is_empty() && !instance.id.is_empty(), "{instance:?}");
                assert!(!instance.address.is_empty(), "{instance:?}");
                Ok(checks.len().min(3))
            }
            Err(why) => Err(kind(&why)),
        };
        let check = decode::check_alone(input, sender).map(drop).map_err(|why| kind(&why));
        let report = decode::report(input).map(|(status, _)| status as u8);
        (service, check, report.map_err(|why| kind(&why)))
    });
}
