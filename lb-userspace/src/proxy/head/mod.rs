//! A request's or response's head: method, target, status and fields, read in place from the
//! bytes of the connection and edited by appending to them.
//!
//! The same type serves HTTP/1.1 and HTTP/2: middlewares are written once. Names are compared
//! without regard to case (RFC 9110 §5.1) and kept as they came.

mod class;
pub(crate) mod parse;
#[cfg(test)]
mod tests;

pub use class::Class;

/// Bytes of a head: where they begin in [`Head`]'s buffer, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    at: u32,
    len: u32,
}

impl Span {
    pub(crate) const fn new(at: usize, len: usize) -> Self {
        Self { at: at as u32, len: len as u32 }
    }

    pub(crate) const fn range(self) -> std::ops::Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
    pub(crate) class: Class,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 1945.
    Http10,
    /// RFC 9112.
    #[default]
    Http11,
    /// RFC 9113.
    Http2,
}

impl Version {
    /// As in access logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

/// The head of a request or of a response.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The head as it came, and behind it what was put into it since.
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    pub(crate) version: Version,
    /// Of a response; 0 for a request.
    pub(crate) status: u16,
}

impl Head {
    /// A response's head without fields.
    pub fn response(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A request's head without fields.
    pub fn request(method: &str, target: &str) -> Self {
        let mut head = Self::default();
        head.set_method(method);
        head.set_target(target);
        head
    }

    /// Empties it; its memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        (self.method, self.target) = (Span::default(), Span::default());
        (self.version, self.status) = (Version::default(), 0);
    }

    /// `GET`; bytes that are no token were refused before.
    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    /// Whether it is this one (RFC 9110 §9.1: case counts).
    pub(crate) fn is_method(&self, method: &str) -> bool {
        self.slice(self.method) == method.as_bytes()
    }

    /// Replaces the method.
    pub fn set_method(&mut self, method: &str) {
        self.method = self.put(method.as_bytes());
    }

    /// The request target in origin form: path and query.
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    /// Replaces path and query.
    pub fn set_target(&mut self, target: &str) {
        self.target = self.put(target.as_bytes());
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What stands behind the first `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// Replaces the path and keeps the query.
    pub fn set_path(&mut self, path: &str) {
        let target = match self.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        self.set_target(&target);
    }

    /// Of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Replaces a response's status.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// The version it came in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The first value of a field, without the white space around it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| self.is_named(field, name))?;
        Some(self.slice(field.value))
    }

    /// As [`Self::get`], where the value is text.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// All values of a field, in their order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let same = move |field: &&Field| self.is_named(field, name);
        self.fields.iter().filter(same).map(|field| self.slice(field.value))
    }

    /// Whether there is a field of this class.
    pub(crate) fn has_class(&self, class: Class) -> bool {
        self.fields.iter().any(|field| field.class == class)
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        field.name.len as usize == name.len()
            && self.slice(field.name).eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Name and value of every field, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.text(field.name), self.slice(field.value)))
    }

    /// Adds a field behind the others.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let (name, value) = (self.put(name.as_bytes()), self.put(value.as_ref()));
        let class = Class::of(self.slice(name));
        self.fields.push(Field { name, value, class });
    }

    /// Sets a field: what it was before is gone.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes all fields of a name. Whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let Self { bytes, fields, .. } = self;
        let before = fields.len();
        fields.retain(|field| {
            field.name.len as usize != name.len()
                || !bytes[field.name.range()].eq_ignore_ascii_case(name.as_bytes())
        });
        fields.len() != before
    }

    /// Keeps the fields for which `keep` says so, by name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        let Self { bytes, fields, .. } = self;
        fields.retain(|field| {
            let name = std::str::from_utf8(&bytes[field.name.range()]).unwrap_or_default();
            keep(name, &bytes[field.value.range()])
        });
    }

    /// The host that the request is for, without its port, as written.
    pub fn host(&self) -> Option<&str> {
        let host = self.text_of("host")?;
        Some(match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        })
    }

    /// Whether its sender lets another message follow over this connection (RFC 9112 §9.3).
    pub(crate) fn persists(&self) -> bool {
        let mut said = self.fields.iter().filter(|field| field.class == Class::Connection);
        match (said.next(), self.version) {
            (None, version) => version != Version::Http10,
            // What is said most.
            (Some(field), _)
                if self.slice(field.value).eq_ignore_ascii_case(b"keep-alive")
                    && said.next().is_none() =>
            {
                true
            }
            (Some(_), Version::Http10) => self.lists("connection", "keep-alive"),
            (Some(_), _) => !self.lists("connection", "close"),
        }
    }

    /// Whether a list field (RFC 9110 §5.6.1) has this member, case aside.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.values(name).any(|value| {
            let members = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            members.into_iter().any(|one| one.eq_ignore_ascii_case(member.as_bytes()))
        })
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    /// Names, methods and targets are ASCII or were refused.
    pub(crate) fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        span
    }
}
