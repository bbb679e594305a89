//! Ethernet addresses.

use core::fmt;
use core::str::FromStr;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);

    /// True for broadcast and multicast addresses: the group bit (IEEE 802, first bit on the wire) is set.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The address as the low 48 bits of an integer.
    pub(crate) const fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The address in the low 48 bits of `bits`.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        MacAddr([a, b, c, d, e, f])
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut fields = text.split(':');
        for byte in &mut bytes {
            let is_pair = |field: &&str| field.len() == 2 && field.bytes().all(|b| b.is_ascii_hexdigit());
            let field = fields.next().filter(is_pair).ok_or(ParseMacError)?;
            *byte = u8::from_str_radix(field, 16).map_err(|_| ParseMacError)?;
        }
        fields.next().is_none().then_some(MacAddr(bytes)).ok_or(ParseMacError)
    }
}

/// The text is not six hexadecimal pairs separated by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Ethernet address is six hexadecimal pairs separated by colons, as in 02:00:5e:10:00:01")]
pub struct ParseMacError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_give_the_address_back() {
        let mac: MacAddr = "02:00:5e:10:a0:01".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:a0:01");
        assert_eq!(MacAddr::from_bits(mac.to_bits()), mac);
        assert!(!mac.is_group());
        assert!(MacAddr::BROADCAST.is_group());
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "",
            "02:00:5e:10:a0",
            "02:00:5e:10:a0:01:02",
            "2:0:5e:10:a0:1",
            "02-00-5e-10-a0-01",
            "+2:00:5e:10:a0:01",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }
}
