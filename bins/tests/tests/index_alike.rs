//! The same query finds the same, however the index came to be and wherever it lies: block sizes, threads, instruction sets, a device,
//! a volume that was never closed.

mod image;
mod machine;

use std::num::NonZeroUsize;

use image::{Image, Random};
use machine::Loop;
use tool_tests::{Invocation, Tool};
use vexfs_ann::Level;
use vexfs_ann::index::Kind;
use vexfs_fs::index::{self, BuildOptions, Progress};

const DIM: usize = 16;
const ROWS: usize = 1500;
const UUID: &str = "76657866-7320-4d6f-8465-73742d696478";

struct Silent;

impl Progress for Silent {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// An image of rows around a few centres, without an index, and queries beside it in `q.npy`.
fn filled(block_size: &str) -> Image {
    // Builds draw their random numbers from a seed that follows from the UUID.
    let image = Image::made_by(&["-D", "16", "-b", block_size, "-U", UUID], "64M");
    let mut random = Random(3);
    let centres = random.units(40 * DIM);
    let mut rows = |count: usize| -> Vec<f32> {
        let mut centred = |row: usize| {
            let centre = &centres[row % 40 * DIM..][..DIM];
            centre.iter().map(|value| value + 0.3 * random.unit()).collect::<Vec<_>>()
        };
        (0..count).flat_map(&mut centred).collect()
    };
    let file = image.scratch.npy("rows.npy", DIM, &rows(ROWS));
    image.scratch.npy("q.npy", DIM, &rows(20));
    image.import().arg("-q").arg(file).finish().expect(0);
    image
}

/// Names of the instruction sets of this machine, the lowest first.
fn levels() -> Vec<&'static str> {
    Level::all().into_iter().map(Level::name).collect()
}

/// What the index called like `kind` answers at an effort that leaves some rows out.
fn ask(query: Invocation, image: &Image, kind: Kind) -> String {
    let flags = ["-o", "jsonl", "--recall", "0.8", "--index", kind.name()];
    let run = query.args(flags).arg(image.scratch.path("q.npy")).finish().expect(0);
    assert_eq!(run.stderr, "", "{kind}");
    run.text().to_owned()
}

/// Image and calibration of an index as they lie in their streams.
fn bytes(image: &Image, kind: Kind) -> (Vec<u8>, Vec<u8>) {
    let file = |part: &str| image.file(&format!("vectors/index/{kind}.{part}"));
    (file("0"), file("calibration"))
}

#[test]
fn every_kind_answers_alike_wherever_it_lies_and_whoever_asks() {
    let levels = levels();
    assert!(levels.len() > 1 || cfg!(not(target_arch = "x86_64")), "only {levels:?}");
    let mut answers = Vec::new();
    for block_size in ["4096", "65536"] {
        let image = filled(block_size);
        for kind in Kind::ALL {
            image.tune().args(["-q", "--index", "add", kind.name(), "--threads", "2"]).finish().expect(0);
        }
        let device = Loop::attach(&image.path, &[]);
        let mut of_kinds = Vec::new();
        for kind in Kind::ALL {
            let answer = ask(image.query(), &image, kind);
            for threads in ["1", "2"] {
                for level in &levels {
                    let query = image.query().args(["--threads", threads]).env("VEXFS_SIMD", level);
                    assert_eq!(ask(query, &image, kind), answer, "{kind}: {threads} threads, {level}");
                }
            }
            if let Some(device) = &device {
                let query = Tool::QUERY.run().arg("-d").arg(&device.0);
                assert_eq!(ask(query, &image, kind), answer, "{kind} on a device");
            }
            of_kinds.push(answer);
        }
        answers.push(of_kinds);
    }
    for (kind, (small, large)) in Kind::ALL.iter().zip(answers[0].iter().zip(&answers[1])) {
        assert_eq!(small, large, "{kind}: block sizes differ");
    }
    // The same indexes, in the journal of a volume that nobody closed.
    let image = filled("4096");
    let mut volume = image.volume_for_writing();
    for kind in Kind::ALL {
        let request = kind.name().parse().expect("a request");
        let options = BuildOptions { threads: 1, memory: 1 << 30, progress: &Silent, dry_run: false };
        index::build(&mut volume, "vectors", &request, &options).expect("built");
    }
    drop(volume);
    assert!(image.volume().is_unclean());
    for (kind, answer) in Kind::ALL.into_iter().zip(&answers[0]) {
        assert_eq!(ask(image.query(), &image, kind), *answer, "{kind} of an unclean volume");
    }
}

#[test]
fn the_bytes_of_an_index_depend_neither_on_threads_nor_on_instructions() {
    let image = filled("4096");
    let build = |threads: usize, level: &str| {
        let threads = NonZeroUsize::new(threads).expect("some").to_string();
        for kind in Kind::ALL {
            let build = image.tune().args(["-q", "--index", "add", kind.name(), "--threads", &threads]);
            build.env("VEXFS_SIMD", level).finish().expect(0);
        }
        let built: Vec<_> = Kind::ALL
            .into_iter()
            .map(|kind| {
                if kind == Kind::Flat {
                    (image.file("vectors/index/flat.0"), Vec::new())
                } else {
                    bytes(&image, kind)
                }
            })
            .collect();
        for kind in Kind::ALL {
            image.tune().args(["-q", "--index", "drop", kind.name()]).finish().expect(0);
        }
        built
    };
    let levels = levels();
    let best = levels.last().expect("a level");
    let first = build(2, best);
    let others = [1, 5].map(|threads| (threads, best)).into_iter();
    for (threads, level) in others.chain(levels[..levels.len() - 1].iter().map(|level| (2, level))) {
        for (kind, (one, other)) in Kind::ALL.iter().zip(first.iter().zip(build(threads, level))) {
            assert!(one.0 == other.0, "{kind}: another image by {threads} threads, {level}");
            assert!(one.1 == other.1, "{kind}: another calibration by {threads} threads, {level}");
        }
    }
}
