//! The journal.

use vexfs_format::TxnSeq;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::journal::{commit, descriptor};
use zerocopy::IntoBytes;

use super::Entry;
use crate::check_support::image::{BLOCK, Image};

pub(super) const RECIPES: &[Entry] = &[
    ("the journal superblock is damaged", "VX0020", |i| i.flip(i.log_block(0), 40)),
    ("the journal superblock names a tail outside of the log", "VX0020", |i| {
        let run = i.sb().geometry().journal;
        let jsb = JournalSuperblock::empty(run, run.len, TxnSeq(1), i.seed());
        i.write(i.log_block(0), 0, jsb.as_bytes());
    }),
    ("the journal cannot be read", "VX0022", |i| i.lose(i.log_block(0), 1)),
    ("an image of a committed transaction is damaged", "VX0021", |i| {
        let at = log(i, None);
        i.flip(i.log_block(at + 1), 100);
    }),
    ("the chain of a committed transaction is broken", "VX0021", |i| {
        let at = log(i, None);
        i.edit_block(i.log_block(at + 2), |block| block[52] ^= 1);
    }),
    ("the first block of a committed transaction is damaged", "VX0023", |i| {
        let at = log(i, None);
        i.flip(i.log_block(at), 100);
    }),
    ("the first block of a committed transaction cannot be read", "VX0022", |i| {
        let at = log(i, None);
        i.lose(i.log_block(at), 1);
    }),
    ("the superblock in the journal is no superblock", "VX0013", |i| {
        log(i, Some(vec![7; BLOCK]));
    }),
];

/// Writes one committed transaction to the log that changes the time of the last check; returns where it begins. The image of
/// the superblock may be another one.
fn log(image: &Image, superblock: Option<Vec<u8>>) -> u64 {
    let (seed, txn) = (image.seed(), image.volume().next_txn());
    let home = vexfs_format::BlockNo(0);
    let bytes = superblock.unwrap_or_else(|| {
        let mut bytes = image.read(0);
        let mut sb = *image.sb();
        (sb.checked_ns, sb.txn) = (5.into(), txn.get().into());
        sb.seal();
        bytes[1024..2048].copy_from_slice(sb.as_bytes());
        bytes
    });
    let jsb = image.read(image.log_block(0));
    let at = u64::from_le_bytes(jsb[24..32].try_into().expect("8 bytes"));
    assert!(at + 2 < image.sb().journal_blocks.get(), "no wrap here");
    let tag = descriptor::Tag { home, image_checksum: descriptor::image_checksum(seed, home, txn, &bytes) };
    let names = descriptor::encode(&[tag], at, txn, BLOCK, seed);
    let mut chain = commit::Chain::default();
    chain.add(&names);
    let body = commit::JournalCommit { log_blocks: 2.into(), chain: chain.value().into(), time_ns: 1.into() };
    image.write(image.log_block(at), 0, &names);
    image.write(image.log_block(at + 1), 0, &bytes);
    image.write(image.log_block(at + 2), 0, &commit::encode(&body, at + 2, txn, BLOCK, seed));
    at
}
