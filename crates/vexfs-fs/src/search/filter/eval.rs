//! What an expression says of the values in one payload: true, false, or nothing.

use super::expr::{Comparison, Expr, Value};

/// Decides; `None` is not known. `values` has the value at each path, `None` where there is none.
pub(super) fn decide(expr: &Expr, values: &[Option<Value>]) -> Option<bool> {
    let value = |path: &usize| values.get(*path).and_then(Option::as_ref);
    let known = |path: &usize| value(path).filter(|value| **value != Value::Null);
    match expr {
        Expr::Any(parts) => first(parts, values, true),
        Expr::All(parts) => first(parts, values, false),
        Expr::Not(inner) => decide(inner, values).map(|is| !is),
        Expr::Compare(path, comparison, constant) => {
            known(path).map(|value| compare(value, *comparison, constant))
        }
        Expr::In(path, constants) => match known(path) {
            Some(value) => Some(constants.iter().any(|constant| compare(value, Comparison::Equal, constant))),
            None if constants.contains(&Value::Null) => Some(true),
            None => None,
        },
        Expr::Like(path, pattern) => known(path).map(|value| match value {
            Value::Text(text) => is_like(text, pattern),
            _ => false,
        }),
        Expr::IsNull(path) => Some(known(path).is_none()),
        Expr::Exists(path) => Some(value(path).is_some()),
    }
}

/// `decisive` if one of the parts is; not known if one of them is not; else the opposite.
fn first(parts: &[Expr], values: &[Option<Value>], decisive: bool) -> Option<bool> {
    let mut outcome = Some(!decisive);
    for part in parts {
        match decide(part, values) {
            Some(found) if found == decisive => return Some(decisive),
            None => outcome = None,
            Some(_) => {}
        }
    }
    outcome
}

/// Of different types, values are different, and neither is less.
fn compare(value: &Value, comparison: Comparison, constant: &Value) -> bool {
    match value.order(constant) {
        Some(order) => comparison.holds(order),
        None => comparison == Comparison::NotEqual,
    }
}

/// Whether `text` is like `pattern`: `%` is any text, `_` one character, a backslash takes their meaning from them.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // Where the last % is, and how much of the text it has taken.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let (wanted, len) = match pattern.get(p) {
            Some('\\') if p + 1 < pattern.len() => (pattern.get(p + 1), 2),
            other => (other, 1),
        };
        match (wanted, text.get(t)) {
            (Some('%'), _) if len == 1 => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (Some('_'), Some(_)) if len == 1 => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                (t, p) = (t + 1, p + len);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match retry {
            Some((behind, taken)) if taken < text.len() => {
                retry = Some((behind, taken + 1));
                (t, p) = (taken + 1, behind);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_sql() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("abc", "a", false),
            ("abc", "%d", false),
            ("äöü", "_ö_", true),
            ("aXbXc", "%X%c", true),
            ("50%", "50\\%", true),
            ("500", "50\\%", false),
            ("a\\", "a\\", true),
            ("aaaaaaaaab", "%a%a%a%b", true),
            ("ab", "ab%%%", true),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        let (yes, no, unknown) =
            (Expr::IsNull(0), Expr::Exists(0), Expr::Compare(0, Comparison::Equal, Value::Bool(true)));
        let all = |parts: &[&Expr]| decide(&Expr::All(parts.iter().map(|p| (*p).clone()).collect()), &[None]);
        let any = |parts: &[&Expr]| decide(&Expr::Any(parts.iter().map(|p| (*p).clone()).collect()), &[None]);
        assert_eq!((all(&[&yes, &unknown]), all(&[&unknown, &no])), (None, Some(false)));
        assert_eq!((any(&[&no, &unknown]), any(&[&unknown, &yes])), (None, Some(true)));
        assert_eq!(decide(&Expr::Not(Box::new(unknown)), &[None]), None);
    }
}
