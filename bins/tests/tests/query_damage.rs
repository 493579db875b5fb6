//! Searching what was not closed and what is damaged: what is intact is found, what is not is named, nothing is written.

mod image;

use std::fs;

use image::{Image, Random, f32_bytes};
use tool_tests::Finished;
use vexfs_format::extent::SUMS_BASE;
use vexfs_fs::BlockSource;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::{Appender, RowIds};

const DIM: usize = 16;
const ROWS: usize = 4000;
/// Rows of 64 bytes in a block of 4096.
const PER_BLOCK: u64 = 64;

/// Row n is n at each place, so that the neighbours of n are those beside it.
fn filled() -> Image {
    let image = Image::new(DIM);
    let values: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32; DIM]).collect();
    let file = image.scratch.npy("rows.npy", DIM, &values);
    image.import().arg("-q").arg(file).finish().expect(0);
    image
}

/// Byte `at` of a stream of the collection, counted on the device; blocks from [`SUMS_BASE`] on hold its checksums.
fn place(image: &Image, stream: &str, at: u64) -> usize {
    let volume = image.volume();
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let inode = collection.stream(&volume, stream).expect("readable").expect("a stream");
    let view = volume.view(&inode).expect("its contents");
    let size = volume.block_size() as u64;
    let block = view.device_block(at / size).expect("a block");
    (volume.offset(block) + at % size) as usize
}

fn flip(image: &Image, places: &[usize]) {
    let mut bytes = fs::read(&image.path).expect("the image");
    for &place in places {
        bytes[place] ^= 0x04;
    }
    fs::write(&image.path, bytes).expect("the image");
}

/// The `k` nearest to the place of row `n`.
fn near(image: &Image, n: u64, k: &str, arguments: &[&str]) -> Finished {
    let text = vec![n.to_string(); DIM].join(",");
    let before = image.hash();
    let run = image.query().args(["-k", k, "-o", "csv", "--vector", &text]).args(arguments).finish();
    assert_eq!(image.hash(), before, "a query writes nothing");
    run
}

fn ids(run: &Finished) -> Vec<u64> {
    let id = |line: &str| line.split(',').nth(2).and_then(|id| id.parse().ok()).expect("an id");
    run.text().lines().skip(1).map(id).collect()
}

#[test]
fn what_is_only_in_the_journal_is_found() {
    let image = filled();
    let mut volume = image.volume_for_writing();
    for n in [5000_u32, 6000] {
        let ino = Collection::open(&volume, "vectors").expect("the collection").inode.number();
        let mut txn = volume.begin().expect("a transaction");
        let mut appender = Appender::open(&mut txn, "vectors", ino).expect("an appender");
        let row = f32_bytes(&[n as f32; DIM]);
        appender.push(&mut txn, &row, RowIds::Ids(&[u64::from(n)])).expect("pushed");
        appender.finish(&mut txn).expect("finished");
        txn.commit().expect("committed");
    }
    // Not closed: as if the power had failed now.
    drop(volume);
    assert!(image.volume().is_unclean());
    let run = near(&image, 6000, "3", &["-v"]).expect(0);
    assert_eq!(ids(&run), [6000, 5000, 3999]);
    assert!(
        run.stderr.contains("was not closed; 2 transactions are read from the journal"),
        "{}",
        run.stderr
    );
    assert_eq!(near(&image, 6000, "1", &[]).expect(0).stderr, "");
    // A writer replays it, and the answer stays.
    let file = image.scratch.npy("one.npy", DIM, &[7000.0; DIM]);
    image.import().arg("-q").arg(file).finish().expect(0);
    assert!(!image.volume().is_unclean());
    assert_eq!(ids(&near(&image, 6000, "4", &[]).expect(0)), [6000, 5000, 6001, 3999]);
    image.assert_sound();
}

#[test]
fn a_flipped_bit_costs_its_row_and_no_other() {
    let image = filled();
    flip(&image, &[place(&image, "vectors", 70 * 64 + 13)]);
    for threads in ["1", "2", "8"] {
        let run = near(&image, 70, "5", &["--threads", threads]).expect(1);
        assert_eq!(ids(&run), [69, 71, 68, 72, 67], "{threads} threads");
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{}", run.stderr);
        assert!(lines[0].starts_with("vexfs-query: warning: row 70 was not compared: "), "{}", run.stderr);
        assert!(lines[0].contains("checksum") && lines[0].contains("fsck.vexfs"), "{}", run.stderr);
        assert_eq!(
            lines[1],
            "vexfs-query: 1 row is damaged and was not compared; the answer holds what is intact"
        );
    }
    // Many batches of queries tell it once.
    let queries: Vec<f32> = (0..3000).flat_map(|n| [n as f32; DIM]).collect();
    let queries = image.scratch.npy("q.npy", DIM, &queries);
    let run = image.query().args(["-k", "1", "-o", "csv"]).arg(queries).finish().expect(1);
    assert_eq!(run.stderr.matches("row 70 was not compared").count(), 1, "{}", run.stderr);
    assert_eq!(run.text().lines().count(), 3001);
    assert!(run.text().contains("\n69,1,69,0\n70,1,69,16\n71,1,71,0\n"));
    let run = image.query().args(["--id", "70"]).finish().expect(1);
    assert!(run.stderr.contains("checksum"), "{}", run.stderr);
    // Other rows of its block are intact; as a query, too.
    let run = image.query().args(["--id", "69", "-k", "2", "-o", "csv"]).finish().expect(1);
    assert_eq!(ids(&run), [69, 68]);
    // Nobody misses a row that is deleted.
    image.delete("vectors", &[70]);
    let run = near(&image, 70, "2", &[]).expect(0);
    assert_eq!(ids(&run), [69, 71]);
}

#[test]
fn much_damage_is_named_up_to_a_bound_and_then_counted() {
    let image = filled();
    let damaged: Vec<u64> = (0..130).map(|n| n * 30 + 2).collect();
    let places: Vec<usize> = damaged.iter().map(|row| place(&image, "vectors", row * 64)).collect();
    flip(&image, &places);
    let one = near(&image, 2, "4000", &["--threads", "1"]).expect(1);
    let expected: Vec<u64> = (0..ROWS as u64).filter(|row| !damaged.contains(row)).collect();
    let mut found = ids(&one);
    found.sort_unstable();
    assert_eq!(found, expected);
    for row in &damaged[..100] {
        assert!(one.stderr.contains(&format!("warning: row {row} was not compared")), "{row}");
    }
    assert!(one.stderr.contains("warning: and 30 rows more"), "{}", one.stderr);
    assert!(one.stderr.contains("130 rows are damaged"), "{}", one.stderr);
    for threads in ["2", "8"] {
        let run = near(&image, 2, "4000", &["--threads", threads]).expect(1);
        assert_eq!((run.text(), &run.stderr), (one.text(), &one.stderr), "{threads} threads");
    }
}

#[test]
fn a_damaged_checksum_block_costs_nothing_and_is_told() {
    let image = filled();
    let sound = near(&image, 70, "50", &[]).expect(0);
    flip(&image, &[place(&image, "vectors", SUMS_BASE * 4096 + 200)]);
    let run = near(&image, 70, "50", &[]).expect(0);
    assert_eq!(run.text(), sound.text());
    assert!(run.stderr.contains("vexfs-query: warning: "), "{}", run.stderr);
    assert!(
        run.stderr.contains("its rows agree with their own checksums and were compared"),
        "{}",
        run.stderr
    );
    // With a row damaged besides, that one is found out by its own checksum.
    flip(&image, &[place(&image, "vectors", 70 * 64)]);
    let run = near(&image, 70, "3", &[]).expect(1);
    assert_eq!(ids(&run), [69, 71, 68]);
    assert!(run.stderr.contains("warning: row 70 was not compared"), "{}", run.stderr);
}

#[test]
fn rows_whose_own_checksums_are_damaged_as_well_are_not_trusted() {
    let image = filled();
    // The first block of row checksums covers 1024 rows; it matters only where rows are in doubt.
    flip(&image, &[place(&image, "crc", 5)]);
    assert_eq!(ids(&near(&image, 70, "2", &[]).expect(0)), [70, 69]);
    flip(&image, &[place(&image, "vectors", 70 * 64)]);
    let run = near(&image, 70, "2", &[]).expect(1);
    let block = 70 / PER_BLOCK * PER_BLOCK..(70 / PER_BLOCK + 1) * PER_BLOCK;
    assert_eq!(ids(&run), [block.start - 1, block.start - 2]);
    assert_eq!(run.stderr.matches("was not compared: ").count() as u64, PER_BLOCK, "{}", run.stderr);
}

#[test]
fn a_neighbour_whose_id_is_damaged_is_left_out_and_told() {
    let image = Image::new(DIM);
    let values: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32; DIM]).collect();
    let file = image.scratch.npy("rows.npy", DIM, &values);
    let names: String = (0..ROWS).map(|n| format!("{}\n", n + 10_000)).collect();
    let names = image.scratch.file("ids", names);
    image.import().arg("-q").arg(&file).arg("--ids").arg(names).finish().expect(0);
    // 512 ids in a block.
    flip(&image, &[place(&image, "ids", 600 * 8)]);
    let run = near(&image, 511, "4", &[]).expect(1);
    assert_eq!(ids(&run), [10_511, 10_510, 10_509]);
    assert!(
        run.stderr.contains("warning: row 512, at distance 16 from query 0, is left out: "),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("1 neighbours are left out because their ids, keys or payload are damaged"),
        "{}",
        run.stderr
    );
    assert_eq!(ids(&near(&image, 2000, "1", &[]).expect(0)), [12_000]);
}

#[test]
fn rows_of_damaged_payload_fulfil_no_filter_and_are_counted() {
    let image = Image::new(DIM);
    let values: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32; DIM]).collect();
    let file = image.scratch.npy("rows.npy", DIM, &values);
    let payload: String = (0..ROWS).map(|n| format!("{{\"n\":{n:09}}}\n").replace(":0", ":1")).collect();
    let payload = image.scratch.file("payload", payload);
    let import = image.import().args(["-q", "--index", "ivf", "--payload"]).arg(payload).arg(&file);
    import.finish().expect(0);
    let filter = ["--filter", "n >= 0"];
    assert_eq!(ids(&near(&image, 0, "3", &filter).expect(0)), [0, 1, 2]);
    // 15 bytes each: 273 rows have all of theirs in the first block, and one a part.
    flip(&image, &[place(&image, "payload", 100)]);
    for index in ["exact", "ivf"] {
        let how: &[&str] =
            if index == "exact" { &["--exact"] } else { &["--index", index, "--nprobe", "1000"] };
        let run = near(&image, 0, "3", &[&filter[..], how].concat()).expect(1);
        assert_eq!(ids(&run), [274, 275, 276], "{index}");
        let said = "the payload of 274 rows is damaged, and nobody knows whether they fulfil the filter";
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert_eq!(ids(&near(&image, 0, "3", how).expect(0)), [0, 1, 2], "{index} without a filter");
    }
}

#[test]
fn a_search_in_a_fragmented_collection_finds_the_same() {
    // Two collections that grow by turns lie between each other.
    let image = Image::made_by(&["-D", "16"], "64M");
    let mut random = Random(31);
    let mut all = Vec::new();
    for _ in 0..30 {
        let values = random.units(DIM * 900);
        let part = image.scratch.npy("part.npy", DIM, &values);
        for collection in ["vectors", "other"] {
            image.import().args(["-q", "-c", collection]).arg(&part).finish().expect(0);
        }
        all.extend(values);
    }
    let whole = image.scratch.npy("whole.npy", DIM, &all);
    image.import().args(["-q", "-c", "whole"]).arg(&whole).finish().expect(0);
    assert!(image.rows("vectors") == image.rows("whole"));
    let queries = image.scratch.npy("q.npy", DIM, &all[..DIM * 50]);
    let search = |collection: &str| {
        image.query().args(["-c", collection, "-o", "csv"]).arg(&queries).finish().expect(0).text().to_owned()
    };
    assert_eq!(search("vectors"), search("whole"));
    assert_eq!(search("other"), search("whole"));
    image.assert_sound();
}

#[test]
fn damage_that_leaves_no_way_to_the_rows_is_an_error_that_says_where() {
    for stream in ["descriptor", "extents"] {
        let image = filled();
        let volume = image.volume();
        let collection = Collection::open(&volume, "vectors").expect("the collection");
        let place = match stream {
            "descriptor" => volume.offset(vexfs_format::BlockNo(collection.inode.descriptor.get())) + 100,
            _ => {
                let inode = collection.stream(&volume, "vectors").expect("readable").expect("a stream");
                let place = vexfs_fs::inode::locate(&volume, inode.number()).expect("a place");
                volume.offset(place.block) + place.offset as u64 + 160
            }
        };
        drop(volume);
        flip(&image, &[place as usize]);
        let run = near(&image, 70, "2", &[]).expect(1);
        assert_eq!(run.text(), "", "{stream}");
        assert!(
            run.stderr.starts_with("vexfs-query: ") && run.stderr.contains("fsck.vexfs"),
            "{}",
            run.stderr
        );
    }
}
