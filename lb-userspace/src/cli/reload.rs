//! `lb reload`.

use hyper::Method;

use super::{Context, Failure, Run};
use crate::api::types::Reloaded;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let changes: Reloaded =
            context.client().send(Method::POST, "/api/reload", &serde_json::json!({}))?;
        context.output.print(&changes, text)
    }
}

fn text(reloaded: &Reloaded) -> String {
    let nothing = reloaded.changes.is_empty().then(|| "nothing changed\n".to_owned());
    let changes = reloaded.changes.iter().map(|change| format!("{change}\n"));
    // No fault of what was read again.
    let faults = reloaded.faults.iter().map(|fault| format!("out, and not by a file: {fault}\n"));
    nothing.into_iter().chain(changes).chain(faults).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_a_line() {
        let changes = vec!["service tcp/a@file: added".into(), "router tcp/r@file: removed".into()];
        assert_eq!(
            text(&Reloaded { generation: 3, changes, ..Reloaded::default() }),
            "service tcp/a@file: added\nrouter tcp/r@file: removed\n"
        );
    }

    #[test]
    fn no_change_is_said() {
        assert_eq!(text(&Reloaded::default()), "nothing changed\n");
    }

    #[test]
    fn what_is_out_elsewhere_is_said() {
        let faults = vec!["docker container \"a\": bad".to_owned()];
        let text = text(&Reloaded { faults, ..Reloaded::default() });
        assert_eq!(text, "nothing changed\nout, and not by a file: docker container \"a\": bad\n");
    }
}
