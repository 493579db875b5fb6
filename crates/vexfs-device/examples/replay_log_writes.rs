//! Replays a part of a log that the kernel's dm-log-writes target has written, for the tests in `tests/vm`.
//!
//!     replay_log_writes LOG               prints a line for each entry: its number, what it does, the text of marks
//!     replay_log_writes LOG FILE FROM TO  does again what entries FROM .. TO did, on FILE
//!
//! The format is that of `drivers/md/dm-log-writes.c`: a superblock in the first sector, then entries of one sector each, with the
//! data of writes behind them. All numbers are little-endian.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// Where an entry is, and what it says.
struct Entry {
    /// Byte on the device, and number of bytes.
    offset: u64,
    len: u64,
    flags: u64,
    /// Byte of the log at which its data begins.
    data: u64,
    text: String,
}

fn entries(log: &File) -> Result<Vec<Entry>, Box<dyn Error>> {
    let number = |at: u64| -> Result<u64, Box<dyn Error>> {
        let mut bytes = [0; 8];
        log.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    if number(0)? != MAGIC {
        return Err("not a log of dm-log-writes".into());
    }
    let (count, sector) = (number(16)?, number(24)? & 0xFFFF_FFFF);
    let mut entries = Vec::new();
    let mut at = sector;
    for _ in 0..count {
        let (start, sectors, flags, data_len) =
            (number(at)?, number(at + 8)?, number(at + 16)?, number(at + 24)?);
        let mut text = vec![0; if flags & MARK == 0 { 0 } else { data_len as usize }];
        log.read_exact_at(&mut text, at + 32)?;
        let (offset, len, data) = (start * sector, sectors * sector, at + sector);
        entries.push(Entry { offset, len, flags, data, text: String::from_utf8_lossy(&text).into_owned() });
        at = if flags & DISCARD == 0 { data + len } else { data };
    }
    Ok(entries)
}

fn replay(log: &File, file: &File, entry: &Entry) -> Result<(), Box<dyn Error>> {
    let mut bytes = vec![0; entry.len as usize];
    if entry.flags & DISCARD == 0 {
        log.read_exact_at(&mut bytes, entry.data)?;
    }
    Ok(file.write_all_at(&bytes, entry.offset)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let log = File::open(words.first().ok_or("LOG is missing")?)?;
    let entries = entries(&log)?;
    let [_, file, from, to] = words.as_slice() else {
        for (number, entry) in entries.iter().enumerate() {
            let names = [(FLUSH, "flush"), (FUA, "fua"), (DISCARD, "discard"), (MARK, "mark")];
            let names: Vec<_> =
                names.iter().filter(|(bit, _)| entry.flags & bit != 0).map(|(_, name)| *name).collect();
            println!("{number} {} {} {} {}", entry.offset, entry.len, names.join(","), entry.text);
        }
        return Ok(());
    };
    let file = File::options().write(true).open(file)?;
    for entry in entries.get(from.parse()?..to.parse()?).ok_or("no such entries")? {
        replay(&log, &file, entry)?;
    }
    Ok(())
}
