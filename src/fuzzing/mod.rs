//! What the fuzz targets run: one function for each target, which takes any bytes and panics if a rule is
//! broken. `fuzz/` feeds them what the fuzzer makes up, `tests/corpus.rs` the corpus; both know nothing more.
//!
//! Parsers are held to their writers, engines to the rules of the simulator. How a mesh is set up and what its
//! datagrams look like stands in `mesh` and nowhere else here.

mod datagram;
mod feed;
mod handshake;
mod mesh;
mod message;
mod parsers;
mod scenario;
mod seeds;

pub use datagram::datagram;
pub use handshake::handshake;
pub use parsers::{control, ethernet, handshake_body, header, record};
pub use scenario::scenario;
pub use seeds::seeds;

/// Runs one target on these bytes.
pub type Target = fn(&[u8]);

/// All targets with their names, which are those of their files in `fuzz/fuzz_targets` and of their folders in
/// `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("control", control),
    ("datagram", datagram),
    ("ethernet", ethernet),
    ("handshake", handshake),
    ("handshake_body", handshake_body),
    ("header", header),
    ("record", record),
    ("scenario", scenario),
];
