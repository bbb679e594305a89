//! The messages by which two nodes agree on keys, as they are inside the outer seal; no cryptography.
//!
//! ```text
//! hello       64 bytes  nonce 128 | zero 384                      who is at this address?
//! challenge   64 bytes  echo 128 | responder's id 256 | cookie 128
//! initiation            cookie 128 | message 1                    the cookie of a challenge, or zero
//! response              message 2
//!
//! introduction          incarnation 64 | sequence 64 | epoch 8 | cipher 8 | locator      payload of message 1
//! answer                1 8 | introduction, or 2 8                                       payload of message 2
//! ```
//!
//! A challenge answers a hello, or an initiation whose sender has to prove that it receives at its address.
//! It is no longer than what it answers, so that nobody can multiply traffic through a node. What messages 1
//! and 2 are, and how they carry the payloads, is the key exchange's business.

use core::net::SocketAddr;

use crate::config::Cipher;
use crate::node::NodeId;
use crate::wire::codec::{Malformed, Reader, put_address};

/// Length of what a greeting and a challenge hold, in bytes.
const GREETING_LEN: usize = 64;
/// Length of a cookie, in bytes.
pub(crate) const COOKIE_LEN: usize = 16;
/// Length of nonces and echoes, in bytes.
const ECHO_LEN: usize = 16;

const ACCEPTED: u8 = 1;
const IDENTITY_IN_USE: u8 = 2;

/// Asks who is at an address. As long as its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) nonce: [u8; ECHO_LEN],
}

impl Hello {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let nonce = reader.array()?;
        let padding: [u8; GREETING_LEN - ECHO_LEN] = reader.array()?;
        reader.end()?;
        if padding.iter().all(|byte| *byte == 0) { Ok(Hello { nonce }) } else { Err(Malformed) }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.nonce.to_vec();
        bytes.resize(GREETING_LEN, 0);
        bytes
    }
}

/// Says who is here, and hands out a cookie that proves the receiver's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The nonce of the [`Hello`], or the beginning of the initiation's message, that is answered.
    pub(crate) echo: [u8; ECHO_LEN],
    pub(crate) id: NodeId,
    pub(crate) cookie: [u8; COOKIE_LEN],
}

impl Challenge {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let challenge =
            Challenge { echo: reader.array()?, id: NodeId(reader.array()?), cookie: reader.array()? };
        reader.end()?;
        Ok(challenge)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.echo[..], &self.id.0, &self.cookie].concat()
    }
}

/// The first message of a handshake, with the cookie of an earlier challenge or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initiation<'a> {
    pub(crate) cookie: [u8; COOKIE_LEN],
    pub(crate) message: &'a [u8],
}

impl<'a> Initiation<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (cookie, message) = bytes.split_first_chunk().ok_or(Malformed)?;
        Ok(Initiation { cookie: *cookie, message })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.cookie[..], self.message].concat()
    }

    /// What a challenge that answers this initiation echoes: the front of its message.
    pub(crate) fn echo(&self) -> [u8; ECHO_LEN] {
        self.message.first_chunk().copied().unwrap_or_default()
    }
}

/// What a node says of itself in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// The life of the node.
    pub(crate) incarnation: u64,
    /// Number of the handshake among those that the node began in this life; in a response, one between those of the
    /// initiations before and after.
    pub(crate) sequence: u64,
    /// What the other one is to put into headers as the epoch.
    pub(crate) epoch: u8,
    /// What the node's CPU does fast.
    pub(crate) cipher: Cipher,
    pub(crate) locator: SocketAddr,
}

impl Introduction {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let introduction = Introduction {
            incarnation: reader.u64()?,
            sequence: reader.u64()?,
            epoch: reader.u8()?,
            cipher: match reader.u8()? {
                1 => Cipher::Aes256Gcm,
                2 => Cipher::ChaCha20Poly1305,
                _ => return Err(Malformed),
            },
            locator: reader.locator()?,
        };
        reader.end()?;
        Ok(introduction)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18 + 19);
        bytes.extend_from_slice(&self.incarnation.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.push(self.epoch);
        bytes.push(match self.cipher {
            Cipher::Aes256Gcm => 1,
            Cipher::ChaCha20Poly1305 => 2,
        });
        put_address(&mut bytes, self.locator);
        bytes
    }
}

/// The payload of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is a session.
    Accepted(Introduction),
    /// There is none: another life of the initiator, at another locator, is alive.
    IdentityInUse,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.split_first() {
            Some((&ACCEPTED, introduction)) => Introduction::read(introduction).map(Answer::Accepted),
            Some((&IDENTITY_IN_USE, [])) => Ok(Answer::IdentityInUse),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Answer::Accepted(introduction) => [&[ACCEPTED][..], &introduction.to_bytes()].concat(),
            Answer::IdentityInUse => vec![IDENTITY_IN_USE],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction() -> Introduction {
        let locator = "[2001:db8::1]:4789".parse().unwrap();
        Introduction { incarnation: 1 << 40, sequence: 2, epoch: 3, cipher: Cipher::Aes256Gcm, locator }
    }

    #[test]
    fn everything_is_read_back_as_it_was_written_and_nothing_else_is() {
        let hello = Hello { nonce: [1; 16] };
        let challenge = Challenge { echo: [2; 16], id: NodeId([3; 32]), cookie: [4; 16] };
        assert_eq!(Hello::read(&hello.to_bytes()), Ok(hello));
        assert_eq!(Challenge::read(&challenge.to_bytes()), Ok(challenge));
        assert_eq!(
            hello.to_bytes().len(),
            challenge.to_bytes().len(),
            "no answer is longer than its question"
        );
        let initiation = Initiation { cookie: [5; 16], message: b"message" };
        assert_eq!(Initiation::read(&initiation.to_bytes()), Ok(initiation));
        for answer in [Answer::Accepted(introduction()), Answer::IdentityInUse] {
            let bytes = answer.to_bytes();
            assert_eq!(Answer::read(&bytes), Ok(answer));
            assert!((0..bytes.len()).all(|len| Answer::read(&bytes[..len]).is_err()));
            assert!(Answer::read(&[&bytes[..], &[0]].concat()).is_err());
        }
        let mut padded = hello.to_bytes();
        padded[40] = 1;
        assert!(Hello::read(&padded).is_err());
    }
}
