//! From the text of a filter to words, values and signs.

use super::FilterError;
use super::expr::{Comparison, Number};

/// The smallest pieces of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, or a word that means something.
    Word(String),
    /// A name between backquotes, which is nothing else.
    Quoted(String),
    Text(String),
    Number(Number),
    Compare(Comparison),
    Open,
    Close,
    Comma,
    Dot,
    End,
}

/// Takes tokens off a text.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn error(&self, at: usize, problem: impl Into<String>) -> FilterError {
        FilterError { text: self.text.to_owned(), at, problem: problem.into() }
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token), FilterError> {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            self.at = start;
            return Ok((start, Token::End));
        };
        let sign = |token, len| Ok((token, start + len));
        let second = rest[first.len_utf8()..].chars().next();
        let (token, end) = match (first, second) {
            ('(', _) => sign(Token::Open, 1),
            (')', _) => sign(Token::Close, 1),
            (',', _) => sign(Token::Comma, 1),
            ('.', _) => sign(Token::Dot, 1),
            ('=', Some('=')) => sign(Token::Compare(Comparison::Equal), 2),
            ('=', _) => sign(Token::Compare(Comparison::Equal), 1),
            ('!', Some('=')) | ('<', Some('>')) => sign(Token::Compare(Comparison::NotEqual), 2),
            ('<', Some('=')) => sign(Token::Compare(Comparison::AtMost), 2),
            ('<', _) => sign(Token::Compare(Comparison::Less), 1),
            ('>', Some('=')) => sign(Token::Compare(Comparison::AtLeast), 2),
            ('>', _) => sign(Token::Compare(Comparison::Greater), 1),
            ('\'' | '"', _) => self.string(start, first),
            ('`', _) => self.quoted(start),
            ('0'..='9' | '-' | '+', _) => self.number(start),
            (c, _) if c.is_alphabetic() || c == '_' => {
                let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
                sign(Token::Word(rest[..len].to_owned()), len)
            }
            (c, _) => Err(self.error(start, format!("{c:?} means nothing here"))),
        }?;
        self.at = end;
        Ok((start, token))
    }

    fn string(&self, start: usize, quote: char) -> Result<(Token, usize), FilterError> {
        let mut text = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((n, c)) = chars.next() {
            let at = start + 1 + n;
            if c == quote {
                return Ok((Token::Text(text), at + 1));
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some((_, escaped)) = chars.next() else { break };
            text.push(match escaped {
                '\'' | '"' | '\\' | '/' => escaped,
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => {
                    let digits = self.text.get(at + 2..at + 6).unwrap_or("");
                    let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                    let code = code.filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                    let problem = "\\u is followed by the four hexadecimal digits of a character";
                    let code = code.ok_or_else(|| self.error(at, problem))?;
                    chars.nth(3);
                    code
                }
                other => {
                    return Err(self.error(at, format!("\\{} stands for nothing", other.escape_debug())));
                }
            });
        }
        Err(self.error(start, "the string does not end"))
    }

    fn quoted(&self, start: usize) -> Result<(Token, usize), FilterError> {
        let rest = &self.text[start + 1..];
        match rest.find('`') {
            Some(len) if len > 0 => Ok((Token::Quoted(rest[..len].to_owned()), start + len + 2)),
            _ => Err(self.error(start, "a name between backquotes is not empty, and ends with another one")),
        }
    }

    fn number(&self, start: usize) -> Result<(Token, usize), FilterError> {
        let rest = &self.text[start..];
        let mut last = ' ';
        // A sign belongs to a number at its beginning and behind the exponent's letter.
        let len = rest.find(|c: char| {
            let is_sign = matches!(c, '+' | '-') && matches!(last, ' ' | 'e' | 'E');
            last = c;
            !(c.is_alphanumeric() || c == '.' || c == '_' || is_sign)
        });
        let text = &rest[..len.unwrap_or(rest.len())];
        let number = text.parse().map(Number::Whole).ok();
        let real = || text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Number::Real);
        match number.or_else(real) {
            Some(number) => Ok((Token::Number(number), start + text.len())),
            None => Err(self.error(start, format!("{text} is no number"))),
        }
    }
}

/// Whether `c` may be in a name without backquotes.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}
