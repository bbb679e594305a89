//! `include/leon.h` is what cbindgen makes of `src/ffi`, and every function in it says what a caller must know.
//!
//! `LEON_UPDATE_HEADER=1 cargo test --test header` writes the header anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the source fails")]

use std::collections::BTreeSet;
use std::fs;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use leon::ffi;
use log::{LevelFilter, Log, Metadata, Record};

/// The files that the header is made of, in the order in which people read it.
const ORDER: &[&str] = &[
    "status.rs",
    "types.rs",
    "event.rs",
    "callbacks.rs",
    "config.rs",
    "engine.rs",
    "forwarder.rs",
    "report.rs",
    "explain.rs",
    "counter.rs",
    "text.rs",
    "frame.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn committed() -> String {
    fs::read_to_string(root().join("include/leon.h")).unwrap_or_default()
}

/// What cbindgen has warned of. It leaves out what it does not understand, and says no more than that.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Log for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        // What is not offered to C is left out on purpose.
        if !text.ends_with("(not `pub`).") && !text.ends_with("(not `no_mangle`).") {
            self.0.lock().unwrap().push(text);
        }
    }

    fn flush(&self) {}
}

/// The header of the present source.
fn generated() -> String {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(LevelFilter::Warn);
    let config = cbindgen::Config::from_root_or_default(root());
    let mut builder = cbindgen::Builder::new().with_config(config).with_trailer(trailer());
    for file in ORDER {
        builder = builder.with_src(root().join("src/ffi").join(file));
    }
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    assert_eq!(*WARNINGS.0.lock().unwrap(), [] as [&str; 0]);
    parenthesised(&String::from_utf8(bytes).unwrap())
}

/// Negative constants in parentheses, as a minus sign may stand before them.
fn parenthesised(header: &str) -> String {
    let line = |line: &str| match line.strip_prefix("#define ").and_then(|rest| rest.split_once(" -")) {
        Some((name, number)) if number.parse::<u32>().is_ok() => format!("#define {name} (-{number})\n"),
        _ => format!("{line}\n"),
    };
    header.lines().map(line).collect()
}

/// What cbindgen cannot make: the macro that hands on the header's ABI, and proof that the compiler lays the
/// structs out as the library does.
fn trailer() -> String {
    let mut text = String::from(
        "/** Makes an engine: `leon_engine_new_abi` with the ABI number of this header. */\n\
         #define leon_engine_new(config, callbacks, now, engine, error, error_size) \\\n    \
         leon_engine_new_abi(LEON_ABI_VERSION, (config), (callbacks), (now), (engine), (error), (error_size))\n\n\
         #if defined(__cplusplus)\n\
         #define LEON_STATIC_ASSERT(condition, text) static_assert(condition, text)\n\
         #elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n\
         #define LEON_STATIC_ASSERT(condition, text) _Static_assert(condition, text)\n\
         #else\n\
         #define LEON_STATIC_ASSERT(condition, text) extern int leon_static_assert[(condition) ? 1 : -1]\n\
         #endif\n\n\
         #if UINTPTR_MAX == 0xffffffffffffffff\n",
    );
    for (name, size, last, offset) in layouts() {
        text.push_str(&format!(
            "LEON_STATIC_ASSERT(sizeof({name}) == {size}, \"size of {name}\");\n\
             LEON_STATIC_ASSERT(offsetof({name}, {last}) == {offset}, \"layout of {name}\");\n"
        ));
    }
    text.push_str("#endif");
    text
}

/// Each struct with its size, its last field, and where that is.
fn layouts() -> Vec<(&'static str, usize, &'static str, usize)> {
    macro_rules! layout {
        ($($name:ident.$last:ident),+ $(,)?) => {
            vec![$((stringify!($name), size_of::<ffi::$name>(), stringify!($last), offset_of!(ffi::$name, $last)),)+]
        };
    }
    layout![
        leon_id.bytes,
        leon_key.bytes,
        leon_mac.bytes,
        leon_address.scope_id,
        leon_iov.len,
        leon_frame_in.reserved,
        leon_frame_out.reserved,
        leon_datagram_in.dropped,
        leon_datagram_out.reserved,
        leon_callbacks.log,
        leon_config.flood_limit,
        leon_event.from,
        leon_info.name,
        leon_member.reserved,
        leon_link.reserved,
        leon_host_key.mac,
        leon_host.reserved,
        leon_explanation.former,
        leon_path_link.state,
        leon_candidate.is_backup,
        leon_frame_info.ethertype,
    ]
}

/// The names of the functions a header declares, each with the comment before it.
fn functions(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut is_comment = false;
    for line in header.lines() {
        if line.starts_with("/**") {
            comment.clear();
            is_comment = true;
        }
        if is_comment {
            comment.push_str(line.trim_start_matches([' ', '*', '/']).trim_end());
            comment.push('\n');
            is_comment = !line.trim_end().ends_with("*/");
        } else if let Some(name) = declared(line) {
            found.push((name.to_owned(), std::mem::take(&mut comment)));
        }
    }
    found
}

fn declared(line: &str) -> Option<&str> {
    let before = line.split_once('(')?.0;
    let is_code = !line.starts_with([' ', '#', '/', '*', '}']) && !before.contains("LEON_STATIC_ASSERT");
    let name = before.rsplit([' ', '*']).next()?;
    (is_code && name.starts_with("leon_")).then_some(name)
}

/// The names that the source exports.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/ffi")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in source.split("#[unsafe(no_mangle)]").skip(1) {
            let after = part.split_once("fn ").unwrap().1;
            names.insert(after.split('(').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn the_committed_header_is_that_of_the_source() {
    let new = generated();
    if std::env::var_os("LEON_UPDATE_HEADER").is_some() {
        fs::write(root().join("include/leon.h"), &new).unwrap();
    }
    let old = committed();
    if let Some((at, (old, new))) =
        old.lines().zip(new.lines()).enumerate().find(|(_, (old, new))| old != new)
    {
        let at = at + 1;
        panic!(
            "line {at} of include/leon.h is\n  {old}\nbut should be\n  {new}\nrenew it: LEON_UPDATE_HEADER=1 cargo test --test header"
        );
    }
    assert_eq!(old.lines().count(), new.lines().count(), "LEON_UPDATE_HEADER=1 cargo test --test header");
}

#[test]
fn the_header_declares_what_the_source_exports_and_nothing_else() {
    let declared: BTreeSet<_> = functions(&committed()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(declared, exported());
    assert!(declared.len() > 20);
}

#[test]
fn every_function_says_what_a_caller_must_know() {
    let errors: BTreeSet<_> = committed()
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#define LEON_E_")?.split(' ').next().map(|name| format!("LEON_E_{name}"))
        })
        .collect();
    for (name, comment) in functions(&committed()) {
        for tag in ["@return", "@thread", "@reentrancy", "@ownership", "@errors", "@since"] {
            assert_eq!(comment.matches(tag).count(), 1, "{name} says {tag} once");
        }
        let listed = comment.split("@errors").nth(1).unwrap().split("@since").next().unwrap();
        let listed: Vec<_> = listed.split([',', ' ', '\n']).filter(|word| !word.is_empty()).collect();
        for error in &listed {
            assert!(*error == "none" || errors.contains(*error), "{name} names {error}");
        }
        assert!(!listed.is_empty(), "{name} lists its errors");
    }
}

#[test]
fn no_enum_crosses_and_every_name_is_leons() {
    let header = committed();
    for line in header.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])) {
        assert!(!line.contains("enum ") && !line.contains("bool "), "{line}");
        let defined = line.strip_prefix("#define ").and_then(|rest| rest.split([' ', '(']).next());
        assert!(defined.is_none_or(|name| name.to_lowercase().starts_with("leon_")), "{line}");
    }
    let includes: Vec<_> = header.lines().filter(|line| line.starts_with("#include")).collect();
    assert_eq!(includes, ["#include <stddef.h>", "#include <stdint.h>"]);
}

#[test]
fn elements_of_arrays_have_no_hidden_padding() {
    // Padding would be read by who copies whole structs, and a field could not take its place.
    let sum = |sizes: &[usize]| sizes.iter().sum::<usize>();
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<ffi::leon_address>(), sum(&[16, 2, 1, 1, 4]));
    assert_eq!(size_of::<ffi::leon_frame_in>(), sum(&[4 * pointer, 16]));
    assert_eq!(size_of::<ffi::leon_frame_out>(), sum(&[2 * pointer, 8]));
    assert_eq!(size_of::<ffi::leon_datagram_in>(), sum(&[2 * pointer, 8, 24, 2, 2, 4]));
    assert_eq!(size_of::<ffi::leon_datagram_out>(), sum(&[3 * pointer, 24, 2, 2, 4]));
    assert_eq!(size_of::<ffi::leon_member>(), sum(&[32, 64, 24, 5 * 8, 4, 4, 4 * 32, 4, 4]));
    assert_eq!(size_of::<ffi::leon_link>(), sum(&[32, 32, 8, 8, 4, 4]));
    assert_eq!(size_of::<ffi::leon_host>(), sum(&[32, 8, 12, 4, 4, 4]));
    assert_eq!(align_of::<ffi::leon_member>(), 8);
}
