//! `vexfs-dump` on damaged filesystems: what is whole is shown, what is not is named, and the exit code is 1.

mod volumes;

use std::path::Path;

use serde_json::Value;
use tool_tests::{Finished, Invocation, Scratch, Tool};
use vexfs_format::codes::DType;
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::path::{LastLink, resolve};

use volumes::{collection, damage, file, format, noise, readable, rows_f32, writable};

fn dump(image: &Path) -> Invocation {
    Tool::DUMP.run().arg(image)
}

/// A run that met damage: exit code 1, `part` on standard error, and in the document when that is one.
#[track_caller]
fn damaged(run: Finished, part: &str) -> Finished {
    let run = run.expect(1);
    assert!(run.stderr.contains(part), "{part} is missing in {}", run.stderr);
    if let Ok(document) = serde_json::from_slice::<Value>(&run.stdout) {
        let list = document["damage"].as_array().expect("a list");
        assert!(list.iter().any(|d| d.as_str().is_some_and(|d| d.contains(part))), "{document}");
    }
    run
}

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).unwrap_or_else(|error| panic!("{error}: {}", run.text()))
}

/// The device block of logical block `logical` of a file.
fn block_of(image: &Path, path: &str, logical: u64) -> u64 {
    let volume = readable(image);
    let inode = resolve(&volume, path, LastLink::Follow).expect("found");
    volume.view(&inode).expect("view").device_block(logical).expect("mapped").get()
}

#[test]
fn a_damaged_primary_superblock_is_replaced_by_its_backup_and_named() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    damage(&image, 0, 1100);
    let run = damaged(dump(&image).args(["super", "--json"]).finish(), "superblock at block 0");
    assert_eq!((&json(&run)["label"], &json(&run)["block"]), (&"Sample".into(), &7936.into()));
    // Asked for, a backup is no damage.
    let run = dump(&image).args(["-b", "7936", "super", "--json"]).finish().expect(0);
    assert_eq!(json(&run)["block"], 7936);
    let run = dump(&image).args(["-b", "5", "super"]).finish().expect(1);
    assert!(run.stdout.is_empty());
}

#[test]
fn cat_stops_before_the_first_damaged_block() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let contents = noise(3_000_001);
    let mut volume = writable(&image);
    file(&mut volume, InodeNo::ROOT, "long", &contents);
    volume.close().expect("close");
    for logical in [732, 300, 256, 0] {
        damage(&image, block_of(&image, "long", logical), 17);
        let run = dump(&image).args(["cat", "long"]).finish().expect(1);
        let intact = logical as usize * 4096;
        assert!(run.stdout == contents[..intact], "block {logical}: {} bytes", run.stdout.len());
        assert!(run.stderr.contains(&format!("stopped after {intact} bytes")), "{}", run.stderr);
    }
}

#[test]
fn a_damaged_descriptor_costs_its_group() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 400 << 20);
    Tool::MKFS.run().args(["-q", "-V"]).arg(&image).finish().expect(0);
    damage(&image, 1, 2 * 64 + 8);
    let run = damaged(dump(&image).args(["groups", "--json"]).finish(), "group descriptor of group 2");
    let groups = json(&run)["groups"].as_array().expect("a list").clone();
    let ranges: Vec<(u64, u64)> =
        groups.iter().filter_map(|g| Some((g["first"].as_u64()?, g["last"].as_u64()?))).collect();
    assert_eq!(ranges, [(0, 0), (1, 1), (3, 3)]);
    let run = damaged(dump(&image).finish(), "group 2");
    assert!(run.text().contains("/vectors"), "{}", run.text());
}

#[test]
fn a_damaged_collection_hides_no_other() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    for name in ["a", "b", "c"] {
        collection(&mut volume, name, DType::F32, 2, &rows_f32(10, 2), RowIds::Auto);
    }
    volume.close().expect("close");
    let descriptor = Collection::open(&readable(&image), "b").expect("open").inode.descriptor.get();
    damage(&image, descriptor, 100);
    let run = damaged(dump(&image).args(["collections", "--json"]).finish(), "/b: collection descriptor");
    let all = json(&run);
    let paths: Vec<&Value> =
        all["collections"].as_array().expect("a list").iter().map(|c| &c["path"]).collect();
    assert_eq!(paths, ["/a", "/c"]);
    dump(&image).args(["get", "1", "-c", "a"]).finish().expect(0);
    dump(&image).args(["get", "1", "-c", "b"]).finish().expect(1);
}

#[test]
fn a_damaged_inode_or_directory_is_listed_as_far_as_it_goes() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    let mut txn = volume.begin().expect("begin");
    let folder = txn.make_directory(InodeNo::ROOT, b"folder").expect("directory");
    txn.commit().expect("commit");
    file(&mut volume, folder, "inside", b"1");
    // Enough inodes for the last to lie in a block of their own.
    for n in 0..20 {
        file(&mut volume, InodeNo::ROOT, &format!("f{n:02}"), b"1");
    }
    volume.close().expect("close");
    let volume = readable(&image);
    let last = resolve(&volume, "f19", LastLink::Keep).expect("found").number();
    let place = vexfs_fs::inode::locate(&volume, last).expect("place");
    let inner = resolve(&volume, "folder", LastLink::Keep).expect("found");
    let map = vexfs_fs::extents::ExtentMap::load(&volume, &inner).expect("map");
    let block = map.lookup(0).expect("mapped").get();
    drop(volume);
    damage(&image, place.block.get(), place.offset as u64 + 30);
    let run = damaged(dump(&image).args(["ls", "--json"]).finish(), "/f19: inode of inode");
    let entries = json(&run)["entries"].as_array().expect("a list").clone();
    assert_eq!(entries.len(), 22);
    let entry = entries.iter().find(|e| e["path"] == "/f19").expect("listed");
    assert_eq!((&entry["kind"], &entry["size"]), (&"file".into(), &Value::Null));
    damage(&image, block, 60);
    let run = damaged(dump(&image).args(["ls", "-R"]).finish(), "/folder: directory block");
    assert!(run.text().contains("/f18") && run.text().contains("/f19"), "{}", run.text());
}

#[test]
fn damaged_rows_are_named_and_the_others_exported() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let rows = rows_f32(5000, 4);
    let mut volume = writable(&image);
    collection(&mut volume, "plain", DType::F32, 4, &rows, RowIds::Auto);
    volume.close().expect("close");
    // One byte each of rows 300 and 301, in the second block: the other rows of the block are whole.
    let block = block_of(&image, "/plain/vectors", 1);
    damage(&image, block, (300 - 256) * 16 + 15);
    damage(&image, block, (301 - 256) * 16);
    let (out, ids) = (scratch.path("out.npy"), scratch.path("out.ids"));
    let export =
        dump(&image).args(["export", "--json", "-c", "plain", "-o"]).arg(&out).arg("--ids").arg(&ids);
    let run = damaged(export.finish(), "rows 300-301 are left out");
    assert_eq!((&json(&run)["rows"], &json(&run)["damaged_rows"]), (&4998.into(), &2.into()));
    let bytes = std::fs::read(&out).expect("written");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(bytes[header..] == [&rows[..300 * 16], &rows[302 * 16..]].concat());
    let ids = std::fs::read_to_string(&ids).expect("written");
    assert!(ids.contains("299\n302\n"));
    // A row in a damaged block is whole; a damaged row is not shown.
    dump(&image).args(["get", "299", "-c", "plain"]).finish().expect(0);
    let run = dump(&image).args(["get", "300", "-c", "plain"]).finish().expect(1);
    assert!(run.stdout.is_empty());
}

#[test]
fn a_damaged_image_in_the_journal_is_named() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    file(&mut volume, InodeNo::ROOT, "first", b"1");
    drop(volume);
    let run = dump(&image).args(["journal", "--json"]).finish().expect(0);
    let at = json(&run)["transactions"][0]["images"][0]["at"].as_u64().expect("a number");
    damage(&image, at, 2000);
    let run = damaged(dump(&image).args(["journal", "--json"]).finish(), "is damaged");
    let images = json(&run)["transactions"][0]["images"].as_array().expect("a list").clone();
    assert_eq!(images[0]["intact"], false);
    assert!(images[1..].iter().all(|image| image["intact"] == true));
    // What lies home is shown.
    damaged(dump(&image).arg("super").finish(), "journal");
    // And a journal that does not say where it begins.
    let start = readable(&format(&scratch, "y.img")).geometry().journal.start;
    damage(&scratch.path("y.img"), start, 16);
    damaged(dump(&scratch.path("y.img")).arg("journal").finish(), "journal superblock");
    damaged(dump(&scratch.path("y.img")).arg("ls").finish(), "journal superblock");
}

#[test]
fn no_damage_makes_it_panic_or_hang() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    collection(&mut volume, "plain", DType::F32, 4, &rows_f32(100, 4), RowIds::Auto);
    file(&mut volume, InodeNo::ROOT, "file", b"1");
    volume.close().expect("close");
    let volume = readable(&image);
    let geometry = volume.geometry();
    let (bitmap, inodes, table) = geometry.group_metadata(GroupNo(0));
    let blocks = [BlockNo(0), BlockNo(1), bitmap, inodes, table, BlockNo(geometry.journal.start)];
    drop(volume);
    let whole = std::fs::read(&image).expect("the image");
    for (n, block) in blocks.into_iter().enumerate() {
        for step in 0..3_u64 {
            std::fs::write(&image, &whole).expect("restore");
            for offset in 0..4096 / 64 {
                damage(&image, block.get(), offset * 64 + (step * 13 + n as u64) % 64);
            }
            for what in ["", "journal", "ls -R", "inode 1", "inode 11", "get 1 -c plain", "cat file"] {
                let run = dump(&image).args(what.split_whitespace()).finish();
                assert!(run.code == 0 || run.code == 1, "{what}: {} {}", run.code, run.stderr);
                assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
            }
        }
    }
}
