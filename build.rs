//! How the shared library is linked: its name for the dynamic linker is that of the ABI, and it stays where it is.
//!
//! The header is not made here but committed: see tests/header.rs. What is installed is linked by the Makefile or by
//! cargo-c, in the same way.

/// That of `LEON_ABI_VERSION`; tests/package.rs compares the two.
const ABI: &str = "0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(leon_fault)");
    println!("cargo::rustc-check-cfg=cfg(leon_c_library)");
    println!("cargo::rustc-check-cfg=cfg(cargo_c)");
    let is_elf = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if std::env::var_os("CARGO_FEATURE_FFI").is_some() && is_elf {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libleon.so.{ABI}");
        // What is left in thread-local storage when a thread ends may lead back into the library.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
