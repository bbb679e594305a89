//! How the shared library is linked: its name for the dynamic linker is that of the ABI, and it stays where it is.
//!
//! The header is not made here but committed: see tests/header.rs.

/// That of `LEON_ABI_VERSION`; tests/abi.rs compares the two.
const ABI: &str = "0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(cargo_c)");
    println!("cargo::rustc-check-cfg=cfg(leon_fault)");
    let target = |name: &str| std::env::var(name).unwrap_or_default();
    let is_elf = target("CARGO_CFG_TARGET_OS") == "linux";
    // cargo-c gives the name itself.
    let is_cargo_c = std::env::var_os("CARGO_CFG_CARGO_C").is_some();
    if std::env::var_os("CARGO_FEATURE_FFI").is_some() && is_elf {
        if !is_cargo_c {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libleon.so.{ABI}");
        }
        // What is left in thread-local storage when a thread ends may lead back into the library.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
