//! Probes of a whole path and their answers: control messages that go end to end, over the same relays as frames.

use crate::wire::codec::{Malformed, Reader};

/// Asks whoever it reaches for a [`PathAnswer`], which comes back through the same relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathProbe {
    /// Comes back in the answer; hard to guess.
    pub(crate) token: u64,
    /// The sender has frames out to the receiver and hears nothing of it: the way back may be cut.
    pub(crate) is_doubt: bool,
}

/// Answers a [`PathProbe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathAnswer {
    pub(crate) token: u64,
    /// When the probe arrived, on the answering node's clock, in nanoseconds.
    pub(crate) received_at: u64,
}

impl PathProbe {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let token = reader.u64()?;
        match reader.u8()? {
            flag @ (0 | 1) => Ok(PathProbe { token, is_doubt: flag == 1 }),
            _ => Err(Malformed),
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.token.to_be_bytes());
        out.push(self.is_doubt.into());
    }
}

impl PathAnswer {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(PathAnswer { token: reader.u64()?, received_at: reader.u64()? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.token.to_be_bytes());
        out.extend_from_slice(&self.received_at.to_be_bytes());
    }
}
