//! Extended options: the `key=value` of `-E key=value,word`.

/// Splits an option into its key and, behind the first `=` or `:`, its value.
///
/// The `fsck` front end takes every argument with a `=` for a device, even after `--`; therefore `:` means the same.
///
/// ```
/// use vexfs_cli::extended::key_value;
/// assert_eq!(key_value("offset=4k"), ("offset", Some("4k")));
/// assert_eq!(key_value("offset:4k"), ("offset", Some("4k")));
/// assert_eq!(key_value("discard"), ("discard", None));
/// ```
pub fn key_value(option: &str) -> (&str, Option<&str>) {
    match option.split_once(['=', ':']) {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    }
}
