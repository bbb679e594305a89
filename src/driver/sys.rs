//! The system calls no safe crate offers: taking over the descriptor of a [`tun_tap::Iface`], and setting
//! up a network interface. Nothing here decides anything; errors are the kernel's own.
#![allow(unsafe_code, reason = "the one file of the driver that calls the kernel past safe wrappers")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tun_tap::Iface;

/// Takes the descriptor out of `iface`.
pub(super) fn into_owned_fd(iface: Iface) -> OwnedFd {
    // SAFETY: `into_raw_fd` hands over an open descriptor that nothing else owns.
    unsafe { OwnedFd::from_raw_fd(iface.into_raw_fd()) }
}

/// A network interface of the calling thread's network namespace, by name.
pub(super) struct Interface {
    /// Any socket will do: the kernel takes requests about interfaces on all of them.
    control: OwnedFd,
    request: libc::ifreq,
}

impl Interface {
    /// The interface called `name`, which has at most 15 bytes. Whether it exists shows with the first
    /// request.
    pub(super) fn named(name: &str) -> io::Result<Self> {
        let control =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        // SAFETY: `ifreq` is plain old data for which all zeroes is a value.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        let room = request.ifr_name.len() - 1; // the last byte stays zero: it ends the name
        for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        Ok(Interface { control, request })
    }

    /// Sets the largest payload of a frame, in bytes, Ethernet header not included.
    pub(super) fn set_mtu(&mut self, mtu: u16) -> io::Result<()> {
        self.request.ifr_ifru.ifru_mtu = i32::from(mtu);
        self.ask(libc::SIOCSIFMTU)
    }

    /// Sets the interface up (`ip link set up`).
    pub(super) fn bring_up(&mut self) -> io::Result<()> {
        self.ask(libc::SIOCGIFFLAGS)?;
        // SAFETY: SIOCGIFFLAGS has just filled in this field of the union, and any bits are a value.
        let flags = unsafe { self.request.ifr_ifru.ifru_flags };
        self.request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
        self.ask(libc::SIOCSIFFLAGS)
    }

    fn ask(&mut self, what: libc::c_ulong) -> io::Result<()> {
        // SAFETY: `control` is open, and all requests made here read and write one `ifreq`, which lives as
        // long as the call and whose name is zero-terminated.
        let result = unsafe { libc::ioctl(self.control.as_raw_fd(), what as libc::Ioctl, &mut self.request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
