//! What a person does with a volume, in memory: the same at every block size.

mod common;

use common::*;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::collection::ids::Identity;
use vexfs_fs::collection::{self, Collection};
use vexfs_fs::error::TakenBy;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, FsError, dir, inode};

#[test]
fn rows_come_back_from_a_fresh_volume_at_every_block_size() {
    for block_size in [4096, 8192, 16384, 32768, 65536] {
        let device = formatted(24, block_size);
        let (first, second) = (rows_f32(1, 1000, 8), rows_f32(2, 777, 8));
        let mut volume = open_rw(&device);
        assert_eq!(append(&mut volume, "vectors", &first, RowIds::Auto).expect("first").rows, 1000);
        assert_eq!(append(&mut volume, "vectors", &second, RowIds::Auto).expect("second").first_row, 1000);
        volume.close().expect("close");
        let volume = open_ro(&device);
        assert!(!volume.is_unclean());
        assert_eq!(read_rows(&volume, "vectors").expect("rows"), [first, second].concat());
    }
}

#[test]
fn an_unclean_volume_is_read_whole_and_not_written() {
    let device = formatted(16, 4096);
    let rows = rows_f32(1, 500, 8);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows, RowIds::Auto).expect("append");
    drop(volume); // no close: the transaction is in the journal only
    let mut before = vec![0; device.len() as usize];
    device.read_at(0, &mut before).expect("read");
    let volume = open_ro(&device);
    assert!(volume.is_unclean() && volume.report().replayed == 1);
    assert_eq!(read_rows(&volume, "vectors").expect("rows"), rows);
    drop(volume);
    let mut after = vec![0; device.len() as usize];
    device.read_at(0, &mut after).expect("read");
    assert!(before == after, "reading wrote something");
    open_rw(&device).close().expect("replay");
    let volume = open_ro(&device);
    assert!(!volume.is_unclean());
    assert_eq!(read_rows(&volume, "vectors").expect("rows"), rows);
}

#[test]
fn a_hundred_thousand_names_stay_findable() {
    let device = formatted(512, 4096);
    let mut volume = open_rw(&device);
    let mut txn = volume.begin().expect("begin");
    let dir = txn.make_directory(InodeNo::ROOT, b"many").expect("directory");
    let file = txn.create(InodeNo::ROOT, b"file", InodeKind::File, 0o644).expect("file").number();
    txn.commit().expect("commit");
    let name = |n: u32| format!("embedding-{n:06}.bin").into_bytes();
    for part in 0..50 {
        let mut txn = volume.begin().expect("begin");
        for n in part * 2_000..(part + 1) * 2_000 {
            dir::insert(&mut txn, dir, &name(n), file, InodeKind::File).expect("insert");
        }
        txn.commit().expect("commit");
    }
    let directory = inode::read(&volume, dir).expect("inode");
    assert_eq!(dir::list(&volume, &directory).expect("list").len(), 100_000);
    for n in (0..100_000).step_by(997) {
        assert!(dir::lookup(&volume, &directory, &name(n)).expect("lookup").is_some(), "{n}");
    }
    assert!(dir::lookup(&volume, &directory, b"embedding-100000.bin").expect("lookup").is_none());
    for part in 0..50 {
        let mut txn = volume.begin().expect("begin");
        for n in (part * 2_000..(part + 1) * 2_000).step_by(2) {
            dir::remove(&mut txn, dir, &name(n)).expect("remove");
        }
        txn.commit().expect("commit");
    }
    let directory = inode::read(&volume, dir).expect("inode");
    assert_eq!(dir::list(&volume, &directory).expect("list").len(), 50_000);
    assert!(dir::lookup(&volume, &directory, &name(2)).expect("lookup").is_none());
    assert!(dir::lookup(&volume, &directory, &name(3)).expect("lookup").is_some());
}

#[test]
fn files_links_and_moves_do_what_they_say() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    let free_before = volume.superblock().free_blocks.get();
    let long_target = format!("/models/{}", "x".repeat(200));
    let mut txn = volume.begin().expect("begin");
    let models = txn.make_directory(InodeNo::ROOT, b"models").expect("directory");
    txn.make_symlink(InodeNo::ROOT, b"short", b"models/card.md").expect("link");
    txn.make_symlink(InodeNo::ROOT, b"long", long_target.as_bytes()).expect("link");
    txn.make_symlink(models, b"loop", b"loop").expect("link");
    txn.commit().expect("commit");
    put_file(&mut volume, models, b"card.md", b"hello").expect("file");
    put_file(&mut volume, models, b"card.md", &[7; 10_000]).expect("replace");
    assert_eq!(get_file(&volume, "/short").expect("through the link"), [7; 10_000]);
    assert!(matches!(get_file(&volume, "/models/loop"), Err(FsError::TooManyLinks { .. })));
    let link = resolve(&volume, "/long", LastLink::Keep).expect("link itself");
    assert_eq!(vexfs_fs::path::read_link(&volume, &link).expect("target"), long_target.as_bytes());
    let mut txn = volume.begin().expect("begin");
    txn.rename(models, b"card.md", InodeNo::ROOT, b"README").expect("rename");
    assert!(matches!(txn.remove(InodeNo::ROOT, b"lost+found"), Err(FsError::WrongKind { .. })));
    assert!(matches!(txn.remove(InodeNo::ROOT, b"models"), Err(FsError::NotEmpty { .. })));
    assert!(matches!(txn.make_directory(InodeNo::ROOT, b"README"), Err(FsError::Exists { .. })));
    txn.commit().expect("commit");
    assert_eq!(get_file(&volume, "README").expect("moved"), [7; 10_000]);
    let mut txn = volume.begin().expect("begin");
    txn.remove(models, b"loop").expect("remove");
    for name in ["README", "short", "long", "models"] {
        txn.remove(InodeNo::ROOT, name.as_bytes()).expect("remove");
    }
    txn.commit().expect("commit");
    assert_eq!(volume.superblock().free_blocks.get(), free_before, "every block came back");
}

#[test]
fn a_transaction_that_is_dropped_leaves_no_trace() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    let before = *volume.superblock();
    let mut txn = volume.begin().expect("begin");
    txn.make_directory(InodeNo::ROOT, b"gone").expect("directory");
    drop(txn);
    assert_eq!(*volume.superblock(), before);
    assert!(matches!(resolve(&volume, "gone", LastLink::Follow), Err(FsError::NotFound { .. })));
}

#[test]
fn ids_and_keys_lead_to_their_rows() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 3, 8), RowIds::Auto).expect("auto");
    append(&mut volume, "vectors", &rows_f32(2, 3, 8), RowIds::Ids(&[100, 7, 50])).expect("given");
    append(&mut volume, "vectors", &rows_f32(3, 2, 8), RowIds::Auto).expect("auto again");
    let collection = Collection::open(&volume, "vectors").expect("collection");
    let ids = collection.identities(&volume).expect("ids");
    let all: Vec<u64> = (0..8).map(|row| ids.id(row).expect("id")).collect();
    assert_eq!(all, [0, 1, 2, 100, 7, 50, 101, 102]);
    let deletions = collection.deletions(&volume).expect("deletions");
    assert_eq!(ids.find("50", &deletions).expect("found"), 5);
    assert!(matches!(ids.find("3", &deletions), Err(FsError::NoSuchId { .. })));
    for taken in [[1, 200], [300, 300]] {
        let twice = append(&mut volume, "vectors", &rows_f32(4, 2, 8), RowIds::Ids(&taken));
        assert!(matches!(twice, Err(FsError::Duplicate { .. })), "{taken:?}");
    }
    let mut txn = volume.begin().expect("begin");
    txn.create_collection(InodeNo::ROOT, b"keyed", &spec(8)).expect("collection");
    txn.commit().expect("commit");
    let keys = ["apple".to_owned(), "pear".to_owned()];
    append(&mut volume, "keyed", &rows_f32(5, 2, 8), RowIds::Keys(&keys)).expect("keys");
    append(&mut volume, "keyed", &rows_f32(5, 1, 8), RowIds::Keys(&["plum".to_owned()])).expect("more keys");
    for (keys, key, place, taken_by) in
        [(["fig", "pear"], "pear", 1, TakenBy::Row(1)), (["kiwi", "kiwi"], "kiwi", 1, TakenBy::Given(0))]
    {
        let twice = append(&mut volume, "keyed", &rows_f32(5, 2, 8), RowIds::Keys(&keys.map(str::to_owned)));
        let Err(FsError::Duplicate { what: "key", value, given, taken }) = twice else {
            panic!("{keys:?}: {twice:?}")
        };
        assert_eq!((value.as_str(), given, taken), (key, place, taken_by));
    }
    assert!(append(&mut volume, "keyed", &rows_f32(5, 1, 8), RowIds::Auto).is_err(), "rows without keys");
    let collection = Collection::open(&volume, "keyed").expect("collection");
    let ids = collection.identities(&volume).expect("ids");
    assert_eq!(ids.identity(2).expect("key"), Identity::Key("plum".into()));
    assert_eq!(ids.find("pear", &Default::default()).expect("found"), 1);
}

#[test]
fn deleted_rows_are_marked_and_ids_are_not_given_again() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 100, 8), RowIds::Auto).expect("append");
    let ino = resolve(&volume, "vectors", LastLink::Follow).expect("inode").number();
    for rows in [&[3_u64, 99, 500][..], &[3, 4]] {
        let mut txn = volume.begin().expect("begin");
        txn.delete_rows("vectors", ino, rows).expect("delete");
        txn.commit().expect("commit");
    }
    append(&mut volume, "vectors", &rows_f32(2, 1, 8), RowIds::Auto).expect("append");
    let collection = Collection::open(&volume, "vectors").expect("collection");
    assert_eq!((collection.rows(), collection.desc.live_rows.get()), (101, 98));
    let deletions = collection.deletions(&volume).expect("deletions");
    let deleted: Vec<u64> = (0..101).filter(|&r| deletions.contains(r)).collect();
    assert_eq!(deleted, [3, 4, 99]);
    let ids = collection.identities(&volume).expect("ids");
    assert!(ids.find("99", &deletions).is_err());
    assert_eq!(ids.find("100", &deletions).expect("found"), 100);
}

#[test]
fn a_full_volume_keeps_the_state_before() {
    let device = formatted(8, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 100, 8), RowIds::Auto).expect("append");
    let before = *volume.superblock();
    let too_many = append(&mut volume, "vectors", &vec![0; 8 << 20], RowIds::Auto);
    assert!(matches!(too_many, Err(FsError::NoSpace { .. })), "{too_many:?}");
    assert_eq!(*volume.superblock(), before);
    assert_eq!(read_rows(&volume, "vectors").expect("rows"), rows_f32(1, 100, 8));
    volume.close().expect("close");
    assert_eq!(read_rows(&open_ro(&device), "vectors").expect("rows"), rows_f32(1, 100, 8));
}

#[test]
fn thousands_of_small_appends_build_an_extent_tree() {
    let device = formatted(32, 4096);
    let mut volume = open_rw(&device);
    let mut all = Vec::new();
    for n in 0..1500 {
        // A second writer in between keeps the extents apart.
        let rows = rows_f32(n, 130, 8);
        append(&mut volume, "vectors", &rows, RowIds::Auto).expect("append");
        all.extend(rows);
        if n % 4 == 0 {
            put_file(&mut volume, InodeNo::ROOT, format!("f{n}").as_bytes(), &[n as u8; 100]).expect("file");
        }
    }
    volume.close().expect("close");
    let volume = open_ro(&device);
    assert!(read_rows(&volume, "vectors").expect("rows") == all);
    let collection = Collection::open(&volume, "vectors").expect("collection");
    let stream = collection.stream(&volume, "vectors").expect("stream").expect("there");
    assert!(stream.depth.get() > 0, "the extents fill a tree");
}

#[test]
fn collections_are_found_wherever_they_are() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    let mut txn = volume.begin().expect("begin");
    let dir = txn.make_directory(InodeNo::ROOT, b"a").expect("directory");
    txn.create_collection(dir, b"b", &spec(3)).expect("collection");
    txn.commit().expect("commit");
    let paths: Vec<String> = collection::list(&volume).expect("list").into_iter().map(|c| c.path).collect();
    assert_eq!(paths, ["/a/b", "/vectors"]);
    assert_eq!(Collection::open(&volume, "/a/b").expect("by path").dim(), 3);
    let free = volume.superblock().free_blocks.get();
    append(
        &mut volume,
        "/a/b",
        &[0; 12 * 1000],
        RowIds::Keys(&(0..1000).map(|n| n.to_string()).collect::<Vec<_>>()),
    )
    .expect("append");
    let mut txn = volume.begin().expect("begin");
    txn.remove(dir, b"b").expect("remove");
    txn.commit().expect("commit");
    assert!(volume.superblock().free_blocks.get() > free, "all blocks of the collection came back");
}
