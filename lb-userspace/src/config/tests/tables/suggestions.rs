//! Nearest names.

use crate::config::names::nearest;

fn near(word: &str) -> Option<String> {
    nearest(word, ["maglev", "roundRobin", "leastConn", "sourceHash", "random"])
}

fn some(word: &str) -> Option<String> {
    Some(word.to_owned())
}

rows! {
    a_letter_less: near("magle") => some("maglev");
    a_letter_more: near("magllev") => some("maglev");
    two_swapped: near("maglve") => some("maglev");
    another_letter: near("mahlev") => some("maglev");
    another_case: near("ROUNDROBIN") => some("roundRobin");
    the_beginning: near("least") => some("leastConn");
    the_beginning_of_the_word: near("randomly") => some("random");
    far_off: near("fastest") => None;
    nothing: near("") => None;
    one_letter: near("m") => None;
    a_short_name: nearest("pgg", ["pg", "web"]) => some("pg");
    the_nearer_of_two: nearest("web2", ["web1x", "web22", "api"]) => some("web22");
}
