//! A filter, and behind the first line break a payload to decide over.
//!
//! No text may make the parser or the decision panic, hang or recurse without end; a mark of an error lies within its line.

use vexfs_fs::search::Filter;

/// What is done with the bytes of one run.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (expression, payload) = text.split_once('\n').unwrap_or((&text, ""));
    match expression.parse::<Filter>() {
        Ok(filter) => {
            // The negation may lie too deep in parentheses.
            if let Ok(negation) = format!("NOT ({expression})").parse::<Filter>()
                && let (Ok(is), Ok(is_not)) = (filter.matches(payload), negation.matches(payload))
            {
                assert!(!(is && is_not), "{expression} and its negation are true");
            }
        }
        Err(error) => {
            let shown = error.to_string();
            let mut lines = shown.lines().rev();
            let mark = lines.next().map_or(0, |line| line.chars().count());
            let line = lines.next().map_or(0, |line| line.chars().count());
            assert!(mark <= line + 1, "{shown}");
        }
    }
}
