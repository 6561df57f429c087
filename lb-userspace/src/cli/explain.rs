//! `lb explain l4 PROTO SRC DST`.

use std::net::SocketAddr;

use hyper::Method;

use super::{Context, Failure, Run};
use crate::api::types::{ExplainQuery, Explained};

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
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Proto {
    Tcp,
    Udp,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let What::L4 { proto, src, dst } = self.what;
        let proto = match proto {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        };
        let query =
            ExplainQuery { proto: proto.into(), src: src.to_string(), dst: dst.to_string() };
        let answer: Explained = context.client().send(Method::POST, "/api/explain", &query)?;
        context.output.print(&answer, text)
    }
}

fn text(answer: &Explained) -> String {
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
            out.push_str(&format!("  {:<13}{value}\n", format!("{name}:")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
            text(&answer),
            "forward: a new flow, sent to 10.0.1.5:5432\n\
             \x20 entry point: pg\n\
             \x20 backend:     10.0.1.5:5432\n"
        );
    }
}
