//! The hot paths of the engine alone: what a frame costs without any socket, and what choosing paths costs.

#[path = "../tests/common/mesh.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod mesh;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leon::sim::{Matrix, PathChoice};
use leon::{DatagramIn, Engine, FrameIn, Segment, Time};
use mesh::{Counting, Mesh, frame, locator};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const LOCAL: [u8; 6] = [2, 0, 0, 0, 0, 1];
const REMOTE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Datagrams made ready for one measurement of relaying or delivering, which consume them.
const BATCH: usize = 512;

fn frame_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame in to datagram");
    for len in [64, 1400] {
        let mut mesh = Mesh::new(3);
        mesh.introduce(REMOTE, 2, 0);
        let mut bytes = frame(REMOTE, LOCAL, len);
        let front = bytes[..14].to_vec();
        let mut sink = Counting::default();
        let now = mesh.now;
        assert_eq!(mesh.send(0, &mut bytes.clone()).datagrams.len(), 1, "the frame goes to one member");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                // The rest is what the last round has made of it: ciphertext seals as well as text.
                bytes[..14].copy_from_slice(&front);
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut bytes };
                mesh.forwarders[0].frame_in(now, frame, &mut sink);
            });
        });
        dropped_nothing(&mesh.engines[0], now);
        group.bench_function(BenchmarkId::new("bare AEAD", len), |bencher| {
            let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).expect("a key has 32 bytes");
            let (key, mut counter) = (LessSafeKey::new(key), 0u64);
            // As long as a header of two hops, and kind and segment.
            let aad = [2; 20 + 2 * 14 + 4];
            bencher.iter(|| {
                counter += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&counter.to_be_bytes());
                let nonce = Nonce::assume_unique_for_key(nonce);
                black_box(key.seal_in_place_separate_tag(nonce, Aad::from(&aad), &mut bytes).is_ok())
            });
        });
    }
    group.finish();
}

/// A broadcast to eleven members.
fn flood(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broadcast to 11 members");
    for len in [64, 1400] {
        let mut mesh = Mesh::new(12);
        let mut bytes = frame([0xff; 6], LOCAL, len);
        let front = bytes[..14].to_vec();
        let mut sink = Counting::default();
        let now = mesh.now;
        assert_eq!(mesh.send(0, &mut bytes.clone()).datagrams.len(), 11, "the frame goes to all members");
        group.throughput(Throughput::Elements(11));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                bytes[..14].copy_from_slice(&front);
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut bytes };
                mesh.forwarders[0].frame_in(now, frame, &mut sink);
            });
        });
        dropped_nothing(&mesh.engines[0], now);
    }
    group.finish();
}

/// What is dropped costs next to nothing: a figure with drops in it is none.
fn dropped_nothing(engine: &Engine, now: Time) {
    for (counter, count) in engine.status(now).counters.iter() {
        let is_drop = counter.name().starts_with("drop_") && !counter.name().starts_with("drop_handshake");
        assert!(!is_drop || count == 0, "{}: {count}", counter.name());
    }
}

/// Measures node `at` taking a batch of datagrams that `from` sent; node 0 sends to node 2 through node 1.
fn datagram_in(criterion: &mut Criterion, name: &str, (from, at): (usize, usize)) {
    let mut group = criterion.benchmark_group(name);
    for len in [64, 1400] {
        let mut mesh = Mesh::new(3);
        mesh.introduce(REMOTE, 2, 0);
        let now = mesh.now;
        let mut sink = Counting::default();
        let mut sender = mesh.engines[0].forwarder();
        let mut receiver = mesh.engines[at].forwarder();
        let mut ready = || -> Vec<Vec<u8>> {
            let mut sent = mesh::Collector::default();
            for _ in 0..BATCH {
                let mut bytes = frame(REMOTE, LOCAL, len);
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut bytes };
                sender.frame_in(now, frame, &mut sent);
            }
            let mut relayed = mesh::Collector::default();
            if at == 2 {
                for (_, mut bytes) in sent.datagrams.drain(..) {
                    let datagram = DatagramIn { from: locator(0), received_at: now, bytes: &mut bytes };
                    mesh.forwarders[1].datagram_in(now, datagram, &mut relayed);
                }
                sent = relayed;
            }
            sent.datagrams.into_iter().map(|(_, bytes)| bytes).collect()
        };
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter_batched_ref(
                &mut ready,
                |datagrams| {
                    let datagrams = datagrams.iter_mut();
                    let datagrams =
                        datagrams.map(|bytes| DatagramIn { from: locator(from), received_at: now, bytes });
                    receiver.datagrams_in(now, datagrams, &mut sink);
                },
                BatchSize::LargeInput,
            );
        });
        black_box(sink.bytes);
        dropped_nothing(&mesh.engines[at], now);
    }
    group.finish();
}

fn relay(criterion: &mut Criterion) {
    datagram_in(criterion, "relay, batches of 512", (0, 1));
}

fn deliver(criterion: &mut Criterion) {
    datagram_in(criterion, "deliver, batches of 512", (1, 2));
}

fn paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("paths and backups from one node");
    for nodes in [12, 100, 1000] {
        let matrix = Matrix::internet_like(nodes, 1);
        // An engine with many members keeps the rows of some (docs/protocol.md, 13.2).
        let rows = (1 << 16) / (nodes - 1);
        let rtt_ms = |from, to| matrix.rtt_ms(from, to).filter(|_| from <= rows);
        let nanos = |from, to| rtt_ms(from, to).map(|ms| (ms * 1e6) as u64);
        let links: Vec<Vec<_>> =
            (0..nodes).map(|from| (0..nodes).map(|to| nanos(from, to)).collect()).collect();
        if nodes == 1000 {
            group.sample_size(20);
        }
        group.bench_function(BenchmarkId::from_parameter(nodes), |bencher| {
            let mut choice = PathChoice::new(&links, 0, Duration::from_micros(100));
            choice.select();
            bencher.iter(|| choice.select());
            black_box(choice.paths());
        });
    }
    group.finish();
}

criterion_group!(engine, frame_in, flood, relay, deliver, paths);
criterion_main!(engine);
