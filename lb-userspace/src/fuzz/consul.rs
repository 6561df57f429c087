//! What a Consul answers.

use super::fuzz;
use crate::{
    model::{Exposure, Shared},
    provider::{
        consul::entry,
        discovery::{Assembler, Rules},
    },
};

const WORDS: &[&str] = &[
    "\"Node\":",
    "\"Service\":",
    "\"Checks\":",
    "\"ID\":",
    "\"Tags\":",
    "\"Address\":",
    "\"Port\":",
    "\"Weights\":",
    "\"Passing\":",
    "\"Warning\":",
    "\"Status\":",
    "\"CreateIndex\":",
    "\"passing\"",
    "\"critical\"",
    "\"traefik.enable=true\"",
    "\"traefik.http.routers.a.rule=Path(`/`)\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "-1",
    "65536",
    "1e99",
    "\\ud800",
];

#[test]
fn answers_of_consul() {
    let states = ["passing".to_owned()];
    let rules = Rules::new("consulCatalog", &Exposure::default());
    fuzz("consul", WORDS, |input| match entry::instances(input, &states) {
        Ok(instances) => {
            let instances: Vec<Shared<_>> = instances.into_iter().map(Shared::from).collect();
            let told = Assembler::new(rules.clone()).assemble(&instances);
            let count = instances.len();
            // Those with one id are one.
            assert!(told.serving + told.skipped.len() <= count, "{told:?} of {count}");
            Ok((told.serving.min(3), told.skipped.first().map(|one| one.reason.label())))
        }
        Err(why) => {
            assert!(why.len() > 20, "{why}");
            // The place differs with every input: the words alone are news.
            Err(why.split(" at line").next().unwrap_or_default().len())
        }
    });
}
