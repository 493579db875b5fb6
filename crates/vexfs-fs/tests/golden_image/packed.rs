//! Images are mostly zeroes and repetitions: each is kept once (Ziv and Lempel, 1977).
//!
//! `VXPACKED`, then the length of the image, then in turn: a number of bytes and those bytes; a number of bytes to copy, and
//! how far back they begin. A copy may overlap itself, and the last bytes are not copied, if only because there are none. Numbers are LEB128: seven bits to a byte, lowest
//! first, the top bit set in all but the last.

use std::collections::HashMap;

const MAGIC: &[u8; 8] = b"VXPACKED";
/// Shortest copy: its two numbers take about as much.
const MATCH: usize = 8;
/// Copies that are longer than this are mostly zeroes, and not worth remembering place by place.
const REMEMBERED: usize = 64 << 10;
/// Longest image.
const MOST: usize = 1 << 30;

/// Packs an image.
pub fn pack(image: &[u8]) -> Vec<u8> {
    let mut packed = MAGIC.to_vec();
    put(&mut packed, image.len());
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let (mut at, mut literal) = (0, 0);
    while at < image.len() {
        let rest = &image[at..];
        let key = rest.get(..MATCH);
        let before = key.and_then(|key| places.insert(key, at));
        let len =
            before.map_or(0, |from| rest.iter().zip(&image[from..]).take_while(|(a, b)| a == b).count());
        let Some(from) = before.filter(|_| len >= MATCH) else {
            at += 1;
            continue;
        };
        put(&mut packed, at - literal);
        packed.extend(&image[literal..at]);
        put(&mut packed, len);
        put(&mut packed, at - from);
        if len < REMEMBERED {
            places.extend((at..at + len).filter_map(|n| Some((image.get(n..n + MATCH)?, n))));
        }
        at += len;
        literal = at;
    }
    put(&mut packed, at - literal);
    packed.extend(&image[literal..]);
    packed
}

fn put(packed: &mut Vec<u8>, mut number: usize) {
    while number > 127 {
        packed.push(number as u8 | 128);
        number >>= 7;
    }
    packed.push(number as u8);
}

/// The image that was packed.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut rest = packed.strip_prefix(MAGIC).ok_or("not a packed image")?;
    let length = take(&mut rest)?;
    let mut image = Vec::new();
    loop {
        let literal = take(&mut rest)?;
        image.extend(rest.split_off(..literal).ok_or("cut off")?);
        if image.len() >= length {
            let is_whole = image.len() == length && rest.is_empty();
            return if is_whole { Ok(image) } else { Err("too long") };
        }
        let (len, back) = (take(&mut rest)?, take(&mut rest)?);
        let from = image.len().checked_sub(back).filter(|_| back > 0).ok_or("a copy from nowhere")?;
        if len > length - image.len() {
            return Err("too long");
        }
        (from..from + len).for_each(|n| image.push(image[n]));
    }
}

fn take(rest: &mut &[u8]) -> Result<usize, &'static str> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let byte = *rest.split_off_first().ok_or("cut off")?;
        number |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return if number <= MOST { Ok(number) } else { Err("a number is too large") };
        }
    }
    Err("a number is too large")
}
