//! Inodes, extents, and blocks with two owners.

use vexfs_format::bitmap;
use vexfs_format::collection::FLAG_IMPORTING;
use vexfs_format::extent::{NodeEntries, SUMS_BASE};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, LogicalBlock};
use zerocopy::IntoBytes;

use super::Entry;
use crate::check_support::image::Image;

const LARGE: &str = "/models/deep/large";
/// A stream with an extent tree.
const TREE: &str = "/models/bits/vectors";

/// The only node of the tree of [`TREE`].
fn node(image: &Image) -> u64 {
    image.extents(TREE).nodes()[0].get()
}

/// Byte of entry `n` of a node.
fn entry(n: usize) -> usize {
    48 + 24 * n
}

fn erase(image: &Image, path: &str) {
    let (block, offset) = image.record(image.ino(path));
    image.write(block, offset, &[0; 256]);
}

pub(super) const RECIPES: &[Entry] = &[
    ("the record of a file is damaged", "VX1011 VX2012 VX5004 VX5010 VX5013", |i| {
        let (block, offset) = i.record(i.ino(LARGE));
        i.flip(block, offset + 100);
    }),
    ("the record of a file in use is empty", "VX1010 VX2012 VX5004 VX5010 VX5013", |i| erase(i, LARGE)),
    ("the record of a directory is damaged", "VX1011 VX2012 VX3007 VX5004 VX5010 VX5013", |i| {
        let (block, offset) = i.record(i.ino("/models/deep"));
        i.flip(block, offset + 100);
    }),
    ("an inode that is not in use has a damaged record", "VX1014", |i| {
        let (block, offset) = i.record(62);
        i.write(block, offset, b"VXIN and what follows");
    }),
    ("an inode that is not in use has a whole record", "VX5008", |i| {
        let mut copy = i.inode("/twice");
        copy.number = 62.into();
        copy.seal(i.seed());
        let (block, offset) = i.record(62);
        i.write(block, offset, copy.as_bytes());
    }),
    ("a record is of a transaction to come", "VX1015", |i| i.edit(LARGE, |inode| inode.txn = 9_999.into())),
    ("a file names a parent", "VX1016", |i| i.edit(LARGE, |inode| inode.parent = 1.into())),
    ("the target of a link holds a zero byte", "VX1017", |i| i.edit("/short", |inode| inode.root[3] = 0)),
    ("the target of a link was cut off", "VX1019", |i| i.edit("/short", |inode| inode.size = 5.into())),
    ("a directory has no block", "VX1018 VX1025 VX1028 VX5004 VX5010 VX5013", |i| {
        i.edit("/models/bits", |inode| inode.size = 0.into());
        i.edit("/models/bits", |inode| inode.size = 4096.into());
        i.edit("/lost+found", |inode| {
            inode.size = 0.into();
            inode.set_root(&NodeEntries::Leaf(vec![]), 0);
        });
        i.edit("/models/deep/f3", |inode| inode.size = 4096.into());
    }),
    ("a node of an extent tree is damaged", "VX1020 VX1024 VX1026 VX5004 VX5010 VX5013", |i| {
        i.flip(node(i), 100);
    }),
    ("a node of an extent tree cannot be read", "VX1021 VX1024 VX1026 VX5004 VX5010 VX5013", |i| {
        i.lose(node(i), 1);
    }),
    ("a node begins elsewhere than its parent says", "VX1022 VX1024 VX1026 VX5004 VX5010 VX5013", |i| {
        i.edit(TREE, |inode| inode.root[..8].copy_from_slice(&5_u64.to_le_bytes()));
    }),
    (
        "a node reaches into the range of the next one",
        "VX1022 VX1023 VX1024 VX1026 VX5004 VX5010 VX5013 VX5044",
        |i| {
            let node = node(i);
            let children = vec![(0, BlockNo(node)), (3, BlockNo(node))];
            i.edit(TREE, |inode| inode.set_root(&NodeEntries::Index(children), 1));
        },
    ),
    ("an extent of a tree begins outside of the device", "VX1020 VX1024 VX1026 VX5004 VX5010 VX5013", |i| {
        let at = entry(1) + 8;
        i.edit_block(node(i), |block| block[at..at + 8].copy_from_slice(&76_800_u64.to_le_bytes()));
    }),
    ("extents of a tree overlap", "VX1020 VX1024 VX1026 VX5004 VX5010 VX5013", |i| {
        i.edit_block(node(i), |block| block[entry(1) + 16] = 9);
    }),
    ("an extent of an inode lies outside of the device", "VX1011 VX2012 VX5004 VX5010 VX5013", |i| {
        i.edit(LARGE, |inode| inode.root[8..16].copy_from_slice(&76_700_u64.to_le_bytes()));
    }),
    ("a file is longer than what is mapped", "VX1024 VX5040", |i| {
        i.edit(LARGE, |inode| inode.size = 800_000.into());
    }),
    ("a file promises far more blocks than there are", "VX1024 VX1026 VX5040", |i| {
        i.edit(LARGE, |inode| inode.size = (1_u64 << 59).into());
    }),
    ("a file has a hole", "VX1024 VX1028 VX5004 VX5010 VX5013", |i| {
        i.remap(LARGE, |runs| {
            let (mut first, mut second) = (runs[0], runs[0]);
            first.len = 50;
            (second.logical, second.start, second.len) = (LogicalBlock(60), BlockNo(5860 + 60), 171 - 60);
            runs.splice(0..1, [first, second]);
        });
    }),
    ("a file is shorter than what is mapped", "VX1025 VX5046", |i| {
        i.edit(LARGE, |inode| inode.size = 600_000.into());
    }),
    ("the checksum blocks of a file are not mapped", "VX1026 VX1028 VX5004 VX5010 VX5013", |i| {
        i.remap(LARGE, |runs| runs.truncate(1));
    }),
    ("a file has a checksum block too many", "VX1027 VX1028 VX5003 VX5010 VX5013", |i| {
        i.remap(LARGE, |runs| {
            let mut extra = runs[1];
            (extra.logical, extra.start) = (LogicalBlock(SUMS_BASE + 1), BlockNo(20_000));
            runs.push(extra);
        });
    }),
    ("a directory has a checksum block", "VX1027 VX1028 VX5003 VX5010 VX5013", |i| {
        i.remap("/models", |runs| {
            let mut extra = runs[0];
            (extra.logical, extra.start) = (LogicalBlock(SUMS_BASE), BlockNo(20_000));
            runs.push(extra);
        });
    }),
    ("the number of blocks of a file is wrong", "VX1028", |i| {
        i.edit(LARGE, |inode| inode.blocks = (inode.blocks.get() + 1).into());
    }),
    ("two files share blocks", "VX1030 VX1031 VX5004 VX5010 VX5013 VX5042", |i| {
        let other = i.extents(LARGE).runs()[0].start.get();
        i.remap("/models/deep/f7", |runs| runs[0].start = BlockNo(other + 20));
    }),
    ("a file shares the node of another's tree", "VX1030 VX1031 VX5004 VX5010 VX5013 VX5042", |i| {
        let other = node(i);
        i.remap("/models/deep/f7", |runs| runs[0].start = BlockNo(other - 1));
    }),
    ("a file uses one of its blocks twice", "VX1030 VX5004 VX5010 VX5013 VX5042", |i| {
        i.remap(LARGE, |runs| {
            let (mut first, mut second) = (runs[0], runs[0]);
            first.len = 170;
            (second.logical, second.len) = (LogicalBlock(170), 1);
            runs.splice(0..1, [first, second]);
        });
    }),
    ("a file lies over the inode table", "VX1032 VX5004 VX5010 VX5013 VX5042", |i| {
        i.remap("/models/deep/f7", |runs| runs[0].start = BlockNo(100));
    }),
    ("a file lies over the journal", "VX1032 VX5004 VX5010 VX5013 VX5042", |i| {
        i.remap("/models/deep/f7", |runs| runs[0].start = BlockNo(1300));
    }),
    (
        "files map the device many times over",
        "VX1025 VX1026 VX1028 VX1030 VX1031 VX1032 VX1033 VX5003 VX5010 VX5013",
        |i| {
            for n in 0..8 {
                i.remap(&format!("/models/deep/f{n}"), |runs| {
                    runs.truncate(1);
                    (runs[0].start, runs[0].len) = (BlockNo(1), 76_799);
                });
            }
        },
    ),
    ("the descriptor of a collection is damaged", "VX1040", |i| {
        i.flip(i.inode("/keys").descriptor.get(), 60);
    }),
    ("the descriptor of a collection has an unknown element type", "VX1040", |i| {
        i.edit_collection("/keys", |desc| desc.dtype = 99);
    }),
    ("an unfinished import would begin behind the last row", "VX1040", |i| {
        i.edit_collection("/keys", |desc| {
            desc.set(FLAG_IMPORTING);
            (desc.import_source, desc.import_first) = (7.into(), u64::MAX.into());
        });
    }),
    ("the model of a collection is no text", "VX1040", |i| {
        i.edit_collection("/keys", |desc| desc.model = [0xFF; 256]);
    }),
    ("the descriptor of a collection cannot be read", "VX1041", |i| {
        i.lose(i.inode("/keys").descriptor.get(), 1);
    }),
    ("a collection needs a newer version", "VX1042", |i| {
        i.edit_collection("/keys", |desc| desc.feature_incompat = 8.into());
    }),
    ("an object in use is marked as free", "VX5006", |i| {
        let bit = i.ino("/models/deep/f3") as usize - 1;
        i.edit_inode_bitmap(0, |map| bitmap::clear(map, bit));
    }),
    ("a directory in use is marked as free", "VX5006", |i| {
        let bit = i.ino("/models") as usize - 1;
        i.edit_inode_bitmap(0, |map| bitmap::clear(map, bit));
    }),
    ("a reserved inode is marked as free", "VX5006", |i| i.edit_inode_bitmap(0, |map| bitmap::clear(map, 4))),
];

/// Proves that a record is what these recipes take it for.
#[allow(dead_code)]
const RECORD: () = assert!(Inode::SIZE == 256);
