//! Writing structures in the compact protocol of Thrift: what [`thrift`](super::thrift) reads.

/// Structures, one within the other, as bytes.
#[derive(Debug, Default)]
pub(super) struct Emit {
    /// What was written.
    pub(super) bytes: Vec<u8>,
    /// The number of the last field of each structure that is open.
    last: Vec<i16>,
}

impl Emit {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint((value << 1 ^ value >> 63) as u64);
    }

    /// Begins field `number`, which is at most 15 behind the one before it.
    fn field(&mut self, number: i16, kind: u8) {
        if let Some(last) = self.last.last_mut() {
            self.bytes.push(((number - *last) as u8) << 4 | kind);
            *last = number;
        }
    }

    /// An integer of 32 bits.
    pub(super) fn int(&mut self, number: i16, value: i32) -> &mut Self {
        self.field(number, 5);
        self.zigzag(i64::from(value));
        self
    }

    /// An integer of 64 bits.
    pub(super) fn long(&mut self, number: i16, value: u64) -> &mut Self {
        self.field(number, 6);
        self.zigzag(value as i64);
        self
    }

    /// An integer of 8 bits.
    pub(super) fn byte(&mut self, number: i16, value: u8) -> &mut Self {
        self.field(number, 3);
        self.bytes.push(value);
        self
    }

    /// True or false.
    pub(super) fn bool(&mut self, number: i16, value: bool) -> &mut Self {
        self.field(number, if value { 1 } else { 2 });
        self
    }

    /// A string.
    pub(super) fn text(&mut self, number: i16, text: &str) -> &mut Self {
        self.field(number, 8);
        self.plain_text(text)
    }

    fn plain_text(&mut self, text: &str) -> &mut Self {
        self.varint(text.len() as u64);
        self.bytes.extend(text.as_bytes());
        self
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, number: i16, texts: &[&str]) -> &mut Self {
        self.list(number, texts.len(), 8);
        for text in texts {
            self.plain_text(text);
        }
        self
    }

    /// A list of integers of 32 bits.
    pub(super) fn ints(&mut self, number: i16, values: &[i32]) -> &mut Self {
        self.list(number, values.len(), 5);
        values.iter().for_each(|value| self.zigzag(i64::from(*value)));
        self
    }

    /// Begins a list of `count` structures, which follow as [`element`](Self::element)s.
    pub(super) fn structures(&mut self, number: i16, count: usize) -> &mut Self {
        self.list(number, count, 12);
        self
    }

    fn list(&mut self, number: i16, count: usize, kind: u8) {
        self.field(number, 9);
        if count < 15 {
            self.bytes.push((count as u8) << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            self.varint(count as u64);
        }
    }

    /// What a column of the schema means: field 10 of its element, a union of which member `number` is set.
    pub(super) fn meaning(&mut self, number: i16, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.within(10, |union| {
            union.within(number, write);
        })
    }

    /// A structure as a field.
    pub(super) fn within(&mut self, number: i16, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.field(number, 12);
        self.element(write)
    }

    /// A structure as an element of a list, or by itself.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.last.push(0);
        write(self);
        self.last.pop();
        self.bytes.push(0);
        self
    }
}
