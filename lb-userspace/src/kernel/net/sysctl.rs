//! Sysctls that lb reads and never writes. `/proc/sys/net` shows the network
//! namespace of the thread that reads.

use super::NetError;

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// `ip_local_port_range`, inclusive: the ports that the host gives its own sockets.
pub fn local_ports() -> Result<(u16, u16), NetError> {
    let text = read(RANGE)?;
    parse_range(&text).ok_or_else(|| unexpected(RANGE, "two port numbers", &text))
}

/// `ip_local_reserved_ports`, inclusive ranges in order: the ports of
/// [`local_ports`] that the host leaves alone.
pub fn reserved_ports() -> Result<Vec<(u16, u16)>, NetError> {
    let text = read(RESERVED)?;
    parse_list(&text).ok_or_else(|| unexpected(RESERVED, "ports and ranges of ports", &text))
}

fn read(path: &str) -> Result<String, NetError> {
    std::fs::read_to_string(path).map_err(|source| NetError::File { path: path.to_owned(), source })
}

fn unexpected(path: &str, expected: &str, found: &str) -> NetError {
    let message = format!("expected {expected}, found {:?}", found.trim());
    NetError::Content { path: path.to_owned(), message }
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next()?, words.next()?, words.next()) {
        (Ok(first), Ok(last), None) => Some((first, last)),
        _ => None,
    }
}

fn parse_list(text: &str) -> Option<Vec<(u16, u16)>> {
    let parts = text.trim().split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
    }

    #[test]
    fn a_range_of_one_number_is_refused() {
        assert_eq!(parse_range("32768\n"), None);
    }

    #[test]
    fn no_port_is_reserved_by_default() {
        assert_eq!(parse_list("\n"), Some(vec![]));
    }

    #[test]
    fn reserved_ports_are_ports_and_ranges() {
        assert_eq!(parse_list("8080,9000-9100\n"), Some(vec![(8080, 8080), (9000, 9100)]));
    }

    #[test]
    fn what_isnt_a_port_is_refused() {
        assert_eq!(parse_list("http\n"), None);
    }

    #[test]
    fn this_hosts_range_reads() {
        let (first, last) = local_ports().unwrap();
        assert!(first <= last);
    }
}
