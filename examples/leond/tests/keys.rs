//! Keys, as operators meet them: `leond keygen`, `leond pubkey`, and the settings of `leond run` about keys.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::{leond, run_with, stderr, usage_error};
use tempfile::TempDir;

/// RFC 7748 §6.1: Alice's key pair, in base64.
const SECRET: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const NETWORK: &str = "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU=";

/// The underlay's MTU is wrong, so that leond stops when it has read all of its settings, at the latest.
const BASE: &str = "name = 'fujisawa'\nlisten = '127.0.0.1:0'\ntap = 'leond-test'\nunderlay_mtu = 9\n";
const READ_ALL: &str = "underlay_mtu must be";

/// A directory with the key files of a site.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { directory: tempfile::tempdir().unwrap() };
        site.write("secret", SECRET, 0o600);
        site.write("network", NETWORK, 0o600);
        site
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Runs leond with the base, both key files, and more settings.
    fn run(&self, settings: &str, flags: &[&str]) -> Output {
        let [secret, network] = ["secret", "network"].map(|name| self.path(name));
        run_with(&format!("{BASE}key = '{secret}'\nnetwork_key = '{network}'\n{settings}"), flags)
    }

    /// What an error of `run` says.
    fn refusal(&self, settings: &str, flags: &[&str]) -> String {
        usage_error(&self.run(settings, flags))
    }
}

/// What one successful call prints.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// The single sentence that a failing call prints.
fn failure(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn keygen_prints_the_public_key_of_the_file_it_writes_and_pubkey_prints_it_again() {
    let site = Site::new();
    let [first, second] = ["first", "second"].map(|name| site.path(name));
    let public = printed(&leond(&["keygen", &first]));
    assert_eq!(printed(&leond(&["pubkey", &first])), public);
    assert_eq!(public.len(), 44);
    let text = fs::read_to_string(&first).unwrap();
    assert!(text.len() == 45 && text.ends_with("=\n") && !text.contains(&public));
    assert_ne!(printed(&leond(&["keygen", &second])), public);
    assert_ne!(fs::read_to_string(&second).unwrap(), text);
}

#[test]
fn pubkey_knows_the_key_pair_of_rfc_7748_from_a_file_and_from_standard_input() {
    let site = Site::new();
    assert_eq!(printed(&leond(&["pubkey", &site.path("secret")])), PUBLIC);
    let mut command = Command::new(env!("CARGO_BIN_EXE_leond"));
    let stdin = File::open(site.path("secret")).unwrap();
    assert_eq!(printed(&command.args(["pubkey", "-"]).stdin(stdin).output().unwrap()), PUBLIC);
    let text = failure(&command.stdin(File::open("/dev/null").unwrap()).output().unwrap());
    assert_eq!(text, "leond: standard input is empty\n");
}

#[test]
fn a_network_key_is_written_and_nothing_of_it_is_printed() {
    let site = Site::new();
    let output = leond(&["keygen", "--network", &site.path("new")]);
    assert_eq!(printed(&output), "");
    assert_eq!(stderr(&output), "");
    assert_eq!(mode(&site.path("new")), 0o600);
    assert_eq!(fs::read_to_string(site.path("new")).unwrap().len(), 45);
}

#[test]
fn a_new_key_is_for_its_owner_only_whatever_the_umask() {
    let site = Site::new();
    let script = "umask 000; exec \"$0\" keygen \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_leond"), &site.path("new")]);
    printed(&shell.output().unwrap());
    assert_eq!(mode(&site.path("new")), 0o600);
}

#[test]
fn keygen_overwrites_nothing() {
    let site = Site::new();
    for flags in [&["keygen"][..], &["keygen", "--network"]] {
        let text = failure(&leond(&[flags, &[&site.path("secret")]].concat()));
        assert!(text.contains("exists already") && text.contains(&site.path("secret")), "{text}");
    }
    assert_eq!(fs::read_to_string(site.path("secret")).unwrap(), SECRET);
    let text = failure(&leond(&["keygen", &site.path("absent/key")]));
    assert!(text.contains("cannot create key file"), "{text}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_what_mends_it() {
    let site = Site::new();
    let mends = |text: &str, name: &str| {
        let path = site.path(name);
        assert!(text.contains(&format!("key file {path} has mode 0644")), "{text}");
        assert!(text.contains(&format!("run `chmod 600 {path}`")), "{text}");
    };
    site.write("secret", SECRET, 0o644);
    mends(&failure(&leond(&["pubkey", &site.path("secret")])), "secret");
    mends(&site.refusal("", &[]), "secret");
    site.write("secret", SECRET, 0o600);
    site.write("network", NETWORK, 0o644);
    mends(&site.refusal("", &[]), "network");
    site.write("network", NETWORK, 0o600);
    assert!(site.refusal("", &[]).contains(READ_ALL));
}

#[test]
fn what_is_wrong_with_a_key_file_is_one_sentence_without_the_key() {
    let site = Site::new();
    for (content, expected) in [
        ("", "is empty"),
        (&SECRET[4..], "holds no key: a key has 44 characters of base64, this text has 40"),
        (&SECRET.replace('n', "-"), "holds no key: a key is 43 characters"),
        (&SECRET.repeat(3), "more than one line"),
    ] {
        site.write("broken", content, 0o600);
        let path = site.path("broken");
        for text in [failure(&leond(&["pubkey", &path])), site.refusal("", &["--key", &path])] {
            assert!(text.contains(&path) && text.contains(expected), "{text}");
            assert!(!text.contains(&SECRET[10..20]), "{text}");
        }
    }
    let text = failure(&leond(&["pubkey", site.directory.path().to_str().unwrap()]));
    assert!(text.contains("is a directory"), "{text}");
}

#[test]
fn sealed_is_the_default_and_a_missing_key_is_named_with_how_to_make_it() {
    let network = format!("network_key = '{NETWORK}'\n");
    for toml in [BASE.to_owned(), format!("{BASE}security = 'sealed'\n"), format!("{BASE}{network}")] {
        let text = usage_error(&run_with(&toml, &[]));
        for expected in ["`key` is not set", "`leond keygen FILE`", "--key"] {
            assert!(text.contains(expected), "{text}");
        }
    }
    let text = usage_error(&run_with(BASE, &["--key", "secret"]));
    for expected in ["`network_key` is not set", "`leond keygen --network FILE`", "--network-key"] {
        assert!(text.contains(expected), "{text}");
    }
    let site = Site::new();
    let absent = site.path("absent");
    let text = site.refusal("", &["--key", &absent]);
    assert!(text.contains(&absent) && text.contains("`leond keygen FILE`"), "{text}");
    let text = site.refusal("", &["--network-key", &absent]);
    assert!(text.contains(&absent) && text.contains("`leond keygen --network FILE`"), "{text}");
}

#[test]
fn security_none_and_keys_contradict_each_other() {
    let none = "security = 'none'\n";
    for (flag, value) in
        [("--key", "secret"), ("--network-key", "network"), ("--allow", PUBLIC), ("--allow-file", "allowed")]
    {
        let text = usage_error(&run_with(&format!("{BASE}{none}"), &[flag, value]));
        let name = flag.trim_start_matches("--").replace('-', "_");
        assert!(text.contains(&format!("`{name}` is set although `security` is none")), "{text}");
    }
    let text = usage_error(&run_with(&format!("{BASE}{none}allow = []\n"), &[]));
    assert!(text.contains("`allow` is set"), "{text}");
    assert!(usage_error(&run_with(&format!("{BASE}{none}"), &[])).contains(READ_ALL));
    let text = usage_error(&run_with(BASE, &["--security", "strong"]));
    assert!(text.contains("strong") && text.contains("sealed"), "{text}");
}

#[test]
fn one_key_in_both_places_is_a_mistake() {
    let site = Site::new();
    let text = site.refusal("", &["--network-key", &site.path("secret")]);
    assert!(text.contains("`key` and `network_key` hold the same key"), "{text}");
}

#[test]
fn allowed_keys_are_public_keys_in_the_file_the_flags_and_a_file_of_their_own() {
    let site = Site::new();
    site.write("allowed", &format!("# sites\n{PUBLIC} fujisawa\n\n"), 0o644);
    let allowed = site.path("allowed");
    let list = format!("allow = ['{PUBLIC}']\nallow_file = '{allowed}'\n");
    assert!(site.refusal(&list, &[]).contains(READ_ALL));
    assert!(site.refusal("", &["--allow", PUBLIC, "--allow", NETWORK]).contains(READ_ALL));

    let text = site.refusal(&format!("allow = ['{PUBLIC}', 'seoul']\n"), &[]);
    assert!(text.contains("line 7") && text.contains("this text has 5"), "{text}");
    let text = site.refusal("", &["--allow", "seoul"]);
    assert!(text.contains("--allow") && text.contains("this text has 5"), "{text}");
    site.write("allowed", &format!("{PUBLIC} fujisawa\nseoul {PUBLIC}\n"), 0o644);
    let text = site.refusal("", &["--allow-file", &allowed]);
    assert!(text.contains(&allowed) && text.contains("line 2"), "{text}");
    let text = site.refusal("", &["--allow-file", &site.path("absent")]);
    assert!(text.contains(&site.path("absent")), "{text}");
}

#[test]
fn a_key_where_a_path_belongs_is_not_shown() {
    let site = Site::new();
    for text in [
        site.refusal("", &["--key", SECRET]),
        failure(&leond(&["pubkey", SECRET])),
        usage_error(&run_with(&format!("{BASE}key = {SECRET}\n"), &[])),
        usage_error(&run_with(&format!("{BASE}mtu = '{SECRET}'\n"), &[])),
        usage_error(&run_with(&format!("{BASE}secret_key = '{SECRET}'\n"), &[])),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    let text = site.refusal("", &["--key", SECRET]);
    assert!(text.contains("`key`") && text.contains("the path of a key file is needed"), "{text}");
    assert!(!Path::new(SECRET).exists());
}
