//! Metric math: what alarms and queries compute from metrics.
//!
//! ```text
//!  "MAX([a / 60, b])"  ─▶ tokens ─▶ Expression ─▶ series or number, by the series that the ids name
//! ```
//!
//! Offered are numbers, ids, `+ - * /`, comparisons, `AND`, `OR`, `IF`, `FILL` with a number, `PERIOD`, `ABS`, `CEIL`,
//! `FLOOR`, and `AVG`, `MAX`, `MIN`, `SUM` of a series (one number) or of a list (one series). As at AWS, a point that one
//! of two series misses counts as 0 in arithmetic, and a point that would be divided by zero is dropped.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;
use std::time::Duration;

use kinesis_model::EpochMillis;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Id(String),
    Negated(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Call(Function, Vec<Node>),
}

/// Points of one period each, by the beginning of the period.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) period: Duration,
    pub(super) points: BTreeMap<EpochMillis, f64>,
}

/// What a part of an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Series(Series),
    List(Vec<Series>),
}

/// Where an expression takes its series from.
pub(super) trait Metrics {
    /// Why a series cannot be had.
    type Error: From<String>;

    /// What the id names.
    fn series(&mut self, id: &str) -> Result<Series, Self::Error>;

    /// All periods that a series of this period may have points of.
    fn periods(&self, period: Duration) -> Vec<EpochMillis>;
}

impl Expression {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("the expression has {} bytes, more than {TEXT_BYTES_MAX}", text.len()));
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
        let node = parser.disjunction()?;
        match parser.tokens.next() {
            None => Ok(Self(node)),
            Some(token) => Err(format!("{token:?} follows a whole expression in {text:?}")),
        }
    }

    /// Computes it.
    pub(super) fn evaluate<M: Metrics>(&self, metrics: &mut M) -> Result<Value, M::Error> {
        self.0.evaluate(metrics)
    }
}

impl Node {
    fn evaluate<M: Metrics>(&self, metrics: &mut M) -> Result<Value, M::Error> {
        match self {
            Self::Number(number) => Ok(Value::Number(*number)),
            Self::Id(id) => metrics.series(id).map(Value::Series),
            Self::Negated(node) => Ok(node.evaluate(metrics)?.map(|value| -value)?),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.evaluate(metrics)?, right.evaluate(metrics)?);
                Ok(operator.apply(left, right)?)
            }
            Self::List(nodes) => {
                let series = nodes.iter().map(|node| match node.evaluate(metrics)? {
                    Value::Series(series) => Ok(series),
                    Value::Number(_) | Value::List(_) => {
                        Err("a list may hold series only, no numbers and no lists".to_owned().into())
                    }
                });
                series.collect::<Result<_, _>>().map(Value::List)
            }
            Self::Call(function, arguments) => {
                let values = arguments.iter().map(|argument| argument.evaluate(metrics));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                Ok(function.apply(values, metrics)?)
            }
        }
    }
}

impl Value {
    fn map(self, change: impl Fn(f64) -> f64) -> Result<Self, String> {
        match self {
            Self::Number(number) => Ok(Self::Number(change(number))),
            Self::Series(series) => Ok(Self::Series(series.map(change))),
            Self::List(_) => Err("a list stands only in AVG, MAX, MIN and SUM".to_owned()),
        }
    }

    /// The value at one time; a number is the same at all times.
    fn at(&self, time: EpochMillis) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Series(series) => series.points.get(&time).copied(),
            Self::List(_) => None,
        }
    }
}

impl Series {
    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let points = self.points.into_iter().map(|(time, value)| (time, change(value)));
        Self { period: self.period, points: points.filter(|(_, value)| value.is_finite()).collect() }
    }

    fn fold(&self, how: Fold) -> f64 {
        how.of(&self.points.values().copied().collect::<Vec<_>>(), self.points.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl Operator {
    fn apply(self, left: Value, right: Value) -> Result<Value, String> {
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => Ok(Value::Number(self.of(left, right))),
            (Value::Series(left), Value::Number(right)) => {
                Ok(Value::Series(left.map(|left| self.of(left, right))))
            }
            (Value::Number(left), Value::Series(right)) => {
                Ok(Value::Series(right.map(|right| self.of(left, right))))
            }
            (Value::Series(left), Value::Series(right)) => {
                let times = left.points.keys().chain(right.points.keys());
                let at = |series: &Series, time| series.points.get(time).copied().unwrap_or(0.0);
                let points = times.map(|time| (*time, self.of(at(&left, time), at(&right, time))));
                let points = points.filter(|(_, value)| value.is_finite()).collect();
                Ok(Value::Series(Series { period: left.period.min(right.period), points }))
            }
            (Value::List(_), _) | (_, Value::List(_)) => {
                Err("a list stands only in AVG, MAX, MIN and SUM".to_owned())
            }
        }
    }

    fn of(self, left: f64, right: f64) -> f64 {
        let truth = |is_true| f64::from(u8::from(is_true));
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Equal => truth(left == right),
            Self::NotEqual => truth(left != right),
            Self::Less => truth(left < right),
            Self::LessOrEqual => truth(left <= right),
            Self::Greater => truth(left > right),
            Self::GreaterOrEqual => truth(left >= right),
            Self::And => truth(left != 0.0 && right != 0.0),
            Self::Or => truth(left != 0.0 || right != 0.0),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Fold(Fold),
    Fill,
    If,
    Period,
    Abs,
    Ceil,
    Floor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    Avg,
    Max,
    Min,
    Sum,
}

impl Function {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "AVG" => Self::Fold(Fold::Avg),
            "MAX" => Self::Fold(Fold::Max),
            "MIN" => Self::Fold(Fold::Min),
            "SUM" => Self::Fold(Fold::Sum),
            "FILL" => Self::Fill,
            "IF" => Self::If,
            "PERIOD" => Self::Period,
            "ABS" => Self::Abs,
            "CEIL" => Self::Ceil,
            "FLOOR" => Self::Floor,
            _ => return None,
        })
    }

    fn apply<M: Metrics>(self, arguments: Vec<Value>, metrics: &M) -> Result<Value, String> {
        let mut arguments = arguments.into_iter();
        let four = (arguments.next(), arguments.next(), arguments.next(), arguments.next());
        match (self, four) {
            (Self::Fold(fold), (Some(Value::Series(series)), None, None, None)) => {
                Ok(Value::Number(series.fold(fold)))
            }
            (Self::Fold(fold), (Some(Value::List(series)), None, None, None)) => fold.across(&series),
            (Self::Fill, (Some(Value::Series(series)), Some(Value::Number(filler)), None, None)) => {
                let periods = metrics.periods(series.period).into_iter();
                let at = |time| series.points.get(&time).copied().unwrap_or(filler);
                let points = periods.map(|time| (time, at(time))).collect();
                Ok(Value::Series(Series { points, ..series }))
            }
            (Self::If, (Some(Value::Series(condition)), Some(then), otherwise, None)) => {
                Ok(Value::Series(choose(condition, &then, otherwise.as_ref())))
            }
            (Self::Period, (Some(Value::Series(series)), None, None, None)) => {
                Ok(Value::Number(series.period.as_secs_f64()))
            }
            (Self::Abs, (Some(value), None, None, None)) => value.map(f64::abs),
            (Self::Ceil, (Some(value), None, None, None)) => value.map(f64::ceil),
            (Self::Floor, (Some(value), None, None, None)) => value.map(f64::floor),
            (
                Self::Fold(_) | Self::Fill | Self::If | Self::Period | Self::Abs | Self::Ceil | Self::Floor,
                _arguments,
            ) => Err(format!(
                "{self:?} does not take these arguments here; see the metric math that is offered"
            )),
        }
    }
}

/// At each point of `condition`: `then` where it is not 0, `otherwise` where it is; nothing where that has no point.
fn choose(condition: Series, then: &Value, otherwise: Option<&Value>) -> Series {
    let points = condition.points.into_iter().filter_map(|(time, is_met)| {
        let chosen = if is_met == 0.0 { otherwise? } else { then };
        Some((time, chosen.at(time)?))
    });
    Series { period: condition.period, points: points.collect() }
}

impl Fold {
    /// Of the points that there are; `all` counts the missing ones, too.
    fn of(self, values: &[f64], all: usize) -> f64 {
        match self {
            Self::Avg => values.iter().sum::<f64>() / all as f64,
            Self::Max => values.iter().copied().fold(f64::NAN, f64::max),
            Self::Min => values.iter().copied().fold(f64::NAN, f64::min),
            Self::Sum => values.iter().sum(),
        }
    }

    fn across(self, list: &[Series]) -> Result<Value, String> {
        let period = list.iter().map(|series| series.period).min().ok_or("a list must not be empty")?;
        let mut values = BTreeMap::<EpochMillis, Vec<f64>>::new();
        for (time, value) in list.iter().flat_map(|series| &series.points) {
            values.entry(*time).or_default().push(*value);
        }
        let points = values.into_iter().map(|(time, values)| (time, self.of(&values, list.len()))).collect();
        Ok(Value::Series(Series { period, points }))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Word(String),
    Sign(&'static str),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first.is_ascii_digit() || first == '.' {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length =
                span(rest.chars(), |character| character.is_ascii_alphanumeric() || character == '_');
            (Token::Word(rest[..length].to_owned()), length)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("{first:?} means nothing in {text:?}"))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A number such as `1`, `0.5` or `1e6` at the beginning of `text`.
fn number(text: &str) -> Result<(Token, usize), String> {
    let mut length = span(text.chars(), |character| character.is_ascii_digit() || character == '.');
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = span(exponent[sign..].chars(), |character| character.is_ascii_digit());
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    let number = text[..length].parse().map_err(|_| format!("{:?} is not a number", &text[..length]))?;
    Ok((Token::Number(number), length))
}

/// How many of the first characters, all ASCII, are as `is_part` wants them.
fn span(characters: Chars<'_>, is_part: impl Fn(char) -> bool) -> usize {
    characters.take_while(|character| is_part(*character)).count()
}

struct Parser<T: Iterator<Item = Token>> {
    tokens: Peekable<T>,
    depth: usize,
}

impl<T: Iterator<Item = Token>> Parser<T> {
    fn disjunction(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("the expression nests deeper than {DEPTH_MAX} levels"));
        }
        let node = self.chain(Self::conjunction, |token| match token {
            Token::Word(word) if word == "OR" => Some(Operator::Or),
            Token::Sign("||") => Some(Operator::Or),
            Token::Word(_) | Token::Sign(_) | Token::Number(_) => None,
        });
        self.depth -= 1;
        node
    }

    fn conjunction(&mut self) -> Result<Node, String> {
        self.chain(Self::comparison, |token| match token {
            Token::Word(word) if word == "AND" => Some(Operator::And),
            Token::Sign("&&") => Some(Operator::And),
            Token::Word(_) | Token::Sign(_) | Token::Number(_) => None,
        })
    }

    fn comparison(&mut self) -> Result<Node, String> {
        self.chain(Self::sum, |token| match token {
            Token::Sign("==") => Some(Operator::Equal),
            Token::Sign("!=") => Some(Operator::NotEqual),
            Token::Sign("<") => Some(Operator::Less),
            Token::Sign("<=") => Some(Operator::LessOrEqual),
            Token::Sign(">") => Some(Operator::Greater),
            Token::Sign(">=") => Some(Operator::GreaterOrEqual),
            Token::Word(_) | Token::Sign(_) | Token::Number(_) => None,
        })
    }

    fn sum(&mut self) -> Result<Node, String> {
        self.chain(Self::product, |token| match token {
            Token::Sign("+") => Some(Operator::Add),
            Token::Sign("-") => Some(Operator::Subtract),
            Token::Word(_) | Token::Sign(_) | Token::Number(_) => None,
        })
    }

    fn product(&mut self) -> Result<Node, String> {
        self.chain(Self::factor, |token| match token {
            Token::Sign("*") => Some(Operator::Multiply),
            Token::Sign("/") => Some(Operator::Divide),
            Token::Word(_) | Token::Sign(_) | Token::Number(_) => None,
        })
    }

    /// Operands with operators of one rank between them, from left to right.
    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Result<Node, String>,
        operator: fn(&Token) -> Option<Operator>,
    ) -> Result<Node, String> {
        let mut node = operand(self)?;
        while let Some(operator) = self.tokens.peek().and_then(operator) {
            self.tokens.next();
            node = Node::Binary(operator, Box::new(node), Box::new(operand(self)?));
        }
        Ok(node)
    }

    fn factor(&mut self) -> Result<Node, String> {
        let is_negated = std::iter::from_fn(|| self.tokens.next_if_eq(&Token::Sign("-"))).count() % 2 == 1;
        let node = match self.tokens.next() {
            Some(Token::Number(number)) => Node::Number(number),
            Some(Token::Word(word)) => match self.tokens.next_if_eq(&Token::Sign("(")) {
                Some(_) => {
                    let function = Function::parse(&word).ok_or_else(|| {
                        format!("the function {word} is not offered by the local CloudWatch")
                    })?;
                    Node::Call(function, self.items(")")?)
                }
                None => Node::Id(word),
            },
            Some(Token::Sign("(")) => {
                let node = self.disjunction()?;
                self.expect(")")?;
                node
            }
            Some(Token::Sign("[")) => Node::List(self.items("]")?),
            Some(Token::Sign(sign)) => return Err(format!("an operand is wanted before {sign:?}")),
            None => return Err("the expression ends where an operand is wanted".to_owned()),
        };
        Ok(if is_negated { Node::Negated(Box::new(node)) } else { node })
    }

    /// Items with commas between them, up to `end`.
    fn items(&mut self, end: &'static str) -> Result<Vec<Node>, String> {
        let mut items = vec![self.disjunction()?];
        while self.tokens.next_if_eq(&Token::Sign(",")).is_some() {
            items.push(self.disjunction()?);
        }
        self.expect(end)?;
        Ok(items)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        match self.tokens.next() {
            Some(Token::Sign(found)) if found == sign => Ok(()),
            found @ (Some(_) | None) => Err(format!("{sign:?} is wanted where {found:?} stands")),
        }
    }
}

/// The longer ones first, since they begin with the shorter.
const SIGNS: [&str; 18] =
    ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "(", ")", "[", "]", ",", "^"];
/// As long as CloudWatch allows.
const TEXT_BYTES_MAX: usize = 2048;
/// Deeper than anyone writes, far less than the stack holds.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests;
