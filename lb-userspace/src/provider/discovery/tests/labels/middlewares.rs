//! `http.middlewares`.

use super::means;

means! { "http.middlewares.m.", "http: { middlewares: { m: { @ } } }", "";
    add_prefix: "addprefix.prefix=/foo" => "addPrefix: { prefix: /foo }";
    basic_auth: "basicauth.users=test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"
        => "basicAuth: { users: ['test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/'] }";
    basic_auth_of_two: "basicauth.users=a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/,b:$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0"
        => "basicAuth: { users: ['a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/', 'b:$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0'] }";
    basic_auth_file: "basicauth.usersfile=/etc/users" => "basicAuth: { usersFile: /etc/users }";
    basic_auth_realm: "basicauth.usersfile=/u; basicauth.realm=MyRealm" => "basicAuth: { usersFile: /u, realm: MyRealm }";
    basic_auth_remove: "basicauth.usersfile=/u; basicauth.removeheader=true" => "basicAuth: { usersFile: /u, removeHeader: true }";
    basic_auth_field: "basicauth.usersfile=/u; basicauth.headerField=X-WebAuth-User"
        => "basicAuth: { usersFile: /u, headerField: X-WebAuth-User }";
    buffering_request: "buffering.maxRequestBodyBytes=2000000" => "buffering: { maxRequestBodyBytes: 2000000 }";
    buffering_memory: "buffering.memRequestBodyBytes=42" => "buffering: { memRequestBodyBytes: 42 }";
    buffering_response: "buffering.maxResponseBodyBytes=42" => "buffering: { maxResponseBodyBytes: 42 }";
    buffering_response_memory: "buffering.memResponseBodyBytes=42" => "buffering: { memResponseBodyBytes: 42 }";
    buffering_retry: "buffering.retryExpression=IsNetworkError() && Attempts() < 2"
        => "buffering: { retryExpression: 'IsNetworkError() && Attempts() < 2' }";
    chain: "chain.middlewares=a,b@file" => "chain: { middlewares: [a, b@file] }";
    chain_by_number: "chain.middlewares[0]=a; chain.middlewares[1]=b" => "chain: { middlewares: [a, b] }";
    breaker: "circuitbreaker.expression=LatencyAtQuantileMS(50.0) > 100" => "circuitBreaker: { expression: 'LatencyAtQuantileMS(50.0) > 100' }";
    breaker_of_the_chapter: "circuitbreaker.expression=NetworkErrorRatio() > 0.3 || ResponseCodeRatio(500, 600, 0, 600) > 0.3"
        => "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.3 || ResponseCodeRatio(500, 600, 0, 600) > 0.3' }";
    breaker_check: "circuitbreaker.expression=NetworkErrorRatio() > 0.3; circuitbreaker.checkperiod=42s"
        => "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.3', checkPeriod: 42s }";
    breaker_fallback: "circuitbreaker.expression=NetworkErrorRatio() > 0.3; circuitbreaker.fallbackduration=42s"
        => "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.3', fallbackDuration: 42s }";
    breaker_recovery: "circuitbreaker.expression=NetworkErrorRatio() > 0.3; circuitbreaker.recoveryduration=42s"
        => "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.3', recoveryDuration: 42s }";
    breaker_code: "circuitbreaker.expression=NetworkErrorRatio() > 0.3; circuitbreaker.responsecode=503"
        => "circuitBreaker: { expression: 'NetworkErrorRatio() > 0.3', responseCode: 503 }";
    compress: "compress=true" => "compress: {}";
    compress_excluded: "compress.excludedcontenttypes=text/event-stream,audio/*"
        => "compress: { excludedContentTypes: [text/event-stream, 'audio/*'] }";
    compress_included: "compress.includedcontenttypes=application/json,text/html"
        => "compress: { includedContentTypes: [application/json, text/html] }";
    compress_least: "compress.minresponsebodybytes=1200" => "compress: { minResponseBodyBytes: 1200 }";
    compress_default: "compress.defaultEncoding=gzip" => "compress: { defaultEncoding: gzip }";
    compress_encodings: "compress.encodings=zstd,br" => "compress: { encodings: [zstd, br] }";
    compress_true_and_more: "compress=true; compress.minresponsebodybytes=1" => "compress: { minResponseBodyBytes: 1 }";
    content_type: "contenttype=true" => "contentType: {}";
    content_type_auto: "contenttype.autodetect=true" => "contentType: { autoDetect: true }";
    digest_auth: "digestauth.users=test:traefik:a2688e031edb4be6a3797f3882655c05"
        => "digestAuth: { users: ['test:traefik:a2688e031edb4be6a3797f3882655c05'] }";
    digest_auth_file: "digestauth.usersfile=/etc/users; digestauth.realm=traefik" => "digestAuth: { usersFile: /etc/users, realm: traefik }";
    digest_auth_remove: "digestauth.usersfile=/u; digestauth.removeheader=true" => "digestAuth: { usersFile: /u, removeHeader: true }";
    digest_auth_field: "digestauth.usersfile=/u; digestauth.headerfield=X-User" => "digestAuth: { usersFile: /u, headerField: X-User }";
    errors: "errors.status=500,501,503,505-599; errors.service=e; errors.query=/{status}.html"
        => "errors: { status: ['500', '501', '503', 505-599], service: e, query: '/{status}.html' }";
    errors_rewrites: "errors.status=404; errors.service=e; errors.statusrewrites.404=503"
        => "errors: { status: ['404'], service: e, statusRewrites: { '404': 503 } }";
    forward_auth: "forwardauth.address=https://example.com/auth" => "forwardAuth: { address: 'https://example.com/auth' }";
    forward_auth_trust: "forwardauth.address=http://a/; forwardauth.trustForwardHeader=true"
        => "forwardAuth: { address: 'http://a/', trustForwardHeader: true }";
    forward_auth_headers: "forwardauth.address=http://a/; forwardauth.authResponseHeaders=X-Auth-User,X-Secret"
        => "forwardAuth: { address: 'http://a/', authResponseHeaders: [X-Auth-User, X-Secret] }";
    forward_auth_headers_regex: "forwardauth.address=http://a/; forwardauth.authResponseHeadersRegex=^X-"
        => "forwardAuth: { address: 'http://a/', authResponseHeadersRegex: '^X-' }";
    forward_auth_request_headers: "forwardauth.address=http://a/; forwardauth.authRequestHeaders=Accept,X-CustomHeader"
        => "forwardAuth: { address: 'http://a/', authRequestHeaders: [Accept, X-CustomHeader] }";
    forward_auth_cookies: "forwardauth.address=http://a/; forwardauth.addAuthCookiesToResponse=Session-Cookie,State-Cookie"
        => "forwardAuth: { address: 'http://a/', addAuthCookiesToResponse: [Session-Cookie, State-Cookie] }";
    forward_auth_body: "forwardauth.address=http://a/; forwardauth.forwardBody=true; forwardauth.maxBodySize=1024"
        => "forwardAuth: { address: 'http://a/', forwardBody: true, maxBodySize: 1024 }";
    forward_auth_field: "forwardauth.address=http://a/; forwardauth.headerField=X-WebAuth-User"
        => "forwardAuth: { address: 'http://a/', headerField: X-WebAuth-User }";
    forward_auth_location: "forwardauth.address=http://a/; forwardauth.preserveLocationHeader=true"
        => "forwardAuth: { address: 'http://a/', preserveLocationHeader: true }";
    forward_auth_method: "forwardauth.address=http://a/; forwardauth.preserveRequestMethod=true"
        => "forwardAuth: { address: 'http://a/', preserveRequestMethod: true }";
    forward_auth_tls: "forwardauth.address=https://a/; forwardauth.tls.insecureSkipVerify=true"
        => "forwardAuth: { address: 'https://a/', tls: { insecureSkipVerify: true } }";
    grpc_web: "grpcweb.allowOrigins=*" => "grpcWeb: { allowOrigins: ['*'] }";
    headers_request: "headers.customrequestheaders.X-Script-Name=test" => "headers: { customRequestHeaders: { X-Script-Name: test } }";
    headers_request_removed: "headers.customrequestheaders.X-Custom=" => "headers: { customRequestHeaders: { X-Custom: '' } }";
    headers_request_of_two: "headers.customrequestheaders.X-A=1; headers.customrequestheaders.X-B=2"
        => "headers: { customRequestHeaders: { X-A: '1', X-B: '2' } }";
    headers_response: "headers.customresponseheaders.X-Custom-Response-Header=value"
        => "headers: { customResponseHeaders: { X-Custom-Response-Header: value } }";
    headers_credentials: "headers.accesscontrolallowcredentials=true" => "headers: { accessControlAllowCredentials: true }";
    headers_allowed_headers: "headers.accesscontrolallowheaders=X-foo,X-bar" => "headers: { accessControlAllowHeaders: [X-foo, X-bar] }";
    headers_methods: "headers.accesscontrolallowmethods=GET,OPTIONS,PUT" => "headers: { accessControlAllowMethods: [GET, OPTIONS, PUT] }";
    headers_origins: "headers.accesscontrolalloworiginlist=https://foo.bar.org,https://example.org"
        => "headers: { accessControlAllowOriginList: ['https://foo.bar.org', 'https://example.org'] }";
    headers_origins_regex: "headers.accesscontrolalloworiginlistregex=^https://.*$" => "headers: { accessControlAllowOriginListRegex: ['^https://.*$'] }";
    headers_exposed: "headers.accesscontrolexposeheaders=X-foo,X-bar" => "headers: { accessControlExposeHeaders: [X-foo, X-bar] }";
    headers_max_age: "headers.accesscontrolmaxage=100" => "headers: { accessControlMaxAge: 100 }";
    headers_vary: "headers.addvaryheader=true" => "headers: { addVaryHeader: true }";
    headers_hosts: "headers.allowedhosts=foo,bar" => "headers: { allowedHosts: [foo, bar] }";
    headers_proxy_hosts: "headers.hostsproxyheaders=X-Forwarded-Host" => "headers: { hostsProxyHeaders: [X-Forwarded-Host] }";
    headers_ssl_redirect: "headers.sslredirect=true" => "headers: { sslRedirect: true }";
    headers_ssl_temporary: "headers.sslredirect=true; headers.ssltemporaryredirect=true"
        => "headers: { sslRedirect: true, sslTemporaryRedirect: true }";
    headers_ssl_host: "headers.sslhost=example.org; headers.sslforcehost=true" => "headers: { sslHost: example.org, sslForceHost: true }";
    headers_ssl_proxy: "headers.sslproxyheaders.X-Forwarded-Proto=https" => "headers: { sslProxyHeaders: { X-Forwarded-Proto: https } }";
    headers_sts: "headers.stsseconds=31536000" => "headers: { stsSeconds: 31536000 }";
    headers_sts_subdomains: "headers.stsseconds=1; headers.stsincludesubdomains=true" => "headers: { stsSeconds: 1, stsIncludeSubdomains: true }";
    headers_sts_preload: "headers.stsseconds=1; headers.stspreload=true" => "headers: { stsSeconds: 1, stsPreload: true }";
    headers_sts_forced: "headers.stsseconds=1; headers.forcestsheader=true" => "headers: { stsSeconds: 1, forceSTSHeader: true }";
    headers_frame_deny: "headers.framedeny=true" => "headers: { frameDeny: true }";
    headers_frame_value: "headers.customframeoptionsvalue=SAMEORIGIN" => "headers: { customFrameOptionsValue: SAMEORIGIN }";
    headers_nosniff: "headers.contenttypenosniff=true" => "headers: { contentTypeNosniff: true }";
    headers_xss: "headers.browserxssfilter=true" => "headers: { browserXssFilter: true }";
    headers_xss_value: "headers.custombrowserxssvalue=1" => "headers: { customBrowserXSSValue: '1' }";
    headers_csp: "headers.contentsecuritypolicy=default-src 'self'" => "headers: { contentSecurityPolicy: \"default-src 'self'\" }";
    headers_referrer: "headers.referrerpolicy=no-referrer" => "headers: { referrerPolicy: no-referrer }";
    headers_permissions: "headers.permissionspolicy=camera=()" => "headers: { permissionsPolicy: 'camera=()' }";
    headers_development: "headers.isdevelopment=true" => "headers: { isDevelopment: true }";
    headers_of_the_chapter: "headers.customrequestheaders.X-Forwarded-Proto=https; headers.stsSeconds=31536000; headers.browserXssFilter=true"
        => "headers: { customRequestHeaders: { X-Forwarded-Proto: https }, stsSeconds: 31536000, browserXssFilter: true }";
    in_flight: "inflightreq.amount=10" => "inFlightReq: { amount: 10 }";
    in_flight_by_header: "inflightreq.amount=10; inflightreq.sourcecriterion.requestheadername=username"
        => "inFlightReq: { amount: 10, sourceCriterion: { requestHeaderName: username } }";
    in_flight_by_host: "inflightreq.amount=10; inflightreq.sourcecriterion.requesthost=true"
        => "inFlightReq: { amount: 10, sourceCriterion: { requestHost: true } }";
    in_flight_by_depth: "inflightreq.amount=10; inflightreq.sourcecriterion.ipstrategy.depth=2"
        => "inFlightReq: { amount: 10, sourceCriterion: { ipStrategy: { depth: 2 } } }";
    in_flight_by_excluded: "inflightreq.amount=10; inflightreq.sourcecriterion.ipstrategy.excludedips=127.0.0.1/32,192.168.1.7"
        => "inFlightReq: { amount: 10, sourceCriterion: { ipStrategy: { excludedIPs: [127.0.0.1/32, 192.168.1.7] } } }";
    allow_list: "ipallowlist.sourcerange=127.0.0.1/32, 192.168.1.7" => "ipAllowList: { sourceRange: [127.0.0.1/32, 192.168.1.7] }";
    allow_list_by_depth: "ipallowlist.sourcerange=127.0.0.1; ipallowlist.ipstrategy.depth=2"
        => "ipAllowList: { sourceRange: [127.0.0.1], ipStrategy: { depth: 2 } }";
    allow_list_by_excluded: "ipallowlist.sourcerange=127.0.0.1; ipallowlist.ipstrategy.excludedips=10.0.0.1"
        => "ipAllowList: { sourceRange: [127.0.0.1], ipStrategy: { excludedIPs: [10.0.0.1] } }";
    allow_list_status: "ipallowlist.sourcerange=127.0.0.1; ipallowlist.rejectstatuscode=404"
        => "ipAllowList: { sourceRange: [127.0.0.1], rejectStatusCode: 404 }";
    white_list: "ipwhitelist.sourcerange=192.168.1.0/24,10.0.0.0/8" => "ipWhiteList: { sourceRange: [192.168.1.0/24, 10.0.0.0/8] }";
    client_cert_pem: "passtlsclientcert.pem=true" => "passTLSClientCert: { pem: true }";
    client_cert_info: "passtlsclientcert.info.notafter=true; passtlsclientcert.info.sans=true"
        => "passTLSClientCert: { info: { notAfter: true, sans: true } }";
    client_cert_subject: "passtlsclientcert.info.subject.commonname=true; passtlsclientcert.info.subject.organization=true"
        => "passTLSClientCert: { info: { subject: { commonName: true, organization: true } } }";
    client_cert_issuer: "passtlsclientcert.info.issuer.country=true; passtlsclientcert.info.issuer.domaincomponent=true"
        => "passTLSClientCert: { info: { issuer: { country: true, domainComponent: true } } }";
    rate_limit: "ratelimit.average=100" => "rateLimit: { average: 100 }";
    rate_limit_burst: "ratelimit.average=100; ratelimit.burst=50" => "rateLimit: { average: 100, burst: 50 }";
    rate_limit_period: "ratelimit.average=6; ratelimit.period=1m" => "rateLimit: { average: 6, period: 1m }";
    rate_limit_period_in_seconds: "ratelimit.average=6; ratelimit.period=60" => "rateLimit: { average: 6, period: 60 }";
    rate_limit_by_header: "ratelimit.average=6; ratelimit.sourcecriterion.requestheadername=username"
        => "rateLimit: { average: 6, sourceCriterion: { requestHeaderName: username } }";
    rate_limit_by_host: "ratelimit.average=6; ratelimit.sourcecriterion.requesthost=true"
        => "rateLimit: { average: 6, sourceCriterion: { requestHost: true } }";
    rate_limit_by_subnet: "ratelimit.average=6; ratelimit.sourcecriterion.ipstrategy.ipv6subnet=64"
        => "rateLimit: { average: 6, sourceCriterion: { ipStrategy: { ipv6Subnet: 64 } } }";
    redirect_regex: "redirectregex.regex=^http://localhost/(.*); redirectregex.replacement=http://mydomain/${1}"
        => "redirectRegex: { regex: '^http://localhost/(.*)', replacement: 'http://mydomain/${1}' }";
    redirect_regex_permanent: "redirectregex.regex=a; redirectregex.replacement=b; redirectregex.permanent=true"
        => "redirectRegex: { regex: a, replacement: b, permanent: true }";
    redirect_scheme: "redirectscheme.scheme=https" => "redirectScheme: { scheme: https }";
    redirect_scheme_port: "redirectscheme.scheme=https; redirectscheme.port=443" => "redirectScheme: { scheme: https, port: '443' }";
    redirect_scheme_permanent: "redirectscheme.scheme=https; redirectscheme.permanent=true" => "redirectScheme: { scheme: https, permanent: true }";
    replace_path: "replacepath.path=/foo" => "replacePath: { path: /foo }";
    replace_path_regex: "replacepathregex.regex=^/foo/(.*); replacepathregex.replacement=/bar/$1"
        => "replacePathRegex: { regex: '^/foo/(.*)', replacement: '/bar/$1' }";
    retry: "retry.attempts=4" => "retry: { attempts: 4 }";
    retry_interval: "retry.attempts=4; retry.initialinterval=100ms" => "retry: { attempts: 4, initialInterval: 100ms }";
    strip_prefix: "stripprefix.prefixes=/foobar,/fiibar" => "stripPrefix: { prefixes: [/foobar, /fiibar] }";
    strip_prefix_slash: "stripprefix.prefixes=/foobar; stripprefix.forceslash=false" => "stripPrefix: { prefixes: [/foobar], forceSlash: false }";
    strip_prefix_regex: "stripprefixregex.regex=/foo/[a-z0-9]+/" => "stripPrefixRegex: { regex: ['/foo/[a-z0-9]+/'] }";
    strip_prefix_regex_by_number: "stripprefixregex.regex[0]=/foo/[a-z]{1,3}/" => "stripPrefixRegex: { regex: ['/foo/[a-z]{1,3}/'] }";
}
