//! The language of `circuitBreaker.expression` and `buffering.retryExpression`: functions of what
//! was measured, compared with numbers and joined by `&&`, `||`, `!` and parentheses.

use std::iter::Peekable;

use crate::config::names::nearest;

/// A condition over functions `F`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression<F> {
    /// One of them.
    Any(Vec<Self>),
    /// All of them.
    All(Vec<Self>),
    /// Not that.
    Not(Box<Self>),
    /// A function that is true or false.
    Is(F),
    /// A function's value beside a number.
    Compare(F, Comparison, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// The functions of a language.
pub(super) trait Function: Sized {
    /// Their names.
    const NAMES: &'static [&'static str];

    /// The function of this name, one of [`Self::NAMES`], with these arguments.
    fn new(name: &str, arguments: &[f64]) -> Result<Self, String>;

    /// Whether it is true or false rather than a number.
    fn is_condition(&self) -> bool;
}

impl<F: Function> Expression<F> {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: tokens.into_iter().peekable(), depth: 0 };
        let expression = parser.any()?;
        match parser.tokens.next() {
            None => Ok(expression),
            Some(token) => Err(format!("{} stands behind the end", token.shown())),
        }
    }
}

impl<F> Expression<F> {
    /// Whether it holds, where `value` tells what functions come to; conditions are 0 or not.
    pub(super) fn holds(&self, value: &impl Fn(&F) -> f64) -> bool {
        match self {
            Self::Any(all) => all.iter().any(|one| one.holds(value)),
            Self::All(all) => all.iter().all(|one| one.holds(value)),
            Self::Not(one) => !one.holds(value),
            Self::Is(function) => value(function) != 0.0,
            Self::Compare(function, comparison, number) => comparison.of(value(function), *number),
        }
    }

    /// Its functions, as they are written.
    pub(super) fn functions<'a>(&'a self, found: &mut Vec<&'a F>) {
        match self {
            Self::Any(all) | Self::All(all) => all.iter().for_each(|one| one.functions(found)),
            Self::Not(one) => one.functions(found),
            Self::Is(function) | Self::Compare(function, ..) => found.push(function),
        }
    }
}

impl Comparison {
    fn of(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::Equal => a == b,
            Self::NotEqual => a != b,
        }
    }

    /// `5 < x` for `x > 5`.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Comparison(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("{name:?}"),
            Self::Number(number) => number.to_string(),
            Self::Comparison(_) => "a comparison".to_owned(),
            Self::And => "\"&&\"".to_owned(),
            Self::Or => "\"||\"".to_owned(),
            Self::Not => "\"!\"".to_owned(),
            Self::Open => "\"(\"".to_owned(),
            Self::Close => "\")\"".to_owned(),
            Self::Comma => "\",\"".to_owned(),
        }
    }
}

const SYMBOLS: &[(&str, Token)] = &[
    ("&&", Token::And),
    ("||", Token::Or),
    ("<=", Token::Comparison(Comparison::LessOrEqual)),
    (">=", Token::Comparison(Comparison::GreaterOrEqual)),
    ("==", Token::Comparison(Comparison::Equal)),
    ("!=", Token::Comparison(Comparison::NotEqual)),
    ("<", Token::Comparison(Comparison::Less)),
    (">", Token::Comparison(Comparison::Greater)),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let word = |keep: fn(char) -> bool| rest.find(|c| !keep(c)).unwrap_or(rest.len());
        let length = if c.is_ascii_alphabetic() {
            let length = word(|c| c.is_ascii_alphanumeric() || c == '_');
            tokens.push(Token::Name(rest[..length].to_owned()));
            length
        } else if c.is_ascii_digit() || matches!(c, '.' | '-') {
            let length = 1 + rest[1..]
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len() - 1);
            let number = rest[..length].parse();
            let number = number.map_err(|_| format!("{:?} is no number", &rest[..length]))?;
            tokens.push(Token::Number(number));
            length
        } else {
            let symbol = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
            let (symbol, token) = symbol.ok_or_else(|| format!("{c:?} says nothing here"))?;
            tokens.push(token.clone());
            symbol.len()
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Parentheses within each other at most: the parser calls itself.
const DEPTH: u32 = 32;

struct Parser<I: Iterator<Item = Token>> {
    tokens: Peekable<I>,
    depth: u32,
}

impl<I: Iterator<Item = Token>> Parser<I> {
    fn any<F: Function>(&mut self) -> Result<Expression<F>, String> {
        let mut parts = vec![self.all()?];
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all<F: Function>(&mut self) -> Result<Expression<F>, String> {
        let mut parts = vec![self.one()?];
        while self.tokens.next_if_eq(&Token::And).is_some() {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    fn one<F: Function>(&mut self) -> Result<Expression<F>, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} parentheses within each other"));
        }
        let one = match self.tokens.next() {
            Some(Token::Not) => Ok(Expression::Not(Box::new(self.one()?))),
            Some(Token::Open) => {
                let inner = self.any()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Name(name)) => self.function(&name),
            Some(Token::Number(number)) => {
                let comparison = self.comparison().ok_or("a number alone says nothing")?;
                let function = self.named()?;
                Ok(Expression::Compare(function, comparison.turned(), number))
            }
            Some(token) => Err(format!("expected a function, found {}", token.shown())),
            None => Err("expected a function, found the end".to_owned()),
        };
        self.depth -= 1;
        one
    }

    fn function<F: Function>(&mut self, name: &str) -> Result<Expression<F>, String> {
        let function: F = self.call(name)?;
        match (self.comparison(), function.is_condition()) {
            (None, true) => Ok(Expression::Is(function)),
            (None, false) => Err(format!("{name}() is a number: compare it, as by \"> 0.5\"")),
            (Some(_), true) => Err(format!("{name}() is true or false: it can't be compared")),
            (Some(comparison), false) => match self.tokens.next() {
                Some(Token::Number(number)) => {
                    Ok(Expression::Compare(function, comparison, number))
                }
                other => Err(format!("expected a number, found {}", shown(other.as_ref()))),
            },
        }
    }

    fn named<F: Function>(&mut self) -> Result<F, String> {
        match self.tokens.next() {
            Some(Token::Name(name)) => self.call(&name),
            other => Err(format!("expected a function, found {}", shown(other.as_ref()))),
        }
    }

    fn call<F: Function>(&mut self, name: &str) -> Result<F, String> {
        if !F::NAMES.contains(&name) {
            let known = F::NAMES.iter().copied();
            let hint = nearest(name, known).map(|hint| format!("; did you mean {hint:?}?"));
            let all = F::NAMES.join("(), ");
            let hint = hint.unwrap_or_else(|| format!("; there are {all}()"));
            return Err(format!("no function {name:?}{hint}"));
        }
        self.expect(&Token::Open)?;
        let mut arguments = Vec::new();
        while let Some(Token::Number(number)) =
            self.tokens.next_if(|token| matches!(token, Token::Number(_)))
        {
            arguments.push(number);
            if self.tokens.next_if_eq(&Token::Comma).is_none() {
                break;
            }
        }
        self.expect(&Token::Close)?;
        F::new(name, &arguments)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        match self.tokens.next_if(|token| matches!(token, Token::Comparison(_))) {
            Some(Token::Comparison(comparison)) => Some(comparison),
            _ => None,
        }
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        match self.tokens.next() {
            Some(found) if found == *token => Ok(()),
            other => Err(format!("expected {}, found {}", token.shown(), shown(other.as_ref()))),
        }
    }
}

fn shown(token: Option<&Token>) -> String {
    token.map_or_else(|| "the end".to_owned(), Token::shown)
}

#[cfg(test)]
mod tests {
    use super::{Expression, Function};

    #[derive(Debug, PartialEq)]
    enum Test {
        X,
        Sum(f64),
        Yes,
    }

    impl Function for Test {
        const NAMES: &'static [&'static str] = &["X", "Sum", "Yes"];

        fn new(name: &str, arguments: &[f64]) -> Result<Self, String> {
            match (name, arguments) {
                ("X", []) => Ok(Self::X),
                ("Sum", all) => Ok(Self::Sum(all.iter().sum())),
                ("Yes", []) => Ok(Self::Yes),
                _ => Err("takes no arguments".into()),
            }
        }

        fn is_condition(&self) -> bool {
            *self == Self::Yes
        }
    }

    fn holds(text: &str) -> bool {
        let expression = Expression::<Test>::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        expression.holds(&|function| match function {
            Test::X => 0.5,
            Test::Sum(sum) => *sum,
            Test::Yes => 1.0,
        })
    }

    #[test]
    fn expressions_hold_or_not() {
        for (text, result) in [
            ("X() > 0.3", true),
            ("X()>0.5", false),
            ("X() >= 0.5", true),
            ("X() < .6", true),
            ("X() <= 0.4", false),
            ("X() == 0.5", true),
            ("X() != 0.5", false),
            ("0.3 < X()", true),
            ("0.5 < X()", false),
            ("Sum(1, 2.5) == 3.5", true),
            ("Sum(-1) < 0", true),
            ("Yes()", true),
            ("!Yes()", false),
            ("!!Yes()", true),
            ("X() > 1 || Yes()", true),
            ("X() > 1 || Yes() && X() > 1", false),
            ("(X() > 1 || Yes()) && X() < 1", true),
            ("!(X() > 1) && !(X() < 0)", true),
        ] {
            assert_eq!(holds(text), result, "{text}");
        }
    }

    #[test]
    fn what_is_none_says_why() {
        let deep = format!("{}Yes(){}", "(".repeat(40), ")".repeat(40));
        for (text, why) in [
            ("", "found the end"),
            ("X()", "is a number: compare it"),
            ("Yes() > 1", "true or false"),
            ("Y() > 1", "no function \"Y\""),
            ("Summ() > 1", "did you mean \"Sum\"?"),
            ("X(1) > 1", "takes no arguments"),
            ("X() > ", "expected a number, found the end"),
            ("X() > 1 Yes()", "behind the end"),
            ("(Yes()", "expected \")\""),
            ("X() > 1.2.3", "is no number"),
            ("X() > 1 & Yes()", "'&' says nothing"),
            ("1", "a number alone"),
            (&deep, "parentheses within each other"),
        ] {
            let told = Expression::<Test>::parse(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
