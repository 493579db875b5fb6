//! `udev`: what udev and `blkid -o udev` call the filesystem, a property to a line, for a rule that imports them.

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::output::json::Schema;
use vexfs_fs::BlockSource;

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-udev", 1);

#[derive(Debug, Serialize)]
struct Properties {
    properties: Vec<(&'static str, String)>,
}

/// Prints the properties.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let superblock = dump.volume.superblock();
    let (uuid, label) = (Uuid::from_bytes(superblock.uuid).to_string(), superblock.label());
    let mut properties = vec![
        ("ID_FS_TYPE", "vexfs".to_owned()),
        ("ID_FS_USAGE", "filesystem".to_owned()),
        ("ID_FS_VERSION", superblock.format_version.to_string()),
        ("ID_FS_BLOCKSIZE", superblock.block_size.to_string()),
        ("ID_FS_UUID", uuid.clone()),
        ("ID_FS_UUID_ENC", uuid),
    ];
    if !label.is_empty() {
        properties.push(("ID_FS_LABEL", safe(&label)));
        properties.push(("ID_FS_LABEL_ENC", encoded(&label)));
    }
    if dump.json {
        return dump.document(SCHEMA, &Properties { properties });
    }
    for (name, value) in properties {
        dump.out.line(format_args!("{name}={value}"))?;
    }
    Ok(())
}

/// Whether udev leaves `character` as it is in a value that becomes part of a file name.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "#+-.:=@_".contains(character) || !character.is_ascii()
}

/// The label as a word: what is not plain becomes an underscore.
fn safe(label: &str) -> String {
    label.chars().map(|character| if is_plain(character) { character } else { '_' }).collect()
}

/// The label with what is not plain as `\x` and its number, as under /dev/disk/by-label.
fn encoded(label: &str) -> String {
    let encode = |character: char| match character {
        plain if is_plain(plain) => plain.to_string(),
        // Not plain are ASCII characters only, of one byte each.
        other => format!("\\x{:02x}", other as u32),
    };
    label.chars().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_encoded_as_udev_does() {
        assert_eq!(
            (safe("my data/1"), encoded("my data/1")),
            ("my_data_1".into(), "my\\x20data\\x2f1".into())
        );
        assert_eq!(encoded("a\\b\"c\n"), "a\\x5cb\\x22c\\x0a");
        assert_eq!((safe("größe_1"), encoded("größe_1")), ("größe_1".into(), "größe_1".into()));
    }
}
