//! Ethernet frame forwarding (§4.3): which node a host sits behind.

pub(crate) mod fdb;
