//! Damaged indexes from the outside: an answer is never wrong for it, `fsck.vexfs` mends it without a question, and the next query
//! uses the index again.

mod image;

use std::fs;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::{Finished, Tool};
use vexfs_fs::collection::Collection;
use vexfs_fs::index;

const DIM: usize = 16;
const ROWS: usize = 2000;

/// Each kind, an effort, and a block of its image that a search of this effort cannot do without; counted from the end if
/// negative.
const KINDS: [(&str, &[&str], i64); 6] = [
    ("flat", &[], 0),
    ("hnsw", &["--ef", "2000"], -1),
    ("ivf", &["--nprobe", "100000"], 0),
    ("pq", &["--rerank", "2000"], 0),
    ("ivf-pq", &["--nprobe", "100000"], 0),
    ("lsh", &["--probes", "1000"], 0),
];

/// An image with random rows, an index of each kind in `kinds`, and a file of queries `q.npy`.
fn filled(kinds: &[&str]) -> Image {
    let uuid = ["-D", "16", "-U", "76657866-7320-4d6f-8465-73742d696478"];
    let image = Image::made_by(&uuid, "48M");
    let file = image.scratch.npy("rows.npy", DIM, &Random(1).units(DIM * ROWS));
    image.scratch.npy("q.npy", DIM, &Random(2).units(DIM * 5));
    let indexes = kinds.iter().flat_map(|kind| ["--index", kind]);
    image.import().arg("-q").args(indexes).arg(file).finish().expect(0);
    image
}

fn search(image: &Image, flags: &[&str]) -> Finished {
    let queries = image.scratch.path("q.npy");
    image.query().args(["-o", "jsonl", "--stats"]).args(flags).arg(queries).finish().expect(0)
}

/// The index that answered.
fn answered_by(run: &Finished) -> String {
    let line = run.stderr.lines().last().expect("a line");
    serde_json::from_str::<Value>(line).expect("JSON")["index"].as_str().unwrap_or("none").to_owned()
}

fn fsck(image: &Image, flags: &[&str]) -> Finished {
    Tool::FSCK.run().args(flags).arg(&image.path).finish()
}

/// Where on the device block `block` of a file of an index lies; counted from the end if negative.
fn place(
    image: &Image,
    index: &str,
    pick: fn(&index::IndexFiles) -> vexfs_format::InodeNo,
    block: i64,
) -> u64 {
    let volume = image.volume();
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let files = index::files::find(&volume, &collection, index).expect("the index");
    let view = volume.view(&vexfs_fs::inode::read(&volume, pick(&files)).expect("inode")).expect("view");
    let blocks = view.len().div_ceil(4096);
    let block = if block < 0 { blocks - block.unsigned_abs() } else { block as u64 };
    volume.offset(view.device_block(block).expect("a block"))
}

fn first_part(files: &index::IndexFiles) -> vexfs_format::InodeNo {
    files.parts[&0]
}

fn spec(files: &index::IndexFiles) -> vexfs_format::InodeNo {
    files.spec.expect("a description")
}

fn calibration(files: &index::IndexFiles) -> vexfs_format::InodeNo {
    files.calibration.expect("a calibration")
}

/// Turns a bit of the byte at `offset`.
fn flip(image: &Image, offset: u64) {
    let mut bytes = fs::read(&image.path).expect("the image");
    bytes[offset as usize] ^= 0x10;
    fs::write(&image.path, bytes).expect("the image");
}

#[test]
fn a_damaged_block_in_an_index_of_each_kind_is_passed_over_and_mended() {
    let image = filled(&KINDS.map(|(kind, ..)| kind));
    let exact = search(&image, &["--exact"]);
    for (kind, effort, block) in KINDS {
        let flags = [&["--index", kind], effort].concat();
        let before = search(&image, &flags);
        assert_eq!(answered_by(&before), kind);
        flip(&image, place(&image, kind, first_part, block) + 77);
        let damaged = search(&image, &flags);
        assert!(damaged.stderr.contains(&format!("index {kind} of vectors")), "{kind}: {}", damaged.stderr);
        assert_eq!(damaged.text(), exact.text(), "{kind}");

        let found = fsck(&image, &["-fn"]).expect(4);
        assert!(
            found.text().contains("VX5065") && found.text().contains(&format!("/vectors/index/{kind}.0")),
            "{}",
            found.text()
        );
        // Without -f, too: what a boot runs.
        let mended = fsck(&image, &["-p"]).expect(1);
        let said = format!("index {kind} of /vectors is built anew: {kind}, {ROWS} rows");
        assert!(mended.stderr.contains(&said), "{kind}: {}", mended.stderr);
        let silent = fsck(&image, &["-fn", "--data=full"]).expect(0);
        assert!(!silent.text().contains("VX"), "{kind}: {}", silent.text());
        let after = search(&image, &flags);
        assert_eq!((answered_by(&after), after.text()), (kind.to_owned(), before.text()), "{kind}");
    }
}

#[test]
fn what_becomes_of_a_damaged_index_can_be_chosen() {
    let image = filled(&["ivf", "flat"]);
    let sound = fs::read(&image.path).expect("the image");
    let trailer = place(&image, "ivf", first_part, -1);
    flip(&image, trailer + 4000);
    let run = fsck(&image, &["-p", "-E", "reindex:never"]).expect(1);
    assert!(run.stderr.contains("index ivf of /vectors is dropped"), "{}", run.stderr);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    let listed = image.dump().args(["indexes", "--json"]).finish().expect(0);
    let listed: Value = serde_json::from_str(listed.text()).expect("JSON");
    assert_eq!(listed["indexes"].as_array().map(|all| all.len()), Some(1), "{listed}");

    fs::write(&image.path, &sound).expect("the image");
    let run = fsck(&image, &["-y", "-E", "reindex=all"]).expect(1);
    for name in ["ivf", "flat"] {
        assert!(run.stderr.contains(&format!("index {name} of /vectors is built anew")), "{}", run.stderr);
    }
    assert_eq!(run.text().matches("VX").count(), 2, "nothing but what was asked: {}", run.text());
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    // Where nothing is written, nothing can be chosen.
    fsck(&image, &["-n", "-E", "reindex=auto"]).expect(16);
}

#[test]
fn companions_of_an_index_are_mended_too() {
    let image = filled(&["ivf,nlist=20"]);
    let sound = fs::read(&image.path).expect("the image");
    flip(&image, place(&image, "ivf", calibration, 0) + 8);
    let run = fsck(&image, &["-p"]).expect(1);
    assert!(run.stderr.contains("its recall is measured anew"), "{}", run.stderr);
    fsck(&image, &["-fn", "--data=full"]).expect(0);

    fs::write(&image.path, &sound).expect("the image");
    flip(&image, place(&image, "ivf", spec, 0) + 1);
    let run = fsck(&image, &["-pf"]).expect(1);
    assert!(run.stderr.contains("its description is lost"), "{}", run.stderr);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    assert_eq!(answered_by(&search(&image, &["--index", "ivf"])), "ivf");
}

#[test]
fn files_that_are_of_no_index_or_incomplete_are_noticed() {
    let image = filled(&["ivf"]);
    let change =
        |change: &dyn Fn(&mut vexfs_fs::txn::transaction::Transaction<'_>, vexfs_format::InodeNo)| {
            let mut volume = image.volume_for_writing();
            let path = vexfs_fs::path::resolve(&volume, "/vectors/index", vexfs_fs::path::LastLink::Follow);
            let directory = path.expect("the directory").number();
            let mut txn = volume.begin().expect("a transaction");
            change(&mut txn, directory);
            txn.commit().expect("committed");
            volume.close().expect("closed");
        };
    let stream = vexfs_format::codes::InodeKind::Stream;
    change(&|txn, directory| {
        txn.create(directory, b"who.knows", stream, 0o644).expect("made");
    });
    let run = fsck(&image, &["-fn"]).expect(4);
    assert!(run.text().contains("VX5060") && run.text().contains("'who.knows'"), "{}", run.text());
    fsck(&image, &["-fp"]).expect(1);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    let kept = image.dump().args(["ls", "/lost+found"]).finish().expect(0);
    assert!(kept.text().contains('#'), "{}", kept.text());

    change(&|txn, directory| txn.remove(directory, b"ivf.spec").expect("removed"));
    let run = fsck(&image, &["-fn"]).expect(4);
    assert!(run.text().contains("VX5061") && run.text().contains("index ivf"), "{}", run.text());
    let run = fsck(&image, &["-fp"]).expect(1);
    assert!(run.stderr.contains("index ivf of /vectors is built anew"), "{}", run.stderr);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    assert_eq!(answered_by(&search(&image, &["--index", "ivf"])), "ivf");

    // Without images it waits for being built, as after a compaction; without a description nobody knows what it was.
    change(&|txn, directory| txn.remove(directory, b"ivf.0").expect("removed"));
    let run = fsck(&image, &["-p"]).expect(0);
    assert_eq!(run.stderr, "", "a quick look is enough");
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    change(&|txn, directory| txn.remove(directory, b"ivf.spec").expect("removed"));
    let run = fsck(&image, &["-fp"]).expect(1);
    assert!(run.stderr.contains("is dropped: nobody knows what it was"), "{}", run.stderr);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
}

#[test]
fn files_that_have_lost_their_names_go_back_to_their_index() {
    let image = filled(&["ivf,nlist=20,name=lists", "flat"]);
    let before = search(&image, &["--index", "lists"]);
    let rows = image.rows("vectors");
    // Every name at once: the directory has one block.
    let extents = image.dump().args(["extents", "/vectors/index", "--json"]).finish().expect(0);
    let extents: Value = serde_json::from_str(extents.text()).expect("JSON");
    let block = extents["extents"][0]["start"].as_u64().expect("a block");
    let mut bytes = fs::read(&image.path).expect("the image");
    bytes[block as usize * 4096..][..4096].fill(0);
    // Nor does the journal hold an older state of it any more.
    let journal = image.volume().geometry().journal;
    bytes[(journal.start as usize + 1) * 4096..journal.end() as usize * 4096].fill(0);
    fs::write(&image.path, bytes).expect("the image");

    let run = fsck(&image, &["-y", "-f"]).expect(1);
    for name in ["ivf.0", "ivf.spec", "flat.0", "flat.spec"] {
        let said = format!("is {name} of the indexes of /vectors");
        assert!(run.stderr.contains(&said), "{name}: {}", run.stderr);
    }
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    let kept = image.dump().args(["ls", "/lost+found"]).finish().expect(0);
    assert!(!kept.text().contains('#'), "{}", kept.text());
    assert!(image.rows("vectors") == rows);
    let after = search(&image, &["--index", "ivf"]);
    assert_eq!((answered_by(&after).as_str(), after.text()), ("ivf", before.text()));
    let spec = image.dump().args(["indexes", "--json"]).finish().expect(0);
    assert!(spec.text().contains("nlist=20"), "{}", spec.text());
}
