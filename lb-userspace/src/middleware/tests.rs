//! What all middlewares have in common, and every field of each.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::testing::{fault, read};

/// Every field that Traefik documents for v3, and v2's where they differ. `FOLDER` holds files.
const ALL: &[(&str, &str)] = &[
    ("addPrefix", "addPrefix: { prefix: /v1 }"),
    (
        "basicAuth",
        "basicAuth: { users: ['test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/'], \
         usersFile: FOLDER/basic, \
         realm: r, headerField: X-User, removeHeader: true }",
    ),
    (
        "buffering",
        "buffering: { maxRequestBodyBytes: 1, memRequestBodyBytes: 1, maxResponseBodyBytes: 1, \
         memResponseBodyBytes: 1, retryExpression: 'IsNetworkError() && Attempts() < 2', \
         disableRequestBuffer: true, disableResponseBuffer: true }",
    ),
    ("chain", "chain: { middlewares: [a, b] }"),
    (
        "circuitBreaker",
        "circuitBreaker: { expression: 'LatencyAtQuantileMS(50.0) > 100', checkPeriod: 100ms, \
         fallbackDuration: 10s, recoveryDuration: 10s, responseCode: 503 }",
    ),
    (
        "compress",
        "compress: { excludedContentTypes: [text/event-stream], minResponseBodyBytes: 1200, \
         encodings: [zstd, br, gzip], defaultEncoding: gzip }",
    ),
    ("compress", "compress: { includedContentTypes: [application/json] }"),
    ("contentType", "contentType: {}"),
    ("contentType", "contentType: { autoDetect: false }"),
    (
        "digestAuth",
        "digestAuth: { users: ['test:traefik:a2688e031edb4be6a3797f3882655c05'], \
         usersFile: FOLDER/digest, \
         realm: r, headerField: X-User, removeHeader: true }",
    ),
    (
        "errors",
        "errors: { status: ['500', '501', '503', '505-599'], statusRewrites: { '418': 404, \
         '502-504': 500 }, service: s, query: '/{status}.html' }",
    ),
    (
        "forwardAuth",
        "forwardAuth: { address: 'https://example.com/auth', trustForwardHeader: true, \
         authResponseHeaders: [X-Auth-User, X-Secret], authResponseHeadersRegex: '^X-', \
         authRequestHeaders: [Accept, X-CustomHeader], addAuthCookiesToResponse: [Session-Cookie], \
         forwardBody: true, maxBodySize: 1000, maxResponseBodySize: 1000, headerField: X-User, \
         preserveLocationHeader: true, preserveRequestMethod: true, \
         tls: { ca: FOLDER/cert, cert: FOLDER/cert, key: FOLDER/key, insecureSkipVerify: true } }",
    ),
    ("grpcWeb", "grpcWeb: { allowOrigins: ['*'] }"),
    (
        "headers",
        "headers: { customRequestHeaders: { X-A: a, X-B: '' }, customResponseHeaders: { X-C: c }, \
         accessControlAllowCredentials: true, accessControlAllowHeaders: ['*'], \
         accessControlAllowMethods: [GET], accessControlAllowOriginList: ['https://a'], \
         accessControlAllowOriginListRegex: ['^https://a'], accessControlExposeHeaders: [X-A], \
         accessControlMaxAge: 100, addVaryHeader: true, allowedHosts: [a], \
         hostsProxyHeaders: [X-Forwarded-Host], sslRedirect: true, sslTemporaryRedirect: true, \
         sslHost: a, sslForceHost: true, sslProxyHeaders: { X-Forwarded-Proto: https }, \
         stsSeconds: 42, stsIncludeSubdomains: true, stsPreload: true, forceSTSHeader: true, \
         frameDeny: true, customFrameOptionsValue: SAMEORIGIN, contentTypeNosniff: true, \
         browserXssFilter: true, customBrowserXSSValue: '1', contentSecurityPolicy: p, \
         contentSecurityPolicyReportOnly: p, publicKey: k, referrerPolicy: p, \
         featurePolicy: p, permissionsPolicy: p, isDevelopment: true }",
    ),
    (
        "ipAllowList",
        "ipAllowList: { sourceRange: [127.0.0.1/32, 192.168.1.7], rejectStatusCode: 404, \
         ipStrategy: { depth: 2, excludedIPs: [127.0.0.1/32], ipv6Subnet: 64 } }",
    ),
    ("ipAllowList", "ipWhiteList: { sourceRange: [127.0.0.1/32], ipStrategy: { depth: 2 } }"),
    (
        "inFlightReq",
        "inFlightReq: { amount: 10, sourceCriterion: { ipStrategy: { depth: 2, \
         excludedIPs: [127.0.0.1/32], ipv6Subnet: 64 } } }",
    ),
    ("inFlightReq", "inFlightReq: { amount: 10, sourceCriterion: { requestHost: true } }"),
    (
        "passTLSClientCert",
        "passTLSClientCert: { pem: true, info: { notAfter: true, notBefore: true, sans: true, \
         serialNumber: true, subject: { country: true, province: true, locality: true, \
         organization: true, organizationalUnit: true, commonName: true, serialNumber: true, \
         domainComponent: true }, issuer: { country: true, province: true, locality: true, \
         organization: true, commonName: true, serialNumber: true, domainComponent: true } } }",
    ),
    (
        "rateLimit",
        "rateLimit: { average: 100, period: 1m, burst: 50, \
         sourceCriterion: { ipStrategy: { depth: 2, excludedIPs: [127.0.0.1/32], ipv6Subnet: 64 } } }",
    ),
    ("rateLimit", "rateLimit: { average: 1, sourceCriterion: { requestHeaderName: username } }"),
    ("rateLimit", "rateLimit: { average: 1, sourceCriterion: { requestHost: true } }"),
    ("redirectRegex", "redirectRegex: { regex: a, replacement: b, permanent: true }"),
    ("redirectScheme", "redirectScheme: { scheme: https, port: '443', permanent: true }"),
    ("replacePath", "replacePath: { path: /foo }"),
    ("replacePathRegex", "replacePathRegex: { regex: '^/foo/(.*)', replacement: '/bar/$1' }"),
    (
        "retry",
        "retry: { attempts: 4, initialInterval: 100ms, timeout: 60s, maxRequestBodyBytes: 1024, \
         status: ['400', '500-599'], disableRetryOnNetworkError: true, \
         retryNonIdempotentMethod: true, budget: { ratio: 0.2, minPerSecond: 10 } }",
    ),
    ("stripPrefix", "stripPrefix: { prefixes: [/foobar, /fiibar], forceSlash: false }"),
    ("stripPrefixRegex", "stripPrefixRegex: { regex: ['/foo/[a-z0-9]+/[0-9]+/'] }"),
];

fn pem(label: &str, der: &[u8]) -> String {
    let lines = STANDARD.encode(der).as_bytes().chunks(64).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let text = String::from_utf8(lines.join(&b'\n')).unwrap();
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Puts there what the fields name.
fn fill(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    for (name, text) in [
        ("basic", "test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/".to_owned()),
        ("digest", "test:traefik:a2688e031edb4be6a3797f3882655c05".to_owned()),
        ("cert", pem("CERTIFICATE", made.cert.der())),
        ("key", pem("PRIVATE KEY", &made.signing_key.serialize_der())),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn every_field_is_taken_whatever_its_case() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    for (kind, yaml) in ALL {
        let yaml = &yaml.replace("FOLDER", &folder.path().display().to_string());
        let settings = read(yaml).unwrap_or_else(|faults| panic!("{yaml}: {faults:?}"));
        assert_eq!(settings.kind(), *kind);
        let (name, rest) = yaml.split_once(':').expect("a kind");
        let lower = format!("{}:{rest}", name.to_ascii_lowercase());
        assert_eq!(read(&lower).as_ref(), Ok(&settings), "{lower}");
    }
}

#[test]
fn labels_of_the_usual_kind_are_taken() {
    for (yaml, kind) in [
        ("redirectscheme: { scheme: https }", "redirectScheme"),
        ("ratelimit: { average: '100', burst: '50' }", "rateLimit"),
        ("compress: 'true'", "compress"),
        ("ratelimit: { average: '100', burst: '200', period: 1s }", "rateLimit"),
        ("ipwhitelist: { sourcerange: [192.168.1.0/24, 10.0.0.0/8] }", "ipAllowList"),
        ("headers: { customrequestheaders: { X-Forwarded-Proto: https } }", "headers"),
        ("headers: { sslredirect: 'true', stsSeconds: '31536000' }", "headers"),
        ("headers: { contentTypeNosniff: 'true', browserXssFilter: 'true' }", "headers"),
        (
            "circuitbreaker: { expression: 'NetworkErrorRatio() > 0.3 || \
             ResponseCodeRatio(500, 600, 0, 600) > 0.3' }",
            "circuitBreaker",
        ),
        ("retry: { attempts: '3', initialinterval: 100ms }", "retry"),
        ("basicauth: { users: ['user:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/'] }", "basicAuth"),
        (
            "forwardauth: { address: 'http://auth-service/verify', authResponseHeaders: [X-Auth-User] }",
            "forwardAuth",
        ),
    ] {
        match read(yaml) {
            Ok(settings) => assert_eq!(settings.kind(), kind, "{yaml}"),
            Err(faults) => panic!("{yaml}: {faults:?}"),
        }
    }
}

#[test]
fn a_middleware_is_of_one_known_kind() {
    for (yaml, why) in [
        ("{}", "a middleware needs its kind"),
        ("addPrefx: { prefix: /a }", "did you mean \"addPrefix\"?"),
        ("plugin: {}", "lb has no plugins"),
        ("{ chain: { middlewares: [] }, replacePath: { path: /a } }", "is of one kind"),
        ("addPrefix: { prefix: /a, sufix: b }", "unknown key"),
    ] {
        let faults = read(yaml).expect_err(yaml);
        assert!(faults.iter().any(|fault| fault.contains(why)), "{yaml}: {faults:?}");
    }
    assert_eq!(fault("addPrefix: { prefix: '' }"), "addPrefix.prefix: a prefix can't be empty");
}
