//! The way to a value, of which a text is made only where somebody is told.

use std::{fmt, sync::Arc};

/// What stands above a value, and the last step to it. Of the many that are kept few are ever shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    above: Option<Arc<Trail>>,
    last: Step,
}

/// A step of a [`Trail`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    /// None: the root.
    #[default]
    Root,
    /// A key of an object.
    Key(&'static str),
    /// An object's name, or a key that nobody knows.
    Name(Arc<str>),
    /// An item of a list.
    Item(usize),
    /// All of the way, as it is to be shown.
    Whole(Arc<str>),
}

impl Trail {
    /// One step below `above`.
    pub(crate) fn below(above: &Arc<Self>, last: Step) -> Self {
        Self { above: Some(Arc::clone(above)), last }
    }

    /// The way to what is told by a text of its own.
    pub(crate) fn whole(text: &str) -> Self {
        Self { above: None, last: Step::Whole(text.into()) }
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = &self.above {
            above.fmt(f)?;
        }
        let is_first = self.above.as_ref().is_none_or(|above| matches!(above.last, Step::Root));
        match &self.last {
            Step::Root => Ok(()),
            Step::Item(number) => write!(f, "[{number}]"),
            Step::Whole(text) => f.write_str(text),
            Step::Key(name) => key(f, is_first, name),
            Step::Name(name) => key(f, is_first, name),
        }
    }
}

/// A key, quoted where it would be misread.
fn key(f: &mut fmt::Formatter<'_>, is_first: bool, name: &str) -> fmt::Result {
    if !is_first {
        f.write_str(".")?;
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ':' | '@');
    if !name.is_empty() && name.chars().all(plain) {
        f.write_str(name)
    } else {
        write!(f, "{name:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(steps: impl IntoIterator<Item = Step>) -> String {
        let below = |above: Trail, step| Trail::below(&Arc::new(above), step);
        steps.into_iter().fold(Trail::default(), below).to_string()
    }

    #[test]
    fn keys_names_and_items_are_joined() {
        let way = [
            Step::Key("http"),
            Step::Key("services"),
            Step::Name("a".into()),
            Step::Key("servers"),
            Step::Item(2),
            Step::Key("url"),
        ];
        assert_eq!(shown(way), "http.services.a.servers[2].url");
    }

    #[test]
    fn what_would_be_misread_is_quoted() {
        assert_eq!(shown([Step::Name("a.b".into()), Step::Name("".into())]), "\"a.b\".\"\"");
    }

    #[test]
    fn a_text_of_its_own_is_shown_as_it_is() {
        assert_eq!(Trail::whole("lb.http.x").to_string(), "lb.http.x");
        assert_eq!(shown([]), "");
    }
}
