//! `leond simulate` as a process: what scripts and readers get to see.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::fs;

use serde_json::{Value, json};
use support::{leond, stderr, usage_error};
use tempfile::TempDir;

/// Figure 2 of the paper, and a site that nothing is relayed for.
const MATRIX: &str = "rtt_ms,Fujisawa,Inagi,Seoul,Osaka\nFujisawa,0,4,32,9\nInagi,4,0,17,11\n\
    Seoul,32,17,0,24\nOsaka,9,11,24,0\n";

/// A file with this text, and the directory it is in.
fn file(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rtt.csv");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

/// What the simulation of a file prints as JSON.
fn simulate(kind: &str, text: &str, flags: &[&str]) -> Value {
    let (_directory, file) = file(text);
    let output = leond(&[&["simulate", kind, &file, "--json"], flags].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "there is no terminal for a progress bar: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn a_matrix_is_simulated_and_the_relayed_pair_found() {
    let report = simulate("--matrix", MATRIX, &["--seconds", "20"]);
    let summary = report["summary"].as_object().unwrap();
    let mut names: Vec<&str> = summary.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "control_kbps_per_node",
        "converge_s",
        "failover_p50_s",
        "failover_p99_s",
        "improved_pairs",
        "mean_rtt_cut_pct",
        "oracle_rtt_cut_pct",
        "pairs",
        "realised",
        "switches_per_pair_minute",
        "wall_s",
        "worse_than_direct_pct",
        "wrong_evictions",
    ];
    assert_eq!(names, expected);
    assert_eq!((&summary["pairs"], &summary["improved_pairs"]), (&json!(6), &json!(1)));
    assert_eq!(summary["wrong_evictions"], 0);
    assert_eq!(summary["failover_p50_s"], Value::Null);
    assert!(number(&summary["realised"]) > 0.9 && number(&summary["realised"]) <= 1.0, "{summary:?}");
    assert!(number(&summary["control_kbps_per_node"]) > 0.5, "{summary:?}");

    let rtts = report["draws"][0]["rtts"].as_array().unwrap();
    let pair = rtts.iter().find(|pair| pair["from"] == "Fujisawa" && pair["to"] == "Seoul").unwrap();
    assert_eq!(
        (&pair["path"], &pair["path_back"]),
        (&json!(["Inagi", "Seoul"]), &json!(["Inagi", "Fujisawa"]))
    );
    assert_eq!((&pair["direct_ms"], &pair["oracle_ms"]), (&json!(32.0), &json!(21.1)));
    assert!((21.1..25.0).contains(&number(&pair["leon_ms"])), "{pair}");
}

#[test]
fn one_seed_gives_one_report_and_another_one_another() {
    let report = |seed| {
        let flags = ["--seconds", "10", "--jitter-ms", "3", "--loss", "0.02", "--seed", seed];
        let mut report = simulate("--matrix", MATRIX, &flags);
        for summary in ["/summary/wall_s", "/draws/0/summary/wall_s"] {
            *report.pointer_mut(summary).unwrap() = Value::Null;
        }
        report
    };
    assert_eq!(report("5"), report("5"));
    assert_ne!(report("5"), report("6"));
}

#[test]
fn a_trace_is_followed_and_the_oracle_knows_the_present_frame() {
    // The direct link of Fujisawa and Seoul becomes the better one.
    let trace =
        "i,j,t1,t2,t3,t4\nFujisawa,Inagi,4,4,4,4\nInagi,Seoul,17,17,17,17\nFujisawa,Seoul,32,10,10,10\n";
    let report = simulate("--trace", trace, &["--frame-seconds", "15"]);
    assert_eq!(report["oracle"], "knows the present frame");
    let pair = &report["draws"][0]["rtts"][1];
    assert_eq!(pair["to"], "Seoul");
    assert_eq!(pair["path"], json!(["Seoul"]), "{pair}");
    assert!((15.4..15.6).contains(&number(&pair["direct_ms"])), "the mean of the frames: {pair}");
    assert!(
        number(&pair["leon_ms"]) > number(&pair["oracle_ms"]),
        "what is new takes time to be known: {pair}"
    );
    assert!(number(&report["summary"]["worse_than_direct_pct"]) > 0.0);
}

#[test]
fn failovers_are_timed_without_traffic_and_gaps_with_it() {
    let flags = ["--seconds", "120", "--fault", "link"];
    let report = simulate("--matrix", MATRIX, &flags);
    let (summary, faults) = (&report["summary"], &report["faults"]);
    assert!(number(&faults["faults"]) >= 4.0, "{report}");
    assert!(number(&faults["broken_paths"]) >= 8.0, "both directions of every link are broken: {report}");
    assert!((0.01..10.0).contains(&number(&summary["failover_p50_s"])), "{summary}");
    assert!(number(&summary["failover_p99_s"]) >= number(&summary["failover_p50_s"]), "{summary}");
    assert_eq!((&faults["traffic_flows"], &faults["traffic_gap_p50_s"]), (&json!(0), &Value::Null));

    let report = simulate("--matrix", MATRIX, &[&flags[..], &["--traffic"]].concat());
    let (summary, faults) = (&report["summary"], &report["faults"]);
    assert_eq!(summary["failover_p50_s"], Value::Null);
    assert!(number(&faults["traffic_flows"]) >= 8.0, "{report}");
    assert!((0.01..10.0).contains(&number(&faults["traffic_gap_p50_s"])), "{faults}");
}

#[test]
fn a_crash_is_known_and_no_wrong_eviction() {
    let report = simulate("--matrix", MATRIX, &["--seconds", "60", "--fault", "crash"]);
    assert!((0.5..10.0).contains(&number(&report["faults"]["crash_known_max_s"])), "{report}");
    assert!(number(&report["faults"]["heal_p50_s"]) < 10.0, "{report}");
    assert_eq!(report["summary"]["wrong_evictions"], 0);
}

#[test]
fn draws_are_repeated_and_put_together() {
    let report = simulate("--matrix", MATRIX, &["--nodes", "3", "--draws", "4", "--seconds", "5"]);
    let draws = report["draws"].as_array().unwrap();
    let seeds: Vec<_> = draws.iter().map(|draw| draw["draw_seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [1, 2, 3, 4]);
    assert!(draws.iter().all(|draw| draw["sites"].as_array().unwrap().len() == 3));
    let mut sites: Vec<_> = draws.iter().map(|draw| draw["sites"].to_string()).collect();
    sites.dedup();
    assert!(sites.len() > 1, "{sites:?}");
    assert_eq!(report["summary"]["pairs"], 3);
}

#[test]
fn people_get_tables_and_a_picture() {
    let (directory, file) = file(MATRIX);
    let plot = directory.path().join("plot.svg");
    let plot = plot.to_str().unwrap();
    let output = leond(&["simulate", "--matrix", &file, "--seconds", "10", "--plot", plot]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("Fujisawa - Seoul") && text.contains("via Inagi"), "{text}");
    assert!(text.contains("mean_rtt_cut_pct") && text.contains("wrong_evictions"), "{text}");
    let picture = fs::read_to_string(plot).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("Inagi (2)"), "{picture}");
    assert!(picture.contains("1 of 6 pairs of sites have shorter round trips"), "{picture}");
}

#[test]
fn a_wrong_file_is_one_sentence_with_file_line_and_column() {
    for (kind, text, expected) in [
        (
            "--matrix",
            "rtt,a,b\na,0,1\nb,fast,0\n",
            ", line 3, column 2: \"fast\" is no round-trip time from 0 to 2000 ms\n",
        ),
        ("--matrix", "rtt,a,b\na,0,1\n", ": the header names 2 sites, but there is 1 row\n"),
        ("--trace", "i,j,t1,t2\na,b,1\nb,c,1,2\n", ", line 3: 2 frames, but the lines before have 1\n"),
    ] {
        let (_directory, file) = file(text);
        let message = usage_error(&leond(&["simulate", kind, &file]));
        assert_eq!(message, format!("leond: {file}{expected}"));
    }
    let message = usage_error(&leond(&["simulate", "--matrix", "does-not-exist.csv"]));
    assert_eq!(message, "leond: cannot read does-not-exist.csv: No such file or directory (os error 2)\n");
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let (_directory, file) = file(MATRIX);
    for (flags, expected) in [
        (vec![], "--matrix"),
        (vec!["--matrix", &file, "--trace", &file], "cannot be used with"),
        (vec!["--matrix", &file, "--traffic"], "--fault"),
        (vec!["--matrix", &file, "--loss", "0.9"], "not a share from 0 to 0.5"),
        (vec!["--matrix", &file, "--seconds", "0"], "not a number of seconds above 0"),
        (vec!["--matrix", &file, "--nodes", "5"], "--nodes 5: there are 4 sites only"),
        (vec!["--matrix", &file, "--frame-seconds", "5"], "--matrix"),
    ] {
        let message = usage_error(&leond(&[&["simulate"], flags.as_slice()].concat()));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn sites_that_never_find_together_are_an_error() {
    let (_directory, file) = file("rtt,a,b,c\na,0,1,\nb,1,0,\nc,,,0\n");
    let output = leond(&["simulate", "--matrix", &file]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.starts_with("leond: the sites did not converge within 60 s"), "{message}");
    assert!(output.stdout.is_empty());
}
