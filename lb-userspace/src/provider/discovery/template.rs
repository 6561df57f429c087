//! `defaultRule`: the part of Go's templates that rules are made with.

mod function;
mod parse;

use std::collections::BTreeMap;

use function::Function;

/// What a template may speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// `.Name`: the service's.
    pub(crate) name: &'a str,
    /// `.ContainerName`: the instance's own.
    pub(crate) instance: &'a str,
    /// `.Labels`.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// A template, ready to be filled in.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Put(Term),
    /// Conditions in turn, each with what it puts; then what else.
    If(Vec<(Term, Vec<Part>)>, Vec<Part>),
}

#[derive(Clone, Debug)]
enum Term {
    Constant(Value),
    Field(Field),
    Call(Function, Vec<Term>),
}

#[derive(Clone, Debug)]
enum Field {
    Name,
    Instance,
    Labels,
    /// `.Labels.key`.
    Label(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Bool(bool),
    Number(i64),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map(Self)
    }

    /// Fills it in.
    ///
    /// # Errors
    /// Where a function can't do with what it gets.
    pub(crate) fn render(&self, subject: &Subject<'_>) -> Result<String, String> {
        let mut text = String::new();
        put(&self.0, subject, &mut text)?;
        Ok(text)
    }
}

fn put(parts: &[Part], subject: &Subject<'_>, text: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(own) => text.push_str(own),
            Part::Put(term) => text.push_str(&term.value(subject)?.text()),
            Part::If(branches, other) => {
                let mut chosen = other;
                for (condition, then) in branches {
                    if condition.value(subject)?.is_true() {
                        chosen = then;
                        break;
                    }
                }
                put(chosen, subject, text)?;
            }
        }
    }
    Ok(())
}

impl Term {
    fn value(&self, subject: &Subject<'_>) -> Result<Value, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Field(Field::Name) => Ok(Value::Text(subject.name.to_owned())),
            Self::Field(Field::Instance) => Ok(Value::Text(subject.instance.to_owned())),
            Self::Field(Field::Labels) => Ok(Value::Map(subject.labels.clone())),
            Self::Field(Field::Label(key)) => {
                Ok(Value::Text(subject.labels.get(key).cloned().unwrap_or_default()))
            }
            Self::Call(function, terms) => {
                let values = terms.iter().map(|term| term.value(subject));
                function.call(&values.collect::<Result<Vec<_>, _>>()?)
            }
        }
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(b) => b.to_string(),
            Self::Number(n) => n.to_string(),
            Self::List(items) => format!("[{}]", items.join(" ")),
            Self::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }

    /// As Go's templates have it: what is empty is false.
    fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Bool(b) => *b,
            Self::Number(n) => *n != 0,
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }
}

/// A name as Traefik makes it fit for a host: letters and digits, with `-` between the words.
pub(crate) fn normalize(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
