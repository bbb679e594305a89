//! Ethernet frame forwarding (§4.3): which node a host sits behind, and how much is forwarded for whom.

pub(crate) mod activity;
mod entry;
pub(crate) mod fdb;
mod flap;
pub(crate) mod limit;
pub(crate) mod passage;
