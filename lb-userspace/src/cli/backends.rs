//! `lb backends [SERVICE]`.

use super::{
    Context, Failure, Run,
    client::encode,
    output::{milliseconds, rate},
    table::Table,
};
use crate::api::types::BackendRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this service alone: `name`, `name@provider` or `tcp/name`
    service: Option<String>,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let path = match &self.service {
            Some(words) => format!("/api/l4/backends?service={}", encode(words)),
            None => "/api/l4/backends".to_owned(),
        };
        let rows: Vec<BackendRow> = context.client().get(&path)?;
        context.output.print(&rows, |rows| table(rows))
    }
}

fn table(rows: &[BackendRow]) -> String {
    let mut table = Table::new(&[
        "SERVICE", "PROTO", "BACKEND", "STATE", ">WEIGHT", ">ACTIVE", ">TOTAL", ">RATE", ">LATENCY",
        ">PACKETS", "PATH", "WHY",
    ]);
    for r in rows {
        table.row([
            r.service.clone(),
            r.proto.clone(),
            address(r),
            state(r),
            weight(r),
            r.active_connections.to_string(),
            r.connections.to_string(),
            rate(r.rate),
            milliseconds(r.latency_ms),
            r.packets.to_string(),
            r.path.clone(),
            why(r),
        ]);
    }
    table.to_string()
}

/// The name it was configured by stands first, as commands take it.
fn address(row: &BackendRow) -> String {
    if row.server == row.address {
        row.address.clone()
    } else {
        format!("{} ({})", row.server, row.address)
    }
}

/// What keeps packets from it, else what its latest check said.
fn why(row: &BackendRow) -> String {
    row.obstacle.clone().unwrap_or_else(|| row.last_check.clone())
}

fn state(row: &BackendRow) -> String {
    let mut state = row.state.clone();
    if row.drained {
        state.push_str(", drained");
    }
    if row.leaving {
        state.push_str(", leaving");
    }
    state
}

/// `5 (set, was 1)` tells a runtime weight from a configured one.
fn weight(row: &BackendRow) -> String {
    match row.weight_override {
        Some(_) => format!("{} (set, was {})", row.weight, row.configured_weight),
        None => row.weight.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> BackendRow {
        BackendRow {
            service: "pg@file".into(),
            proto: "tcp".into(),
            address: "10.0.1.5:5432".into(),
            server: "10.0.1.5:5432".into(),
            state: "up".into(),
            weight: 3,
            configured_weight: 3,
            path: "kernel".into(),
            ..BackendRow::default()
        }
    }

    macro_rules! cells {
        ($($test:ident: $cell:ident, $change:expr => $text:expr;)+) => {
            $(#[test]
            fn $test() {
                let mut r = row();
                let change: fn(&mut BackendRow) = $change;
                change(&mut r);
                assert_eq!($cell(&r), $text);
            })+
        };
    }

    cells! {
        healthy_backend_is_up: state, |_| {} => "up";
        drained_backend_is_marked: state, |r| r.drained = true => "up, drained";
        removed_backend_is_marked: state, |r| r.leaving = true => "up, leaving";
        configured_weight_stands_alone: weight, |_| {} => "3";
        runtime_weight_shows_the_configured_one: weight,
            |r| { r.weight = 9; r.weight_override = Some(9); } => "9 (set, was 3)";
        runtime_weight_of_a_drained_backend_is_zero: weight,
            |r| { r.weight = 0; r.weight_override = Some(9); } => "0 (set, was 3)";
        check_says_why: why, |r| r.last_check = "timed out".into() => "timed out";
        obstacle_comes_before_the_check: why,
            |r| { r.last_check = "timed out".into(); r.obstacle = Some("no route".into()); } => "no route";
        address_alone_where_configured_so: address, |_| {} => "10.0.1.5:5432";
        host_name_comes_first: address,
            |r| r.server = "db:5432".into() => "db:5432 (10.0.1.5:5432)";
    }

    #[test]
    fn table_says_why_one_is_down() {
        let mut down = row();
        down.state = "down".into();
        down.weight = 1;
        down.last_check = "connection refused".into();
        assert_eq!(
            table(&[row(), down]),
            "SERVICE  PROTO  BACKEND        STATE  WEIGHT  ACTIVE  TOTAL  RATE  LATENCY  PACKETS  PATH    WHY\n\
             pg@file  tcp    10.0.1.5:5432  up          3       0      0     -        -        0  kernel  -\n\
             pg@file  tcp    10.0.1.5:5432  down        1       0      0     -        -        0  kernel  connection refused\n"
        );
    }
}
