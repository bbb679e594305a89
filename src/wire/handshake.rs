//! The messages by which two nodes agree on keys, as they are inside the outer seal; no cryptography.
//!
//! ```text
//! hello       64 bytes  nonce 128 | zero 384                      who is at this address?
//! challenge   64 bytes  echo 128 | responder's id 256 | cookie 128
//! initiation            cookie 128 | message 1                    the cookie of a challenge, or zero
//! response              message 2
//!
//! payload 1             incarnation 64 | sequence 64 | epoch 8 | cipher 8 | locator
//! payload 2             incarnation 64 | epoch 8 | cipher 8 | locator
//! ```
//!
//! A challenge answers a hello, or an initiation whose sender has to prove that it receives at its address. It
//! is no longer than what it answers, so that nobody can multiply traffic through a node. What messages 1 and
//! 2 are, and how they carry the payloads, is the key exchange's business.

use core::net::SocketAddr;

use crate::config::Cipher;
use crate::node::NodeId;
use crate::wire::codec::{Malformed, Reader, put_address};

/// Type of a datagram with a [`Hello`].
pub(crate) const TYPE_HELLO: u8 = 2;
/// Type of a datagram with a [`Challenge`].
pub(crate) const TYPE_CHALLENGE: u8 = 3;
/// Type of a datagram with an [`Initiation`].
pub(crate) const TYPE_INITIATION: u8 = 4;
/// Type of a datagram with a response, which is message 2 and nothing else.
pub(crate) const TYPE_RESPONSE: u8 = 5;

/// Length of nonces and echoes.
pub(crate) const ECHO_LEN: usize = 16;
/// Length of cookies.
pub(crate) const COOKIE_LEN: usize = 16;

/// What a hello is padded with, to be as long as a challenge.
const PADDING_LEN: usize = 48;
/// Cipher in a payload: AES-256-GCM.
const AES_256_GCM: u8 = 1;
/// Cipher in a payload: ChaCha20-Poly1305.
const CHACHA20_POLY1305: u8 = 2;

/// Asks who is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Comes back in the challenge; hard to guess.
    pub(crate) nonce: [u8; ECHO_LEN],
}

/// Names the node at an address, and gives the asker what proves that it receives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The nonce of the hello, or [`Initiation::echo`] of the initiation that this answers.
    pub(crate) echo: [u8; ECHO_LEN],
    /// Who answers.
    pub(crate) responder: NodeId,
    /// To be sent with the next initiation.
    pub(crate) cookie: [u8; COOKIE_LEN],
}

/// Opens a key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initiation<'a> {
    /// The cookie of the responder's latest challenge; zero if there was none.
    pub(crate) cookie: [u8; COOKIE_LEN],
    /// Message 1 of the key exchange, at least [`ECHO_LEN`] bytes.
    pub(crate) message: &'a [u8],
}

/// What message 1 carries from the initiator to the responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InitiatorPayload {
    /// The life of the initiator.
    pub(crate) incarnation: u64,
    /// Grows with every initiation of a life, so that an old one cannot be repeated.
    pub(crate) sequence: u64,
    /// The epoch of datagrams to the initiator.
    pub(crate) epoch: u8,
    /// The cipher the initiator prefers.
    pub(crate) cipher: Cipher,
    /// Where the initiator is reached.
    pub(crate) locator: SocketAddr,
}

/// What message 2 carries from the responder to the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponderPayload {
    /// The life of the responder.
    pub(crate) incarnation: u64,
    /// The epoch of datagrams to the responder.
    pub(crate) epoch: u8,
    /// The cipher the responder prefers.
    pub(crate) cipher: Cipher,
    /// Where the responder is reached.
    pub(crate) locator: SocketAddr,
}

impl Hello {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let hello = Hello { nonce: reader.array()? };
        let is_padded = reader.array()? == [0; PADDING_LEN];
        reader.end()?;
        if is_padded { Ok(hello) } else { Err(Malformed) }
    }

    /// Appends the message to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&[0; PADDING_LEN]);
    }
}

impl Challenge {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (echo, responder, cookie) = (reader.array()?, NodeId(reader.array()?), reader.array()?);
        reader.end()?;
        Ok(Challenge { echo, responder, cookie })
    }

    /// Appends the message to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.echo);
        out.extend_from_slice(&self.responder.0);
        out.extend_from_slice(&self.cookie);
    }
}

impl<'a> Initiation<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let cookie = reader.array()?;
        let message = reader.rest();
        if message.len() < ECHO_LEN { Err(Malformed) } else { Ok(Initiation { cookie, message }) }
    }

    /// Appends the message to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cookie);
        out.extend_from_slice(self.message);
    }

    /// What a challenge that answers this initiation echoes: the front of message 1.
    pub(crate) fn echo(&self) -> [u8; ECHO_LEN] {
        let mut echo = [0; ECHO_LEN];
        echo.copy_from_slice(&self.message[..ECHO_LEN]);
        echo
    }
}

impl InitiatorPayload {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (incarnation, sequence, epoch) = (reader.u64()?, reader.u64()?, reader.u8()?);
        let (cipher, locator) = (read_cipher(&mut reader)?, reader.locator()?);
        reader.end()?;
        Ok(InitiatorPayload { incarnation, sequence, epoch, cipher, locator })
    }

    /// Appends the payload to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&[self.epoch, cipher_number(self.cipher)]);
        put_address(out, self.locator);
    }
}

impl ResponderPayload {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (incarnation, epoch) = (reader.u64()?, reader.u8()?);
        let (cipher, locator) = (read_cipher(&mut reader)?, reader.locator()?);
        reader.end()?;
        Ok(ResponderPayload { incarnation, epoch, cipher, locator })
    }

    /// Appends the payload to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&[self.epoch, cipher_number(self.cipher)]);
        put_address(out, self.locator);
    }
}

fn cipher_number(cipher: Cipher) -> u8 {
    match cipher {
        Cipher::Aes256Gcm => AES_256_GCM,
        Cipher::ChaCha20Poly1305 => CHACHA20_POLY1305,
    }
}

fn read_cipher(reader: &mut Reader<'_>) -> Result<Cipher, Malformed> {
    match reader.u8()? {
        AES_256_GCM => Ok(Cipher::Aes256Gcm),
        CHACHA20_POLY1305 => Ok(Cipher::ChaCha20Poly1305),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Hello = Hello { nonce: [1; ECHO_LEN] };
    const CHALLENGE: Challenge =
        Challenge { echo: [1; ECHO_LEN], responder: NodeId([2; 32]), cookie: [3; COOKIE_LEN] };

    fn initiator() -> InitiatorPayload {
        InitiatorPayload {
            incarnation: 0x0102_0304_0506_0708,
            sequence: 9,
            epoch: 0xab,
            cipher: Cipher::Aes256Gcm,
            locator: "192.0.2.1:4789".parse().unwrap(),
        }
    }

    fn responder() -> ResponderPayload {
        ResponderPayload {
            incarnation: 5,
            epoch: 0xcd,
            cipher: Cipher::ChaCha20Poly1305,
            locator: "[2001:db8::1]:4789".parse().unwrap(),
        }
    }

    fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn every_message_is_read_back_as_it_was_written_and_neither_cut_nor_longer() {
        fn check<T: PartialEq + core::fmt::Debug>(
            value: &T,
            written: &[u8],
            read: impl Fn(&[u8]) -> Result<T, Malformed>,
        ) {
            assert_eq!(read(written).as_ref(), Ok(value));
            assert!((0..written.len()).all(|len| read(&written[..len]).is_err()), "{value:?} is cut");
            assert!(read(&[written, &[0]].concat()).is_err(), "a byte follows {value:?}");
        }
        check(&HELLO, &bytes(|out| HELLO.write(out)), Hello::read);
        check(&CHALLENGE, &bytes(|out| CHALLENGE.write(out)), Challenge::read);
        check(&initiator(), &bytes(|out| initiator().write(out)), InitiatorPayload::read);
        check(&responder(), &bytes(|out| responder().write(out)), ResponderPayload::read);
        let initiation = Initiation { cookie: [4; COOKIE_LEN], message: &[5; 100] };
        assert_eq!(Initiation::read(&bytes(|out| initiation.write(out))), Ok(initiation));
    }

    #[test]
    fn a_challenge_is_no_longer_than_the_hello_it_answers() {
        let (hello, challenge) = (bytes(|out| HELLO.write(out)), bytes(|out| CHALLENGE.write(out)));
        assert_eq!((hello.len(), challenge.len()), (64, 64));
    }

    #[test]
    fn the_padding_of_a_hello_is_zero() {
        let mut hello = bytes(|out| HELLO.write(out));
        hello[63] = 1;
        assert_eq!(Hello::read(&hello), Err(Malformed));
    }

    #[test]
    fn a_challenge_echoes_the_front_of_message_1() {
        let message: Vec<u8> = (0..40).collect();
        let initiation = Initiation { cookie: [0; COOKIE_LEN], message: &message };
        assert_eq!(initiation.echo().as_slice(), &message[..16]);
        assert_eq!(Initiation::read(&[0; 31]), Err(Malformed), "too short to echo");
        assert!(Initiation::read(&[0; 32]).is_ok());
    }

    #[test]
    fn the_bytes_of_payloads_are_those_of_the_format() {
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0xab, 1, 4, 192, 0, 2, 1, 0x12, 0xb5];
        assert_eq!(bytes(|out| initiator().write(out)), expected);
        let address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let expected = [&[0, 0, 0, 0, 0, 0, 0, 5, 0xcd, 2, 6][..], &address, &[0x12, 0xb5]].concat();
        assert_eq!(bytes(|out| responder().write(out)), expected);
    }

    #[test]
    fn unknown_ciphers_and_locators_that_no_node_has_are_malformed() {
        let mut unknown = bytes(|out| responder().write(out));
        unknown[9] = 3;
        assert_eq!(ResponderPayload::read(&unknown), Err(Malformed));
        for locator in ["0.0.0.0:1", "224.0.0.1:1", "192.0.2.1:0"] {
            let payload = InitiatorPayload { locator: locator.parse().unwrap(), ..initiator() };
            assert_eq!(InitiatorPayload::read(&bytes(|out| payload.write(out))), Err(Malformed));
        }
    }
}
