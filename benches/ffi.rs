//! What the C ABI costs: the same frame through the Rust call, through the C function, and through the C function in
//! batches of 32, up to a callback that counts bytes.

#![allow(unsafe_code, reason = "C knows no other")]

#[path = "../tests/common/mesh.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod mesh;

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::mem::zeroed;
use std::ptr;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leon::ffi::*;
use leon::{FrameIn, Segment};
use mesh::{Counting, Mesh, frame};

const LOCAL: [u8; 6] = [2, 0, 0, 0, 0, 1];
const REMOTE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const BATCH: usize = 32;
const MILLISECOND: u64 = 1_000_000;

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

fn frame_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame in to datagram out");
    for len in [64, 1400] {
        let mut mesh = Mesh::new(2);
        mesh.introduce(REMOTE, 1, 0);
        let mut bytes = frame(REMOTE, LOCAL, len);
        let front = bytes[..14].to_vec();
        let mut sink = Counting::default();
        let now = mesh.now;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("Rust", len), |bencher| {
            bencher.iter(|| {
                bytes[..14].copy_from_slice(&front);
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut bytes };
                mesh.forwarders[0].frame_in(now, frame, &mut sink)
            });
        });
        let mut pair = Pair::new();
        let mut broadcast = frame([0xff; 6], REMOTE, 60);
        // SAFETY: the frame is there until the call returns.
        check(unsafe {
            leon_forwarder_frame_in(pair.forwarders[1], pair.now, &mut frame_of(&mut broadcast))
        });
        pair.step();
        pair.sites[0].keeps.set(false);
        // Behind a pointer that is not known: as a call into a library is.
        let single = black_box(leon_forwarder_frame_in as FrameCall);
        let many = black_box(leon_forwarder_frames_in as FramesCall);
        let forwarder = pair.forwarders[0];
        let mut item = frame_of(&mut bytes);
        group.bench_function(BenchmarkId::new("C", len), |bencher| {
            bencher.iter(|| {
                bytes[..14].copy_from_slice(&front);
                // SAFETY: the frame is there until the call returns.
                unsafe { single(forwarder, pair.now, &raw mut item) }
            });
        });
        assert_eq!(item.dropped, LEON_COUNTER_NONE);
        let mut frames: Vec<_> = (0..BATCH).map(|_| frame(REMOTE, LOCAL, len)).collect();
        let mut items: Vec<_> = frames.iter_mut().map(|bytes| frame_of(bytes)).collect();
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("C, batch of 32", len), |bencher| {
            bencher.iter(|| {
                for bytes in &mut frames {
                    bytes[..14].copy_from_slice(&front);
                }
                // SAFETY: the frames are there until the call returns.
                unsafe { many(forwarder, pair.now, items.as_mut_ptr(), BATCH, ptr::null_mut()) }
            });
        });
        black_box((sink.bytes, pair.sites[0].bytes.get()));
    }
    group.finish();
}

criterion_group!(ffi, frame_in);
criterion_main!(ffi);
