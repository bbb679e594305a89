//! Holds docs/snapshot.md to the JSON of a real engine, and docs/config.md to what the parser takes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leon::sim::{Matrix, To, World};
use leon::{Config, Counter, Explanation, LinkState, MemberState, PathCause, Verdict};
use serde_json::Value;

const SNAPSHOT: &str = include_str!("../docs/snapshot.md");
const CONFIG: &str = include_str!("../docs/config.md");

type Names = BTreeSet<String>;

/// The fields that the tables of a document list, by the heading above.
fn documented(document: &str) -> BTreeMap<String, Names> {
    let mut tables: BTreeMap<String, Names> = BTreeMap::new();
    let mut heading = "";
    for line in document.lines() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        if let Some((field, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            tables.entry(heading.to_owned()).or_default().insert(field.to_owned());
        }
    }
    tables
}

/// Adds the fields of an object, and those of the objects in it, under the headings of the document.
fn collect(heading: &str, value: &Value, found: &mut BTreeMap<String, Names>) {
    let objects: Vec<_> = match value {
        Value::Array(elements) => elements.iter().filter_map(Value::as_object).collect(),
        other => other.as_object().into_iter().collect(),
    };
    for object in objects {
        found.entry(heading.to_owned()).or_default().extend(object.keys().cloned());
        for (field, value) in object {
            let heading = match field.as_str() {
                "members" => "Member",
                "latency" => "Latency",
                "fdb" => "Host",
                "candidates" => "Candidate",
                "links" => "Link",
                "probe" => "Probe",
                "changes" => "Change",
                _ => continue,
            };
            collect(heading, value, found);
        }
    }
}

/// Three sites that have exchanged frames.
fn world() -> World {
    let mut world = World::with_links(1, 3, &Matrix::fujisawa_inagi_seoul().links());
    world.start_all().unwrap();
    world.settle(Duration::from_secs(10)).unwrap();
    let host = world.add_host(0);
    world.add_host(2);
    world.send(host, To::Everyone, 60);
    world.run_for(Duration::from_secs(1)).unwrap();
    world
}

fn status(world: &World, site: usize) -> Value {
    serde_json::from_str(&world.status(site).unwrap().to_json()).unwrap()
}

fn text(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

fn explanation(world: &World) -> (Explanation, Value) {
    let explanation = world.explain(0, 2).unwrap();
    let json = serde_json::from_str(&explanation.to_json()).unwrap();
    (explanation, json)
}

#[test]
fn the_document_has_each_field_of_a_snapshot_and_no_other() {
    let world = world();
    let mut found = BTreeMap::new();
    (0..3).for_each(|site| collect("Status", &status(&world, site), &mut found));
    collect("Explanation", &explanation(&world).1, &mut found);
    assert_eq!(documented(SNAPSHOT), found);
}

#[test]
fn values_are_written_as_the_document_says() {
    let world = world();
    let json = status(&world, 0);
    let own = world.status(0).unwrap();
    assert_eq!(json["id"], own.id.to_base64());
    assert_eq!(json["locator"], own.locator.to_string());
    assert_eq!(json["list_digest"], format!("{:016x}", own.list_digest));
    assert_eq!(json["members"][0]["state"], "alive");
    let rtt = own.members[0].rtt.unwrap();
    assert_eq!(json["members"][0]["rtt_ns"], rtt.as_nanos() as u64);
    assert_eq!(json["members"][0]["loss"], 0.0);
    assert_eq!(json["latency"][0]["loss"], 0.0);
    assert_eq!(json["fdb"][0]["mac"], own.fdb[0].mac.to_string());
    assert!(json["fdb"][0]["segment"].is_u64());
    let counters = json["counters"].as_object().unwrap();
    assert_eq!(counters.len(), Counter::ALL.len());
    assert_eq!(counters["frames_in"], own.counters.value(Counter::FramesIn));
}

#[test]
fn an_explanation_is_written_with_its_verdicts_in_snake_case() {
    let (explanation, json) = explanation(&world());
    let candidates = json["candidates"].as_array().unwrap();
    let verdicts: Vec<_> = candidates.iter().map(|candidate| &candidate["verdict"]).collect();
    assert_eq!(verdicts, ["chosen", "costs_more"]);
    assert_eq!(candidates[1]["estimate"], "both");
    assert_eq!(json["changes"][0]["cause"], "better");
    let id = explanation.to.to_base64();
    assert_eq!((&json["to"], &candidates[1]["path"][0]), (&id.clone().into(), &id.into()));
    for word in ["chosen", "last_resort", "within_hysteresis", "link_unmeasured", "direct_as_good"] {
        assert!(SNAPSHOT.contains(&format!("`{word}`")), "{word}");
    }
    assert_eq!(text(Verdict::LinkUnmeasured), r#"{"verdict":"link_unmeasured"}"#);
    assert_eq!(text(PathCause::DirectAsGood), r#""direct_as_good""#);
    assert_eq!(text(LinkState::Unmeasured), r#""unmeasured""#);
    assert_eq!(text(MemberState::Failed), r#""failed""#);
}

#[test]
fn the_document_has_each_field_of_a_configuration_and_no_other() {
    let error = Config::from_json("{\"nonsense\": 1}", [0; 32]).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected one of").unwrap();
    let taken: Names = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(documented(CONFIG).into_values().next().unwrap(), taken);
}

#[test]
fn the_examples_of_the_document_are_one_configuration() {
    let example = |language: &str| {
        let (_, rest) = CONFIG.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let toml = Config::from_toml(example("toml"), [0; 32]).unwrap();
    let json = Config::from_json(example("json"), [0; 32]).unwrap();
    assert_eq!(format!("{toml:?}"), format!("{json:?}"));
    assert_eq!(toml.relay_charge, Duration::from_micros(250));
}
