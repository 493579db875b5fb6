//! How many crash states of a 32 MiB image come per second. Run with `cargo bench -p vexfs-device`.

use std::time::Instant;

use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, RecordDevice};

const IMAGE: usize = 32 << 20;
const BLOCK: usize = 4096;

fn main() {
    let base = MemDevice::from_bytes((0..IMAGE).map(|i| (i / BLOCK) as u8).collect());
    let device = RecordDevice::new(base.fork());
    // 100 transactions of 12 blocks, half of them data, with two flushes each: the shape of a journaled workload.
    for transaction in 0..100u64 {
        for block in 0..12u64 {
            let place = (transaction * 977 + block * 131) % (IMAGE / BLOCK) as u64;
            device.write_at(place * BLOCK as u64, &[transaction as u8; BLOCK]).expect("in range");
            if block % 6 == 5 {
                device.flush().expect("memory");
            }
        }
    }
    let log = device.take_log();
    let start = Instant::now();
    let (mut states, mut sum) = (0u64, 0u64);
    let mut superblock = [0; BLOCK];
    for state in CrashStates::new(&base, &log, CrashOptions::default()) {
        state.image.read_at(0, &mut superblock).expect("in range");
        sum += u64::from(superblock[0]);
        states += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{states} states of a 32 MiB image in {seconds:.2} s: {:.0} per second ({sum})",
        states as f64 / seconds
    );
}
