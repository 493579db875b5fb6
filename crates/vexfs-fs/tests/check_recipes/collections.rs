//! Collections: descriptors against streams, ids, keys, deletions. The streams have sound checksums; what they say is wrong.

use vexfs_format::collection::{FLAG_IDS, FLAG_IMPORTING, FLAG_KEYS};
use vexfs_format::dir_block::DirEntries;

use super::Entry;
use crate::check_support::image::Image;

fn forget(image: &Image, path: &str, name: &str) {
    image.edit_dir(path, 0, |entries, _| {
        let DirEntries::Leaf(names) = entries else { panic!("{path} has more than one block") };
        names.retain(|entry| entry.name != name.as_bytes());
    });
}

fn number(image: &Image, path: &str, row: usize, value: u64) {
    image.edit_data(path, row * 8, &value.to_le_bytes());
}

pub(super) const RECIPES: &[Entry] = &[
    ("a collection has lost its ids", "VX3007 VX5020", |i| forget(i, "/ids", "ids")),
    ("a collection has lost its vectors", "VX3007 VX5020", |i| forget(i, "/ids", "vectors")),
    ("a collection says more rows than it has", "VX5021 VX5023 VX5027", |i| {
        i.edit_collection("/vectors", |desc| desc.rows = 3_010.into());
    }),
    ("an unfinished import begins behind the rows that are there", "VX5021 VX5023 VX5027", |i| {
        i.edit_collection("/vectors", |desc| {
            desc.set(FLAG_IMPORTING);
            (desc.import_source, desc.import_first) = (7.into(), 3_005.into());
            desc.rows = 3_010.into();
        });
    }),
    ("a collection says so many rows that nobody can count them", "VX5021 VX5023 VX5027", |i| {
        i.edit_collection("/vectors", |desc| desc.rows = (1_u64 << 57).into());
    }),
    ("a stream was cut off", "VX1025 VX5021", |i| {
        i.edit("/vectors/crc", |inode| inode.size = (4096 * 2).into());
    }),
    ("the descriptor has forgotten the ids", "VX5022 VX5027", |i| {
        i.edit_collection("/ids", |desc| {
            desc.flags = (desc.flags.get() & !FLAG_IDS).into();
            desc.next_id = 4.into();
        });
    }),
    ("the descriptor has forgotten the keys", "VX5022", |i| {
        i.edit_collection("/keys", |desc| desc.flags = (desc.flags.get() & !FLAG_KEYS).into());
    }),
    ("the number of live rows is wrong", "VX5023", |i| {
        i.edit_collection("/vectors", |desc| desc.live_rows = 2_998.into());
    }),
    ("the number of live rows is wrong where none are deleted", "VX5023", |i| {
        i.edit_collection("/ids", |desc| desc.live_rows = 499.into());
    }),
    ("rows are deleted that there are not", "VX5021 VX5023 VX5024 VX5027", |i| {
        i.edit_collection("/vectors", |desc| {
            desc.rows = 2_993.into();
            desc.live_rows = 2_993.into();
            desc.next_id = 5.into();
        });
    }),
    ("two rows have one id", "VX5025", |i| number(i, "/ids/ids", 100, 10)),
    ("a row has the id that none can have", "VX5026", |i| number(i, "/ids/ids", 100, u64::MAX)),
    ("the next id was given already", "VX5027", |i| {
        i.edit_collection("/ids", |desc| desc.next_id = 3_000.into());
    }),
    ("the next id is below the rows", "VX5027", |i| {
        i.edit_collection("/vectors", |desc| desc.next_id = 3.into());
    }),
    ("a key ends before it begins", "VX5028", |i| number(i, "/keys/keys.end", 100, 5)),
    ("a key ends behind the last", "VX5028", |i| number(i, "/keys/keys.end", 100, 1 << 50)),
    ("a key has no bytes", "VX5028", |i| number(i, "/keys/keys.end", 100, 1000)),
    ("a key is no text", "VX5029 VX5030", |i| i.edit_data("/keys/keys", 1003, &[0xFF])),
    ("a key holds a zero byte", "VX5029 VX5030", |i| i.edit_data("/keys/keys", 1003, &[0])),
    ("a key has another hash", "VX5030", |i| number(i, "/keys/keys.hash", 7, 12_345)),
    ("two rows have one key", "VX5031", |i| {
        i.edit_data("/keys/keys", 1000, "key-003-ä".as_bytes());
        let hash = vexfs_format::dir_block::name_hash(&i.sb().hash_key, "key-003-ä".as_bytes());
        number(i, "/keys/keys.hash", 100, hash);
    }),
    ("a payload ends before it begins", "VX5033", |i| number(i, "/described/payload.end", 100, 5)),
    ("a payload ends behind the last", "VX5033", |i| number(i, "/described/payload.end", 100, 1 << 50)),
    ("a payload is no JSON", "VX5034", |i| i.edit_data("/described/payload", 0, b"[")),
    ("bytes follow the last payload", "VX5035", |i| {
        i.edit("/described/payload", |inode| inode.size = (inode.size.get() + 5).into());
    }),
    ("a collection has lost its payload", "VX3007 VX5020", |i| forget(i, "/described", "payload.end")),
    ("the descriptor has forgotten the payload", "VX5022", |i| {
        i.edit_collection("/described", |desc| desc.set_payload(false));
    }),
    ("bytes follow the last key", "VX5032", |i| i.edit("/keys/keys", |inode| inode.size = 4_010.into())),
];
