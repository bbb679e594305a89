//! Bytes in and out (section 1), and what is drawn at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ring::digest;

/// Reads fields off the front; `None` is malformed.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number of seven bits a byte, the lowest first, in the fewest bytes.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let len = self.0.iter().position(|byte| *byte < 0x80)? + 1;
        let bytes = self.bytes(len)?;
        let number = bytes.iter().rev().fold(0, |number, byte| number << 7 | u128::from(byte & 0x7f));
        (varint(number as u64) == bytes).then_some(number as u64)
    }

    pub(crate) fn ip(&mut self, is_v6: bool) -> Option<IpAddr> {
        Some(if is_v6 {
            Ipv6Addr::from(self.array::<16>()?).into()
        } else {
            Ipv4Addr::from(self.array::<4>()?).into()
        })
    }

    pub(crate) fn locator(&mut self) -> Option<SocketAddr> {
        let is_v6 = match self.u8()? {
            4 => false,
            6 => true,
            _ => return None,
        };
        let locator = SocketAddr::new(self.ip(is_v6)?, self.u16()?);
        let ip = locator.ip();
        let is_usable = !ip.is_unspecified() && !ip.is_multicast() && ip == ip.to_canonical();
        (is_usable && locator.port() != 0).then_some(locator)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(crate) fn locator_bytes(locator: SocketAddr) -> Vec<u8> {
    let family = if locator.is_ipv6() { 6 } else { 4 };
    [&[family][..], &ip_bytes(locator.ip()), &locator.port().to_be_bytes()].concat()
}

pub(crate) fn varint(number: u64) -> Vec<u8> {
    let len = (64 - number.leading_zeros()).div_ceil(7).max(1);
    let more = |at| if at + 1 < len { 0x80 } else { 0 };
    (0..len).map(|at| (number >> (7 * at)) as u8 & 0x7f | more(at)).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Numbers that are random enough for a test and the same each time.
pub(crate) struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Random { seed, drawn: 0 }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let drawn = digest::digest(&digest::SHA256, &[&self.seed[..], &self.drawn.to_be_bytes()].concat());
        drawn.as_ref()[..N].try_into().unwrap()
    }
}
