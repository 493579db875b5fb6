//! Bit set = in use. Bit n of a bitmap is bit n % 8 (from the least significant) of byte n / 8.

/// Whether bit `n` is set; bits past the end count as set, so that they are never handed out.
pub fn get(map: &[u8], n: usize) -> bool {
    map.get(n / 8).is_none_or(|byte| byte >> (n % 8) & 1 == 1)
}

/// Sets bit `n`; a bit past the end is left alone.
pub fn set(map: &mut [u8], n: usize) {
    if let Some(byte) = map.get_mut(n / 8) {
        *byte |= 1 << (n % 8);
    }
}

/// Clears bit `n`; a bit past the end is left alone.
pub fn clear(map: &mut [u8], n: usize) {
    if let Some(byte) = map.get_mut(n / 8) {
        *byte &= !(1 << (n % 8));
    }
}

/// Sets the bits `from .. to`, bytes at a time.
pub fn set_range(map: &mut [u8], from: usize, to: usize) {
    let mut n = from;
    while n < to && !n.is_multiple_of(8) {
        set(map, n);
        n += 1;
    }
    let whole = to.saturating_sub(n) / 8;
    let last = (n / 8 + whole).min(map.len());
    map[(n / 8).min(last)..last].fill(0xFF);
    n += whole * 8;
    while n < to {
        set(map, n);
        n += 1;
    }
}

/// How many of the first `bits` bits are clear.
pub fn count_clear(map: &[u8], bits: usize) -> usize {
    let whole = (bits / 8).min(map.len());
    let mut clear: usize = map[..whole].iter().map(|b| b.count_zeros() as usize).sum();
    for n in whole * 8..bits {
        clear += usize::from(!get(map, n));
    }
    clear
}

/// First clear bit in `from .. to`.
pub fn first_clear(map: &[u8], from: usize, to: usize) -> Option<usize> {
    let mut n = from;
    while n < to {
        if n.is_multiple_of(8) && map.get(n / 8) == Some(&0xFF) {
            n += 8;
        } else if get(map, n) {
            n += 1;
        } else {
            return Some(n);
        }
    }
    None
}

/// First set bit in `from .. to`, or `to`.
pub fn first_set(map: &[u8], from: usize, to: usize) -> usize {
    let mut n = from;
    while n < to {
        if n.is_multiple_of(8) && map.get(n / 8) == Some(&0) {
            n += 8;
        } else if !get(map, n) {
            n += 1;
        } else {
            return n;
        }
    }
    to
}

/// The runs of clear bits in `from .. to`, as `(first, length)`.
pub fn clear_runs(map: &[u8], from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = from;
    std::iter::from_fn(move || {
        let first = first_clear(map, at, to)?;
        let end = first_set(map, first, to);
        at = end;
        Some((first, end - first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_runs_agree_with_single_bits() {
        for (from, to) in [(0, 0), (0, 8), (3, 5), (3, 29), (8, 24), (7, 64), (0, 64)] {
            let mut map = [0_u8; 8];
            set_range(&mut map, from, to);
            for n in 0..64 {
                assert_eq!(get(&map, n), (from..to).contains(&n), "{from}..{to} bit {n}");
            }
            assert_eq!(count_clear(&map, 64), 64 - (to - from));
            let runs: Vec<_> = clear_runs(&map, 0, 64).collect();
            let mut expected = vec![];
            if from == to {
                expected.push((0, 64));
            } else {
                if from > 0 {
                    expected.push((0, from));
                }
                if to < 64 {
                    expected.push((to, 64 - to));
                }
            }
            assert_eq!(runs, expected);
        }
    }

    #[test]
    fn bits_past_the_end_are_in_use() {
        assert!(get(&[0], 8));
        assert_eq!(first_clear(&[0xFF], 0, 16), None);
        assert_eq!(count_clear(&[0], 16), 8);
    }
}
