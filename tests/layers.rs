//! Holds the source to the layers of ARCHITECTURE.md: an import may only point down, components do not know
//! each other, unsafe code and clocks stay in their islands, and every file says what lives in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the source fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer, lowest first. Those of the layer of components do not import each other.
const LAYERS: &[&[&str]] = &[
    &[
        "time",
        "mac",
        "base64",
        "node",
        "node_map",
        "host",
        "key",
        "config",
        "error",
        "stats",
        "hash",
        "rng",
        "fault",
        "deadlines",
    ],
    &["wire"],
    &["membership", "latency", "route", "session", "forward", "hosts", "monitor"],
    &["engine"],
    &["driver", "ffi", "sim"],
    &["fuzzing"],
];
const COMPONENTS: usize = 2;
const EDGES: usize = 4;

/// Files in which `unsafe` may stand.
const UNSAFE_ISLANDS: &[&str] = &["driver/sys.rs", "ffi/"];
/// Longest file, in lines.
const MAX_LINES: usize = 500;

struct Source {
    /// Relative to `src`, with forward slashes.
    name: String,
    text: String,
}

impl Source {
    /// The top-level module the file belongs to.
    fn module(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap()
    }

    /// The lines that are compiled into the library, without comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text[..end].lines().filter(|line| !line.trim_start().starts_with("//"))
    }

    /// Top-level names that the code imports from this crate.
    fn imports(&self) -> Vec<&str> {
        let names = |line| {
            let line: &str = line;
            line.split("crate::")
                .skip(1)
                .map(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        };
        self.code()
            .filter(|line| !line.contains("pub(in crate::"))
            .flat_map(names)
            .filter(|name| !name.is_empty())
            .collect()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| Source { name: name(path), text: fs::read_to_string(path).unwrap() }).collect()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module() != "lib") {
        let layer = layer_of(source.module()).unwrap_or_else(|| panic!("{} is in no layer", source.name));
        for import in source.imports().into_iter().filter(|import| *import != source.module()) {
            let is_right = match layer_of(import) {
                Some(below) if below < layer => true,
                // The vocabulary is one layer whose files know each other.
                Some(same) => same == layer && layer == 0,
                // What the crate exports at its root is what edges are made of.
                None => layer >= EDGES,
            };
            if !is_right {
                wrong.push(format!("{} imports crate::{import}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
    assert!(LAYERS[COMPONENTS].len() >= 6, "the six components are in their layer");
}

#[test]
fn every_file_says_what_lives_in_it_and_holds_one_idea() {
    let mut wrong = Vec::new();
    for source in sources() {
        let first = source.text.lines().find(|line| !line.starts_with("#![")).unwrap_or_default();
        if !first.starts_with("//! ") {
            wrong.push(format!("{} does not open with //!", source.name));
        }
        if source.text.lines().count() > MAX_LINES {
            wrong.push(format!("{} has more than {MAX_LINES} lines", source.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_in_its_islands() {
    for source in sources() {
        let is_island = UNSAFE_ISLANDS.iter().any(|island| source.name.starts_with(island));
        let is_unsafe = source.code().any(|line| line.contains("unsafe ") || line.contains("unsafe{"));
        assert!(is_island || !is_unsafe, "{} has unsafe code", source.name);
    }
}

#[test]
fn only_the_driver_reads_clocks_and_the_world() {
    const WORLD: &[&str] =
        &["Instant", "SystemTime", "std::env", "std::fs", "std::net::", "std::thread", "getrandom"];
    for source in sources().iter().filter(|source| source.module() != "driver") {
        for line in source.code() {
            let found = WORLD.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{} names {}: {line}", source.name, found.unwrap());
        }
    }
}
