//! The command line of leond, as its users meet it: arguments, configuration files, exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{leond, run_with, stderr, usage_error};

const COMPLETE: &str = "name = 'fujisawa'\nlisten = '127.0.0.1:0'\ntap = 'leond-test'\nsecurity = 'none'\n";

#[test]
fn help_lists_the_subcommands_and_what_they_are_for() {
    let output = leond(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for expected in
        ["lowest latency", "run ", "keygen ", "pubkey ", "status ", "explain ", "demo ", "simulate "]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn help_of_run_names_every_setting() {
    let output = leond(&["run", "--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--config",
        "--name",
        "--listen",
        "--advertise",
        "--seed",
        "--tap",
        "--security",
        "--key ",
        "--network-key",
        "--allow ",
        "--allow-file",
        "--segment",
        "--mtu",
        "--underlay-mtu",
        "--socket",
    ] {
        assert!(text.contains(flag), "{flag}: {text}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let text = usage_error(&run_with(&format!("{COMPLETE}mtuu = 1400\n"), &[]));
    assert!(text.contains("line 5") && text.contains("mtuu"), "{text}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
    let text = usage_error(&run_with("name = 'a'\nlisten = 'not an address'\n", &[]));
    assert!(text.contains("line 2") && text.contains("not an address"), "{text}");
}

#[test]
fn a_missing_configuration_file_is_named() {
    let text = usage_error(&leond(&["run", "--config", "does-not-exist.toml"]));
    assert!(text.contains("does-not-exist.toml"), "{text}");
}

#[test]
fn a_missing_setting_is_named() {
    let text = usage_error(&run_with("listen = '127.0.0.1:0'\nsecurity = 'none'\ntap = 'leond-test'\n", &[]));
    assert!(text.contains("`name` is not set") && text.contains("--name"), "{text}");
}

#[test]
fn listening_on_all_addresses_needs_an_advertised_one() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let text = usage_error(&run_with(COMPLETE, &["--listen", listen]));
        assert!(text.contains("--advertise"), "{text}");
    }
}

#[test]
fn a_flag_wins_over_the_file() {
    let text = usage_error(&run_with(COMPLETE, &["--segment", "16777216"]));
    assert!(text.contains("16777216"), "{text}");
    let text = usage_error(&run_with(&format!("{COMPLETE}segment = 16777216\n"), &["--segment", "16777217"]));
    assert!(text.contains("16777217"), "{text}");
}

#[test]
fn a_port_in_use_is_one_clear_sentence() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run_with(COMPLETE, &["--listen", &address]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("another process listens on UDP {address}")), "{text}");
}

#[test]
fn a_seed_without_a_port_is_refused() {
    let text = usage_error(&run_with(COMPLETE, &["--seed", "seoul.example"]));
    assert!(text.contains("seed seoul.example must be HOST:PORT"), "{text}");
}

#[test]
fn a_tap_name_that_is_too_long_is_refused() {
    let text = usage_error(&run_with(COMPLETE, &["--tap", "sixteen-bytes-xx"]));
    assert!(text.contains("sixteen-bytes-xx") && text.contains("1 to 15 bytes"), "{text}");
}

#[test]
fn an_overlong_site_name_is_refused() {
    let text = usage_error(&run_with(COMPLETE, &["--name", &"x".repeat(64)]));
    assert!(text.contains("1 to 63 bytes"), "{text}");
}

#[test]
fn status_and_explain_say_so_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("nobody.sock");
    for command in [&["status"][..], &["explain", "seoul"]] {
        let output = leond(&[command, &["--socket", socket.to_str().unwrap()]].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("no leond answers at") && text.contains("nobody.sock"), "{text}");
        assert!(output.stdout.is_empty());
    }
}
