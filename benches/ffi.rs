//! What the C ABI costs: the same frames through the Rust call and through the C function, one by one and in batches
//! of 32, up to a sink or a callback that counts bytes.
//!
//! The ways take turns, a few microseconds each, and what is told is the median of their differences: machines are
//! never as quiet as the few nanoseconds in question.

#![allow(unsafe_code, reason = "C knows no other")]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench reads the clock and tells")]

#[path = "../tests/common/mesh.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod mesh;

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::mem::zeroed;
use std::ptr;
use std::time::Instant;

use leon::ffi::*;
use leon::{FrameIn, Segment};
use mesh::{Counting, Mesh, frame};

const LOCAL: [u8; 6] = [2, 0, 0, 0, 0, 1];
const REMOTE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const BATCH: usize = 32;
const MILLISECOND: u64 = 1_000_000;
/// Batches of one turn.
const TURN: usize = 4;
/// Turns of each way, with one pair of engines.
const ROUNDS: usize = 2000;
/// Pairs of engines, one after the other: where the allocator happens to put them is worth some nanoseconds, too.
const PLACES: usize = 15;

/// Where the datagrams of one node go.
struct Site {
    /// They are kept, not only counted.
    keeps: Cell<bool>,
    sent: RefCell<Vec<Vec<u8>>>,
    bytes: Cell<usize>,
}

/// Two engines behind the C ABI that have found each other.
struct Pair {
    engines: [*mut leon_engine; 2],
    forwarders: [*mut leon_forwarder; 2],
    sites: [Box<Site>; 2],
    now: u64,
}

unsafe extern "C" fn take(site: *mut c_void, datagrams: *const leon_datagram_out, count: usize) {
    // SAFETY: what the header promises a callback.
    let (site, datagrams) = unsafe { (&*site.cast::<Site>(), std::slice::from_raw_parts(datagrams, count)) };
    if !site.keeps.get() {
        let bytes: usize = datagrams.iter().map(|datagram| datagram.len).sum();
        site.bytes.set(site.bytes.get() + bytes);
        return;
    }
    for datagram in datagrams {
        // SAFETY: as above.
        let pieces = unsafe { std::slice::from_raw_parts(datagram.iov, datagram.iov_count) };
        // SAFETY: as above.
        let bytes = |piece: &leon_iov| unsafe { std::slice::from_raw_parts(piece.data, piece.len) }.to_vec();
        site.sent.borrow_mut().push(pieces.iter().flat_map(bytes).collect());
    }
}

unsafe extern "C" fn ignore(_: *mut c_void, _: *const leon_frame_out, _: usize) {}

fn check(status: leon_status) {
    assert_eq!(status, LEON_OK);
}

fn address(node: usize) -> leon_address {
    let mut address = leon_address { ip: [0; 16], port: 4789, version: 4, reserved: 0, scope_id: 0 };
    address.ip[..4].copy_from_slice(&[192, 0, 2, node as u8 + 1]);
    address
}

impl Pair {
    fn new() -> Self {
        let site =
            || Box::new(Site { keeps: Cell::new(true), sent: RefCell::default(), bytes: Cell::new(0) });
        let mut pair = Pair {
            engines: [ptr::null_mut(); 2],
            forwarders: [ptr::null_mut(); 2],
            sites: [site(), site()],
            now: MILLISECOND,
        };
        for node in 0..2 {
            pair.start(node);
        }
        for _ in 0..5000 {
            pair.step();
        }
        pair
    }

    fn start(&mut self, node: usize) {
        let name = CString::new(format!("site{node}")).expect("no NUL in it");
        let (secret, network) = (leon_key { bytes: [node as u8 + 1; 32] }, leon_key { bytes: [0x6b; 32] });
        let seed = address(0);
        // SAFETY: zero is a value of every field.
        let (mut config, mut callbacks): (leon_config, leon_callbacks) = unsafe { (zeroed(), zeroed()) };
        config.struct_size = size_of::<leon_config>() as u32;
        config.name = name.as_ptr();
        config.locator = address(node);
        (config.seeds, config.seed_count) = (&raw const seed, 1);
        (config.secret_key, config.network_key, config.entropy) =
            (&raw const secret, &raw const network, &raw const secret);
        (config.relay_limit, config.flood_limit, config.incarnation) = (1_000_000_000, 1_000_000_000, 1);
        callbacks.struct_size = size_of::<leon_callbacks>() as u32;
        callbacks.user_data = (&raw mut *self.sites[node]).cast();
        callbacks.datagrams_out = Some(take);
        callbacks.frames_out = Some(ignore);
        // SAFETY: all of it is there until the call returns.
        unsafe {
            check(leon_engine_new_abi(
                LEON_ABI_VERSION,
                &raw const config,
                &raw const callbacks,
                self.now,
                &raw mut self.engines[node],
                ptr::null_mut(),
                0,
            ));
            check(leon_forwarder_new(
                self.engines[node],
                callbacks.user_data,
                &raw mut self.forwarders[node],
            ));
            check(leon_engine_join(self.engines[node], self.now));
        }
    }

    /// Hands over what has been sent, and lets a millisecond pass.
    fn step(&mut self) {
        for node in 0..2 {
            for bytes in self.sites[node].sent.take() {
                self.hand(node, bytes);
            }
            // SAFETY: the engine is there.
            check(unsafe { leon_engine_timer(self.engines[node], self.now) });
        }
        self.now += MILLISECOND;
    }

    fn hand(&self, from: usize, mut bytes: Vec<u8>) {
        let mut datagram = leon_datagram_in {
            data: bytes.as_mut_ptr(),
            len: bytes.len(),
            received_at: 0,
            from: address(from),
            segment_size: 0,
            reserved: 0,
            dropped: 0,
        };
        // SAFETY: the datagram is there until the call returns.
        check(unsafe { leon_forwarder_datagram_in(self.forwarders[1 - from], self.now, &raw mut datagram) });
    }
}

type FrameCall = unsafe extern "C" fn(*mut leon_forwarder, leon_time, *mut leon_frame_in) -> leon_status;
type FramesCall = unsafe extern "C" fn(
    *mut leon_forwarder,
    leon_time,
    *mut leon_frame_in,
    usize,
    *mut usize,
) -> leon_status;

fn frame_of(bytes: &mut [u8]) -> leon_frame_in {
    leon_frame_in {
        data: bytes.as_mut_ptr(),
        len: bytes.len(),
        rest: ptr::null(),
        rest_count: 0,
        segment: 0,
        flags: 0,
        dropped: 0,
        reserved: 0,
    }
}

/// A batch of frames, the same memory for all ways. Sealing changes them: the addresses are written anew before each
/// call, and the rest is what the last round has made of it, as ciphertext seals as well as text.
struct Frames {
    frames: Vec<Vec<u8>>,
    front: [u8; 14],
}

impl Frames {
    fn new(len: usize) -> Self {
        let frames: Vec<_> = (0..BATCH).map(|_| frame(REMOTE, LOCAL, len)).collect();
        let front = *frames[0].first_chunk().expect("it is longer");
        Frames { frames, front }
    }

    /// Makes all of them ready for a call.
    fn all(&mut self) -> &mut [Vec<u8>] {
        for bytes in &mut self.frames {
            bytes[..14].copy_from_slice(&self.front);
        }
        &mut self.frames
    }

    /// Makes the first ready for a call.
    fn first(&mut self) -> &mut Vec<u8> {
        self.frames[0][..14].copy_from_slice(&self.front);
        &mut self.frames[0]
    }
}

/// What is measured with frames of one length.
struct Bench {
    mesh: Mesh,
    sink: Counting,
    pair: Pair,
    frames: Frames,
    items: Vec<leon_frame_in>,
    // Behind pointers that are not known: as a call into a library is.
    single: FrameCall,
    many: FramesCall,
}

/// One way to hand in [`BATCH`] frames.
type Way = (&'static str, fn(&mut Bench));

/// The ways in pairs, whose difference is what the C ABI costs.
const PAIRS: [[Way; 2]; 2] = [
    [("Rust, one frame", Bench::rust_one), ("C, one frame", Bench::c_one)],
    [("Rust, 32 frames", Bench::rust_many), ("C, batch of 32", Bench::c_many)],
];

impl Bench {
    fn new(len: usize) -> Self {
        let mut mesh = Mesh::new(2);
        mesh.introduce(REMOTE, 1, 0);
        let mut pair = Pair::new();
        let mut broadcast = frame([0xff; 6], REMOTE, 60);
        // SAFETY: the frame is there until the call returns.
        check(unsafe {
            leon_forwarder_frame_in(pair.forwarders[1], pair.now, &mut frame_of(&mut broadcast))
        });
        pair.step();
        pair.sites[0].keeps.set(false);
        let mut frames = Frames::new(len);
        let items = frames.frames.iter_mut().map(|bytes| frame_of(bytes)).collect();
        let single = black_box(leon_forwarder_frame_in as FrameCall);
        let many = black_box(leon_forwarder_frames_in as FramesCall);
        Bench { mesh, sink: Counting::default(), pair, frames, items, single, many }
    }

    fn rust_one(&mut self) {
        for _ in 0..BATCH {
            let frame = FrameIn { segment: Segment::DEFAULT, bytes: self.frames.first() };
            self.mesh.forwarders[0].frame_in(self.mesh.now, frame, &mut self.sink);
        }
    }

    fn c_one(&mut self) {
        for _ in 0..BATCH {
            self.frames.first();
            // SAFETY: the frame is there until the call returns.
            check(unsafe { (self.single)(self.pair.forwarders[0], self.pair.now, &raw mut self.items[0]) });
        }
    }

    fn rust_many(&mut self) {
        for bytes in self.frames.all() {
            let frame = FrameIn { segment: Segment::DEFAULT, bytes };
            self.mesh.forwarders[0].frame_in(self.mesh.now, frame, &mut self.sink);
        }
    }

    fn c_many(&mut self) {
        self.frames.all();
        let (forwarder, items) = (self.pair.forwarders[0], self.items.as_mut_ptr());
        // SAFETY: the frames are there until the call returns.
        check(unsafe { (self.many)(forwarder, self.pair.now, items, BATCH, ptr::null_mut()) });
    }

    /// Nanoseconds that a frame takes.
    fn time(&mut self, way: fn(&mut Bench)) -> f64 {
        let start = Instant::now();
        for _ in 0..TURN {
            way(self);
        }
        start.elapsed().as_nanos() as f64 / (TURN * BATCH) as f64
    }
}

fn median(times: &[[f64; 2]], of: impl Fn(&[f64; 2]) -> f64) -> f64 {
    let mut values: Vec<f64> = times.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times of both ways of each pair, by turns.
fn measure(len: usize, places: usize, rounds: usize) -> [Vec<[f64; 2]>; PAIRS.len()] {
    let mut times = PAIRS.map(|_| Vec::new());
    // Kept until the end, so that each finds other memory.
    let mut benches: Vec<Bench> = Vec::new();
    for _ in 0..places {
        let mut bench = Bench::new(len);
        for (pair, times) in PAIRS.iter().zip(&mut times) {
            times.extend((0..rounds).map(|_| pair.map(|(_, way)| bench.time(way))));
        }
        assert_eq!(bench.pair.sites[0].bytes.get(), bench.sink.bytes, "both ways have sent the same");
        assert!(bench.items.iter().all(|item| item.dropped == LEON_COUNTER_NONE));
        benches.push(bench);
    }
    times
}

fn main() {
    // As for criterion: `cargo bench -- --test` only asks whether all of this runs.
    let is_test = std::env::args().any(|arg| arg == "--test");
    let (places, rounds) = if is_test { (1, 1) } else { (PLACES, ROUNDS) };
    for len in [64, 1400] {
        for ([(rust, _), (c, _)], times) in PAIRS.iter().zip(measure(len, places, rounds)) {
            let in_rust = median(&times, |[in_rust, _]| *in_rust);
            let in_c = median(&times, |[_, in_c]| *in_c);
            let more = median(&times, |[in_rust, in_c]| in_c - in_rust);
            println!(
                "{len:4} bytes: {rust} {in_rust:5.1} ns, {c} {in_c:5.1} ns a frame: {more:+5.1} ns, {:.2} times",
                in_c / in_rust
            );
        }
    }
}
