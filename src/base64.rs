//! Keys, secret or public, as text. What a key is for is unknown here.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// Length of every key in base64, as WireGuard writes its keys.
const BASE64_LEN: usize = 44;

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Too short or too long; holds the length in bytes.
    #[error("a key has {BASE64_LEN} characters of base64, this text has {0}")]
    Length(usize),
    /// Not the base64 of 32 bytes.
    #[error("a key is 43 characters of A-Z, a-z, 0-9, + and /, and = at the end; this text is not")]
    Alphabet,
}

/// Reads a key from base64.
pub(crate) fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    if text.len() != BASE64_LEN {
        return Err(KeyError::Length(text.len()));
    }
    // With the wrong number of = at the end the text stands for 31 or 33 bytes.
    let mut bytes = Zeroizing::new([0; 33]);
    let decoded = Base64::decode(text, &mut *bytes).map_err(|_| KeyError::Alphabet)?;
    let mut key = Zeroizing::new([0; 32]);
    *key = decoded.try_into().map_err(|_| KeyError::Alphabet)?;
    Ok(key)
}

/// Writes a key in base64.
pub(crate) fn encode(key: &[u8; 32]) -> String {
    Base64::encode_string(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_told_apart_by_length_and_characters() {
        let refused = |text: &str| decode(text).unwrap_err();
        assert_eq!(refused(""), KeyError::Length(0));
        assert_eq!(refused(&"A".repeat(43)), KeyError::Length(43));
        assert_eq!(refused(&"A".repeat(44)), KeyError::Alphabet, "33 bytes");
        assert_eq!(refused(&("A".repeat(42) + "==")), KeyError::Alphabet, "31 bytes");
        assert_eq!(refused(&("A".repeat(42) + "B=")), KeyError::Alphabet, "bits left over");
        assert_eq!(refused(&("A".repeat(42) + "-=")), KeyError::Alphabet);
        assert!(decode(&("A".repeat(43) + "=")).is_ok());
    }
}
