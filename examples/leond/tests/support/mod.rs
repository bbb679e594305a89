//! Running leond and reading what it says.

use std::fs;
use std::process::{Command, Output};

/// Runs leond to its end.
pub(crate) fn leond(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leond")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

/// Runs leond with `toml` as its configuration file and `flags` after it.
pub(crate) fn run_with(toml: &str, flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leond.toml");
    fs::write(&file, toml).unwrap();
    let socket = directory.path().join("leond.sock");
    let fixed = ["run", "--config", file.to_str().unwrap(), "--socket", socket.to_str().unwrap()];
    leond(&[&fixed, flags].concat())
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The message that an unusable configuration ends with, which is exit code 2.
pub(crate) fn usage_error(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    text
}
