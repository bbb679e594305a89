//! The C ABI (feature `ffi`): what `include/leon.h` declares.
//!
//! A function here checks what it is given, turns it into what the engine takes, and turns the answer back; it
//! decides nothing about the mesh. Types have the names they have in C. The header is made of this folder by
//! cbindgen (`LEON_UPDATE_HEADER=1 cargo test --test header`), so the documentation here is written for those who
//! write C.

#![allow(non_camel_case_types, reason = "types have the names they have in C")]
#![allow(clippy::missing_safety_doc, reason = "what a caller must see to is said for C, in the words of C")]

mod batch;
mod call;
mod callbacks;
mod config;
mod counter;
mod engine;
mod event;
mod explain;
mod fork;
mod forwarder;
mod frame;
mod handle;
mod memory;
mod report;
mod reserve;
mod status;
mod text;
mod types;

pub use callbacks::*;
pub use config::*;
pub use counter::*;
pub use engine::*;
pub use event::*;
pub use explain::*;
pub use forwarder::*;
pub use frame::*;
pub use report::*;
pub use status::*;
pub use text::*;
pub use types::*;
