//! What an index looks routers up by.

/// A condition on host and path. One without either is no condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rule) struct Anchor<'a> {
    pub(in crate::rule) host: Option<HostAnchor<'a>>,
    pub(in crate::rule) path: Option<PathAnchor<'a>>,
}

/// A condition on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rule) enum HostAnchor<'a> {
    Exact(&'a str),
    /// It ends so; begins with a dot.
    Under(&'a str),
}

/// A condition on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rule) enum PathAnchor<'a> {
    Exact(&'a str),
    Prefix(&'a str),
}

impl<'a> Anchor<'a> {
    pub(super) fn of_host(host: HostAnchor<'a>) -> Self {
        Self { host: Some(host), path: None }
    }

    pub(super) fn of_path(path: PathAnchor<'a>) -> Self {
        Self { host: None, path: Some(path) }
    }

    /// What of two conditions that hold both tells most.
    pub(in crate::rule) fn and(self, other: Self) -> Self {
        let host = match (self.host, other.host) {
            (Some(HostAnchor::Under(_)), Some(exact @ HostAnchor::Exact(_))) => Some(exact),
            (mine, theirs) => mine.or(theirs),
        };
        let path = match (self.path, other.path) {
            (Some(PathAnchor::Prefix(_)), Some(exact @ PathAnchor::Exact(_))) => Some(exact),
            (Some(PathAnchor::Prefix(a)), Some(PathAnchor::Prefix(b))) if b.len() > a.len() => {
                Some(PathAnchor::Prefix(b))
            }
            (mine, theirs) => mine.or(theirs),
        };
        Self { host, path }
    }
}
