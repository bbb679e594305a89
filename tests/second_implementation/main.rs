//! A second implementation of the protocol, made from `docs/protocol.md` alone: a minimal peer on raw primitives,
//! without any code of the crate. It checks the vectors and talks to engines. Numbers like 9.3 are sections of
//! the document.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod codec;
mod control;
mod drops;
mod exchange;
mod header;
mod limits;
mod net;
mod peer;
mod seal;
mod sessions;
mod talk;
mod vectors;
