//! Replays the corpus of the fuzz targets, so that what a fuzzer once found is tried with every test run; and
//! writes its seeds.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the corpus fails")]

use std::fs;
use std::path::{Path, PathBuf};

use leon::fuzzing::{TARGETS, Target, seeds};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files in a folder, in order; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a target on its corpus and on its regression inputs. A panic names the input.
fn replay(name: &str) {
    let (_, target): &(&str, Target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let inputs = files(&fuzz().join("corpus").join(name));
    assert!(!inputs.is_empty(), "the corpus of {name} is empty");
    for input in inputs.into_iter().chain(files(&fuzz().join("regressions").join(name))) {
        let bytes = fs::read(&input).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
            eprintln!("this input broke it: {}", input.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn control_messages_of_the_corpus_are_read_and_written() {
    replay("control");
}

#[test]
fn datagrams_of_the_corpus_do_a_mesh_no_harm() {
    replay("datagram");
}

#[test]
fn frames_of_the_corpus_have_the_addresses_that_stand_in_them() {
    replay("ethernet");
}

#[test]
fn handshakes_of_the_corpus_end_in_sessions() {
    replay("handshake");
}

#[test]
fn bodies_of_handshakes_in_the_corpus_are_read_and_written() {
    replay("handshake_body");
}

#[test]
fn headers_of_the_corpus_are_read_and_written() {
    replay("header");
}

#[test]
fn records_of_the_corpus_are_read_and_written() {
    replay("record");
}

#[test]
fn scenarios_of_the_corpus_break_no_rule() {
    replay("scenario");
}

#[test]
fn seeds_break_no_rule_either() {
    for (name, target) in TARGETS {
        seeds(name).into_iter().for_each(|(_, bytes)| target(&bytes));
    }
}

#[test]
fn every_target_has_its_file_and_no_folder_is_forgotten() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let stems = |folder: &str| -> Vec<String> {
        let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
        files(&fuzz().join(folder)).iter().map(stem).collect()
    };
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("corpus"), names);
    assert!(stems("regressions").iter().all(|folder| names.contains(&folder.as_str())));
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    assert!(names.iter().all(|name| manifest.contains(&format!("name = \"{name}\""))));
}

#[test]
#[ignore = "writes to the source tree: the seeds of the corpus, see CONTRIBUTING.md"]
fn seeds_are_written_anew() {
    for (target, _) in TARGETS {
        let folder = fuzz().join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds(target) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}
