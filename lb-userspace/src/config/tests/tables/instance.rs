//! The static part but for `datapath`.

use super::*;
use crate::model::Settings;

fn settings(text: &str) -> Settings {
    sound(text).settings
}

fn address(text: &str) -> Option<std::net::SocketAddr> {
    Some(text.parse().expect("an address"))
}

rows! {
    an_empty_mapping: settings("{}") => Settings::default();
    api_by_default: settings("api: {}").api.listen => None;
    api_address: settings("api: { address: '127.0.0.1:8080' }").api.listen => address("127.0.0.1:8080");
    api_localhost: settings("api: { address: 'localhost:8080' }").api.listen => address("127.0.0.1:8080");
    api_every_address: settings("api: { address: ':8080' }").api.listen => address("[::]:8080");
    api_insecure: settings("api: { insecure: true }").api.listen => address("[::]:8080");
    api_not_insecure: settings("api: { insecure: false, dashboard: false }").api.listen => None;
    api_on_traefiks_entry_point: settings("api: { insecure: true }\nentryPoints: { traefik: { address: '127.0.0.1:9000' } }").api.listen => address("127.0.0.1:9000");
    metrics_by_default: settings("metrics: { prometheus: {} }").metrics.listen => None;
    metrics_address: settings("metrics: { prometheus: { address: '127.0.0.1:9100' } }").metrics.listen => address("127.0.0.1:9100");
    metrics_entry_point: settings("metrics: { prometheus: { entryPoint: m } }\nentryPoints: { m: { address: '127.0.0.1:9100' } }").metrics.listen => address("127.0.0.1:9100");
    metrics_beside_the_api: settings("api: { insecure: true }\nmetrics: { prometheus: { entryPoint: traefik } }").metrics.listen => address("[::]:8080");
    an_entry_point_of_metrics_is_not_for_routers: sound("metrics: { prometheus: { entryPoint: m } }\nentryPoints: { m: { address: ':9100' } }").entry_points.len() => 0;
    log_by_default: settings("log: {}").log.level => LogLevel::Info;
    log_level: settings("log: { level: debug }").log.level => LogLevel::Debug;
    log_level_in_capitals: settings("log: { level: ERROR }").log.level => LogLevel::Error;
    log_json: settings("log: { format: json }").log.json => true;
    log_traefiks_common: settings("log: { format: common }").log.json => false;
    ping: settings("ping: {}") => Settings::default();
    sections_without_content: settings("tcp:\nudp:\nlog:\napi:\n") => Settings::default();
    throttle: settings("providers: { providersThrottleDuration: 2s }").throttle => Duration::from_secs(2);
    file_watched_by_default: settings("providers: { file: { filename: a.yaml } }").file.map(|file| file.watch) => Some(true);
    file_not_watched: settings("providers: { file: { filename: a.yaml, watch: false } }").file.map(|file| file.watch) => Some(false);
    file_directory: settings("providers: { file: { directory: /etc/lb/conf.d } }").file.map(|file| (file.is_directory, file.path)) => Some((true, "/etc/lb/conf.d".into()));
}

#[test]
fn a_relative_path_starts_at_the_main_file() {
    let text = "providers: { file: { filename: more.yaml } }";
    let loaded = load("/etc/lb/lb.yaml", text).expect("sound");
    let path = loaded.settings.file.expect("a provider").path;
    assert_eq!(path.to_str(), Some("/etc/lb/more.yaml"));
}
