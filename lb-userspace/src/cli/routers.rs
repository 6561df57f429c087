//! `lb routers`.

use super::{Context, Failure, Run, table::Table};
use crate::api::types::RouterRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let rows: Vec<RouterRow> = context.client().get("/api/l4/routers")?;
        context.output.print(&rows, |rows| table(rows))
    }
}

fn table(rows: &[RouterRow]) -> String {
    let mut table = Table::new(&[
        "ROUTER",
        "PROTO",
        "ENTRY POINTS",
        "RULE",
        "MIDDLEWARES",
        "SERVICE",
        "PATH",
        "STATE",
        "WHY",
    ]);
    for r in rows {
        table.row([
            r.router.clone(),
            r.proto.clone(),
            r.entry_points.join(","),
            r.rule.clone().unwrap_or_else(|| "-".to_owned()),
            if r.middlewares.is_empty() { "-".to_owned() } else { r.middlewares.join(",") },
            r.service.clone(),
            r.path.clone(),
            r.state.clone(),
            why(r),
        ]);
    }
    table.to_string()
}

/// Why it is off; of one that is on, why it takes its path, and what may surprise.
fn why(r: &RouterRow) -> String {
    if !r.faults.is_empty() {
        return r.faults.join("; ");
    }
    let all = [&r.why].into_iter().chain(&r.notes).map(String::as_str);
    all.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> RouterRow {
        RouterRow {
            router: "pg@file".into(),
            proto: "tcp".into(),
            entry_points: vec!["pg".into(), "pg6".into()],
            service: "pg@file".into(),
            rule: Some("HostSNI(`*`)".into()),
            priority: 0,
            middlewares: vec!["a@file".into(), "b@file".into()],
            tls: false,
            path: "kernel".into(),
            why: "nothing needs userspace".into(),
            state: "enabled".into(),
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn table_names_entry_points_and_reason() {
        assert_eq!(
            table(&[row()]),
            "ROUTER   PROTO  ENTRY POINTS  RULE          MIDDLEWARES    SERVICE  PATH    STATE    WHY\n\
             pg@file  tcp    pg,pg6        HostSNI(`*`)  a@file,b@file  pg@file  kernel  enabled  nothing needs userspace\n"
        );
    }

    #[test]
    fn table_says_why_a_router_is_off_or_serves_otherwise() {
        let noted = RouterRow { notes: vec!["no ACME".into()], ..row() };
        let off = RouterRow {
            router: "bad@file".into(),
            proto: "tcp".into(),
            state: "disabled".into(),
            faults: vec!["no rule".into(), "no service".into()],
            ..RouterRow::default()
        };
        let told = table(&[noted, off]);
        let lines: Vec<&str> = told.lines().skip(1).collect();
        assert!(lines[0].ends_with("kernel  enabled   nothing needs userspace; no ACME"), "{told}");
        assert!(lines[1].starts_with("bad@file  tcp    -  "), "{told}");
        assert!(lines[1].ends_with("-       disabled  no rule; no service"), "{told}");
    }
}
