//! A model of the Internet between the sites, made of real UDP sockets on the loopback interface.
//!
//! Each attachment gets a router with a socket of its own, whose address is the one the others know. What
//! arrives at a router from another attachment is delayed by the one-way latency between the two sites and
//! then leaves, from the sender's router, to the private address behind it: a full-cone NAT at each site.
//! Links can be cut and mended. The threads live as long as the process.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leon::Time;
use leon::driver::clock;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long after its timer, which the kernel may delay by 50 us, a sleeping thread may take to run. The last
/// stretch of a delay is not slept.
const WAKE_UP: Duration = Duration::from_micros(120);

/// Number of a site.
pub(super) type SiteNo = usize;

/// The Internet. Copies are the same one.
#[derive(Clone)]
pub(super) struct Wan(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    round_trip: fn(SiteNo, SiteNo) -> Duration,
    attachments: Vec<Attachment>,
    /// Directed links that carry nothing.
    down: HashSet<(SiteNo, SiteNo)>,
    queue: BinaryHeap<Reverse<Parcel>>,
    /// Datagrams queued so far: keeps those of equal due time in order.
    count: u64,
}

struct Attachment {
    site: SiteNo,
    private: SocketAddr,
    router: Arc<UdpSocket>,
}

/// A datagram on its way. Ordered by when it is due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parcel {
    due: Time,
    number: u64,
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

impl Wan {
    /// A network in which a round trip between two sites takes `round_trip`.
    pub(super) fn new(round_trip: fn(SiteNo, SiteNo) -> Duration) -> io::Result<Wan> {
        let state = State {
            round_trip,
            attachments: Vec::new(),
            down: HashSet::new(),
            queue: BinaryHeap::new(),
            count: 0,
        };
        let wan = Wan(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }));
        let shared = Arc::clone(&wan.0);
        thread::Builder::new().name("wan".to_owned()).spawn(move || shared.deliver())?;
        Ok(wan)
    }

    /// Attaches the socket bound to `private`, which is at `site`, and returns the address at which the others
    /// reach it.
    pub(super) fn attach(&self, site: SiteNo, private: SocketAddr) -> io::Result<SocketAddr> {
        let router = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let public = router.local_addr()?;
        let mut state = self.0.state.lock();
        let number = state.attachments.len();
        state.attachments.push(Attachment { site, private, router: Arc::clone(&router) });
        let shared = Arc::clone(&self.0);
        thread::Builder::new().name("router".to_owned()).spawn(move || shared.receive(number, &router))?;
        Ok(public)
    }

    /// From now on nothing passes between the two sites. What is on its way still arrives.
    pub(super) fn cut(&self, a: SiteNo, b: SiteNo) {
        self.0.state.lock().down.extend([(a, b), (b, a)]);
    }

    /// Makes good a [`cut`](Self::cut).
    pub(super) fn mend(&self, a: SiteNo, b: SiteNo) {
        self.0.state.lock().down.retain(|&link| link != (a, b) && link != (b, a));
    }
}

impl Shared {
    /// Takes in what arrives at the router of attachment `to`.
    fn receive(&self, to: usize, router: &UdpSocket) {
        let mut buffer = [0; 1 << 16];
        loop {
            // An error of one datagram, if ever there is one, says nothing about the next.
            let Ok((length, sender)) = router.recv_from(&mut buffer) else { continue };
            let now = clock::now();
            let mut state = self.state.lock();
            let Some(from) = state.attachments.iter().position(|attachment| attachment.private == sender)
            else {
                continue;
            };
            let link = (state.attachments[from].site, state.attachments[to].site);
            if state.down.contains(&link) {
                continue;
            }
            let due = now + (state.round_trip)(link.0, link.1) / 2;
            let number = state.count;
            state.count += 1;
            state.queue.push(Reverse(Parcel { due, number, from, to, bytes: buffer[..length].to_vec() }));
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Sends every datagram when it is due.
    fn deliver(&self) {
        let mut state = self.state.lock();
        loop {
            let Some(due) = state.queue.peek().map(|Reverse(parcel)| parcel.due) else {
                self.changed.wait(&mut state);
                continue;
            };
            let wait = due.since(clock::now());
            if wait > WAKE_UP {
                self.changed.wait_for(&mut state, wait - WAKE_UP);
                continue;
            }
            if wait > Duration::ZERO {
                MutexGuard::unlocked(&mut state, thread::yield_now);
                continue;
            }
            if let Some(Reverse(parcel)) = state.queue.pop() {
                let router = Arc::clone(&state.attachments[parcel.from].router);
                let private = state.attachments[parcel.to].private;
                MutexGuard::unlocked(&mut state, || {
                    // A receiver that has gone is like one that was switched off.
                    let _ = router.send_to(&parcel.bytes, private);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(20);

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket
    }

    #[test]
    fn datagrams_take_the_latency_of_their_link_and_come_from_the_senders_public_address() {
        let wan = Wan::new(|_, _| ROUND_TRIP).unwrap();
        let (a, b) = (socket(), socket());
        let public_a = wan.attach(0, a.local_addr().unwrap()).unwrap();
        let public_b = wan.attach(1, b.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 16];
        let sent = clock::now();
        a.send_to(b"first", public_b).unwrap();
        a.send_to(b"second", public_b).unwrap();
        assert_eq!(b.recv_from(&mut buffer).unwrap(), (5, public_a));
        let took = clock::now().since(sent);
        assert!(took >= ROUND_TRIP / 2, "{took:?}");
        assert_eq!(b.recv_from(&mut buffer).unwrap(), (6, public_a));
    }

    #[test]
    fn a_cut_link_carries_nothing_until_it_is_mended() {
        let wan = Wan::new(|_, _| ROUND_TRIP).unwrap();
        let (a, b) = (socket(), socket());
        wan.attach(0, a.local_addr().unwrap()).unwrap();
        let public_b = wan.attach(1, b.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 16];
        wan.cut(1, 0);
        a.send_to(b"lost", public_b).unwrap();
        assert!(b.recv_from(&mut buffer).is_err());
        wan.mend(0, 1);
        a.send_to(b"arrives", public_b).unwrap();
        assert_eq!(b.recv_from(&mut buffer).unwrap().0, 7);
    }
}
