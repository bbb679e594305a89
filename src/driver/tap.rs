//! TAP devices: the place where the frames of the local network enter and leave.
//!
//! Opens one queue without offloads through `tun-tap`, sets its MTU and brings it up. Knows nothing of
//! engines; reading and writing is the port's job.

use std::io;
use std::os::fd::OwnedFd;

use tun_tap::{Iface, Mode};

use crate::driver::sys;

/// Longest name of a network interface, in bytes (`IFNAMSIZ` without its terminating zero).
const MAX_INTERFACE_NAME: usize = 15;

/// Why a TAP device cannot be used. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// The kernel allows no interface of this name.
    #[error(
        "{0:?} cannot name a TAP device: use 1 to {MAX_INTERFACE_NAME} bytes without spaces, '/', ':' and '%'"
    )]
    Name(String),
    /// The process may not create or attach to network devices.
    #[error("opening TAP device {0} needs CAP_NET_ADMIN: run as root, or grant the capability")]
    Permission(String),
    /// The kernel's TUN/TAP driver cannot be reached.
    #[error(
        "there is no usable /dev/net/tun: load the module (modprobe tun), or pass the device into the container"
    )]
    NoDriver,
    /// Somebody else has the device open.
    #[error("TAP device {0} is in use by another process: stop that process, or choose another device")]
    Busy(String),
    /// The device exists but is not a TAP device with one queue.
    #[error(
        "network device {0} exists but is not a TAP device with a single queue: choose another name, or create the \
         device anew without multi_queue"
    )]
    WrongKind(String),
    /// The kernel does not accept the MTU.
    #[error("TAP device {name} does not accept an MTU of {mtu} bytes: choose one from 68 to 65521")]
    Mtu {
        /// The device.
        name: String,
        /// The MTU asked for, in bytes.
        mtu: u16,
    },
    /// Any other refusal of the kernel.
    #[error("cannot {action} TAP device {name}: {error}")]
    Other {
        /// What was tried.
        action: &'static str,
        /// The device.
        name: String,
        /// The kernel's answer.
        error: io::Error,
    },
}

/// An open TAP device that is up. A device this call created vanishes when the value is dropped; a
/// persistent one, which may be a port of a bridge, stays.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    name: String,
}

impl Tap {
    /// Creates the TAP device `name`, or attaches to the persistent one of that name, sets its MTU to
    /// `mtu` bytes (Ethernet header not included) and brings it up.
    ///
    /// The device belongs to the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// See [`TapError`]. If the MTU or the state cannot be set, the device is closed again.
    pub fn open(name: &str, mtu: u16) -> Result<Tap, TapError> {
        if !is_interface_name(name) {
            return Err(TapError::Name(name.to_owned()));
        }
        let iface = Iface::without_packet_info(name, Mode::Tap).map_err(|error| open_error(name, error))?;
        let other = |action| move |error| TapError::Other { action, name: name.to_owned(), error };
        iface.set_non_blocking().map_err(other("set up"))?;
        let tap = Tap { name: iface.name().to_owned(), fd: sys::into_owned_fd(iface) };
        let mut interface = sys::Interface::named(&tap.name).map_err(other("set up"))?;
        interface.set_mtu(mtu).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => TapError::Mtu { name: name.to_owned(), mtu },
            _ => other("set the MTU of")(error),
        })?;
        interface.bring_up().map_err(other("bring up"))?;
        Ok(tap)
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// What the kernel accepts (`dev_valid_name`), less `%`, which would make it invent a name.
fn is_interface_name(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| matches!(c, '/' | ':' | '%' | '\0') || c.is_whitespace())
}

fn open_error(name: &str, error: io::Error) -> TapError {
    let name = name.to_owned();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TapError::Permission(name),
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver,
        Some(libc::EBUSY) => TapError::Busy(name),
        Some(libc::EINVAL) => TapError::WrongKind(name),
        _ => TapError::Other { action: "open", name, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_cut_or_refuse_are_refused_first() {
        for name in ["", "sixteen-bytes-xx", "a/b", "a b", "a\0b", "a:b", "tap%d", ".", ".."] {
            assert!(matches!(Tap::open(name, 1400), Err(TapError::Name(_))), "{name:?}");
        }
        assert!(is_interface_name("fifteen-bytes-x"));
    }

    #[test]
    fn every_refusal_of_the_kernel_says_what_to_do() {
        let says = |errno| open_error("leon0", io::Error::from_raw_os_error(errno)).to_string();
        assert!(says(libc::EPERM).contains("run as root"));
        assert!(says(libc::ENOENT).contains("modprobe tun"));
        assert!(says(libc::EBUSY).contains("in use by another process"));
        assert!(says(libc::EINVAL).contains("without multi_queue"));
    }
}
