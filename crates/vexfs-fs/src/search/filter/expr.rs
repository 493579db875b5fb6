//! What a filter is made of.

use std::cmp::Ordering;

/// Names that lead from the payload to a value in it.
pub(super) type Path = Vec<String>;

/// A condition. Paths are given by their numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    Compare(usize, Comparison, Value),
    In(usize, Vec<Value>),
    Like(usize, String),
    IsNull(usize),
    Exists(usize),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A constant, or a value in a payload.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// An array or object: there, and like no constant.
    Compound,
}

/// A number; whole ones are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

impl Comparison {
    /// What it says of values in this order.
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Value {
    /// The order of two values of one type; `None` for values of different types, of which none is null.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Some(a.order(*b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl Number {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            // The sum with zero has no minus sign of its own.
            (Self::Real(a), Self::Real(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (Self::Whole(a), Self::Real(b)) => whole_order(a, b),
            (Self::Real(a), Self::Whole(b)) => whole_order(b, a).reverse(),
        }
    }
}

/// The order of a whole number and a real one, without rounding either.
fn whole_order(a: i128, b: f64) -> Ordering {
    // Whole numbers of payloads have at most 64 bits; the conversion keeps what is beyond in its order.
    a.cmp(&(b.floor() as i128)).then(if b > b.floor() { Ordering::Less } else { Ordering::Equal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value_whatever_they_are_written_as() {
        let (whole, real) = (Number::Whole, Number::Real);
        for (a, b, expected) in [
            (whole(5), real(5.0), Ordering::Equal),
            (whole(5), real(5.5), Ordering::Less),
            (whole(-5), real(-5.5), Ordering::Greater),
            (real(1e300), whole(u64::MAX.into()), Ordering::Greater),
            (real(-1e300), whole(i64::MIN.into()), Ordering::Less),
            (whole((1 << 53) + 1), real(9_007_199_254_740_992.0), Ordering::Greater),
            (real(0.0), real(-0.0), Ordering::Equal),
            (real(-0.0), real(0.0), Ordering::Equal),
            (real(0.5), real(-0.5), Ordering::Greater),
        ] {
            assert_eq!(a.order(b), expected, "{a:?} {b:?}");
            assert_eq!(b.order(a), expected.reverse(), "{b:?} {a:?}");
        }
    }
}
