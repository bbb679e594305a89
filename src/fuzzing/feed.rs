//! Makes choices out of the fuzzer's bytes. Any bytes will do: what they lack is zero.

/// Takes choices off the front of a byte slice.
pub(super) struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Feed(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A number below `limit`, which is 1 to 65536. Takes one byte for limits that fit one.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let any = if limit <= 256 { usize::from(self.u8()) } else { usize::from(self.u16()) };
        any % limit
    }

    /// A share from 0.0 to 1.0.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(self.u8()) / 255.0
    }

    /// Up to 255 bytes: their number, then themselves.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8()).min(self.0.len());
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let len = N.min(self.0.len());
        let (head, tail) = self.0.split_at(len);
        array[..len].copy_from_slice(head);
        self.0 = tail;
        array
    }
}
