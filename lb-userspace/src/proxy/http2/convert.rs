//! Heads of hyper's and of the engine.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::proxy::{
    Head,
    chunked::may_trail,
    head::{Class, Version, parse::is_host},
};

/// The head of a request that came by HTTP/2; `None` where target or authority aren't sound.
pub(super) fn request<B>(request: &Request<B>, head: &mut Head) -> Option<()> {
    head.clear();
    head.version = Version::Http2;
    head.set_method(request.method().as_str());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = if target.is_empty() { "/" } else { target };
    let has_form = match target {
        "*" => request.method() == http::Method::OPTIONS,
        path => path.starts_with('/'),
    };
    if !has_form || target.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
        return None;
    }
    head.set_target(target);
    let host = host(request)?;
    if host.is_empty() || host.contains(&b'@') || !is_host(host) {
        return None;
    }
    head.add("Host", host);
    fields(request.headers(), head);
    Some(())
}

/// Whom a request is for: two that don't agree are none (RFC 9113 §8.3.1).
fn host<B>(request: &Request<B>) -> Option<&[u8]> {
    let mut hosts = request.headers().get_all(http::header::HOST).iter().map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let first = authority.or_else(|| hosts.next())?;
    hosts.all(|other| other.eq_ignore_ascii_case(first)).then_some(first)
}

/// The head of an answer that came by HTTP/2.
pub(super) fn response<B>(response: &Response<B>, head: &mut Head) {
    head.clear();
    head.version = Version::Http2;
    head.set_status(response.status().as_u16());
    fields(response.headers(), head);
}

/// Trailers that came by HTTP/2.
pub(super) fn trailers(map: &HeaderMap) -> Head {
    let mut head = Head::default();
    fields(map, &mut head);
    head
}

/// Cookies may come crumb by crumb, and are one field elsewhere (RFC 9113 §8.2.3).
fn fields(map: &HeaderMap, head: &mut Head) {
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in map {
        if name == http::header::HOST {
            continue;
        }
        if name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        head.add(name.as_str(), value.as_bytes());
    }
    if !cookies.is_empty() {
        head.add("cookie", cookies);
    }
}

/// The engine's fields for hyper: those of a connection stay behind (RFC 9113 §8.2.2).
pub(super) fn headers(head: &Head, keep_length: bool) -> HeaderMap {
    // With room for the date.
    let mut map = HeaderMap::with_capacity(head.fields.len() + 1);
    // One piece of memory for all values.
    let bytes = Bytes::copy_from_slice(&head.bytes);
    let named = crate::proxy::upstream::write::Named::of(head);
    for field in &head.fields {
        let name = head.slice(field.name);
        let keep = match field.class {
            Class::Plain | Class::Forwarded | Class::Trailer => !named.has(head, name),
            Class::Te => head.slice(field.value).eq_ignore_ascii_case(b"trailers"),
            Class::ContentLength => keep_length,
            _ => false,
        };
        if keep
            && let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name),
                HeaderValue::from_maybe_shared(bytes.slice(field.value.range())),
            )
        {
            map.append(name, value);
        }
    }
    map
}

/// The engine's trailers for hyper.
pub(super) fn trailing(head: &Head) -> HeaderMap {
    let mut trailers = head.clone();
    trailers.retain(|name, _| may_trail(name));
    headers(&trailers, false)
}

/// A status for hyper.
pub(super) fn status(head: &Head) -> StatusCode {
    StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY)
}
