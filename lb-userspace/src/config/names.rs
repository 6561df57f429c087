//! Nearest names, for `did you mean …?`.

/// The candidate nearest to `word`, if one is near: one begins with the other, or at most a third
/// of the letters differ (insertions, deletions, substitutions, swaps of neighbours). Case doesn't
/// count.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let allowed = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::osa_distance(&word, &lower);
            let near = distance <= allowed && distance < lower.chars().count();
            let begins = length >= 2 && (lower.starts_with(&word) || word.starts_with(&lower));
            (near || begins).then_some((!near, distance, candidate))
        })
        .min()
        .map(|(_, _, candidate)| candidate.to_owned())
}

/// `"a", "b" or "c"`.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("{name:?}")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
