//! The wide area network between the sites, emulated in user space, since a kernel without netem has to do.
//!
//! Each site has a TUN device. What a site sends is read from its device, waits in one queue until the
//! one-way delay of that pair has passed, and is written to the device of the site that owns the destination
//! address. A site may have a router that translates addresses in front of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tun_tap::{Iface, Mode};

use crate::namespace::{Handle, Namespace};
use crate::nat;

const DEVICE: &str = "wan0";
/// Packets under way at once; what exceeds this is dropped, as a router would.
const QUEUE: usize = 16_384;

/// The emulator; dropping it removes the devices and ends its threads.
pub(crate) struct Wan {
    sites: Vec<Handle>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    devices: Vec<Iface>,
    state: Mutex<State>,
    /// Signalled when the earliest packet changed or the emulator closes.
    changed: Condvar,
}

struct State {
    /// By sender, then receiver.
    links: Vec<Vec<Link>>,
    /// By site: where its UDP seems to come from, if that is translated, and where it really does.
    translations: Vec<Option<(SocketAddrV4, SocketAddrV4)>>,
    /// Earliest first.
    queue: BinaryHeap<Reverse<Packet>>,
    sequence: u64,
    overflowed: u64,
    random: ChaCha8Rng,
    closed: bool,
}

/// One direction between two sites.
#[derive(Clone, Copy, Default)]
struct Link {
    delay: Duration,
    cut: bool,
    /// 0 to 1.
    loss: f64,
}

/// Ordered by due time; the sequence number keeps packets due at the same time in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Instant,
    sequence: u64,
    to: usize,
    bytes: Vec<u8>,
}

/// The IPv4 address of site `site` (counted from 0) on the wide area network.
pub(crate) fn v4(site: usize) -> IpAddr {
    Ipv4Addr::new(10, 99, 0, number(site)).into()
}

/// The IPv6 address of site `site` (counted from 0) on the wide area network.
pub(crate) fn v6(site: usize) -> IpAddr {
    Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, number(site).into()).into()
}

fn number(site: usize) -> u8 {
    u8::try_from(site + 1).expect("at most 255 sites")
}

impl Wan {
    /// Connects the namespaces. Delay and loss are zero until set.
    pub(crate) fn new(sites: &[&Namespace]) -> Self {
        let handles: Vec<Handle> = sites.iter().map(|site| site.handle()).collect();
        let devices = handles.iter().enumerate().map(|(site, handle)| open_device(handle, site)).collect();
        let state = State {
            links: vec![vec![Link::default(); sites.len()]; sites.len()],
            translations: vec![None; sites.len()],
            queue: BinaryHeap::new(),
            sequence: 0,
            overflowed: 0,
            random: ChaCha8Rng::seed_from_u64(1),
            closed: false,
        };
        let shared = Arc::new(Shared { devices, state: Mutex::new(state), changed: Condvar::new() });
        let mut threads = Vec::new();
        for site in 0..sites.len() {
            let shared = shared.clone();
            threads.push(std::thread::spawn(move || shared.read(site)));
        }
        let scheduler = shared.clone();
        threads.push(std::thread::spawn(move || scheduler.deliver()));
        Self { sites: handles, shared, threads }
    }

    /// Sets the round trip time of a pair, half of it each way.
    pub(crate) fn set_rtt(&self, a: usize, b: usize, ms: f64) {
        let delay = Duration::from_secs_f64(ms / 2000.0);
        self.set(a, b, |link| link.delay = delay);
        self.set(b, a, |link| link.delay = delay);
    }

    /// Loses this share of the packets from one site to another.
    pub(crate) fn set_loss(&self, from: usize, to: usize, share: f64) {
        self.set(from, to, |link| link.loss = share);
    }

    /// Cuts one direction. Packets already under way still arrive.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.set(from, to, |link| link.cut = true);
    }

    pub(crate) fn mend(&self, from: usize, to: usize) {
        self.set(from, to, |link| link.cut = false);
    }

    /// Puts a router in front of a site, which makes all UDP of the site's port `port` come from `seen`. Who
    /// sends to an address at which the site was seen before, or to its own one, does not reach it.
    pub(crate) fn translate(&self, site: usize, port: u16, seen: SocketAddrV4) {
        let IpAddr::V4(own) = v4(site) else { unreachable!("it is IPv4") };
        self.shared.lock().translations[site] = Some((seen, SocketAddrV4::new(own, port)));
    }

    fn set(&self, from: usize, to: usize, change: impl FnOnce(&mut Link)) {
        change(&mut self.shared.lock().links[from][to]);
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        // A reader blocks in read(); that its device is gone ends the read with an error.
        for site in &self.sites {
            let _ = site.inside(|| Command::new("ip").args(["link", "del", DEVICE]).status());
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let overflowed = self.shared.lock().overflowed;
        if overflowed > 0 {
            eprintln!("wan: dropped {overflowed} packets, its queue was full");
        }
    }
}

/// The device belongs to the namespace in which it is opened; its file descriptor works anywhere.
fn open_device(site: &Handle, index: usize) -> Iface {
    let device =
        site.inside(|| Iface::without_packet_info(DEVICE, Mode::Tun)).expect("root may open a TUN device");
    site.sysctl(&format!("net/ipv6/conf/{DEVICE}/disable_ipv6"), "0");
    site.ip(&format!("link set {DEVICE} addrgenmode none txqueuelen 4096 up"));
    site.ip(&format!("address add {}/24 dev {DEVICE}", v4(index)));
    site.ip(&format!("address add {}/64 dev {DEVICE} nodad", v6(index)));
    device
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Takes what site `from` sends, until its device is gone.
    fn read(&self, from: usize) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.devices[from].recv(&mut buffer) {
            let now = Instant::now();
            let packet = &mut buffer[..length];
            let mut state = self.lock();
            let Some(to) = state.receiver(from, packet) else { continue };
            let is_earliest = state.push(from, to, now, packet);
            drop(state);
            if is_earliest {
                self.changed.notify_one();
            }
        }
    }

    /// Writes every packet to its receiver when it is due, until the emulator closes.
    fn deliver(&self) {
        let mut state = self.lock();
        while !state.closed {
            let wait = state.queue.peek().map(|next| next.0.due.saturating_duration_since(Instant::now()));
            state = match wait {
                None => self.changed.wait(state).expect("no holder of this lock panics"),
                Some(Duration::ZERO) => {
                    let Reverse(packet) = state.queue.pop().expect("it was just seen");
                    drop(state);
                    // An error means that the device is down: the packet is lost.
                    let _ = self.devices[packet.to].send(&packet.bytes);
                    self.lock()
                }
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).expect("no holder of this lock panics").0
                }
            };
        }
    }
}

impl State {
    /// The site that gets a packet, whose addresses are translated on the way; none for multicast and strangers.
    fn receiver(&self, from: usize, packet: &mut [u8]) -> Option<usize> {
        let is_udp = nat::is_udp(packet);
        if is_udp && let Some((seen, _)) = self.translations[from] {
            nat::set_source(packet, seen);
        }
        let destination: IpAddr = match packet.first()? >> 4 {
            4 if is_udp => {
                let seen_at = nat::destination(packet);
                let is_there = |translation: &Option<(SocketAddrV4, SocketAddrV4)>| {
                    translation.is_some_and(|(seen, _)| seen == seen_at)
                };
                if let Some(to) = self.translations.iter().position(is_there) {
                    nat::set_destination(packet, self.translations[to]?.1);
                    return Some(to);
                }
                (*seen_at.ip()).into()
            }
            4 => <[u8; 4]>::try_from(packet.get(16..20)?).ok()?.into(),
            6 => <[u8; 16]>::try_from(packet.get(24..40)?).ok()?.into(),
            _ => return None,
        };
        let owns = |site: &usize| destination == v4(*site) || destination == v6(*site);
        let to = (0..self.links.len()).find(owns)?;
        (!is_udp || self.translations[to].is_none()).then_some(to)
    }

    /// Queues a packet unless the link loses it; tells whether it is the next one due.
    fn push(&mut self, from: usize, to: usize, now: Instant, bytes: &[u8]) -> bool {
        let link = self.links[from][to];
        // The upper 53 bits fill the mantissa: a number from 0 to 1.
        let lost = ((self.random.next_u64() >> 11) as f64) < link.loss * (1_u64 << 53) as f64;
        if link.cut || lost {
            return false;
        }
        if self.queue.len() == QUEUE {
            self.overflowed += 1;
            return false;
        }
        self.sequence += 1;
        let due = now + link.delay;
        let is_earliest = self.queue.peek().is_none_or(|next| due < next.0.due);
        self.queue.push(Reverse(Packet { due, sequence: self.sequence, to, bytes: bytes.to_vec() }));
        is_earliest
    }
}
