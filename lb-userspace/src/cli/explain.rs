//! `lb explain l4 PROTO SRC DST` and `lb explain http METHOD URL`.

use std::net::{IpAddr, SocketAddr};

use hyper::Method;

use super::{Context, Failure, Run};
use crate::api::types::{ExplainHttpQuery, ExplainQuery, Explained, ExplainedHttp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A packet that begins a flow, or continues the one in the table
    L4 {
        /// Transport
        proto: Proto,
        /// Client, `IP:PORT`
        src: SocketAddr,
        /// Where it connects to, `IP:PORT`
        dst: SocketAddr,
    },
    /// A request, which is not sent
    Http {
        /// `GET`
        method: String,
        /// `http://HOST:PORT/PATH`; the port tells the entry point
        url: String,
        /// A header, `NAME: VALUE`; several may be given
        #[arg(short = 'H', long = "header", value_name = "HEADER")]
        headers: Vec<String>,
        /// The client's address
        #[arg(long, value_name = "IP")]
        client: Option<IpAddr>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Proto {
    Tcp,
    Udp,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        match self.what {
            What::L4 { proto, src, dst } => {
                let proto = match proto {
                    Proto::Tcp => "tcp",
                    Proto::Udp => "udp",
                };
                let (src, dst) = (src.to_string(), dst.to_string());
                let query = ExplainQuery { proto: proto.into(), src, dst };
                let answer = context.client().send(Method::POST, "/api/explain", &query)?;
                context.output.print(&answer, packet)
            }
            What::Http { method, url, headers, client } => {
                let client = client.map(|ip| ip.to_string());
                let query = ExplainHttpQuery { method, url, headers, client };
                let answer = context.client().send(Method::POST, "/api/explain/http", &query)?;
                context.output.print(&answer, request)
            }
        }
    }
}

fn packet(answer: &Explained) -> String {
    let lines = [
        ("entry point", &answer.entry_point),
        ("router", &answer.router),
        ("service", &answer.service),
        ("algorithm", &answer.algorithm),
        ("backend", &answer.backend),
        ("flow", &answer.flow),
        ("nat source", &answer.nat),
        ("interface", &answer.interface),
        ("reason", &answer.reason),
    ];
    let mut out = format!("{}: {}\n", answer.action, answer.summary);
    for (name, value) in lines {
        if let Some(value) = value {
            line(&mut out, name, value);
        }
    }
    out
}

fn request(answer: &ExplainedHttp) -> String {
    let mut out = format!("{}: {}\n", answer.action, answer.summary);
    let mut put = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            line(&mut out, name, value);
        }
    };
    put("entry point", &answer.entry_point);
    put("router", &answer.router);
    put("rule", &answer.rule);
    put("priority", &answer.priority.map(|priority| priority.to_string()));
    for other in &answer.passed_over {
        let text = format!("{} (priority {}): {}", other.router, other.priority, other.rule);
        put("not matched", &Some(text));
    }
    let more = Some(answer.more_passed_over).filter(|more| *more > 0);
    put("not matched", &more.map(|more| format!("{more} more")));
    for middleware in &answer.middlewares {
        put("middleware", &Some(middleware.clone()));
    }
    put("service", &answer.service);
    put("algorithm", &answer.algorithm);
    for server in &answer.servers {
        let of = match answer.service.as_deref() {
            Some(service) if service == server.service => String::new(),
            _ => format!("{} ", server.service),
        };
        let state = &server.state;
        let (weight, active) = (server.weight, server.active);
        let text = format!("{of}{}: {state}, weight {weight}, {active} active", server.url);
        put("server", &Some(text));
    }
    put("reason", &answer.reason);
    out
}

fn line(out: &mut String, name: &str, value: &str) {
    out.push_str(&format!("  {:<13}{value}\n", format!("{name}:")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{ExplainedServer, PassedOver};

    #[test]
    fn text_names_each_step_that_was_taken() {
        let answer = Explained {
            action: "forward".into(),
            summary: "a new flow, sent to 10.0.1.5:5432".into(),
            entry_point: Some("pg".into()),
            backend: Some("10.0.1.5:5432".into()),
            ..Explained::default()
        };
        assert_eq!(
            packet(&answer),
            "forward: a new flow, sent to 10.0.1.5:5432\n\
             \x20 entry point: pg\n\
             \x20 backend:     10.0.1.5:5432\n"
        );
    }

    #[test]
    fn text_of_a_request_names_routers_middlewares_and_servers() {
        let server = |service: &str, state: &str| ExplainedServer {
            service: service.into(),
            url: "http://10.0.1.5:80".into(),
            state: state.into(),
            weight: 1,
            active: 3,
        };
        let answer = ExplainedHttp {
            action: "forward".into(),
            summary: "to a server of web@file, unless a middleware answers".into(),
            entry_point: Some("web".into()),
            router: Some("web@file".into()),
            rule: Some("Host(`a.example`)".into()),
            priority: Some(17),
            passed_over: vec![PassedOver {
                router: "api@file".into(),
                priority: 40,
                rule: "PathPrefix(`/api`)".into(),
            }],
            more_passed_over: 2,
            middlewares: vec!["strip@file (stripPrefix)".into()],
            service: Some("web@file".into()),
            algorithm: Some("weighted".into()),
            servers: vec![server("web@file", "up"), server("blue@file", "down, drained")],
            ..ExplainedHttp::default()
        };
        assert_eq!(
            request(&answer),
            "forward: to a server of web@file, unless a middleware answers\n\
             \x20 entry point: web\n\
             \x20 router:      web@file\n\
             \x20 rule:        Host(`a.example`)\n\
             \x20 priority:    17\n\
             \x20 not matched: api@file (priority 40): PathPrefix(`/api`)\n\
             \x20 not matched: 2 more\n\
             \x20 middleware:  strip@file (stripPrefix)\n\
             \x20 service:     web@file\n\
             \x20 algorithm:   weighted\n\
             \x20 server:      http://10.0.1.5:80: up, weight 1, 3 active\n\
             \x20 server:      blue@file http://10.0.1.5:80: down, drained, weight 1, 3 active\n"
        );
    }

    #[test]
    fn text_of_an_answer_of_lbs_own_says_why() {
        let answer = ExplainedHttp {
            action: "answer".into(),
            summary: "404 by lb itself: no router matches".into(),
            status: Some(404),
            reason: Some("no_router".into()),
            entry_point: Some("web".into()),
            ..ExplainedHttp::default()
        };
        assert_eq!(
            request(&answer),
            "answer: 404 by lb itself: no router matches\n\
             \x20 entry point: web\n\
             \x20 reason:      no_router\n"
        );
    }
}
