//! The engine in the virtual world: scenarios by topic, and properties of random ones.
//!
//! `LEON_SEED` replaces the first seed of every test; a broken rule prints the seed it was seen with.

mod attacks;
mod bulk;
mod explain;
mod failover;
mod faults;
mod forwarding;
mod guard;
mod hostile;
mod hosts;
mod links;
mod membership;
mod noise;
mod oneway;
mod partition;
mod paths;
mod policy;
mod properties;
mod scale;
mod seeds;
mod soak;
mod sound;
mod support;
mod world;
