//! What the hosts send: UDP broadcasts, TCP, and frames that the test makes itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use tun_tap::{Iface, Mode};

use crate::site::{Host, Site};

const PORT: u16 = 5001;
/// Nothing here takes that long; it is what ends a broken test.
const STUCK: Duration = Duration::from_secs(30);

/// The EtherType for local experiments (IEEE 802): nobody else sends such frames.
const EXPERIMENT: u16 = 0x88b5;

/// Has each host of each pair broadcast to the other, several times; each has to get that, and nothing else first.
/// All take the same way to a site, in order: what strays off its segment arrives before what is sent after it.
pub(crate) fn broadcasts(pairs: &[[&Host; 2]]) {
    let bind = |host: &&Host| {
        let socket = host.ns.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))).expect("a free port");
        socket.set_broadcast(true).expect("UDP can broadcast");
        socket.set_read_timeout(Some(STUCK)).expect("a valid timeout");
        socket
    };
    let sockets: Vec<[UdpSocket; 2]> = pairs.iter().map(|pair| pair.each_ref().map(bind)).collect();
    for round in 0..3 {
        for (hosts, [near, far]) in pairs.iter().zip(&sockets) {
            for (host, from, to) in [(hosts[0], near, far), (hosts[1], far, near)] {
                let message = format!("round {round} from {}", host.mac);
                from.send_to(message.as_bytes(), ("192.168.77.255", PORT))
                    .expect("it has a broadcast address");
                // Linux gives a broadcast to the sender's own sockets too.
                for socket in [from, to] {
                    let mut buffer = [0; 64];
                    let length = socket.recv(&mut buffer).expect("the broadcast arrives");
                    assert_eq!(String::from_utf8_lossy(&buffer[..length]), message);
                }
            }
        }
    }
}

/// Sends so many bytes from one host to another, which counts them.
pub(crate) fn tcp(from: &Host, to: &Host, bytes: usize) {
    let listener = to.ns.inside(|| TcpListener::bind((to.address, PORT))).expect("the host's own address");
    let receive = || {
        let (mut stream, _) = listener.accept().expect("the sender connects");
        stream.set_read_timeout(Some(STUCK)).expect("a valid timeout");
        let mut data = Vec::new();
        stream.read_to_end(&mut data).expect("the connection ends in order");
        data.len()
    };
    let send = || {
        let mut stream = TcpStream::connect((to.address, PORT)).expect("the listener waits");
        stream.set_write_timeout(Some(STUCK)).expect("a valid timeout");
        stream.write_all(&vec![7; bytes]).expect("the connection stands");
        stream.shutdown(Shutdown::Write).expect("the connection stands");
    };
    let received = std::thread::scope(|scope| {
        let receiver = scope.spawn(receive);
        from.ns.inside(send);
        receiver.join().expect("the receiver reads to the end")
    });
    assert_eq!(received, bytes);
}

/// The test itself at a port of a switch: it sends and gets whole frames, without an IP stack.
pub(crate) struct Plug {
    device: Iface,
    number: u8,
}

impl Plug {
    /// Plugs it in; `settings` are those of the port in the Open vSwitch database.
    pub(crate) fn new(site: &Site, number: u8, settings: &str) -> Self {
        let name = format!("plug{number}");
        let device =
            site.ns.inside(|| Iface::without_packet_info(&name, Mode::Tap)).expect("root may open a TAP");
        device.set_non_blocking().expect("a TAP can be");
        site.ns.ip(&format!("link set {name} up"));
        site.switch.vsctl(&format!("add-port br0 {name} {settings}"));
        Self { device, number }
    }

    /// Broadcasts a text, behind these bytes of tags.
    pub(crate) fn send(&self, tags: &[u8], text: &str) {
        let source = [0x02, 0x66, 0, 0, 0, self.number];
        let frame = [&[0xff; 6], &source[..], tags, &EXPERIMENT.to_be_bytes(), text.as_bytes()].concat();
        assert_eq!(self.device.send(&frame).expect("the device is up"), frame.len());
    }

    /// The texts that have come since the last call, if their frames have no tag.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut buffer = [0; 2048];
        let mut texts = Vec::new();
        while let Ok(length) = self.device.recv(&mut buffer) {
            if let Some(text) = buffer[12..length].strip_prefix(&EXPERIMENT.to_be_bytes()) {
                texts.push(String::from_utf8_lossy(text).into_owned());
            }
        }
        texts
    }

    /// Fails unless a text of its own gets through to another; with what came instead.
    pub(crate) fn reaches(&self, to: &Plug) -> Result<(), String> {
        let text = format!("from {}", self.number);
        self.send(&[], &text);
        let texts = to.texts();
        if texts.contains(&text) { Ok(()) } else { Err(format!("{texts:?}")) }
    }
}
