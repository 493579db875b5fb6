//! `vexfs-dump`: everything it shows of a sound filesystem, and what it takes out.

mod machine;
mod volumes;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tool_tests::{Finished, Invocation, Scratch, Tool};
use vexfs_format::InodeNo;
use vexfs_format::codes::DType;
use vexfs_fs::collection::append::RowIds;

use machine::Loop;
use volumes::{collection, delete, file, format, noise, rows_f32, writable};

fn dump(image: &Path) -> Invocation {
    Tool::DUMP.run().arg(image)
}

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).unwrap_or_else(|error| panic!("{error}: {}", run.text()))
}

/// The document of `what`, whose schema must be called `schema`.
#[track_caller]
fn document(image: &Path, what: &[&str], schema: &str) -> Value {
    let run = dump(image).arg("--json").args(what).finish().expect(0);
    let document = json(&run);
    assert_eq!(document["schema"], serde_json::json!({"name": schema, "version": 1}));
    assert_eq!(document["damage"], serde_json::json!([]));
    document
}

/// Files, links, directories, and collections with ids, keys, deletions and nothing.
fn filled(scratch: &Scratch) -> PathBuf {
    let image = format(scratch, "x.img");
    let mut volume = writable(&image);
    collection(&mut volume, "plain", DType::F32, 4, &rows_f32(1000, 4), RowIds::Auto);
    let ids: Vec<u64> = (0..10).map(|row| 100 + 7 * row).collect();
    collection(&mut volume, "with-ids", DType::F32, 2, &rows_f32(10, 2), RowIds::Ids(&ids));
    let keys: Vec<String> = (0..10).map(|row| format!("item {row}")).collect();
    collection(&mut volume, "with-keys", DType::F32, 2, &rows_f32(10, 2), RowIds::Keys(&keys));
    delete(&mut volume, "with-ids", &[0, 5]);
    delete(&mut volume, "with-keys", &[9]);
    let mut txn = volume.begin().expect("begin");
    let docs = txn.make_directory(InodeNo::ROOT, b"docs").expect("directory");
    txn.make_symlink(InodeNo::ROOT, b"link", b"docs/long").expect("link");
    txn.make_symlink(docs, b"bell\x07", b"/nowhere").expect("link");
    txn.commit().expect("commit");
    file(&mut volume, InodeNo::ROOT, "short", b"hello\n");
    file(&mut volume, docs, "long", &noise(3_000_000));
    volume.close().expect("close");
    image
}

#[test]
fn the_summary_has_superblock_groups_and_collections() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let text = dump(&image).finish().expect(0);
    for part in
        ["Label:", "Sample", "2023-11-14T22:13:20Z", "8192 (32 MiB)", "clean", "0-8191", "/with-keys", "keys"]
    {
        assert!(text.text().contains(part), "{part} is missing in {}", text.text());
    }
    let all = document(&image, &[], "vexfs-dump");
    assert_eq!(all["superblock"]["uuid"], "30313233-3435-3637-3839-616263646566");
    let only = document(&image, &["super"], "vexfs-dump-super");
    for (name, value) in all["superblock"].as_object().expect("fields") {
        assert_eq!(&only[name], value, "{name}");
    }
    assert_eq!(all["groups"], document(&image, &["groups"], "vexfs-dump-groups")["groups"]);
    let collections = document(&image, &["collections"], "vexfs-dump-collections");
    assert_eq!(all["collections"], collections["collections"]);
}

#[test]
fn groups_that_were_never_written_are_one_line() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 64 << 30);
    Tool::MKFS.run().arg("-q").arg(&image).finish().expect(0);
    let all = document(&image, &["groups"], "vexfs-dump-groups");
    let groups = all["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 2, "{all}");
    assert_eq!(
        (&groups[0]["first"], &groups[0]["last"], &groups[0]["block_bitmap"].is_u64()),
        (&0.into(), &0.into(), &true)
    );
    assert_eq!((&groups[1]["first"], &groups[1]["last"]), (&1.into(), &511.into()));
    let sum: u64 = groups.iter().map(|group| group["free_blocks"].as_u64().expect("a number")).sum();
    let sb = document(&image, &["super"], "vexfs-dump-super");
    assert_eq!(sb["free_blocks"], sum);
    let text = dump(&image).arg("groups").finish().expect(0);
    assert_eq!(text.text().lines().count(), 3);
    assert!(text.text().contains("not initialised, 12 backups"), "{}", text.text());
}

#[test]
fn collections_tell_what_they_are_made_of() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let all = document(&image, &["collections"], "vexfs-dump-collections");
    let of = |name: &str| {
        let list = all["collections"].as_array().expect("a list");
        list.iter().find(|c| c["path"] == name).unwrap_or_else(|| panic!("{name} in {all}")).clone()
    };
    let plain = of("/plain");
    for (name, value) in [("dim", 4), ("rows", 1000), ("live_rows", 1000), ("row_extents", 1)] {
        assert_eq!(plain[name], value, "{name}");
    }
    assert_eq!(
        (&plain["dtype"], &plain["metric"], &plain["named_by"]),
        (&"f32".into(), &"l2".into(), &"rows".into())
    );
    // 1000 rows of 16 bytes are 4 blocks with a checksum block, their checksums 1 with another, two blocks of the collection.
    assert_eq!(plain["bytes"], 9 * 4096);
    assert_eq!((&of("/with-ids")["live_rows"], &of("/with-ids")["named_by"]), (&8.into(), &"ids".into()));
    assert_eq!((&of("/with-keys")["live_rows"], &of("/with-keys")["named_by"]), (&9.into(), &"keys".into()));
}

#[test]
fn names_are_listed_with_what_they_lead_to() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let run = dump(&image).arg("ls").finish().expect(0);
    let names: Vec<&str> = run.text().lines().filter_map(|line| line.split("Z ").nth(1)).collect();
    let expected = ["docs", "link -> docs/long", "lost+found", "plain", "short", "with-ids", "with-keys"];
    assert_eq!(names, expected, "{}", run.text());
    let short = run.text().lines().find(|line| line.ends_with(" short")).expect("short");
    assert!(
        short.contains("file") && short.contains("-rw-r--r-- 1") && short.contains(" 6 2023-11-14"),
        "{short}"
    );
    let run = dump(&image).args(["ls", "-R", "docs"]).finish().expect(0);
    assert!(run.text().contains("/docs/bell\\u{7} -> /nowhere"), "{}", run.text());
    let all = document(&image, &["ls", "-R"], "vexfs-dump-ls");
    let entries = all["entries"].as_array().expect("a list");
    let entry =
        |path: &str| entries.iter().find(|e| e["path"] == path).unwrap_or_else(|| panic!("{path} in {all}"));
    assert_eq!(
        (&entry("/docs/long")["size"], &entry("/docs/long")["kind"]),
        (&3_000_000.into(), &"file".into())
    );
    assert_eq!(entry("/link")["target"], "docs/long");
    assert_eq!(entry("/with-keys/keys.hash")["kind"], "stream");
    // A file is listed by itself.
    let one = document(&image, &["ls", "/link"], "vexfs-dump-ls");
    assert_eq!(one["entries"][0]["size"], 3_000_000);
    dump(&image).args(["ls", "/nothing"]).finish().expect(1);
}

#[test]
fn an_inode_is_shown_by_path_and_by_number() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let by_path = document(&image, &["stat", "/docs/long"], "vexfs-dump-inode");
    let number = by_path["inode"].as_u64().expect("a number").to_string();
    let by_number = document(&image, &["inode", &number], "vexfs-dump-inode");
    for name in ["size", "blocks", "extents", "generation", "modified_ns", "mode"] {
        assert_eq!(by_path[name], by_number[name], "{name}");
    }
    assert_eq!((&by_path["size"], &by_path["modified_ns"]), (&3_000_000.into(), &volumes::NOW_NS.into()));
    let link = document(&image, &["stat", "/link"], "vexfs-dump-inode");
    assert_eq!((&link["kind"], &link["target"]), (&"symlink".into(), &"docs/long".into()));
    let collection = document(&image, &["stat", "/with-ids"], "vexfs-dump-inode");
    assert_eq!(
        (&collection["kind"], &collection["collection"]["live_rows"]),
        (&"collection".into(), &8.into())
    );
    let text = dump(&image).args(["stat", "/with-ids"]).finish().expect(0);
    assert!(text.text().contains("10, 8 of them live; named by ids"), "{}", text.text());
    for (number, says) in [("5", "kept"), ("1000", "not in use"), ("99999999", "the last is")] {
        let run = dump(&image).args(["inode", number]).finish().expect(1);
        assert!(run.stderr.contains(says), "{number}: {}", run.stderr);
    }
}

#[test]
fn extents_lead_to_the_bytes() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let map = document(&image, &["extents", "/docs/long"], "vexfs-dump-extents");
    let disk = fs::read(&image).expect("the image");
    let mut contents = Vec::new();
    for extent in map["extents"].as_array().expect("a list").iter().filter(|e| e["holds"] == "data") {
        let number = |name: &str| extent[name].as_u64().expect("a number") as usize;
        assert_eq!(number("logical") * 4096, contents.len());
        contents.extend_from_slice(&disk[number("start") * 4096..][..number("len") * 4096]);
    }
    assert_eq!(contents[..3_000_000], noise(3_000_000));
    let text = dump(&image).args(["extents", "/plain"]).finish().expect(0);
    assert!(text.text().contains("descriptor"), "{}", text.text());
}

#[test]
fn a_file_comes_out_as_it_went_in() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    for path in ["/docs/long", "/link"] {
        let run = dump(&image).args(["cat", path]).finish().expect(0);
        assert!(run.stdout == noise(3_000_000), "{path}");
    }
    assert_eq!(dump(&image).args(["cat", "short"]).finish().expect(0).text(), "hello\n");
    dump(&image).args(["cat", "/docs"]).finish().expect(1);
    dump(&image).args(["cat", "/docs/bell"]).finish().expect(1);
    let nobody = dump(&image).args(["cat", "/docs/long"]).output_to_nobody().finish().expect(0);
    assert_eq!(nobody.stderr, "");
}

#[test]
fn a_vector_is_found_by_what_its_row_is_called() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let get = |collection: &str, id: &str| dump(&image).args(["get", id, "-c", collection]).finish();
    assert_eq!(get("plain", "999").expect(0).text(), "496.5,496.625,496.75,496.875\n");
    assert_eq!(get("with-ids", "107").expect(0).text(), "-2.75,-2.625\n");
    assert_eq!(get("/with-keys", "item 3").expect(0).text(), "-2.25,-2.125\n");
    for (collection, id) in
        [("plain", "1000"), ("with-ids", "1"), ("with-ids", "100"), ("with-keys", "item 9")]
    {
        let run = get(collection, id).expect(1);
        assert!(run.stderr.contains(id), "{}", run.stderr);
    }
    let shown = document(&image, &["get", "item 3", "-c", "with-keys"], "vexfs-dump-get");
    assert_eq!(
        (&shown["row"], &shown["key"], &shown["vector"]),
        (&3.into(), &"item 3".into(), &serde_json::json!([-2.25, -2.125]))
    );
    let shown = document(&image, &["get", "107", "-c", "with-ids"], "vexfs-dump-get");
    assert_eq!((&shown["row"], &shown["id"], &shown["key"]), (&1.into(), &107.into(), &Value::Null));
}

/// The bytes behind the header of an npy file, and the header.
fn npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = fs::read(path).expect("the file");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (String::from_utf8_lossy(&bytes[10..header]).into_owned(), bytes[header..].to_vec())
}

#[test]
fn vectors_of_every_type_are_exported_bit_by_bit() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    // Bits that are NaNs in one type or another are no rows; what is stored is exported, whatever it is.
    let rows = noise(700 * 24);
    for dtype in DType::ALL {
        let dim = 24 * 8 / (dtype.row_bytes(64) / 8) as u32;
        assert_eq!(dtype.row_bytes(dim), 24);
        collection(&mut volume, dtype.name(), *dtype, dim, &rows, RowIds::Auto);
    }
    volume.close().expect("close");
    for (dtype, descr, shape) in [
        ("f32", "<f4", "(700, 6)"),
        ("f16", "<f2", "(700, 12)"),
        ("bf16", "<V2", "(700, 12)"),
        ("i8", "|i1", "(700, 24)"),
        ("u8", "|u1", "(700, 24)"),
        ("b1", "|u1", "(700, 24)"),
    ] {
        let file = scratch.path("out.npy");
        dump(&image).args(["export", "-q", "-c", dtype, "-o"]).arg(&file).finish().expect(0);
        let (header, contents) = npy(&file);
        assert!(header.contains(descr) && header.contains(shape), "{dtype}: {header}");
        assert!(contents == rows, "{dtype}");
    }
}

#[test]
fn deleted_rows_are_not_exported_and_names_are_those_of_the_rows() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let (file, ids) = (scratch.path("out.npy"), scratch.path("out.ids"));
    let export = |collection: &str| {
        let run = dump(&image).args(["export", "-c", collection, "-o"]).arg(&file).arg("--ids").arg(&ids);
        run.arg("--json").finish().expect(0)
    };
    let run = export("with-ids");
    assert_eq!((&json(&run)["rows"], &json(&run)["damaged_rows"]), (&8.into(), &0.into()));
    let all = rows_f32(10, 2);
    let live: Vec<u8> =
        [1, 2, 3, 4, 6, 7, 8, 9].iter().flat_map(|row| all[row * 8..row * 8 + 8].to_vec()).collect();
    assert_eq!(npy(&file).1, live);
    assert_eq!(fs::read_to_string(&ids).expect("ids"), "107\n114\n121\n128\n142\n149\n156\n163\n");
    export("with-keys");
    assert_eq!(npy(&file).1, all[..72]);
    assert!(fs::read_to_string(&ids).expect("keys").starts_with("item 0\nitem 1\n"));
    // And in again: the same vectors under the same names.
    let copy = format(&scratch, "copy.img");
    let import =
        Tool::IMPORT.run().args(["-q", "-c", "back", "-d"]).arg(&copy).arg(&file).arg("--keys").arg(&ids);
    import.finish().expect(0);
    let back = dump(&copy).args(["get", "item 3", "-c", "back"]).finish().expect(0);
    assert_eq!(back.text(), "-2.25,-2.125\n");
}

#[test]
fn an_export_that_cannot_be_written_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let folder = scratch.path("out");
    fs::create_dir(&folder).expect("a folder");
    let old = folder.join("out.npy");
    fs::write(&old, "old").expect("a file");
    dump(&image).args(["export", "-c", "no-such", "-o"]).arg(&old).finish().expect(1);
    assert_eq!(fs::read_to_string(&old).expect("kept"), "old");
    dump(&image).args(["export", "-c", "plain", "-o"]).arg(folder.join("no/out.npy")).finish().expect(1);
    dump(&image).args(["export", "-q", "-c", "plain", "-o"]).arg(&old).finish().expect(0);
    let left: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(npy(&old).1, rows_f32(1000, 4));
}

#[test]
fn an_unclean_filesystem_is_shown_whole_and_left_alone() {
    let scratch = Scratch::new();
    let image = format(&scratch, "x.img");
    let mut volume = writable(&image);
    file(&mut volume, InodeNo::ROOT, "first", b"1");
    collection(&mut volume, "plain", DType::F32, 4, &rows_f32(1000, 4), RowIds::Auto);
    drop(volume); // as a crash does
    let before = Scratch::hash(&image);
    let journal = document(&image, &["journal"], "vexfs-dump-journal");
    assert_eq!(journal["clean"], false);
    let transactions = journal["transactions"].as_array().expect("a list");
    assert_eq!(transactions.len(), 3, "{journal}");
    assert_eq!(transactions[0]["committed_ns"], volumes::NOW_NS);
    let what: Vec<&str> = transactions
        .iter()
        .flat_map(|t| t["images"].as_array().expect("a list"))
        .filter_map(|i| i["what"].as_str())
        .collect();
    for part in [
        "superblock",
        "descriptors of groups 0-0",
        "block bitmap of group 0",
        "inode bitmap of group 0",
        "inodes 1-16 of group 0",
        "directory block of inode 1",
        "collection descriptor of inode 12",
    ] {
        assert!(what.contains(&part), "{part} is missing in {what:?}");
    }
    let text = dump(&image).arg("journal").finish().expect(0);
    assert!(text.text().contains("Transaction 2 at log block"), "{}", text.text());
    assert!(dump(&image).arg("super").finish().expect(0).text().contains("not closed"));
    assert_eq!(dump(&image).args(["cat", "first"]).finish().expect(0).text(), "1");
    dump(&image).args(["get", "999", "-c", "plain"]).finish().expect(0);
    for what in
        ["", "groups", "collections", "ls", "ls -R", "stat /plain", "extents /plain/vectors", "inode 11"]
    {
        dump(&image).args(what.split_whitespace()).finish().expect(0);
    }
    assert_eq!(Scratch::hash(&image), before, "a reading tool has written");
}

#[test]
fn a_block_device_is_shown_by_its_label() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 32 << 20);
    let label = format!("dump-{}", std::process::id());
    Tool::MKFS.run().args(["-q", "-L", &label]).arg(&image).finish().expect(0);
    let Some(_device) = Loop::attach(&image, &[]) else { return };
    let run = Tool::DUMP.run().args(["--json", &format!("LABEL={label}"), "super"]).finish().expect(0);
    assert_eq!(json(&run)["label"], label);
}

#[test]
fn health_counts_what_there_is_in_three_forms() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let health = document(&image, &["health"], "vexfs-dump-health");
    let superblock = document(&image, &["super"], "vexfs-dump-super");
    assert_eq!(
        health["free_bytes"].as_u64().expect("bytes"),
        superblock["free_blocks"].as_u64().expect("blocks")
            * superblock["block_size"].as_u64().expect("size")
    );
    assert_eq!((&health["clean"], &health["errors"]), (&Value::Bool(true), &Value::Bool(false)));
    let with_ids = &health["collections"][1];
    assert_eq!((&with_ids["path"], &with_ids["live_rows"]), (&Value::from("/with-ids"), &Value::from(8)));
    assert_eq!(with_ids["deleted_share"], Value::from(0.2));

    assert_eq!(health["indexes"], Value::Array(Vec::new()));

    let text = dump(&image).arg("health").finish().expect(0);
    assert!(text.text().contains("/with-ids: 8 vectors, 2 deleted (20.0 %)"), "{}", text.text());

    let prometheus = dump(&image).args(["health", "--prometheus"]).finish().expect(0);
    let mut gauges = 0;
    for line in prometheus.text().lines() {
        if let Some(name) = line.strip_prefix("# TYPE ") {
            assert!(name.starts_with("vexfs_") && name.ends_with(" gauge"), "{line}");
            gauges += 1;
        } else if !line.starts_with("# HELP vexfs_") {
            let (labels, value) = line.rsplit_once(' ').expect("a sample");
            assert!(labels.starts_with("vexfs_") && labels.ends_with("\"}"), "{line}");
            value.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
    assert!(gauges >= 15, "{}", prometheus.text());
    assert!(prometheus.text().contains("collection=\"/with-ids\"} 8\n"), "{}", prometheus.text());
}

#[test]
fn health_tells_what_indexes_cover_and_find() {
    let scratch = Scratch::new();
    let image = scratch.path("i.img");
    Tool::MKFS.run().args(["-q", "-V", "-D", "4"]).arg(&image).arg("16M").finish().expect(0);
    let rows: Vec<f32> = (0..400 * 4).map(|n| ((n * 7919) % 1000) as f32).collect();
    let rows = scratch.npy("rows.npy", 4, &rows);
    let import = || Tool::IMPORT.run().arg("-q").arg("-d").arg(&image).arg(&rows);
    import().args(["--index", "hnsw"]).finish().expect(0);
    import().finish().expect(0);
    let health = document(&image, &["health"], "vexfs-dump-health");
    let index = &health["indexes"][0];
    assert_eq!((&index["name"], &index["usable"]), (&Value::from("hnsw"), &Value::Bool(true)));
    assert_eq!(index["covered_share"], Value::from(0.5));
    assert!(index["recall_at_10"].as_f64() > Some(0.9), "{index}");
    let text = dump(&image).arg("health").finish().expect(0);
    assert!(
        text.text().contains("/vectors hnsw (hnsw): covers 50.0 % of the rows, recall@10 up to"),
        "{}",
        text.text()
    );
    let prometheus = dump(&image).args(["health", "--prometheus"]).finish().expect(0);
    for sample in
        ["vexfs_index_covered_ratio{", "vexfs_index_recall_at_10{", "vexfs_collection_deleted_ratio{"]
    {
        assert!(prometheus.text().contains(sample), "{}", prometheus.text());
    }
    assert!(prometheus.text().contains("index=\"hnsw\"} 0.5\n"), "{}", prometheus.text());
}

#[test]
fn udev_gets_properties_it_knows() {
    let scratch = Scratch::new();
    let image = scratch.path("u.img");
    let uuid = "6a1b0c5e-0000-4000-8000-000000000001";
    Tool::MKFS.run().args(["-q", "-L", "my data", "-U", uuid]).arg(&image).arg("16M").finish().expect(0);
    let run = dump(&image).arg("udev").finish().expect(0);
    let lines: Vec<&str> = run.text().lines().collect();
    assert!(
        lines.contains(&"ID_FS_TYPE=vexfs") && lines.contains(&"ID_FS_LABEL_ENC=my\\x20data"),
        "{lines:?}"
    );
    assert!(lines.contains(&format!("ID_FS_UUID={uuid}").as_str()), "{lines:?}");
}

#[test]
fn the_map_shows_each_collection_and_draws_pictures() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let map = document(&image, &["map"], "vexfs-dump-map");
    let uses = map["uses"].as_array().expect("uses");
    let blocks: u64 = uses.iter().map(|entry| entry["blocks"].as_u64().expect("blocks")).sum();
    assert_eq!(Some(blocks), map["blocks"].as_u64(), "every block is counted once");
    let superblock = document(&image, &["super"], "vexfs-dump-super");
    let free = uses[0]["blocks"].as_u64().expect("free") + uses[1]["blocks"].as_u64().expect("zone");
    assert_eq!(Some(free), superblock["free_blocks"].as_u64());
    for path in ["/plain", "/with-ids", "/with-keys"] {
        assert!(uses.iter().any(|entry| entry["name"] == path), "{path}");
    }

    let text = dump(&image).arg("map").finish().expect(0);
    let first = text.text().lines().next().expect("a line");
    assert!(first.starts_with('#') && first.len() == 80, "{first}");

    let svg = scratch.path("map.svg");
    dump(&image).args(["map", "-o"]).arg(&svg).finish().expect(0);
    let drawn = fs::read_to_string(&svg).expect("the picture");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n") && drawn.contains("/with-keys"));
    assert_eq!(drawn.matches("<text ").count(), drawn.matches("</text>").count());

    let png = scratch.path("map.png");
    dump(&image).args(["map", "-o"]).arg(&png).finish().expect(0);
    assert!(fs::read(&png).expect("the picture").starts_with(b"\x89PNG\r\n\x1a\n"));
}
