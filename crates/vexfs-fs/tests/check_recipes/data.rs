//! Contents of files and rows of vectors.

use vexfs_format::extent::SUMS_BASE;

use super::Entry;

pub(super) const RECIPES: &[Entry] = &[
    ("a checksum block is damaged", "VX5040", |i| i.flip(i.place("/models/deep/large", SUMS_BASE), 200)),
    ("a checksum block cannot be read", "VX5041", |i| {
        i.lose(i.place("/models/deep/large", SUMS_BASE), 1);
    }),
    ("the checksum block of vectors is damaged, and every row proves itself", "VX5040", |i| {
        i.flip(i.place("/vectors/vectors", SUMS_BASE), 200);
    }),
    ("a block of a file is damaged", "VX5042", |i| i.flip(i.place("/models/deep/large", 77), 4000)),
    ("a file is shorter than its last block says", "VX5046", |i| {
        i.edit("/models/deep/large", |inode| inode.size = 699_900.into());
    }),
    ("a block of a file is known to be lost", "VX5047", |i| {
        i.flip(i.place("/models/deep/large", 77), 4000);
        i.edit("/models/deep/large", |inode| inode.flags = 2.into());
    }),
    ("a block of a stored link is damaged", "VX5042", |i| i.flip(i.place("/models/deep/long", 0), 100)),
    ("a block of ids is damaged", "VX5042", |i| i.flip(i.place("/ids/ids", 0), 100)),
    ("blocks of a file cannot be read", "VX5043", |i| i.lose(i.place("/models/deep/large", 77), 3)),
    ("a row is damaged", "VX5042 VX5044", |i| i.flip(i.place("/vectors/vectors", 3), 100)),
    ("a row with an id is damaged", "VX5042 VX5044", |i| i.flip(i.place("/ids/vectors", 3), 100)),
    ("a row with a key is damaged", "VX5042 VX5044", |i| i.flip(i.place("/keys/vectors", 3), 100)),
    ("a row that is deleted is damaged", "VX5042", |i| i.flip(i.place("/vectors/vectors", 0), 3 * 32 + 1)),
    ("a block of rows cannot be read", "VX5043 VX5044", |i| i.lose(i.place("/vectors/vectors", 3), 1)),
    ("a block of rows and the checksums of its rows are damaged", "VX5042 VX5045", |i| {
        i.flip(i.place("/vectors/vectors", 3), 100);
        i.flip(i.place("/vectors/crc", 0), 100);
    }),
];
