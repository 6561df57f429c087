//! `passTLSClientCert`: tells servers the client's certificate.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use x509_parser::{
    certificate::X509Certificate,
    der_parser::{Oid, oid},
    extensions::GeneralName,
    oid_registry as names,
    prelude::FromDer,
    x509::X509Name,
};

use super::{Kind, Surroundings, parts};
use crate::{
    config::decode::{At, Field, object},
    model::Fault,
    proxy::{Exchange, Filter, Step},
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        pem: bool = "pem",
        info: RawInfo = "info",
    }
}

object! {
    /// `passTLSClientCert.info`.
    pub(crate) struct RawInfo {
        not_after: bool = "notAfter",
        not_before: bool = "notBefore",
        sans: bool = "sans",
        serial_number: bool = "serialNumber",
        subject: RawName = "subject",
        issuer: RawIssuer = "issuer",
    }
}

object! {
    /// `passTLSClientCert.info.subject`.
    pub(crate) struct RawName {
        country: bool = "country",
        province: bool = "province",
        locality: bool = "locality",
        organization: bool = "organization",
        organizational_unit: bool = "organizationalUnit",
        common_name: bool = "commonName",
        serial_number: bool = "serialNumber",
        domain_component: bool = "domainComponent",
    }
}

object! {
    /// `passTLSClientCert.info.issuer`.
    pub(crate) struct RawIssuer {
        country: bool = "country",
        province: bool = "province",
        locality: bool = "locality",
        organization: bool = "organization",
        common_name: bool = "commonName",
        serial_number: bool = "serialNumber",
        domain_component: bool = "domainComponent",
    }
}

/// Its settings, and the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassTlsClientCert {
    pem: bool,
    info: Option<Info>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Info {
    not_after: bool,
    not_before: bool,
    sans: bool,
    serial_number: bool,
    subject: Parts,
    issuer: Parts,
}

/// Short names of a name's parts.
type Parts = Vec<&'static str>;

const PEM: &str = "X-Forwarded-Tls-Client-Cert";
const INFO: &str = "X-Forwarded-Tls-Client-Cert-Info";

impl Kind for PassTlsClientCert {
    type Raw = Raw;

    fn check(raw: &At<Raw>, _: &mut Vec<Fault>) -> Option<Self> {
        let info = raw.value.info.get().map(|info| Info {
            not_after: info.not_after.or_default(),
            not_before: info.not_before.or_default(),
            sans: info.sans.or_default(),
            serial_number: info.serial_number.or_default(),
            subject: info.subject.get().map(RawName::parts).unwrap_or_default(),
            issuer: info.issuer.get().map(RawIssuer::parts).unwrap_or_default(),
        });
        Some(Self { pem: raw.value.pem.or_default(), info })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        Ok(Arc::new(self.clone()))
    }
}

/// Those that are asked for, in the order of the header.
fn asked_for(parts: &[(&'static str, &Field<bool>)]) -> Parts {
    parts.iter().filter(|(_, asked)| asked.or_default()).map(|(part, _)| *part).collect()
}

impl RawName {
    fn parts(&self) -> Parts {
        asked_for(&[
            ("DC", &self.domain_component),
            ("C", &self.country),
            ("ST", &self.province),
            ("L", &self.locality),
            ("O", &self.organization),
            ("OU", &self.organizational_unit),
            ("CN", &self.common_name),
            ("SN", &self.serial_number),
        ])
    }
}

impl RawIssuer {
    fn parts(&self) -> Parts {
        asked_for(&[
            ("DC", &self.domain_component),
            ("C", &self.country),
            ("ST", &self.province),
            ("L", &self.locality),
            ("O", &self.organization),
            ("CN", &self.common_name),
            ("SN", &self.serial_number),
        ])
    }
}

impl Filter for PassTlsClientCert {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let client = Arc::clone(&exchange.client);
        let chain = client.tls.as_ref().map(|tls| tls.client_chain.as_slice()).unwrap_or_default();
        if chain.is_empty() {
            return Step::Next;
        }
        let list = |texts: Vec<String>| texts.join(",");
        if self.pem {
            exchange.request.set(PEM, list(chain.iter().map(|der| STANDARD.encode(der)).collect()));
        }
        if let Some(info) = &self.info {
            let parsed = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok());
            let text = list(parsed.map(|(_, certificate)| info.of(&certificate)).collect());
            exchange.request.set(INFO, parts::query_escape(&text));
        }
        Step::Next
    }
}

impl Info {
    fn of(&self, certificate: &X509Certificate<'_>) -> String {
        let mut fields = Vec::new();
        let mut add = |name: &str, is_wanted: bool, value: String| {
            if is_wanted && !value.is_empty() {
                fields.push(format!("{name}=\"{value}\""));
            }
        };
        let validity = certificate.validity();
        add("Subject", true, name_parts(certificate.subject(), &self.subject));
        add("Issuer", true, name_parts(certificate.issuer(), &self.issuer));
        add("SerialNumber", self.serial_number, certificate.serial.to_string());
        add("NB", self.not_before, validity.not_before.timestamp().to_string());
        add("NA", self.not_after, validity.not_after.timestamp().to_string());
        add("SAN", self.sans, alternative_names(certificate));
        fields.join(";")
    }
}

const DOMAIN_COMPONENT: Oid<'static> = oid!(0.9.2342.19200300.100.1.25);

fn name_parts(name: &X509Name<'_>, wanted: &Parts) -> String {
    let mut parts = Vec::new();
    for part in wanted {
        let oid = match *part {
            "DC" => DOMAIN_COMPONENT,
            "C" => names::OID_X509_COUNTRY_NAME,
            "ST" => names::OID_X509_STATE_OR_PROVINCE_NAME,
            "L" => names::OID_X509_LOCALITY_NAME,
            "O" => names::OID_X509_ORGANIZATION_NAME,
            "OU" => names::OID_X509_ORGANIZATIONAL_UNIT,
            "CN" => names::OID_X509_COMMON_NAME,
            _ => names::OID_X509_SERIALNUMBER,
        };
        let values = name.iter_by_oid(&oid).filter_map(|value| value.as_str().ok());
        parts.extend(values.map(|value| format!("{part}={value}")));
    }
    parts.join(",")
}

/// Host names, mail addresses, IP addresses and URIs, in that order.
fn alternative_names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return String::new() };
    let mut names: Vec<(u8, String)> = Vec::new();
    for name in &extension.value.general_names {
        names.extend(match name {
            GeneralName::DNSName(name) => Some((0, (*name).to_owned())),
            GeneralName::RFC822Name(name) => Some((1, (*name).to_owned())),
            GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| (2, ip)),
            GeneralName::URI(uri) => Some((3, (*uri).to_owned())),
            _ => None,
        });
    }
    names.sort_by_key(|(kind, _)| *kind);
    names.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

fn ip(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|v4| std::net::Ipv4Addr::from(v4).to_string());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|v6| std::net::Ipv6Addr::from(v6).to_string());
    v4.or_else(|_| v6()).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    use super::*;
    use crate::{
        middleware::testing::{fault, filter, request},
        proxy::TlsSession,
    };

    fn der() -> Vec<u8> {
        let mut params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        for (part, value) in [
            (DnType::CountryName, "FR"),
            (DnType::StateOrProvinceName, "Cheese state"),
            (DnType::LocalityName, "TOULOUSE"),
            (DnType::OrganizationName, "Cheese & Co"),
            (DnType::OrganizationalUnitName, "Brie"),
            (DnType::CommonName, "*.example.com"),
            (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]), "cheese"),
            (DnType::CustomDnType(vec![2, 5, 4, 5]), "7"),
        ] {
            name.push(part, value);
        }
        params.serial_number = Some(SerialNumber::from(4_711_u64));
        params.not_before = rcgen::date_time_ymd(2025, 5, 15);
        params.not_after = rcgen::date_time_ymd(2026, 5, 15);
        params.subject_alt_names = vec![
            SanType::IpAddress("10.0.1.2".parse().unwrap()),
            SanType::URI("https://a.example".try_into().unwrap()),
            SanType::Rfc822Name("test@example.org".try_into().unwrap()),
            SanType::DnsName("a.example".try_into().unwrap()),
        ];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn with(chain: Vec<Vec<u8>>) -> Exchange {
        let mut exchange = Exchange::made_up("GET /");
        let mut client = (*exchange.client).clone();
        client.tls = Some(TlsSession { client_chain: chain, ..TlsSession::default() }.into());
        exchange.client = client.into();
        exchange
    }

    fn unescaped(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn certificates_are_told_as_pem_without_its_frame() {
        let der = der();
        let filter = filter("passTLSClientCert: { pem: true }");
        let mut exchange = with(vec![der.clone(), der.clone()]);
        assert!(request(&*filter, &mut exchange).is_none());
        let one = STANDARD.encode(&der);
        assert_eq!(exchange.request.text_of(PEM), Some(format!("{one},{one}").as_str()));
        assert!(!exchange.request.has(INFO));
        for mut without in [with(Vec::new()), Exchange::made_up("GET /")] {
            assert!(request(&*filter, &mut without).is_none());
            assert_eq!(without.request.iter().count(), 0);
        }
    }

    #[test]
    fn what_is_asked_for_is_told() {
        let all = "country: true, province: true, locality: true, organization: true, \
                   commonName: true, serialNumber: true, domainComponent: true";
        let name = "DC=cheese,C=FR,ST=Cheese state,L=TOULOUSE,O=Cheese & Co";
        for (keys, told) in [
            (
                "sans: true",
                "SAN=\"a.example,test@example.org,10.0.1.2,https://a.example\"".to_owned(),
            ),
            ("notBefore: true, notAfter: true", "NB=\"1747267200\";NA=\"1778803200\"".to_owned()),
            ("serialNumber: true", "SerialNumber=\"4711\"".to_owned()),
            ("subject: { commonName: true }", "Subject=\"CN=*.example.com\"".to_owned()),
            (
                &format!("subject: {{ {all}, organizationalUnit: true }}, issuer: {{ {all} }}"),
                format!(
                    "Subject=\"{name},OU=Brie,CN=*.example.com,SN=7\";\
                     Issuer=\"{name},CN=*.example.com,SN=7\""
                ),
            ),
            ("subject: { country: false }", String::new()),
        ] {
            let filter = filter(&format!("passTLSClientCert: {{ info: {{ {keys} }} }}"));
            let mut exchange = with(vec![der()]);
            assert!(request(&*filter, &mut exchange).is_none());
            let header = exchange.request.text_of(INFO).expect("the header");
            assert!(header.bytes().all(|b| b.is_ascii_graphic()));
            assert_eq!(unescaped(header), told, "{keys}");
        }
    }

    #[test]
    fn issuers_have_no_unit_to_ask_for() {
        let told = fault("passTLSClientCert: { info: { issuer: { organizationalUnit: true } } }");
        assert!(told.contains("unknown key"), "{told}");
    }
}
