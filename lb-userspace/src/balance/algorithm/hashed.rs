//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by logarithms).

use lb_common::hash::finish;

/// What a candidate gets for a hash: the highest score wins. A candidate that goes leaves the
/// others' order as it was, so that only its own hashes move.
pub(in crate::balance) fn score(hash: u64, identity: u64, weight: f64) -> f64 {
    let mixed = finish(hash ^ identity);
    // From the open interval between 0 and 1, so that the logarithm is finite and not 0.
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / uniform.ln()
}
