//! The NIC of a virtual machine as a hypervisor connects it: a stream with lengths, or datagrams; and frames for it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use crate::AT_ONCE;

/// The hypervisor's end.
pub(crate) enum Nic {
    Stream(UnixStream),
    Datagram(UnixDatagram, PathBuf),
}

/// A frame of `len` bytes between the hosts 02:00:00:00:00:xx; 0xff is all of them.
pub(crate) fn frame(to: u8, from: u8, len: usize) -> Vec<u8> {
    let head = if to == 0xff { [0xff; 6] } else { [2, 0, 0, 0, 0, to] };
    let ends = [&head[..], &[2, 0, 0, 0, 0, from], &[0x88, 0xb5]].concat();
    ends.into_iter().chain((14..len).map(|n| (n % 251) as u8)).collect()
}

impl Nic {
    pub(crate) fn stream(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the agent listens");
        stream.set_read_timeout(Some(AT_ONCE)).expect("a valid timeout");
        Nic::Stream(stream)
    }

    pub(crate) fn datagram(agent: &Path, own: &Path) -> Self {
        let socket = UnixDatagram::bind(own).expect("a fresh path");
        socket.set_read_timeout(Some(AT_ONCE)).expect("a valid timeout");
        Nic::Datagram(socket, agent.to_owned())
    }

    /// A frame as it stands in a stream.
    pub(crate) fn framed(frame: &[u8]) -> Vec<u8> {
        let len = u32::try_from(frame.len()).expect("frames are short");
        [&len.to_be_bytes()[..], frame].concat()
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        match self {
            Nic::Stream(_) => self.write(&Self::framed(frame)),
            Nic::Datagram(socket, agent) => {
                socket.send_to(frame, agent).expect("the agent's socket is there");
            }
        }
    }

    /// Writes bytes into the stream as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let Nic::Stream(stream) = self else { unreachable!("datagrams are no stream") };
        stream.write_all(bytes).expect("the agent reads");
    }

    /// Waits for the next frame.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive().expect("a frame arrives in time")
    }

    /// All frames that are there.
    pub(crate) fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            self.set_nonblocking(true);
            let Ok(frame) = self.try_receive() else { break };
            frames.push(frame);
        }
        self.set_nonblocking(false);
        frames
    }

    /// True if no frame is there.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.drain().is_empty()
    }

    /// Waits for the end of the stream; false if something else comes.
    pub(crate) fn is_closed(&mut self) -> bool {
        let Nic::Stream(stream) = self else { unreachable!("datagrams have no end") };
        match stream.read(&mut [0]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    fn try_receive(&mut self) -> std::io::Result<Vec<u8>> {
        match self {
            Nic::Stream(stream) => {
                let mut len = [0; 4];
                stream.read_exact(&mut len[..1])?;
                // The rest of it is on its way.
                stream.set_nonblocking(false)?;
                stream.read_exact(&mut len[1..])?;
                let mut frame = vec![0; u32::from_be_bytes(len) as usize];
                stream.read_exact(&mut frame)?;
                Ok(frame)
            }
            Nic::Datagram(socket, _) => {
                let mut frame = vec![0; 1 << 16];
                let len = socket.recv(&mut frame)?;
                frame.truncate(len);
                Ok(frame)
            }
        }
    }

    fn set_nonblocking(&self, value: bool) {
        match self {
            Nic::Stream(stream) => stream.set_nonblocking(value),
            Nic::Datagram(socket, _) => socket.set_nonblocking(value),
        }
        .expect("a socket can be told not to wait");
    }
}
