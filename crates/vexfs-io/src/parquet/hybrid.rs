//! Runs of equal numbers and groups of packed ones: how levels, bools and places in a dictionary are written.

use super::thrift::Bad;

/// Reads `count` numbers of `width` bits, at most 32, and gives each to `as_wanted`.
pub(super) fn decode<T: Copy>(
    mut bytes: &[u8],
    width: u32,
    count: usize,
    as_wanted: fn(u32) -> T,
) -> Result<Vec<T>, Bad> {
    const CUT: Bad = "runs of numbers end too early";
    let mut numbers = Vec::with_capacity(count);
    if width == 0 {
        numbers.resize(count, as_wanted(0));
        return Ok(numbers);
    }
    while numbers.len() < count {
        let header = varint(&mut bytes).ok_or(CUT)?;
        let left = count - numbers.len();
        if header & 1 == 0 {
            let (value, rest) = bytes.split_at_checked(width.div_ceil(8) as usize).ok_or(CUT)?;
            bytes = rest;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            let run = left.min((header >> 1) as usize);
            numbers.resize(numbers.len() + run, as_wanted(value));
        } else {
            // Eight numbers in each group; the last one may be cut where the numbers end.
            let packed = (header >> 1) as usize;
            let wanted = left.min(packed.saturating_mul(8));
            let length = packed.saturating_mul(width as usize).min(bytes.len());
            let (packed, rest) = bytes.split_at(length);
            bytes = rest;
            unpack(packed, width, wanted, as_wanted, &mut numbers).ok_or(CUT)?;
        }
    }
    Ok(numbers)
}

/// Appends `count` numbers of `width` bits each, the first in the lowest bits.
fn unpack<T>(
    packed: &[u8],
    width: u32,
    count: usize,
    as_wanted: fn(u32) -> T,
    out: &mut Vec<T>,
) -> Option<()> {
    if packed.len() < (count as u64 * u64::from(width)).div_ceil(8) as usize {
        return None;
    }
    let mask = u32::MAX >> (32 - width);
    let (mut pool, mut bits, mut bytes) = (0_u64, 0, packed.iter());
    for _ in 0..count {
        while bits < width {
            pool |= u64::from(*bytes.next()?) << bits;
            bits += 8;
        }
        out.push(as_wanted(pool as u32 & mask));
        pool >>= width;
        bits -= width;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_groups_are_read_to_the_last_number() {
        // Five times 3; then the eight numbers 0 to 7 of three bits (the example of the specification).
        let bytes = [10, 3, 3, 0x88, 0xc6, 0xfa];
        let all = decode(&bytes, 3, 13, |n| n).unwrap();
        assert_eq!(all, [3, 3, 3, 3, 3, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(decode(&bytes, 3, 6, |n| n as u8).unwrap(), [3, 3, 3, 3, 3, 0]);
        assert!(decode(&bytes, 3, 14, |n| n).is_err());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], 3, 13, |n| n).is_err());
        }
        assert_eq!(decode(&[2, 1, 2, 3, 4], 32, 1, |n| n).unwrap(), [0x0403_0201]);
        assert_eq!(decode(&[], 0, 3, |n| n).unwrap(), [0; 3]);
        assert!(decode(&[0xff; 9], 3, 3, |n| n).is_err());
        assert!(decode(&[0, 1, 0, 1], 3, 3, |n| n).is_err());
    }
}
