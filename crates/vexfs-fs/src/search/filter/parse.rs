//! From tokens to an expression.

use std::str::FromStr;

use super::expr::{Comparison, Expr, Path, Value};
use super::token::{Token, Tokens};
use super::{Filter, FilterError};

/// How deeply parentheses and NOT may lie in each other: far more than anybody writes, and little of the stack.
const MAX_DEPTH: u32 = 64;
/// Longest text of a filter in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Words that are no names.
const WORDS: [&str; 10] = ["AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "EXISTS", "TRUE", "FALSE"];

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut tokens = Tokens::new(text);
        if text.len() > MAX_BYTES {
            return Err(tokens.error(0, format!("the filter is longer than {MAX_BYTES} bytes")));
        }
        let (at, token) = tokens.next()?;
        let mut parser = Parser { tokens, at, token, paths: Vec::new() };
        let expr = parser.any(0)?;
        if parser.token != Token::End {
            return Err(parser.expected("AND, OR or the end"));
        }
        Ok(Self { expr, paths: parser.paths })
    }
}

/// Looks one token ahead.
struct Parser<'a> {
    tokens: Tokens<'a>,
    at: usize,
    token: Token,
    paths: Vec<Path>,
}

impl Parser<'_> {
    fn any(&mut self, depth: u32) -> Result<Expr, FilterError> {
        let mut parts = vec![self.all(depth)?];
        while self.take_word("OR")? {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self, depth: u32) -> Result<Expr, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.take_word("AND")? {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self, depth: u32) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.tokens.error(self.at, "this lies too deep in parentheses or NOT"));
        }
        if self.take_word("NOT")? {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.token == Token::Open {
            self.step()?;
            let inner = self.any(depth + 1)?;
            self.take(&Token::Close, ")")?;
            return Ok(inner);
        }
        if self.take_word("EXISTS")? {
            return Ok(Expr::Exists(self.path("a name")?));
        }
        let path = self.path("a name, NOT, EXISTS or (")?;
        self.test(path)
    }

    fn test(&mut self, path: usize) -> Result<Expr, FilterError> {
        if let Token::Compare(comparison) = self.token {
            self.step()?;
            let at = self.at;
            return match (comparison, self.value()?) {
                (Comparison::Equal, Value::Null) => Ok(Expr::IsNull(path)),
                (Comparison::NotEqual, Value::Null) => Ok(Expr::Not(Box::new(Expr::IsNull(path)))),
                (_, Value::Null) => {
                    Err(self.tokens.error(at, "null is neither less nor greater than anything"))
                }
                (comparison, value) => Ok(Expr::Compare(path, comparison, value)),
            };
        }
        if self.take_word("IS")? {
            let not = self.take_word("NOT")?;
            if !self.take_word("NULL")? {
                return Err(self.expected(if not { "NULL" } else { "NOT NULL or NULL" }));
            }
            return Ok(negated(not, Expr::IsNull(path)));
        }
        let not = self.take_word("NOT")?;
        if self.take_word("IN")? {
            return Ok(negated(not, Expr::In(path, self.list()?)));
        }
        if self.take_word("LIKE")? {
            let Token::Text(pattern) = self.token.clone() else { return Err(self.expected("a string")) };
            self.step()?;
            return Ok(negated(not, Expr::Like(path, pattern)));
        }
        Err(self.expected(if not { "IN or LIKE" } else { "a comparison, IN, LIKE or IS" }))
    }

    fn list(&mut self) -> Result<Vec<Value>, FilterError> {
        self.take(&Token::Open, "(")?;
        let mut values = vec![self.value()?];
        while self.token == Token::Comma {
            self.step()?;
            values.push(self.value()?);
        }
        self.take(&Token::Close, ", or )")?;
        Ok(values)
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        let value = match &self.token {
            Token::Text(text) => Value::Text(text.clone()),
            Token::Number(number) => Value::Number(*number),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Value::Null,
            _ => return Err(self.expected("a number, a string, true, false or null")),
        };
        self.step()?;
        Ok(value)
    }

    /// The number of a path.
    fn path(&mut self, expected: &str) -> Result<usize, FilterError> {
        let mut path = vec![self.name(expected)?];
        while self.token == Token::Dot {
            self.step()?;
            path.push(self.name("a name")?);
        }
        Ok(self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        }))
    }

    fn name(&mut self, expected: &str) -> Result<String, FilterError> {
        let name = match &self.token {
            Token::Quoted(name) => name.clone(),
            Token::Word(word) if !WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)) => word.clone(),
            _ => return Err(self.expected(expected)),
        };
        self.step()?;
        Ok(name)
    }

    fn step(&mut self) -> Result<(), FilterError> {
        (self.at, self.token) = self.tokens.next()?;
        Ok(())
    }

    fn take(&mut self, token: &Token, name: &str) -> Result<(), FilterError> {
        if self.token != *token {
            return Err(self.expected(name));
        }
        self.step()
    }

    fn take_word(&mut self, word: &str) -> Result<bool, FilterError> {
        let found = matches!(&self.token, Token::Word(found) if found.eq_ignore_ascii_case(word));
        if found {
            self.step()?;
        }
        Ok(found)
    }

    fn expected(&self, what: &str) -> FilterError {
        self.tokens.error(self.at, format!("{what} is expected"))
    }
}

fn negated(not: bool, expr: Expr) -> Expr {
    if not { Expr::Not(Box::new(expr)) } else { expr }
}
