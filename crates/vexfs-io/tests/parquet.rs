//! Files that pyarrow writes, in all the ways it has: the same rows, names and payload.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use vexfs_io::{NameKind, Names, OpenOptions, TargetType, open};

const PROGRAM: &str = "
import sys, datetime, decimal, numpy as n, pyarrow as pa, pyarrow.parquet as pq
folder = sys.argv[1]
rows, dim = 3000, 5
base = (n.arange(rows * dim).reshape(rows, dim) * 7) % 120
types = dict(f2='halffloat', f4='float32', f8='float64', i1='int8', i2='int16', i4='int32', i8='int64', u1='uint8', u2='uint16', u4='uint32', u8='uint64')
ways = dict(plain=dict(use_dictionary=False, compression='none'), snappy=dict(), gzip=dict(compression='gzip'),
    zstd=dict(compression='zstd', write_page_checksum=True), lz4=dict(compression='lz4'), second=dict(data_page_version='2.0'),
    groups=dict(row_group_size=700, data_page_size=1000, write_batch_size=64))
def table(name, fixed):
    flat = pa.array(base.astype(name).ravel(), type=pa.type_for_alias(types[name]))
    if fixed:
        lists = pa.FixedSizeListArray.from_arrays(flat, dim)
    else:
        lists = pa.ListArray.from_arrays(pa.array(n.arange(rows + 1) * dim, type=pa.int32()), flat)
    return pa.table({'id': pa.array(n.arange(rows) * 3, type=pa.uint32()), 'vec': lists,
        'word': pa.array([None if r % 5 == 0 else f'w{r % 7}' for r in range(rows)]),
        'price': pa.array([r / 8 for r in range(rows)]),
        'ok': pa.array([r % 2 == 0 for r in range(rows)]),
        'when': pa.array([datetime.datetime(2026, 1, 1 + r % 28) for r in range(rows)], type=pa.timestamp('us')),
        'money': pa.array([decimal.Decimal(r) / 4 for r in range(rows)], type=pa.decimal128(12, 2)),
        'tags': pa.array([['a']] * rows)})
for name in types:
    for fixed in (False, True):
        pq.write_table(table(name, fixed), f'{folder}/{name}-{fixed}.parquet')
for way, options in ways.items():
    pq.write_table(table('f4', False), f'{folder}/f4-{way}.parquet', **options)
split = table('f4', True).select(['id', 'vec', 'price'])
pq.write_table(split, f'{folder}/f4-split.parquet', use_dictionary=False, use_byte_stream_split=['vec.list.element', 'price'])
holes = pa.array([[1.0, 2.0], None, [3.0, 4.0]], type=pa.list_(pa.float32()))
pq.write_table(pa.table({'vec': holes}), folder + '/bad-null.parquet')
pq.write_table(pa.table({'vec': pa.array([[1.0, 2.0], [3.0]])}), folder + '/bad-length.parquet')
pq.write_table(pa.table({'vec': pa.array([[1.0, float('nan')]])}), folder + '/bad-nan.parquet')
pq.write_table(pa.table({'a': pa.array([[1.0]]), 'b': pa.array([[1.0]])}), folder + '/bad-two.parquet')
";

/// Rows as f32, ids and payload.
type Table = (Vec<f32>, Vec<u64>, Vec<String>);

fn read(path: &Path) -> Result<Table, String> {
    let options = OpenOptions { target: Some(TargetType::F32), ..OpenOptions::default() };
    let mut source = open(path, &options).map_err(|error| error.to_string())?;
    if let Some(beside) = source.beside() {
        beside.name_by("id", NameKind::Id);
        beside.keep_payload();
    }
    let (mut slab, mut rows, mut ids, mut payload) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    while source.read_rows(&mut slab, 333).map_err(|error| error.to_string())? > 0 {
        rows.extend(slab.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        let beside = source.beside().unwrap();
        if let Some(Names::Ids(more)) = beside.take_names() {
            ids.extend(more);
        }
        payload.extend(beside.take_payload().unwrap_or_default());
    }
    Ok((rows, ids, payload))
}

#[test]
fn files_of_pyarrow_are_read_in_whatever_way_they_are_written() {
    let program = std::env::var_os("VEXFS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let import = Command::new(&program).args(["-c", "import numpy, pyarrow.parquet"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        println!("skipped: no Python with numpy and pyarrow; VEXFS_TEST_PYTHON names one");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program).args(["-c", PROGRAM]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Vec<f32> = (0..3000 * 5).map(|at| (at * 7 % 120) as f32).collect();
    let mut count = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("bad") {
            continue;
        }
        let (rows, ids, payload) = read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rows == expected, "{name}");
        assert!(ids == (0..3000).map(|row| row * 3).collect::<Vec<u64>>(), "{name}");
        let full = r#"{"word":"w4","price":1.375,"ok":false,"when":"2026-01-12T00:00:00","money":2.75}"#;
        assert_eq!(payload[11], if name.contains("split") { r#"{"price":1.375}"# } else { full }, "{name}");
        assert_eq!(payload.len(), 3000, "{name}");
        count += 1;
    }
    assert_eq!(count, 22 + 8);
    for (name, problem) in [
        ("bad-null", "row 1: column `vec`: found a null"),
        ("bad-length", "row 1: column `vec`: found a list of another length"),
        ("bad-nan", "row 0, column 1: NaN"),
        ("bad-two", "name the column of the vectors, as FILE:COLUMN; a, b"),
        ("bad-two.parquet:c", "FILE:COLUMN; a, b"),
    ] {
        let name = if name.contains(':') { name.to_owned() } else { format!("{name}.parquet") };
        let error = read(&folder.path().join(&name)).unwrap_err();
        assert!(error.contains(problem), "{name}: {error}");
    }
    let (rows, ..) = read(&folder.path().join("bad-two.parquet:b")).unwrap();
    assert_eq!(rows, [1.0]);
}
