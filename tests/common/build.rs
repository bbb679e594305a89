//! The programs that tests run: built on first use, with the profile of the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::namespace::succeed;

/// Has cargo build something in the profile of this test, below a directory of the target directory; where it is then.
/// An empty name is the target directory itself.
pub(crate) fn cargo_build(what: &[&str], directory: &str) -> PathBuf {
    // This test is <target>/<profile>/deps/<name>-<hash>.
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("the directory of the profile");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("profiles have names");
    let target = profile.parent().expect("the target directory").join(directory);
    let mut build = Command::new(env!("CARGO"));
    build.arg("build").args(what).arg("--manifest-path");
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    build.args(["--profile", if name == "debug" { "dev" } else { name }]);
    build.arg("--target-dir").arg(&target);
    succeed(&mut build);
    target.join(name)
}

/// Builds a program of examples-c, with all warnings and with the sanitizers that make any slip of it fail the test;
/// its path.
pub(crate) fn c_program(name: &str) -> PathBuf {
    // In a directory of its own: the file of the library has the same name whatever its features are, and `cargo test`
    // is about to link that with all of them.
    let profile = cargo_build(&["--package", "leon", "--lib"], "for-c");
    let build = profile.join("examples-c");
    let assign = |name: &str, path: &Path| format!("{name}={}", path.display());
    let mut make = Command::new("make");
    make.arg("-C").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-c"));
    make.arg("CFLAGS=-O1 -g -Werror -fsanitize=address,undefined -fno-sanitize-recover=all");
    make.args([assign("LEON_DIR", &profile), assign("BUILD", &build), name.to_owned()]);
    succeed(&mut make);
    build.join(name)
}
