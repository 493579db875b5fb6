//! Lists of extended options: `-E key=value,word`.
//!
//! The `fsck` front end takes every argument with a `=` for a device, even after `--`; therefore `key:value` means the same.

/// Splits a list at its commas, and each option into its key and, behind the first `=` or `:`, its value.
///
/// Empty options are left out.
///
/// ```
/// let options: Vec<_> = vexfs_cli::extended::split("offset=4k,discard,stride:2").collect();
/// assert_eq!(options, [("offset", Some("4k")), ("discard", None), ("stride", Some("2"))]);
/// ```
pub fn split(list: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    list.split(',').filter(|option| !option.is_empty()).map(|option| match option.split_once(['=', ':']) {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    })
}
