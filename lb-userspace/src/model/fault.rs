//! A fault in the configuration, with its place.

use std::fmt;

use super::Id;

/// Where in which file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the operator named it.
    pub file: String,
    /// From 1; 0 when unknown.
    pub line: u32,
    /// From 1, in characters; 0 when unknown.
    pub column: u32,
}

/// One fault, printed as
/// `FILE:LINE:COLUMN: PATH: MESSAGE; did you mean "X"?`.
///
/// ```
/// use lb_userspace::model::{Fault, Place};
/// let fault = Fault {
///     place: Place { file: "lb.yaml".into(), line: 5, column: 55 },
///     path: "tcp.routers.pg.service".into(),
///     message: "no service \"pgg\"".into(),
///     hint: Some("pg".into()),
///     off: None,
/// };
/// assert_eq!(
///     fault.to_string(),
///     r#"lb.yaml:5:55: tcp.routers.pg.service: no service "pgg"; did you mean "pg"?"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// Path of the value: `tcp.routers.pg.service`; empty for a syntax error.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest right name.
    pub hint: Option<String>,
    /// What doesn't serve for it.
    pub off: Option<Box<Off>>,
}

/// What a fault takes off alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Off {
    /// A router.
    Router(Id),
    /// A middleware, and with it the routers that name it, each of which has a fault of its own.
    Middleware(Id),
}

impl Fault {
    /// The same, for which something is off.
    pub fn taking_off(self, off: Off) -> Self {
        Self { off: Some(Box::new(off)), ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; did you mean {hint:?}?"),
            None => Ok(()),
        }
    }
}
