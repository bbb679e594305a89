//! Latencies in control messages: probes, a row of the latency database, and what a node says of itself as a relay.
//!
//! Times are written as floating point numbers of 16 or 8 bits: a hundredth of a percent of a time is of no use.

use core::time::Duration;

use crate::node::NodePrefix;
use crate::time::Time;
use crate::wire::codec::{Malformed, Reader, put_varint};
use crate::wire::control::MAX_CONTROL_LEN;

/// Instead of an offset of clocks: it is not known. The offset that would be written so is written one lower.
const NO_OFFSET: u32 = 1 << 23;
/// Offsets of clocks are written modulo this, in microseconds: paths differ by less.
pub(crate) const OFFSET_MODULUS: u32 = 1 << 24;
/// Instead of load and delay: the node carries no transit.
const NO_TRANSIT: (u8, u16) = (u8::MAX, u16::MAX);

/// Instead of the version from which a row is asked for: its changes are to be told no more.
pub(crate) const ROW_UNWANTED: u64 = u64::MAX;

/// Instead of how long a probe was held: none has arrived yet.
const NO_ECHO: u32 = u32::MAX;

/// A latency probe, with what lets the receiver notice that it has missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) stamps: Stamps,
    /// Digest of the sender's member list.
    pub(crate) list_digest: u32,
    /// Version of the sender's row.
    pub(crate) row_version: u64,
    /// Version of what the sender announces.
    pub(crate) hosts_version: u64,
}

/// The times in a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// How long the receiver is to hold the probe before it sends it back, in milliseconds; 0 for not at all.
    hold_ms: u16,
    /// When it was sent, on the sender's clock, in microseconds modulo 2^48.
    pub(crate) sent_us: u64,
    /// The latest probe that has arrived from the receiver, if one has.
    pub(crate) echo: Option<Echo>,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Its stamp, modulo 2^32.
    pub(crate) sent_us: u32,
    /// How long ago it had arrived, in microseconds.
    pub(crate) held_us: u32,
}

impl Stamps {
    /// Stamps are counted modulo this.
    pub(crate) const MODULUS: u64 = 1 << 48;

    /// Of a probe sent at `now`, to be held for so long, up to 65 s.
    pub(crate) fn new(hold: Duration, now: Time, echo: Option<Echo>) -> Self {
        let least = u128::from(hold > Duration::ZERO);
        let hold_ms = u16::try_from(hold.as_millis().max(least)).unwrap_or(u16::MAX);
        Stamps { hold_ms, sent_us: Stamps::of(now), echo }
    }

    /// An instant as it is written.
    pub(crate) fn of(at: Time) -> u64 {
        at.as_nanos() / 1000 % Stamps::MODULUS
    }

    /// How long the receiver is to hold the probe.
    pub(crate) fn hold(self) -> Duration {
        Duration::from_millis(self.hold_ms.into())
    }

    /// True if the probe is to be answered at once.
    pub(crate) fn is_urgent(self) -> bool {
        self.hold_ms == 0
    }
}

impl Probe {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (hold_ms, sent_us) = (reader.u16()?, reader.u48()?);
        let echo = match (reader.u32()?, reader.u32()?) {
            (0, NO_ECHO) => None,
            (_, NO_ECHO) => return Err(Malformed),
            (sent_us, held_us) => Some(Echo { sent_us, held_us }),
        };
        Ok(Probe {
            stamps: Stamps { hold_ms, sent_us, echo },
            list_digest: reader.u32()?,
            row_version: reader.varint()?,
            hosts_version: reader.varint()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Stamps { hold_ms, sent_us, echo } = self.stamps;
        let (echo_us, held_us) =
            echo.map_or((0, NO_ECHO), |Echo { sent_us, held_us }| (sent_us, held_us.min(NO_ECHO - 1)));
        out.extend_from_slice(&hold_ms.to_be_bytes());
        out.extend_from_slice(&sent_us.to_be_bytes()[2..]);
        for field in [echo_us, held_us, self.list_digest] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        put_varint(out, self.row_version);
        put_varint(out, self.hosts_version);
    }
}

/// Changes of the sender's row, from (without) one version to (with) another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// What the sender is as a relay, in version `to`; `None` if it carries no transit.
    pub(crate) transit: Option<Transit>,
    pub(crate) entries: Vec<RowEntry>,
}

/// What a node says of itself as a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transit {
    /// Share of what it can relay that it relays now, in 1/255.
    pub(crate) load: u8,
    /// How long a datagram stays in it, in microseconds, as measured; at most 65534.
    pub(crate) delay_us: u16,
}

/// What the sender measures on its link to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowEntry {
    pub(crate) target: NodePrefix,
    /// The life of the target that was measured: its incarnation, folded to 16 bits.
    pub(crate) life: u16,
    /// `None` if the link is down.
    pub(crate) link: Option<LinkLatency>,
    /// The pseudo offset of the clocks, if it is known: half of what the way to the target seems to take more
    /// than the way back, in microseconds modulo 2^24. It has the true offset in it, which nobody knows.
    pub(crate) offset_us: Option<u32>,
}

/// The latency of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkLatency {
    /// Round-trip time averaged over about 3 s, in microseconds.
    pub(crate) fast_us: u32,
    /// Round-trip time averaged over about 30 s, in microseconds.
    pub(crate) slow_us: u32,
    /// Mean deviation of the round-trip time, in microseconds.
    pub(crate) jitter_us: u32,
    /// Share of probes lost, in 1/255.
    pub(crate) loss: u8,
    /// What is to be added to both averages so that sums along paths from one node compare the times that frames
    /// take in their direction, in microseconds of round trips. Not in messages: it is the reader's, made of the
    /// offsets of several links; 0 where they say nothing.
    pub(crate) skew_us: i32,
}

impl LinkLatency {
    /// What a reader of a message has of this latency.
    pub(crate) fn as_written(self) -> Self {
        WrittenLink::new(Some(self)).latency().unwrap_or(self)
    }
}

/// The latency of a link, or that it is down, as in a message: also the shortest way to keep many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenLink {
    fast: u16,
    slow: u16,
    jitter: u8,
    loss: u8,
}

impl WrittenLink {
    const DOWN: WrittenLink = WrittenLink { fast: u16::MAX, slow: u16::MAX, jitter: u8::MAX, loss: u8::MAX };

    /// Of a link that is up with this latency, or down.
    pub(crate) fn new(latency: Option<LinkLatency>) -> Self {
        latency.map_or(WrittenLink::DOWN, |latency| WrittenLink {
            fast: time_code(latency.fast_us),
            slow: time_code(latency.slow_us),
            jitter: jitter_code(latency.jitter_us),
            loss: latency.loss,
        })
    }

    /// The latency; `None` if the link is down.
    pub(crate) fn latency(self) -> Option<LinkLatency> {
        (self != WrittenLink::DOWN).then(|| LinkLatency {
            fast_us: time_of(self.fast),
            slow_us: time_of(self.slow),
            jitter_us: jitter_of(self.jitter),
            loss: self.loss,
            skew_us: 0,
        })
    }
}

impl RowEntry {
    /// Length of an entry, in bytes.
    const LEN: usize = 19;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (target, life) = (NodePrefix(reader.u64()?), reader.u16()?);
        let (fast, slow) = (reader.u16()?, reader.u16()?);
        let link = WrittenLink { fast, slow, jitter: reader.u8()?, loss: reader.u8()? };
        let offset = reader.u24()?;
        let offset_us = (offset != NO_OFFSET).then_some(offset);
        let is_down = link == WrittenLink::DOWN && offset_us.is_none();
        if !is_down && (fast > MAX_TIME || slow > MAX_TIME) {
            return Err(Malformed);
        }
        Ok(RowEntry { target, life, link: link.latency(), offset_us })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let WrittenLink { fast, slow, jitter, loss } = WrittenLink::new(self.link);
        let offset = self.offset_us.filter(|_| self.link.is_some()).map_or(NO_OFFSET, |us| match us {
            NO_OFFSET => NO_OFFSET - 1,
            us => us % OFFSET_MODULUS,
        });
        out.extend_from_slice(&self.target.0.to_be_bytes());
        for field in [self.life, fast, slow] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&[jitter, loss]);
        out.extend_from_slice(&offset.to_be_bytes()[1..]);
    }
}

impl Row {
    /// Most entries of one message.
    pub(crate) const MAX_ENTRIES: usize = (MAX_CONTROL_LEN - 38) / RowEntry::LEN;

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (from, to) = (reader.varint()?, reader.varint()?);
        let transit = match (reader.u8()?, reader.u16()?) {
            NO_TRANSIT => None,
            (_, u16::MAX) => return Err(Malformed),
            (load, delay_us) => Some(Transit { load, delay_us }),
        };
        if from > to {
            return Err(Malformed);
        }
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push(RowEntry::read(reader)?);
        }
        Ok(Row { from, to, transit, entries })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for version in [self.from, self.to] {
            put_varint(out, version);
        }
        let (load, delay) = self.transit.map_or(NO_TRANSIT, |Transit { load, delay_us }| (load, delay_us));
        out.push(load);
        out.extend_from_slice(&delay.to_be_bytes());
        self.entries.iter().for_each(|entry| entry.write(out));
    }
}

/// The highest code of a time that fits 32 bits.
const MAX_TIME: u16 = 0xafff;

/// A time as 16 bits: up to 2047 itself, above that `e` and `m` in `(2048 + m) << (e - 1)`, rounded.
fn time_code(us: u32) -> u16 {
    float(us.into(), 11).min(MAX_TIME.into()) as u16
}

fn time_of(code: u16) -> u32 {
    // No code above MAX_TIME comes here, so nothing is lost.
    unfloat(code.into(), 11) as u32
}

/// A deviation as 8 bits, as a time is 16; at most 0.5 s.
fn jitter_code(us: u32) -> u8 {
    float(us.into(), 4).min(u8::MAX.into()) as u8
}

fn jitter_of(code: u8) -> u32 {
    unfloat(code.into(), 4) as u32
}

fn float(number: u64, mantissa_bits: u32) -> u64 {
    let one = 1 << mantissa_bits;
    if number < 2 * one {
        return number;
    }
    let shift = number.ilog2() - mantissa_bits;
    // Rounding may carry into the exponent, which is right.
    let rounded = (number + (1 << shift >> 1)) >> shift;
    (u64::from(shift) << mantissa_bits) + rounded
}

fn unfloat(code: u64, mantissa_bits: u32) -> u64 {
    let one = 1 << mantissa_bits;
    match code >> mantissa_bits {
        0 => code,
        exponent => (one + code % one) << (exponent - 1),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row with a link that is up and one that is down.
    pub(crate) fn row() -> Row {
        let link = LinkLatency { fast_us: 31_992, slow_us: 32_000, jitter_us: 120, loss: 3, skew_us: 0 };
        let up = RowEntry { target: NodePrefix(9), life: 4, link: Some(link), offset_us: Some(77) };
        let down = RowEntry { target: NodePrefix(10), life: 5, link: None, offset_us: None };
        let transit = Some(Transit { load: 9, delay_us: 50 });
        Row { from: 1, to: 3, transit, entries: vec![up, down] }
    }

    fn written(row: &Row) -> Vec<u8> {
        let mut bytes = Vec::new();
        row.write(&mut bytes);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Row, Malformed> {
        Row::read(&mut Reader::new(bytes))
    }

    #[test]
    fn a_link_that_is_down_is_written_in_one_way_only() {
        let bytes = written(&row());
        assert_eq!(read(&bytes), Ok(row()));
        // The last byte of the offset, loss, jitter, and the low byte of the slow average.
        for from_end in [1, 4, 5, 6] {
            let mut other = bytes.clone();
            let at = other.len() - from_end;
            other[at] = 3;
            assert!(read(&other).is_err(), "{from_end}");
        }
    }

    #[test]
    fn a_node_that_carries_no_transit_says_so_in_one_way_only() {
        let bytes = written(&Row { transit: None, ..row() });
        assert_eq!(read(&bytes).unwrap().transit, None);
        let mut other = bytes;
        other[2] = 7;
        assert!(read(&other).is_err());
    }

    #[test]
    fn times_keep_their_order_and_are_off_by_a_fortieth_of_a_percent_at_most() {
        let mut last = 0;
        for us in (0..u64::from(u32::MAX)).step_by(999_983).chain(0..70_000).map(|us| us as u32) {
            let code = time_code(us);
            let error = f64::from(time_of(code).abs_diff(us));
            assert!(error <= f64::from(us) / 4096.0 && code <= MAX_TIME, "{us}: {error}");
            assert_eq!(time_code(time_of(code)), code);
        }
        for code in 0..=MAX_TIME {
            assert!(code == 0 || time_of(code) > last);
            last = time_of(code);
        }
        assert!(time_code(u32::MAX) == MAX_TIME && float(u64::from(u32::MAX) + 1, 11) > u64::from(MAX_TIME));
    }

    #[test]
    fn deviations_are_off_by_a_thirtieth_at_most_up_to_half_a_second() {
        for us in 0..500_000 {
            assert!(jitter_of(jitter_code(us)).abs_diff(us) <= us / 30, "{us}");
        }
        assert_eq!(jitter_of(jitter_code(u32::MAX)), jitter_of(u8::MAX));
    }
}
