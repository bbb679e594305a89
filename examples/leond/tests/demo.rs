//! `leond demo` as a process: what scripts and readers get to see. Bounds are generous, for machines that are
//! busy with other tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;

fn ms(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn the_demo_beats_the_direct_path_and_survives_its_faults() {
    let output = Command::new(env!("CARGO_BIN_EXE_leond")).args(["demo", "--json"]).output().unwrap();
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{progress}");
    assert!(progress.contains("through Inagi") && progress.contains("seal"), "{progress}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    let pairs = report["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3, "{report}");
    for pair in pairs {
        assert!(ms(&pair["overlay_ms"]) < ms(&pair["direct_ms"]) + 3.0, "{pair}");
    }
    let relayed = pairs.iter().find(|pair| pair["from"] == "Fujisawa" && pair["to"] == "Seoul").unwrap();
    assert_eq!(relayed["path"], serde_json::json!(["Inagi", "Seoul"]));
    assert!(ms(&relayed["overlay_ms"]) >= 21.0, "{relayed}");
    assert!(ms(&relayed["overlay_ms"]) < ms(&relayed["direct_ms"]), "{relayed}");

    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{report}");
    for fault in faults {
        assert!((0.0..10_000.0).contains(&ms(&fault["outage_ms"])), "{fault}");
    }
}
