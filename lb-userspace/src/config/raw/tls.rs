//! `tls` and `certificatesResolvers`.

use crate::{
    config::{
        decode::{At, ByName, Cx, Decode, object},
        tree::Node,
        values::{PemText, choice},
    },
    model::{ClientAuth, TlsVersion},
};

object! {
    /// `tls`.
    pub(crate) struct Tls {
        certificates: Vec<At<Certificate>> = "certificates",
        options: ByName<TlsOptions> = "options",
        stores: ByName<Store> = "stores",
    }
}

object! {
    /// `tls.certificates[]`.
    pub(crate) struct Certificate {
        cert: PemText = "certFile",
        key: PemText = "keyFile",
        ocsp: String = "ocspFile",
        stores: Vec<At<String>> = "stores",
    }
}

object! {
    /// A certificate with its key, where no more can be said of it.
    pub(crate) struct KeyPair {
        cert: PemText = "certFile",
        key: PemText = "keyFile",
    }
}

object! {
    /// `tls.stores.default`.
    pub(crate) struct Store {
        default_certificate: Certificate = "defaultCertificate",
    }
    refused {
        "defaultGeneratedCert" => "obtaining certificates isn't done yet: give `defaultCertificate`",
    }
}

object! {
    /// `tls.options.NAME`.
    pub(crate) struct TlsOptions {
        min_version: TlsVersion = "minVersion",
        max_version: TlsVersion = "maxVersion",
        cipher_suites: Vec<At<String>> = "cipherSuites",
        curves: Vec<At<String>> = "curvePreferences",
        client_auth: ClientAuthSettings = "clientAuth",
        sni_strict: bool = "sniStrict",
        alpn: Vec<At<String>> = "alpnProtocols",
        disable_tickets: bool = "disableSessionTickets",
    }
    refused {
        "preferServerCipherSuites" => "the server always prefers: remove this",
    }
}

object! {
    /// `tls.options.NAME.clientAuth`.
    pub(crate) struct ClientAuthSettings {
        ca_files: Vec<At<PemText>> = "caFiles",
        kind: ClientAuth = "clientAuthType",
    }
}

object! {
    /// `certificatesResolvers.NAME`: taken, not asked yet.
    pub(crate) struct Resolver {
        acme: Acme = "acme",
    }
    refused {
        "tailscale" => "certificates of Tailscale aren't done yet",
    }
}

object! {
    /// `certificatesResolvers.NAME.acme`.
    pub(crate) struct Acme {
        email: Anything = "email",
        storage: Anything = "storage",
        ca_server: Anything = "caServer",
        preferred_chain: Anything = "preferredChain",
        profile: Anything = "profile",
        email_addresses: Anything = "emailAddresses",
        eab: Anything = "eab",
        key_type: Anything = "keyType",
        duration: Anything = "certificatesDuration",
        ca_certificates: Anything = "caCertificates",
        ca_system_pool: Anything = "caSystemCertPool",
        ca_server_name: Anything = "caServerName",
        client_timeout: Anything = "clientTimeout",
        client_response_timeout: Anything = "clientResponseHeaderTimeout",
        disable_common_name: Anything = "disableCommonName",
        http_challenge: Anything = "httpChallenge",
        tls_challenge: Anything = "tlsChallenge",
        dns_challenge: Anything = "dnsChallenge",
    }
}

/// A value that is read once certificates are obtained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anything;

impl Decode for Anything {
    fn decode(_: &Node, _: &mut Cx) -> Option<Self> {
        Some(Self)
    }
}

impl Decode for TlsVersion {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const OLD: &str = "is broken (RFC 8996): the oldest is VersionTLS12";
        let table = [("VersionTLS12", Self::V12), ("VersionTLS13", Self::V13)];
        let old = ["VersionSSL30", "VersionTLS10", "VersionTLS11"];
        let why = old.map(|name| format!("{name} {OLD}"));
        let refused: Vec<(&str, &str)> =
            old.into_iter().zip(why.iter().map(String::as_str)).collect();
        choice(node, &table, &refused, cx)
    }
}

impl Decode for ClientAuth {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [
            ("NoClientCert", Self::None),
            ("RequestClientCert", Self::Request),
            ("RequireAnyClientCert", Self::RequireAny),
            ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
            ("RequireAndVerifyClientCert", Self::RequireAndVerify),
        ];
        choice(node, &table, &[], cx)
    }
}
