//! [`apply_undo`]: puts back what an undo file has saved.

use super::layout::{GRANULE, RECORD_BYTES, UndoKind};
use super::log::{Before, Granule, Log};
use super::store::UndoStore;
use super::writer::Writer;
use super::{OtherDevice, UndoError};
use crate::device::merge_runs;
use crate::{Device, Run};

/// How to put back.
#[derive(Debug, Clone, Default)]
pub struct UndoApply {
    /// UUID by which the device is known; `None` if it is not, as when its superblock is damaged.
    pub uuid: Option<[u8; 16]>,
    /// Put back even if the device was changed since.
    pub force: bool,
    /// Look whether it can be done, and write nothing.
    pub dry_run: bool,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoReport {
    /// Bytes that were written; in a dry run, that would be.
    pub restored: u64,
    /// Bytes that could not be read when they were overwritten: they stay as they are.
    pub lost: Vec<Run>,
    /// Length in bytes that the image file had before it was made longer. The caller cuts it off.
    pub original_len: Option<u64>,
    /// Whether the tool that wrote the file had ended its work.
    pub is_finished: bool,
    /// Byte of the undo file from which on it holds a batch that was not completed; nothing of that batch reached the device.
    pub torn_at: Option<u64>,
    /// Name of the tool that wrote the file.
    pub tool: String,
}

/// Puts the before-images in `store` back onto `device`.
///
/// Everything is verified before the first byte is written: each record, that the file belongs to the device, and that
/// each granule is as it was before or as it was left. Doing it again changes nothing; after an interruption it goes on.
///
/// # Durability
/// A mark in the file says that the replay has begun, and is durable before the first write. Whenever the power fails, doing
/// it again completes it. When this returns, the device is flushed.
///
/// # Errors
/// With nothing written: [`UndoError::NotUndo`], [`UndoError::Version`], [`UndoError::Damaged`], [`UndoError::OtherDevice`],
/// [`UndoError::Changed`] unless forced. [`UndoError::Device`], then possibly with a part put back.
pub fn apply_undo(
    store: impl UndoStore + 'static,
    device: &dyn Device,
    options: &UndoApply,
) -> Result<UndoReport, UndoError> {
    let log = Log::read(&store)?;
    belongs(&log, &store, device, options)?;
    // A replay that was cut off leaves torn granules, which look like nothing that was ever written.
    let differing = if options.force || log.mark == Some(UndoKind::Replaying) {
        let can_be_put_back = |(number, granule): &(&u64, &Granule)| {
            granule.before != Before::Unreadable && log.granule_len(**number, device.len()) > 0
        };
        log.granules.iter().filter(can_be_put_back).map(|(&number, _)| number).collect()
    } else {
        verify_state(&log, &store, device)?
    };
    let report = report(&log, &differing, device.len());
    if options.dry_run || (differing.is_empty() && log.mark == Some(UndoKind::Replayed)) {
        return Ok(report);
    }
    store.set_len(log.end)?;
    let seed = log.header.checksum.get();
    let mut writer = Writer::go_on(Box::new(store), seed, log.sequence, log.durable, log.end);
    writer.mark(UndoKind::Replaying)?;
    let mut left = differing.as_slice();
    while let Some(run) = first_run(&log, left) {
        put_back(&log, writer.store(), device, run)?;
        left = &left[run.len()..];
    }
    device.flush()?;
    writer.set_durable();
    writer.mark(UndoKind::Replayed)?;
    Ok(report)
}

fn belongs(
    log: &Log,
    store: &dyn UndoStore,
    device: &dyn Device,
    options: &UndoApply,
) -> Result<(), UndoError> {
    let other = |what| {
        let (file, device) = (store.name().to_owned(), device.name().to_owned());
        Err(UndoError::OtherDevice { file, device, what })
    };
    let (found, expected) = (device.len(), log.header.device_len.get());
    // An image file that had been made longer is cut off when this was put back, or when the work had failed.
    if found != expected && found != log.header.original_len.get() {
        return other(OtherDevice::Len { found, expected });
    }
    match options.uuid {
        Some(found) if !log.header.is_known_as(&found) => {
            other(OtherDevice::Uuid { found, expected: log.header.uuid })
        }
        _ => Ok(()),
    }
}

/// Numbers of the granules, in order, that are not as they were before, and of which that is known.
///
/// # Errors
/// [`UndoError::Changed`] if one of them is neither as it was before nor as it was left. [`UndoError::Damaged`] if the end of
/// the file looks cut off, and the device shows that it was complete once.
pub(super) fn verify_state(
    log: &Log,
    store: &dyn UndoStore,
    device: &dyn Device,
) -> Result<Vec<u64>, UndoError> {
    let mut differing = Vec::new();
    let mut changed: Option<(u64, u64)> = None;
    let mut buffers = ([0; GRANULE as usize], [0; GRANULE as usize]);
    for (&number, granule) in &log.granules {
        let State::Differs { checksum } = compare(log, store, device, number, granule, &mut buffers)? else {
            continue;
        };
        differing.push(number);
        // What was written after the last flush may be there in part.
        let is_certain = granule.sequence <= log.durable;
        if let (true, Some(found), Some(after)) = (is_certain, checksum, granule.after)
            && found != after
        {
            let (_, bytes) = changed.get_or_insert((number * GRANULE, 0));
            *bytes += log.granule_len(number, device.len());
        }
    }
    if let Some((offset, bytes)) = changed {
        let (file, device) = (store.name().to_owned(), device.name().to_owned());
        return Err(UndoError::Changed { file, device, offset, bytes });
    }
    for (number, granule) in log.torn.iter().filter(|(number, _)| !log.granules.contains_key(number)) {
        let state = compare(log, store, device, *number, granule, &mut buffers)?;
        if let (State::Differs { .. }, Some(offset)) = (state, log.torn_at) {
            let (file, sequence) = (store.name().to_owned(), log.sequence + 1);
            let what = "its batch is not complete, and the device shows that it was";
            return Err(UndoError::Damaged { file, offset, sequence, what });
        }
    }
    Ok(differing)
}

/// How a granule of the device stands to its before-image.
enum State {
    Same,
    /// `None`: it cannot be read, or not all of it is there.
    Differs {
        checksum: Option<u32>,
    },
}

/// A granule of which nothing is known, or that the device no longer has, is the same.
fn compare(
    log: &Log,
    store: &dyn UndoStore,
    device: &dyn Device,
    number: u64,
    granule: &Granule,
    (now, before): &mut ([u8; GRANULE as usize], [u8; GRANULE as usize]),
) -> Result<State, UndoError> {
    let len = log.granule_len(number, device.len()) as usize;
    let (now, before) = (&mut now[..len], &mut before[..len]);
    if granule.before == Before::Unreadable || len == 0 {
        return Ok(State::Same);
    }
    read_image(store, granule.before, before)?;
    if device.read_at(number * GRANULE, now).is_err() {
        return Ok(State::Differs { checksum: None });
    }
    let checksum = log.is_whole(number, device.len()).then(|| crc32c::crc32c(now));
    if now == before { Ok(State::Same) } else { Ok(State::Differs { checksum }) }
}

fn read_image(store: &dyn UndoStore, before: Before, bytes: &mut [u8]) -> Result<(), UndoError> {
    match before {
        Before::At(at) => store.read_at(at, bytes)?,
        Before::Zeroes | Before::Unreadable => bytes.fill(0),
    }
    Ok(())
}

fn report(log: &Log, differing: &[u64], device_len: u64) -> UndoReport {
    let lost = log.granules.iter().filter(|(_, granule)| granule.before == Before::Unreadable);
    let lost: Vec<Run> =
        lost.map(|(&n, _)| Run { offset: n * GRANULE, len: log.granule_len(n, device_len) }).collect();
    let tool = log.header.tool.split(|&byte| byte == 0).next().unwrap_or_default();
    let (original, len) = (log.header.original_len.get(), log.header.device_len.get());
    UndoReport {
        restored: differing.iter().map(|&number| log.granule_len(number, device_len)).sum(),
        lost: merge_runs(&lost),
        original_len: (original < len).then_some(original),
        is_finished: matches!(log.mark, Some(UndoKind::Finished | UndoKind::Replaying | UndoKind::Replayed)),
        torn_at: log.torn_at,
        tool: String::from_utf8_lossy(tool).into_owned(),
    }
}

/// The first of `numbers`, with those behind it that can be written at once.
fn first_run<'a>(log: &Log, numbers: &'a [u64]) -> Option<&'a [u64]> {
    let is_zero = |number: &u64| log.granules.get(number).is_some_and(|g| g.before == Before::Zeroes);
    let first = numbers.first()?;
    let goes_on = |(index, number): &(u64, &u64)| {
        **number == first + index && is_zero(number) == is_zero(first) && *index < RECORD_BYTES / GRANULE
    };
    let len = (0..).zip(numbers).take_while(goes_on).count();
    Some(&numbers[..len])
}

/// Writes the before-images of granules that lie side by side.
fn put_back(log: &Log, store: &dyn UndoStore, device: &dyn Device, run: &[u64]) -> Result<(), UndoError> {
    let Some(&first) = run.first() else { return Ok(()) };
    let mut bytes = Vec::new();
    for (number, granule) in run.iter().filter_map(|number| Some((*number, log.granules.get(number)?))) {
        let from = bytes.len();
        bytes.resize(from + log.granule_len(number, device.len()) as usize, 0);
        read_image(store, granule.before, &mut bytes[from..])?;
    }
    let offset = first * GRANULE;
    if bytes.iter().all(|&byte| byte == 0) {
        device.zero(offset, bytes.len() as u64)?;
    } else {
        device.write_at(offset, &bytes)?;
    }
    Ok(())
}
