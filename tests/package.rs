//! The ways to build and install the C library agree: the header, `build.rs`, the Makefile, and cargo-c's metadata.
//!
//! `.ci/c` tries what is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the source fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What cargo makes of this package's manifest.
fn manifest() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().find(|package| package["name"] == "leon").unwrap().clone()
}

/// The `LEON_ABI_VERSION` of the header.
fn abi() -> String {
    let header = read("include/leon.h");
    header.lines().find_map(|line| line.strip_prefix("#define LEON_ABI_VERSION ")).unwrap().to_owned()
}

#[test]
fn the_soname_is_that_of_the_headers_abi() {
    let abi = abi();
    assert_eq!(leon::ffi::LEON_ABI_VERSION.to_string(), abi);
    assert!(read("build.rs").contains(&format!("const ABI: &str = \"{abi}\";")));

    // cargo-c makes the SONAME of so many components of this version, and the file's name of all.
    let manifest = manifest();
    let library = &manifest["metadata"]["capi"]["library"];
    assert_eq!(library["version_suffix_components"], 1);
    assert_eq!(library["version"].as_str().unwrap().split('.').next(), Some(abi.as_str()));
    // The Makefile makes the file's name of the version of the package, which it finds by its place in the manifest.
    assert_eq!(library["version"], manifest["version"]);
    let line = format!("version = {}", manifest["version"]);
    let manifest = read("Cargo.toml");
    assert_eq!(manifest.lines().find(|line| line.starts_with("version = ")), Some(line.as_str()));
}

#[test]
fn every_way_installs_the_committed_headers() {
    let headers: BTreeSet<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .unwrap()
        .map(|entry| format!("include/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();

    let manifest = manifest();
    let capi = &manifest["metadata"]["capi"];
    assert_eq!(capi["header"]["generation"], false);
    assert_eq!(capi["header"]["subdirectory"], false);
    let assets = capi["install"]["include"]["asset"].as_array().unwrap();
    assert_eq!(
        assets.iter().map(|asset| asset["from"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(),
        headers
    );

    let makefile = read("Makefile");
    let install = makefile.lines().find(|line| line.contains("-m 644 include/")).unwrap();
    let installed = install.split(' ').filter(|word| word.starts_with("include/")).map(str::to_owned);
    assert_eq!(installed.collect::<BTreeSet<_>>(), headers);
    for header in headers {
        let name = header.strip_prefix("include/").unwrap();
        assert!(makefile.contains(&format!("$(INCLUDEDIR)/{name}\"")), "make uninstall removes {name}");
    }
}

#[test]
fn every_way_builds_the_same_features_and_lets_panics_unwind() {
    let manifest = manifest();
    assert_eq!(manifest["features"]["capi"], serde_json::json!(["ffi"]));
    let makefile = read("Makefile");
    assert!(makefile.contains("--profile c --no-default-features --features ffi"));
    // A panic becomes LEON_E_PANIC, which takes unwinding.
    assert!(!read("Cargo.toml").contains("panic ="));
    assert!(manifest["metadata"]["capi"]["library"]["rustflags"].is_null());
}
