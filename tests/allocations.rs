//! Nothing on the way of a frame allocates: proved by counting allocations.

#[path = "common/mesh.rs"]
mod mesh;

use leon::{Counter, DatagramIn, FrameIn, Segment};
use mesh::{Counting, Mesh, frame, locator};

const LOCAL: [u8; 6] = [2, 0, 0, 0, 0, 1];
const REMOTE: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn allocations(act: impl FnMut()) -> u64 {
    allocation_counter::measure(act).count_total
}

#[test]
fn no_frame_allocates_from_local_network_to_datagram() {
    let mut mesh = Mesh::new(8);
    mesh.introduce(REMOTE, 2, 0);
    let mut sink = Counting::default();
    let unicast = frame(REMOTE, LOCAL, 1400);
    // Sealed for each member, and sealed once for all.
    let broadcasts = [60, 1400].map(|len| frame([0xff; 6], [6, 0, 0, 0, 0, 0], len));
    let mut buffer = Vec::with_capacity(1400);
    let now = mesh.now;
    let count = allocations(|| {
        for round in 0..1000u32 {
            for frame in [&unicast, &broadcasts[0], &broadcasts[1]] {
                buffer.clear();
                buffer.extend_from_slice(frame);
                if frame[0] == 0xff {
                    // New hosts are learned on the way.
                    buffer[7..11].copy_from_slice(&round.to_be_bytes());
                }
                let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut buffer };
                mesh.forwarders[0].frame_in(now, frame, &mut sink);
            }
        }
    });
    assert_eq!(count, 0);
    assert!(sink.bytes > 1000 * (8 * 1400 + 7 * 60), "the frames were sent");
}

#[test]
fn no_datagram_allocates_that_is_relayed_or_delivered() {
    let mut mesh = Mesh::new(3);
    mesh.introduce(REMOTE, 2, 0);
    let datagrams: Vec<_> =
        (0..1000).map(|_| mesh.send(0, &mut frame(REMOTE, LOCAL, 1400)).datagrams.remove(0)).collect();
    assert!(datagrams.iter().all(|(to, _)| *to == locator(1)), "the path goes through the relay");
    let mut sink = Counting::default();
    let now = mesh.now;
    let mut bytes: Vec<Vec<u8>> = datagrams.into_iter().map(|(_, bytes)| bytes).collect();
    for (from, at) in [(0, 1), (1, 2)] {
        let count = allocations(|| {
            for bytes in &mut bytes {
                // The relay advances the datagram in place, as it then arrives at the destination.
                let datagram = DatagramIn { from: locator(from), received_at: now, bytes };
                mesh.forwarders[at].datagram_in(now, datagram, &mut sink);
            }
        });
        assert_eq!(count, 0, "at node {at}");
    }
    assert!(sink.bytes > 2000 * 1400, "relayed and delivered");
}

#[test]
fn no_host_allocates_that_moves_to_and_fro() {
    let mut mesh = Mesh::new(3);
    mesh.introduce(REMOTE, 1, 0);
    let mut datagrams: Vec<Vec<u8>> =
        (0..1000).map(|_| mesh.send(0, &mut frame(REMOTE, LOCAL, 60)).datagrams.remove(0).1).collect();
    let here = frame([0xff; 6], LOCAL, 60);
    let mut buffer = Vec::with_capacity(60);
    let (now, mut sink) = (mesh.now, Counting::default());
    let count = allocations(|| {
        for bytes in &mut datagrams {
            let datagram = DatagramIn { from: locator(0), received_at: now, bytes };
            mesh.forwarders[1].datagram_in(now, datagram, &mut sink);
            buffer.clear();
            buffer.extend_from_slice(&here);
            let frame = FrameIn { segment: Segment::DEFAULT, bytes: &mut buffer };
            mesh.forwarders[1].frame_in(now, frame, &mut sink);
        }
    });
    assert_eq!(count, 0);
    assert!(mesh.engines[1].status(now).counters.value(Counter::MacMoved) >= 1999);
}
