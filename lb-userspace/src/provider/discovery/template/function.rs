//! The functions of templates: Go's own, and those of sprig that rules are made with.

use super::{Value, normalize};

macro_rules! functions {
    ($($function:ident = $name:literal, $least:literal..=$most:expr;)+) => {
        /// A function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function {
            $($function,)+
        }

        impl Function {
            /// All names.
            pub(super) const NAMES: &[&str] = &[$($name),+];

            /// By its name.
            pub(super) fn find(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$function),)+
                    _ => None,
                }
            }

            /// Its name, and how many arguments it takes.
            pub(super) fn takes(self) -> (&'static str, usize, usize) {
                match self {
                    $(Self::$function => ($name, $least, $most),)+
                }
            }
        }
    };
}

functions! {
    Normalize = "normalize", 1..=1;
    Index = "index", 2..=2;
    Printf = "printf", 1..=usize::MAX;
    Print = "print", 1..=usize::MAX;
    TrimPrefix = "trimPrefix", 2..=2;
    TrimSuffix = "trimSuffix", 2..=2;
    Trim = "trim", 1..=1;
    TrimAll = "trimAll", 2..=2;
    Lower = "lower", 1..=1;
    Upper = "upper", 1..=1;
    Replace = "replace", 3..=3;
    Default = "default", 2..=2;
    Coalesce = "coalesce", 1..=usize::MAX;
    Ternary = "ternary", 3..=3;
    Empty = "empty", 1..=1;
    Contains = "contains", 2..=2;
    HasPrefix = "hasPrefix", 2..=2;
    HasSuffix = "hasSuffix", 2..=2;
    HasKey = "hasKey", 2..=2;
    SplitList = "splitList", 2..=2;
    First = "first", 1..=1;
    Last = "last", 1..=1;
    Join = "join", 2..=2;
    Trunc = "trunc", 2..=2;
    Len = "len", 1..=1;
    Eq = "eq", 2..=usize::MAX;
    Ne = "ne", 2..=2;
    And = "and", 1..=usize::MAX;
    Or = "or", 1..=usize::MAX;
    Not = "not", 1..=1;
}

impl Function {
    /// Its result; it gets as many arguments as it takes.
    pub(super) fn call(self, given: &[Value]) -> Result<Value, String> {
        let text = |n: usize| given[n].text();
        let name = self.takes().0;
        Ok(match self {
            Self::Normalize => Value::Text(normalize(&text(0))),
            Self::Index => index(&given[0], &given[1])?,
            Self::Printf => Value::Text(printf(&text(0), &given[1..])?),
            Self::Print => Value::Text(given.iter().map(Value::text).collect()),
            Self::TrimPrefix => {
                let whole = text(1);
                Value::Text(whole.strip_prefix(text(0).as_str()).unwrap_or(&whole).to_owned())
            }
            Self::TrimSuffix => {
                let whole = text(1);
                Value::Text(whole.strip_suffix(text(0).as_str()).unwrap_or(&whole).to_owned())
            }
            Self::Trim => Value::Text(text(0).trim().to_owned()),
            Self::TrimAll => {
                let set = text(0);
                Value::Text(text(1).trim_matches(|c| set.contains(c)).to_owned())
            }
            Self::Lower => Value::Text(text(0).to_lowercase()),
            Self::Upper => Value::Text(text(0).to_uppercase()),
            Self::Replace => Value::Text(text(2).replace(&text(0), &text(1))),
            Self::Default => given[usize::from(given[1].is_true())].clone(),
            Self::Coalesce => {
                let first = given.iter().find(|value| value.is_true());
                first.cloned().unwrap_or(Value::Text(String::new()))
            }
            Self::Ternary => given[usize::from(!given[2].is_true())].clone(),
            Self::Empty | Self::Not => Value::Bool(!given[0].is_true()),
            Self::Contains => Value::Bool(text(1).contains(&text(0))),
            Self::HasPrefix => Value::Bool(text(1).starts_with(&text(0))),
            Self::HasSuffix => Value::Bool(text(1).ends_with(&text(0))),
            Self::HasKey => match &given[0] {
                Value::Map(map) => Value::Bool(map.contains_key(&text(1))),
                _ => return Err(format!("{name} needs `.Labels`")),
            },
            Self::SplitList => {
                let (separator, whole) = (text(0), text(1));
                Value::List(whole.split(&separator).map(str::to_owned).collect())
            }
            Self::First => Value::Text(list(name, &given[0])?.first().cloned().unwrap_or_default()),
            Self::Last => Value::Text(list(name, &given[0])?.last().cloned().unwrap_or_default()),
            Self::Join => Value::Text(list(name, &given[1])?.join(&text(0))),
            Self::Trunc => {
                let length = number(name, &given[0])?.max(0);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Text(text(1).chars().take(length).collect())
            }
            Self::Len => Value::Number(length(&given[0])),
            Self::Eq => Value::Bool(given[1..].iter().any(|value| *value == given[0])),
            Self::Ne => Value::Bool(given[0] != given[1]),
            Self::And => pick(given, false),
            Self::Or => pick(given, true),
        })
    }
}

/// The first argument that is (or isn't) true, else the last.
fn pick(given: &[Value], wanted: bool) -> Value {
    let found = given.iter().find(|value| value.is_true() == wanted);
    found.or(given.last()).cloned().unwrap_or(Value::Bool(false))
}

fn length(value: &Value) -> i64 {
    let length = match value {
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        other => other.text().len(),
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn index(of: &Value, key: &Value) -> Result<Value, String> {
    match of {
        Value::Map(map) => Ok(Value::Text(map.get(&key.text()).cloned().unwrap_or_default())),
        Value::List(items) => {
            let at = usize::try_from(number("index", key)?).ok();
            let item = at.and_then(|at| items.get(at)).cloned();
            item.map(Value::Text).ok_or_else(|| format!("no item {} in the list", key.text()))
        }
        _ => Err("index needs `.Labels` or a list".to_owned()),
    }
}

fn list<'v>(name: &str, value: &'v Value) -> Result<&'v [String], String> {
    match value {
        Value::List(items) => Ok(items),
        _ => Err(format!("{name} needs a list, such as `splitList \"-\" .Name` gives")),
    }
}

fn number(name: &str, value: &Value) -> Result<i64, String> {
    match value {
        Value::Number(n) => Ok(*n),
        _ => Err(format!("{name} needs a number")),
    }
}

/// Go's verbs as far as texts, numbers and booleans go.
fn printf(format: &str, given: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut given = given.iter();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match characters.next() {
            Some('%') => text.push('%'),
            Some(verb @ ('s' | 'v' | 'd' | 't' | 'q')) => {
                let value = given.next().ok_or("printf has more verbs than arguments")?.text();
                match verb {
                    'q' => text.push_str(&format!("{value:?}")),
                    _ => text.push_str(&value),
                }
            }
            other => {
                let verb = other.map(String::from).unwrap_or_default();
                return Err(format!("printf knows %s, %v, %d, %t, %q and %%, not \"%{verb}\""));
            }
        }
    }
    match given.next() {
        None => Ok(text),
        Some(_) => Err("printf has more arguments than verbs".to_owned()),
    }
}
