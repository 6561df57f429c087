//! The answer's head and body on their way to the client.

use std::{io, time::Duration};

use super::{
    conn::Conn,
    io::write_both,
    relay::{self, Coding},
};
use crate::proxy::{
    BodyError, Exchange,
    head::{Class, Version},
    upstream::write::{Named, decimal},
};

/// An answer that went out whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Bytes of the body.
    pub(super) bytes: u64,
    /// Whether the connection can serve another request.
    pub(super) keeps: bool,
}

/// An answer that broke off: the connection ends, so that nobody takes it for whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) bytes: u64,
    pub(super) reason: &'static str,
}

/// Sends the exchange's answer. The client has to take some of it within `write` (0: for ever).
pub(super) async fn send(
    conn: &mut Conn,
    exchange: &mut Exchange,
    write: Duration,
    keeps: bool,
) -> Result<Done, Broken> {
    let is_head = exchange.request.is_method("HEAD");
    let is_old = exchange.request.version() == Version::Http10;
    let mut body = std::mem::take(&mut exchange.answer.body);
    let status = exchange.answer.head.status();
    let has_none = is_head || status == 204 || status == 304;
    let coding = match (has_none, body.length(), is_old) {
        (true, ..) => Coding::None,
        (_, Some(length), _) => Coding::Length(length),
        (_, None, false) => Coding::Chunked,
        (_, None, true) => Coding::Close,
    };
    let keeps = keeps && coding != Coding::Close;
    let mut out = conn.worker.buffers.small();
    head(&mut out, conn, exchange, coding, is_head, keeps, is_old);
    conn.alarm.set(write);
    let result = if has_none {
        flush(conn, &out).await.map(|()| 0)
    } else {
        relay::body(conn, &mut out, &mut body, coding, write).await
    };
    conn.alarm.clear();
    conn.worker.buffers.give_back(out);
    result.map(|bytes| Done { bytes, keeps })
}

async fn flush(conn: &Conn, out: &[u8]) -> Result<(), Broken> {
    write_both(&conn.io, out, &[], &conn.alarm, |_| {})
        .await
        .map_err(|error| Broken { bytes: 0, reason: client_error(&error) })
}

/// Why a client got no more.
pub(super) fn client_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => "client_write_timeout",
        _ => "client_gone",
    }
}

/// Why a body broke off.
pub(super) fn body_error(error: &BodyError) -> &'static str {
    match error {
        BodyError::Truncated => "answer_truncated",
        BodyError::Malformed(_) => "answer_malformed",
        BodyError::TooLarge(_) => "answer_too_large",
        BodyError::Timeout => "answer_timeout",
        BodyError::Io(_) => "server_gone",
    }
}

/// Appends status line and fields.
fn head(
    out: &mut Vec<u8>,
    conn: &Conn,
    exchange: &Exchange,
    coding: Coding,
    is_head: bool,
    keeps: bool,
    is_old: bool,
) {
    let answer = &exchange.answer.head;
    let status = answer.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    let named = Named::of(answer);
    let mut has_date = false;
    for field in &answer.fields {
        let name = answer.slice(field.name);
        let keep = match field.class {
            Class::ContentLength => {
                matches!(coding, Coding::None) && status != 204 && is_bodiless(is_head, status)
            }
            Class::TransferEncoding | Class::Connection | Class::Hop | Class::Upgrade => false,
            _ => !named.has(answer, name),
        };
        if keep {
            has_date |= name.len() == 4 && name.eq_ignore_ascii_case(b"date");
            crate::proxy::upstream::write::line(out, name, answer.slice(field.value));
        }
    }
    if !has_date {
        conn.worker
            .clock
            .date(|date| crate::proxy::upstream::write::line(out, "Date", date.as_bytes()));
    }
    match coding {
        Coding::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Coding::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Coding::None | Coding::Close => {}
    }
    if !keeps {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if is_old {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Answers whose length says what a body would have had.
fn is_bodiless(is_head: bool, status: u16) -> bool {
    is_head || status == 304
}

/// The phrase of a status (RFC 9110 §15); what is not listed has none.
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}
