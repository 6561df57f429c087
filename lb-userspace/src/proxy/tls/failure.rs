//! Why handshakes fail, counted.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Declares the reasons with their labels.
macro_rules! failures {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)+) => {
        /// Why a handshake failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Failure {
            $($(#[$doc])* $variant,)+
        }

        impl Failure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The metric's label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

failures! {
    /// The client went away.
    Closed = "closed",
    /// It took too long.
    Timeout = "timeout",
    /// What came is no TLS.
    NotTls = "not_tls",
    /// No version in common.
    Version = "version",
    /// No cipher suite, curve or signature scheme in common.
    Parameters = "parameters",
    /// No protocol in common (ALPN).
    Protocol = "protocol",
    /// No certificate for the name (`sniStrict`), or for what the client can check.
    NoCertificate = "no_certificate",
    /// The client's certificate is missing.
    NoClientCertificate = "no_client_certificate",
    /// The client's certificate isn't accepted.
    ClientCertificate = "client_certificate",
    /// The client doesn't accept lb's certificate.
    Refused = "refused",
    /// The client broke off by an alert, for another reason.
    Alert = "alert",
    /// The client breaks the rules of TLS.
    Misbehaved = "misbehaved",
    /// The socket failed.
    Io = "io",
    /// Something else.
    Other = "other",
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return Self::from(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io,
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Error::PeerIncompatible(why) => Self::from(why),
            Error::NoCertificatesPresented => Self::NoClientCertificate,
            Error::InvalidCertificate(_) => Self::ClientCertificate,
            Error::NoApplicationProtocol => Self::Protocol,
            Error::AlertReceived(alert) => Self::from(*alert),
            // What rustls says when the resolver has none; it has no variant of its own.
            Error::General(text) if text.contains("certificate chain") => Self::NoCertificate,
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::DecryptError => Self::Misbehaved,
            _ => Self::Other,
        }
    }
}

impl From<&PeerIncompatible> for Failure {
    fn from(why: &PeerIncompatible) -> Self {
        match why {
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13 => Self::Version,
            _ => Self::Parameters,
        }
    }
}

impl From<AlertDescription> for Failure {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA => Self::Refused,
            _ => Self::Alert,
        }
    }
}

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Failures([AtomicU64; Failure::ALL.len()]);

impl Failures {
    /// One more.
    pub fn count(&self, failure: Failure) {
        self.0[failure as usize].fetch_add(1, Relaxed);
    }

    /// By label.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Failure::ALL.iter().map(|one| (one.label(), self.0[*one as usize].load(Relaxed)))
    }
}

/// In half a sentence, for whoever connects to a server.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is from an authority that isn't trusted".to_owned()
        }
        error => error.to_string(),
    }
}
