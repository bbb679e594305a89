//! The hot paths of the engine alone: what a frame costs without any socket, and what choosing paths costs.

#[path = "../tests/common/mesh.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod mesh;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leon::sim::{Matrix, select_paths};
use leon::{DatagramIn, FrameIn, Segment};
use mesh::{Counting, Mesh, frame, locator};

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
        let mut sink = Counting::default();
        let now = mesh.now;
        assert_eq!(mesh.send(0, &mut bytes).datagrams.len(), 1, "the frame goes to one member");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut bytes };
                mesh.forwarders[0].frame_in(now, frame, &mut sink);
            });
        });
    }
    group.finish();
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
                    assert_ne!(black_box(sink.bytes), 0, "datagrams are taken");
                },
                BatchSize::LargeInput,
            );
        });
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
    let mut group = criterion.benchmark_group("paths from one node, full mesh");
    for nodes in [12, 100, 1000] {
        let matrix = Matrix::internet_like(nodes, 1);
        let nanos = |from, to| matrix.rtt_ms(from, to).map(|ms| (ms * 1e6) as u64);
        let links: Vec<Vec<_>> =
            (0..nodes).map(|from| (0..nodes).map(|to| nanos(from, to)).collect()).collect();
        if nodes == 1000 {
            group.sample_size(20);
        }
        group.bench_function(BenchmarkId::from_parameter(nodes), |bencher| {
            bencher.iter(|| black_box(select_paths(&links, 0, Duration::from_micros(100))));
        });
    }
    group.finish();
}

criterion_group!(engine, frame_in, relay, deliver, paths);
criterion_main!(engine);
