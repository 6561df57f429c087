//! Fields that the proxy itself has to know, told apart once when a head is read.

/// What a field is to the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Passed on as it is.
    #[default]
    Plain,
    /// `Host`.
    Host,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
    /// `TE`.
    Te,
    /// `Trailer`.
    Trailer,
    /// `Expect`.
    Expect,
    /// `Keep-Alive`, `Proxy-Connection`: of one hop, never passed on (RFC 9110 §7.6.1).
    Hop,
    /// `X-Forwarded-*`, `X-Real-Ip`, `Forwarded`: believed from trusted senders alone.
    Forwarded,
}

impl Class {
    /// That of a field's name.
    pub fn of(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (2, Some(b't')) if is("te") => Self::Te,
            (4, Some(b'h')) if is("host") => Self::Host,
            (6, Some(b'e')) if is("expect") => Self::Expect,
            (7, Some(b'u')) if is("upgrade") => Self::Upgrade,
            (7, Some(b't')) if is("trailer") => Self::Trailer,
            (9, Some(b'f')) if is("forwarded") => Self::Forwarded,
            (9, Some(b'x')) if is("x-real-ip") => Self::Forwarded,
            (10, Some(b'c')) if is("connection") => Self::Connection,
            (10, Some(b'k')) if is("keep-alive") => Self::Hop,
            (14, Some(b'c')) if is("content-length") => Self::ContentLength,
            (16, Some(b'p')) if is("proxy-connection") => Self::Hop,
            (17, Some(b't')) if is("transfer-encoding") => Self::TransferEncoding,
            (n, Some(b'x')) if n > 12 && name[..12].eq_ignore_ascii_case(b"x-forwarded-") => {
                Self::Forwarded
            }
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn names_are_told_apart_whatever_their_case() {
        for (name, class) in [
            ("Host", Class::Host),
            ("HOST", Class::Host),
            ("content-length", Class::ContentLength),
            ("Transfer-Encoding", Class::TransferEncoding),
            ("X-Forwarded-For", Class::Forwarded),
            ("x-forwarded-", Class::Plain),
            ("Keep-Alive", Class::Hop),
            ("TE", Class::Te),
            ("Hosts", Class::Plain),
            ("", Class::Plain),
        ] {
            assert_eq!(Class::of(name.as_bytes()), class, "{name}");
        }
    }
}
