//! Counters of what the operating system did not do for the driver. What the engine drops is counted in
//! [`crate::Counters`].

use core::sync::atomic::{AtomicU64, Ordering};
use std::io;

/// Input and output errors of one driver since its start. None of them stops it; any thread may read them
/// while the driver runs.
#[derive(Debug, Default)]
pub struct IoCounters {
    send_would_block: AtomicU64,
    send_too_long: AtomicU64,
    send_unreachable: AtomicU64,
    send_failed: AtomicU64,
    receive_failed: AtomicU64,
    frame_would_block: AtomicU64,
    frame_failed: AtomicU64,
}

impl IoCounters {
    /// All counters: the name for tools, in lower case with underscores, and the value.
    ///
    /// - `io_send_would_block`: datagrams dropped because the socket's send buffer was full;
    /// - `io_send_too_long`: datagrams that do not fit the underlay's MTU;
    /// - `io_send_unreachable`: datagrams the kernel knows no route or neighbour for;
    /// - `io_send_failed`: datagrams the kernel refused for another reason, such as a firewall rule;
    /// - `io_receive_failed`: failed attempts to receive datagrams;
    /// - `io_frame_would_block`: frames dropped because the local network was not taking any more;
    /// - `io_frame_failed`: frames the local network refused, such as a TAP device that is down.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("io_send_would_block", &self.send_would_block),
            ("io_send_too_long", &self.send_too_long),
            ("io_send_unreachable", &self.send_unreachable),
            ("io_send_failed", &self.send_failed),
            ("io_receive_failed", &self.receive_failed),
            ("io_frame_would_block", &self.frame_would_block),
            ("io_frame_failed", &self.frame_failed),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.load(Ordering::Relaxed)))
    }

    /// Counts a datagram that was not sent.
    pub(super) fn send_error(&self, error: &io::Error) {
        bump(match error.kind() {
            io::ErrorKind::WouldBlock => &self.send_would_block,
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::ConnectionRefused => &self.send_unreachable,
            _ if quinn_udp::is_msg_size_err(error) => &self.send_too_long,
            _ => &self.send_failed,
        });
    }

    /// Counts a failed attempt to receive.
    pub(super) fn receive_error(&self) {
        bump(&self.receive_failed);
    }

    /// Counts a frame that was not delivered.
    pub(super) fn frame_error(&self, error: &io::Error) {
        bump(match error.kind() {
            io::ErrorKind::WouldBlock => &self.frame_would_block,
            _ => &self.frame_failed,
        });
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
