//! Lines, what is left out of them, and who writes them.

use std::{fs, path::Path, time::UNIX_EPOCH};

use serde_json::Value;

use super::*;
use crate::model::{Chosen, HeaderMode, Id, Protocol};

const PATIENCE: Duration = Duration::from_secs(60);

fn exchange() -> Exchange {
    let mut exchange = Exchange::made_up(
        "GET /a?b=\"c\"\nHost: example.com:8080\nUser-Agent: t\\1\nauthorization: secret",
    );
    exchange.answer.head.set_status(503);
    exchange.answer.reason = Some("no_server");
    exchange.bytes_out = 7;
    exchange.request.set_path("/stripped");
    exchange
}

fn facts<'a>(exchange: &'a Exchange, router: &'a Id) -> Facts<'a> {
    Facts {
        exchange,
        entry_point: "web",
        router: Some(router),
        service: None,
        took: Duration::from_micros(2_500),
        now: UNIX_EPOCH + Duration::from_millis(1_783_166_400_002),
        count: 5,
    }
}

fn line_of(settings: &AccessLog) -> String {
    let (exchange, router) = (exchange(), Id::new(Protocol::Http, "r", "file"));
    let mut out = Vec::new();
    let (kept, facts) = (Kept::new(settings), facts(&exchange, &router));
    line::write(&mut out, settings, &kept, &facts, &mut text::Stamp::default());
    String::from_utf8(out).unwrap()
}

fn json_of(settings: AccessLog) -> Value {
    serde_json::from_str(&line_of(&AccessLog { json: true, ..settings })).unwrap()
}

macro_rules! fields {
    ($($test:ident: $name:literal => $value:expr;)+) => {
        $(#[test]
        fn $test() {
            let line = json_of(AccessLog::default());
            assert_eq!(line[$name], serde_json::json!($value), "{line}");
        })+
    };
}

fields! {
    field_client: "ClientAddr" => "192.0.2.1:40000";
    field_client_host: "ClientHost" => "192.0.2.1";
    field_address: "RequestAddr" => "example.com:8080";
    field_host: "RequestHost" => "example.com";
    field_port: "RequestPort" => "8080";
    field_path_as_it_was_asked_for: "RequestPath" => "/a?b=\"c\"";
    field_method: "RequestMethod" => "GET";
    field_status: "DownstreamStatus" => 503;
    field_size: "DownstreamContentSize" => 7;
    field_duration_in_nanoseconds: "Duration" => 2_500_000;
    field_no_server_no_status: "OriginStatus" => 0;
    field_router: "RouterName" => "r@file";
    field_entry_point: "entryPointName" => "web";
    field_reason: "Reason" => "no_server";
    field_start: "StartUTC" => "2026-07-04T11:59:59.999500000Z";
    field_time: "time" => "2026-07-04T12:00:00Z";
    field_count: "RequestCount" => 5;
    field_header_by_default: "request_User-Agent" => Value::Null;
}

#[test]
fn fields_and_headers_are_chosen() {
    let keep = |names: &[(&str, HeaderMode)]| Chosen {
        default: HeaderMode::Drop,
        names: names.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect(),
    };
    let line = json_of(AccessLog {
        fields: Chosen { default: false, names: [("RequestPath".to_owned(), true)].into() },
        headers: keep(&[("user-agent", HeaderMode::Keep), ("authorization", HeaderMode::Redact)]),
        ..AccessLog::default()
    });
    let names: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["RequestPath", "level", "msg", "request_Authorization", "request_User-Agent", "time"]
    );
    assert_eq!(line["request_User-Agent"], "t\\1");
    assert_eq!(line["request_Authorization"], "REDACTED");
}

#[test]
fn common_format_is_traefiks() {
    assert_eq!(
        line_of(&AccessLog::default()),
        "192.0.2.1 - - [04/Jul/2026:11:59:59 +0000] \"GET /a?b=\\\"c\\\" HTTP/1.1\" 503 7 \
         \"-\" \"t\\\\1\" 5 \"r@file\" \"-\" 2ms\n"
    );
}

#[test]
fn one_of_the_filters_has_to_let_it_through() {
    let start = |settings| Log::start(&Arc::new(settings), None).unwrap();
    let long = Duration::from_secs(1);
    let mut exchange = exchange();
    let both =
        start(AccessLog { status_codes: vec![(200, 299)], min_duration: long, ..<_>::default() });
    assert!(!both.wants(&exchange, Duration::ZERO));
    assert!(both.wants(&exchange, long));
    exchange.answer.head.set_status(204);
    assert!(both.wants(&exchange, Duration::ZERO));
    let retried = start(AccessLog { retry_attempts: true, ..<_>::default() });
    assert!(!retried.wants(&exchange, long));
    exchange.retries = 1;
    assert!(retried.wants(&exchange, Duration::ZERO));
}

fn to_file(path: &Path, buffering: u32) -> Arc<Log> {
    let settings = AccessLog { file: Some(path.to_owned()), buffering, ..AccessLog::default() };
    Arc::new(Log::start(&Arc::new(settings), None).unwrap())
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn lines_beyond_the_buffer_are_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = to_file(&path, 16);
    let (exchange, router) = (exchange(), Id::new(Protocol::Http, "r", "file"));
    // As if fourteen lines of other workers waited for a slow disk.
    log.counts.waiting.store(15, Relaxed);
    let mut batch = Lines::default();
    for _ in 0..3 {
        batch.add(&log, facts(&exchange, &router));
    }
    batch.flush();
    log.sync(PATIENCE);
    assert_eq!((lines(&path), log.dropped()), (1, 2));
    assert_eq!(log.counts.waiting.load(Relaxed), 15);
    assert_eq!(log.counts.lines.load(Relaxed), 3);
}

#[test]
fn file_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = to_file(&path, 4096);
    let (exchange, router) = (exchange(), Id::new(Protocol::Http, "r", "file"));
    let mut batch = Lines::default();
    let mut add = |count: usize| {
        (0..count).for_each(|_| batch.add(&log, facts(&exchange, &router)));
        batch.flush();
        log.sync(PATIENCE);
    };
    add(300);
    fs::rename(&path, &moved).unwrap();
    add(2);
    assert_eq!(lines(&moved), 302, "it goes on until it is told");
    log.reopen();
    add(3);
    assert_eq!((lines(&moved), lines(&path)), (302, 3));
}

#[test]
fn file_that_cannot_be_opened_is_named() {
    let settings =
        AccessLog { file: Some("/nonexistent/access.log".into()), ..AccessLog::default() };
    let error = Log::start(&Arc::new(settings), None).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/access.log: "), "{error}");
}
