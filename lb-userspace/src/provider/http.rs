//! `providers.http`: a file's text at a URL, asked for again and again.

use std::{convert::Infallible, path::PathBuf};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Asked,
    link::{Following, Link, Outcome, Outlet, Reader, Source},
};
use crate::{
    config::{build, syntax::SUFFIXES},
    model::{self, ClientTls, Settings},
    proxy::{
        Head,
        fetch::{FetchLimits, Fetched, Fetcher},
    },
};

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let http = settings.http.clone()?;
    let key = ("http", http.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Http(http), around)))
}

/// One URL.
struct Http(model::HttpProvider);

/// What the URL gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Text {
    /// Which tells the format.
    suffix: String,
    body: String,
}

impl Source for Http {
    type State = Text;

    fn name(&self) -> &'static str {
        "http"
    }

    fn endpoint(&self) -> String {
        // What follows may be a secret.
        self.0.endpoint.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<Text>) -> Following<'a> {
        Box::pin(self.poll(outlet))
    }

    fn reader(&self) -> Reader<Text> {
        Box::new(|text| {
            let file = PathBuf::from(format!("http.{}", text.suffix));
            let parsed = build::provider_file(&file, text.body.as_bytes(), "http");
            let document = &parsed.document;
            let serving = document.routers.len() + document.services.len();
            Outcome { serving, parsed, ..Outcome::default() }
        })
    }
}

impl Http {
    async fn poll(&self, outlet: &Outlet<Text>) -> Result<Infallible, String> {
        let limits = FetchLimits {
            connect: self.0.timeout,
            whole: self.0.timeout,
            ..FetchLimits::default()
        };
        let none = ClientTls::default();
        let fetcher = Fetcher::new(&self.0.endpoint, self.0.tls.as_ref().unwrap_or(&none), limits)?;
        let mut tag = None;
        loop {
            let answer = fetcher.ask(&self.request(tag.as_deref())).await;
            let answer = answer.map_err(|error| error.to_string())?;
            match answer.head.status() {
                200 => {
                    tag = field(&answer, "etag");
                    outlet.publish(self.text(&answer)?);
                }
                304 if tag.is_some() => outlet.connected(),
                status => return Err(format!("answered with status {status}")),
            }
            sleep(self.0.interval).await;
        }
    }

    fn request(&self, tag: Option<&str>) -> Head {
        let url = &self.0.endpoint;
        let from_host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let target = from_host.find(['/', '?']).map_or("", |at| &from_host[at..]);
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        let mut head = Head::request("GET", &format!("{slash}{target}"));
        for (name, value) in &self.0.headers {
            head.add(name, value.as_bytes());
        }
        if let Some(tag) = tag {
            head.add("if-none-match", tag.as_bytes());
        }
        head
    }

    fn text(&self, answer: &Fetched) -> Result<Text, String> {
        let body = String::from_utf8(answer.body.to_vec()).map_err(|_| "answered with no UTF-8")?;
        let suffix = suffix(&field(answer, "content-type").unwrap_or_default(), &self.endpoint());
        Ok(Text { suffix: suffix.to_owned(), body })
    }
}

fn field(answer: &Fetched, name: &str) -> Option<String> {
    let found = answer.head.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

/// The format by the type of the answer, else by the URL's end, else YAML, which JSON is as well.
fn suffix(content_type: &str, url: &str) -> &'static str {
    let content_type = content_type.to_ascii_lowercase();
    let named = ["toml", "yaml", "json"].into_iter().find(|name| content_type.contains(name));
    let last = url.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let by_url = SUFFIXES.iter().find(|suffix| last.as_deref() == Some(**suffix));
    named.or(by_url.copied()).unwrap_or("yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! suffixes {
        ($($test:ident: $type:literal, $url:literal => $suffix:literal;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(suffix($type, $url), $suffix);
            })+
        };
    }

    suffixes! {
        format_by_type: "application/json; charset=utf-8", "http://a/lb.yaml" => "json";
        format_by_type_of_toml: "application/toml", "http://a/" => "toml";
        format_by_type_of_yaml: "text/x-yaml", "http://a/x.json" => "yaml";
        format_by_url: "text/plain", "http://a/lb.toml" => "toml";
        format_by_url_in_capitals: "", "http://a/lb.JSON" => "json";
        format_unknown: "text/plain", "http://a.example/lb" => "yaml";
    }

    macro_rules! targets {
        ($($test:ident: $url:literal => $target:literal;)+) => {
            $(#[test]
            fn $test() {
                let http = Http(model::HttpProvider { endpoint: $url.to_owned(), ..Default::default() });
                assert_eq!(http.request(None).target(), $target);
            })+
        };
    }

    targets! {
        target_of_a_host: "http://a.example" => "/";
        target_of_a_path: "https://a.example:8443/x/lb.yaml?a=b" => "/x/lb.yaml?a=b";
        target_of_a_query_alone: "http://a.example?x=y" => "/?x=y";
        target_without_fragment: "http://a.example/x#y" => "/x";
    }
}
