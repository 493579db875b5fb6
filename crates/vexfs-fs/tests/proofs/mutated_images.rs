//! Golden images with random changes of structures and blocks, under a repair of everything.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::counting::peak;
use crate::crash_model::Random;
use crate::fuzzed::image::GOLDEN;
use crate::fuzzed::image::fields::{Change, encode};
use crate::fuzzed::{BLOCK_VERBS, Outcome, changed, repair_anything, run as run_seed};
use crate::totals::{Totals, is_all, run, sample};

/// Images of the long form, and in the short form.
const IMAGES: u64 = 10_000;
const FEW: usize = 200;
/// Most that a repair may hold, and the longest that it may have the processor in the long form.
const MAX_BYTES: u64 = 512 << 20;
const MAX_TIME: Duration = Duration::from_secs(10);

/// The bytes of image `seed`: up to 16 changes, most of them with checksums that agree.
fn mutation(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let which = random.below(2);
    let golden = &GOLDEN[which as usize];
    let mut data = vec![which as u8];
    for _ in 0..=random.below(16) {
        let place = random.below(golden.places.all.len() as u64) as usize;
        let fields = golden.places.all[place].fields.len() as u64;
        let change = if random.below(4) == 0 {
            let field = BLOCK_VERBS + random.below(4) as usize;
            Change { place, field, value: random.next(), sealed: false }
        } else {
            let field = random.below(fields) as usize;
            let (old, size) = golden.places.value(&golden.image, place, field);
            let mask = u64::MAX >> (64 - 8 * size);
            let value = match random.below(6) {
                0 => 0,
                1 => mask,
                2 => old.wrapping_add(1),
                3 => old.wrapping_sub(1),
                4 => old ^ 1 << random.below(8 * size as u64),
                _ => random.next(),
            };
            Change { place, field, value: value & mask, sealed: random.below(8) > 0 }
        };
        data.extend(encode(change));
    }
    data
}

/// How long this thread has had a processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the thread's times");
    Duration::from_nanos(times.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

fn try_one(seed: &u64, totals: &Mutex<Totals>) {
    let data = mutation(*seed);
    let row = if data[0] & 1 == 0 { "clean" } else { "unclean" };
    let (mut outcome, begun) = (None, processor_time());
    let held = peak(|| {
        let work = std::panic::AssertUnwindSafe(|| repair_anything(&changed(&data)));
        outcome = std::panic::catch_unwind(work).ok();
    });
    let mut totals = totals.lock().expect("no case panics");
    totals.count(row, "images");
    match outcome {
        Some(Outcome::Clean) => totals.count(row, "clean"),
        Some(Outcome::Mended) => totals.count(row, "mended"),
        Some(Outcome::Left) => totals.count(row, "left"),
        Some(Outcome::Refused) => totals.count(row, "refused"),
        None => totals.wrong(format!("image {seed} panicked\n")),
    }
    if held > MAX_BYTES {
        totals.wrong(format!("image {seed} took {held} bytes\n"));
    }
    let took = processor_time() - begun;
    if is_all() && took > MAX_TIME {
        totals.wrong(format!("image {seed} took {took:?}\n"));
    }
}

#[test]
fn images_with_random_changes() {
    let seeds = sample((0..IMAGES).collect(), FEW);
    run(&seeds, try_one).finish("images", &["images", "clean", "mended", "left", "refused"]);
}

#[test]
fn the_seeds_of_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/repair");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("seeds") {
        run_seed(&std::fs::read(entry.expect("entry").path()).expect("a seed"));
        count += 1;
    }
    assert!(count > 0);
}
