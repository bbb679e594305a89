//! What applications on the hosts do: a TCP transfer and a UDP broadcast.

use std::hash::Hasher;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::host::Host;

const PORT: u16 = 5001;
/// Nothing here takes that long; it is what ends a broken test.
const STUCK: Duration = Duration::from_secs(30);
/// Far longer than any path of these worlds.
const QUIET: Duration = Duration::from_millis(300);

/// Sends `bytes` random bytes from one host to another and compares the 128-bit checksums of both ends.
pub(crate) fn tcp(from: &Host, to: &Host, bytes: usize) {
    let listener = to.inside(|| TcpListener::bind((to.address, PORT))).expect("the host's own address");
    let start = Instant::now();
    let (sent, received) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&listener));
        let sent = from.inside(|| send(to.address, bytes));
        (sent, receiver.join().expect("the receiver reads to the end"))
    });
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{bytes} bytes in {seconds:.2} s, {:.1} Mbit/s", bytes as f64 * 8e-6 / seconds);
    assert_eq!(received, (bytes, sent));
}

fn send(to: Ipv4Addr, bytes: usize) -> u128 {
    let mut stream = TcpStream::connect((to, PORT)).expect("the listener waits");
    stream.set_write_timeout(Some(STUCK)).expect("a valid timeout");
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut checksum = SipHasher24::new();
    let mut data = vec![0; bytes];
    random.fill_bytes(&mut data);
    checksum.write(&data);
    stream.write_all(&data).expect("the connection stands");
    stream.shutdown(Shutdown::Write).expect("the connection stands");
    // The receiver closes when it has all of it.
    stream.set_read_timeout(Some(STUCK)).expect("a valid timeout");
    assert_eq!(stream.read(&mut [0]).expect("the connection ends in order"), 0);
    checksum.finish128().as_u128()
}

/// Accepts one connection and reads it to its end: how many bytes, and their checksum.
fn receive(listener: &TcpListener) -> (usize, u128) {
    let (mut stream, _) = listener.accept().expect("the sender connects");
    stream.set_read_timeout(Some(STUCK)).expect("a valid timeout");
    let mut data = Vec::new();
    stream.read_to_end(&mut data).expect("the connection ends in order");
    let mut checksum = SipHasher24::new();
    checksum.write(&data);
    (data.len(), checksum.finish128().as_u128())
}

/// Sends one datagram to the broadcast address; each of the others has to get it exactly once.
pub(crate) fn broadcast(from: &Host, others: &[&Host]) {
    let bind =
        |host: &Host| host.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))).expect("a free port");
    let receivers: Vec<UdpSocket> = others.iter().map(|host| bind(host)).collect();
    let sender = bind(from);
    sender.set_broadcast(true).expect("UDP can broadcast");
    let message = format!("from {}", from.address);
    sender.send_to(message.as_bytes(), ("192.168.77.255", PORT)).expect("the host has a broadcast address");
    for (host, receiver) in others.iter().zip(receivers) {
        let mut buffer = [0; 64];
        receiver.set_read_timeout(Some(STUCK)).expect("a valid timeout");
        let (length, sender) = receiver.recv_from(&mut buffer).expect("the broadcast arrives");
        assert_eq!((&buffer[..length], sender.ip()), (message.as_bytes(), from.address.into()));
        receiver.set_read_timeout(Some(QUIET)).expect("a valid timeout");
        let again = receiver.recv(&mut buffer).expect_err("one copy is enough").kind();
        assert!(matches!(again, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{}: {again}", host.address);
    }
}
