//! What is read from text, and what is refused without showing any of it.

use proptest::prelude::*;

use super::*;

const ENTROPY: [u8; 32] = [9; 32];
const SECRET: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const NETWORK: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const RELAY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The same fields in TOML and in JSON, each value as both write it.
fn both(fields: &[(&str, &str)]) -> [String; 2] {
    let toml: Vec<_> = fields.iter().map(|(field, value)| format!("{field} = {value}\n")).collect();
    let json: Vec<_> = fields.iter().map(|(field, value)| format!("  \"{field}\": {value}")).collect();
    [toml.concat(), format!("{{\n{}\n}}\n", json.join(",\n"))]
}

fn read(fields: &[(&str, &str)]) -> [Result<Config, TextError>; 2] {
    let [toml, json] = both(fields);
    [Config::from_toml(&toml, ENTROPY), Config::from_json(&json, ENTROPY)]
}

/// What both formats say of these fields beside those that every node needs.
fn sealed_with(more: &[(&str, &str)]) -> [Result<Config, TextError>; 2] {
    let (secret, network) = (format!("\"{SECRET}\""), format!("\"{NETWORK}\""));
    let needed = [
        ("name", "\"fujisawa\""),
        ("locator", "\"192.0.2.1:4789\""),
        ("secret_key", &secret),
        ("network_key", &network),
    ];
    let base = needed.into_iter().filter(|(field, _)| more.iter().all(|(other, _)| other != field));
    read(&base.chain(more.iter().copied()).collect::<Vec<_>>())
}

/// The sentence that both formats refuse these fields with, without the place.
fn refused(more: &[(&str, &str)]) -> String {
    let messages = sealed_with(more).map(|read| match read.expect_err("a wrong text is refused") {
        TextError::Malformed { message, .. } => message,
        other => other.to_string(),
    });
    assert_eq!(messages[0], messages[1]);
    messages[0].clone()
}

fn keys(config: &Config) -> &Keys {
    match &config.security {
        Security::Sealed(keys) => keys,
        Security::None { .. } => panic!("the text says sealed"),
    }
}

#[test]
fn what_is_not_set_is_as_in_a_new_configuration() {
    for config in sealed_with(&[]) {
        let config = config.unwrap();
        let keys = keys(&config);
        assert_eq!(*keys.secret().to_base64(), SECRET);
        assert_eq!(*keys.network().to_base64(), NETWORK);
        let locator = config.locator;
        let new = Config::new("fujisawa", locator, Security::Sealed(keys.clone()), ENTROPY);
        assert_eq!(format!("{config:?}"), format!("{new:?}"));
        assert_eq!(config.entropy, ENTROPY);
    }
}

#[test]
fn every_field_is_read_alike_from_both_formats() {
    let other = format!("[\"{OTHER}\"]");
    let pins = format!("[\"{OTHER} via {RELAY}\", \"{RELAY} direct\"]");
    let avoid = format!("[\"{OTHER}\", \"{OTHER} {RELAY}\"]");
    let prices = format!("[\"{RELAY} 2500\", \"{OTHER} {RELAY} 400\"]");
    let fields = [
        ("incarnation", "7"),
        ("seeds", "[\"192.0.2.2:4789\", \"[2001:db8::1]:4789\"]"),
        ("segments", "[3, 5]"),
        ("security", "\"sealed\""),
        ("allowed", &other),
        ("cipher", "\"chacha20-poly1305\""),
        ("underlay_mtu", "9000"),
        ("max_members", "12"),
        ("fdb_capacity", "128"),
        ("fdb_ageing_s", "60"),
        ("ping_interval_ms", "500"),
        ("relay_charge_us", "2500"),
        ("pins", &pins),
        ("avoid", &avoid),
        ("prices_us", &prices),
        ("bulk_dscp", "[8, 1]"),
        ("bulk_pcp", "[1]"),
        ("transit", "\"no\""),
        ("relay_capacity", "5000"),
        ("relay_limit", "1000"),
        ("flood_limit", "100"),
    ];
    for config in sealed_with(&fields) {
        let config = config.unwrap();
        assert_eq!(config.name, "fujisawa");
        assert_eq!(config.locator.to_string(), "192.0.2.1:4789");
        assert_eq!(config.incarnation, 7);
        let seeds: Vec<_> = config.seeds.iter().map(SocketAddr::to_string).collect();
        assert_eq!(seeds, ["192.0.2.2:4789", "[2001:db8::1]:4789"]);
        assert_eq!(config.segments.iter().map(|segment| segment.id()).collect::<Vec<_>>(), [3, 5]);
        let allowed =
            keys(&config).allowed.as_ref().map(|allowed| allowed.iter().copied().collect::<Vec<_>>());
        assert_eq!(allowed, Some(vec![NodeId([1; 32])]));
        assert_eq!(config.cipher, Cipher::ChaCha20Poly1305);
        assert_eq!((config.underlay_mtu, config.max_members, config.fdb_capacity), (9000, 12, 128));
        assert_eq!(config.fdb_ageing, Duration::from_secs(60));
        assert_eq!(config.ping_interval, Duration::from_millis(500));
        assert_eq!(config.relay_charge, Duration::from_micros(2500));
        assert_eq!((config.relay_limit, config.flood_limit), (1000, 100));
        assert_eq!((config.transit, config.relay_capacity), (false, 5000));
        assert_eq!(config.bulk, Bulk { dscp: [1, 8].into(), pcp: [1].into() });
        let [other, relay] = [1, 2].map(|byte| NodeId([byte; 32]));
        let link = PathPart::Link(other, relay);
        assert_eq!(config.policy.pins, [(other, vec![relay]), (relay, vec![])].into());
        assert_eq!(config.policy.avoid, [PathPart::Relay(other), link].into());
        let prices = [(PathPart::Relay(relay), 2500), (link, 400)];
        let prices = prices.map(|(part, us)| (part, Duration::from_micros(us)));
        assert_eq!(config.policy.prices, prices.into());
    }
    let aes = sealed_with(&[("cipher", "\"aes-256-gcm\"")]).map(|config| config.unwrap().cipher);
    assert_eq!(aes, [Cipher::Aes256Gcm; 2]);
}

#[test]
fn a_policy_alone_is_read_as_it_is_in_a_configuration() {
    let pins = format!("[\"{OTHER} via {RELAY}\"]");
    let avoid = format!("[\"{RELAY}\"]");
    let prices = format!("[\"{OTHER} {RELAY} 400\"]");
    let fields = [("pins", pins.as_str()), ("avoid", &avoid), ("prices_us", &prices)];
    let [toml, json] = both(&fields);
    let read = [Policy::from_toml(&toml).unwrap(), Policy::from_json(&json).unwrap()];
    assert_eq!(read, sealed_with(&fields).map(|config| config.unwrap().policy));
    assert_ne!(read[0], Policy::default());
    assert_eq!(
        [Policy::from_toml(""), Policy::from_json("{}")],
        [Ok(Policy::default()), Ok(Policy::default())]
    );
    let [toml, json] = both(&[("avoid", "[]"), ("name", "\"a\"")]);
    for error in [Policy::from_toml(&toml).unwrap_err(), Policy::from_json(&json).unwrap_err()] {
        assert!(error.to_string().contains("unknown field `name`, expected one of `pins`"), "{error}");
    }
    let to_itself = format!("avoid = ['{OTHER} {OTHER}']");
    assert_eq!(Policy::from_toml(&to_itself), Err(TextError::Config(ConfigError::Link)));
}

#[test]
fn security_none_takes_an_identity_and_no_keys() {
    let id = format!("\"{OTHER}\"");
    let base = [("name", "\"a\""), ("locator", "\"192.0.2.1:1\""), ("security", "\"none\"")];
    for config in read(&[base[0], base[1], base[2], ("id", &id)]) {
        assert_eq!(config.unwrap().id(), NodeId([1; 32]));
    }
    let message = |more: (&str, &str)| {
        read(&[base[0], base[1], base[2], more]).map(|read| read.unwrap_err().to_string())
    };
    assert!(message(("relay_limit", "9"))[0].starts_with("`id` is not set"));
    for field in ["secret_key", "network_key"] {
        let expected =
            format!("`{field}` is set, but `security` is none, which uses no keys: drop one of the two");
        assert_eq!(message((field, &id)), [expected.clone(), expected]);
    }
    assert!(message(("allowed", "[]"))[1].starts_with("`allowed` is set, but"));
    assert!(refused(&[("id", &id)]).starts_with("`id` is set, but"));
}

#[test]
fn what_every_node_needs_is_asked_for() {
    let needed = [("name", "\"a\""), ("locator", "\"192.0.2.1:1\""), ("secret_key", ""), ("network_key", "")];
    let key =
        |value: &str, with: &str| if value.is_empty() { format!("\"{with}\"") } else { value.to_owned() };
    for missing in needed.map(|(field, _)| field) {
        let with = needed
            .map(|(field, value)| (field, key(value, if field == "secret_key" { SECRET } else { NETWORK })));
        let fields: Vec<_> = with
            .iter()
            .filter(|(field, _)| *field != missing)
            .map(|(field, value)| (*field, value.as_str()))
            .collect();
        for read in read(&fields) {
            assert!(matches!(read, Err(TextError::Missing { field, .. }) if field == missing), "{missing}");
        }
    }
    let secret = format!("\"{SECRET}\"");
    assert!(refused(&[("network_key", &secret)]).contains("are the same"));
}

#[test]
fn a_wrong_value_is_refused_with_what_belongs_there() {
    assert_eq!(
        refused(&[("locator", "\"inagi:4789\"")]),
        "this must be an IP address and port in quotes, as in 192.0.2.1:4789 or [2001:db8::1]:4789"
    );
    assert!(refused(&[("locator", "4789")]).contains("this must be an IP address and port"));
    assert_eq!(refused(&[("seeds", "\"192.0.2.1:4789\"")]), "this must be a list in brackets");
    assert_eq!(refused(&[("underlay_mtu", "70000")]), "this must be a whole number of 0 to 65535");
    assert_eq!(refused(&[("relay_limit", "-1")]), "this must be a whole number of 0 to 4294967295");
    assert!(refused(&[("max_members", "1.5")]).contains("expected a whole number"));
    assert!(refused(&[("name", "true")]).contains("expected text in quotes"));
    assert_eq!(refused(&[("security", "\"open\"")]), "this must be sealed or none, in quotes");
    assert_eq!(refused(&[("cipher", "\"des\"")]), "this must be aes-256-gcm or chacha20-poly1305, in quotes");
    assert_eq!(refused(&[("segments", "[16777216]")]), "this must be the number of a segment, 0 to 16777215");
    assert_eq!(refused(&[("secret_key", "\"short\"")]), "a key has 44 characters of base64, this text has 5");
    for (field, value) in [("pins", "x"), ("pins", "x via"), ("avoid", "x y"), ("prices_us", "5")] {
        let value = format!("[\"{}\"]", value.replace('x', OTHER));
        assert!(refused(&[(field, &value)]).starts_with("this must be the key of a "), "{value}");
    }
    assert!(refused(&[("bulk_dscp", "[64]")]).contains("bulk_dscp must be 0 to 63"));
    assert!(refused(&[("bulk_pcp", "[256]")]).contains("a whole number of 0 to 255"));
    let twice = format!("[\"{OTHER} via {RELAY} {RELAY}\"]");
    assert!(refused(&[("pins", &twice)]).contains("each once"));
    let much = format!("[\"{RELAY} 10000001\"]");
    assert!(refused(&[("prices_us", &much)]).contains("10 s at most"));
    assert!(refused(&[("allowed", "[5]")]).contains("this must be a key of 44 characters"));
    assert!(refused(&[("entropy", "1")]).starts_with("unknown field `entropy`, expected one of `name`"));
    assert!(refused(&[("underlay_mtu", "1279")]).contains("underlay_mtu must be 1280 to 65535"), "its range");
    assert!(refused(&[("fdb_capacity", "100")]).contains("power of two"));
}

#[test]
fn an_error_has_the_line_and_column_it_is_in() {
    let place = |read: Result<Config, TextError>| match read {
        Err(TextError::Malformed { line, column, .. }) => (line, column),
        other => panic!("malformed: {other:?}"),
    };
    let [toml, json] = sealed_with(&[("underlay_mtu", "\"large\"")]);
    assert_eq!(place(toml), (5, 16));
    assert_eq!(place(json).0, 6);
    assert_eq!(place(Config::from_toml("name = 'a'\nname = 'b'", ENTROPY)), (2, 1));
    assert_eq!(place(Config::from_toml("\n\nlocator 5", ENTROPY)).0, 3);
    assert_eq!(place(Config::from_json("{\"name\": \"a\",\n \"name\": \"b\"}", ENTROPY)).0, 2);
    assert_eq!(place(Config::from_json("\n [\"a\"]", ENTROPY)), (2, 2));
    assert_eq!(place(Config::from_json("", ENTROPY)), (1, 1));
}

/// Texts with a key in a place where none belongs, or written wrongly.
fn misplaced() -> Vec<String> {
    let mut texts = Vec::new();
    for field in [
        "name",
        "locator",
        "seeds",
        "incarnation",
        "segments",
        "security",
        "cipher",
        "relay_limit",
        "allowed",
        "pins",
        "avoid",
        "prices_us",
    ] {
        texts.push(format!("{field} = '{SECRET}'"));
        texts.push(format!("{field} = ['{SECRET}']"));
        texts.push(format!("{field} = {SECRET}"));
        texts.push(format!("{field} = '{SECRET}\nlocator = 5"));
        texts.push(format!("{{\"{field}\": \"{SECRET}\"}}"));
        texts.push(format!("{{\"{field}\": [\"{SECRET}\"]}}"));
        texts.push(format!("{{\"{field}\": {SECRET}}}"));
        texts.push(format!("{{\"{field}\": {{\"{SECRET}\": 1}}}}"));
    }
    let halves = SECRET.split_at(20);
    texts.push(format!("secret_key = '{}'", halves.0));
    texts.push(format!("secret_key = '{} {}'", halves.0, halves.1));
    texts.push(format!("secret_key = {SECRET}"));
    texts.push(format!("secret_key.{SECRET} = 5"));
    texts.push(format!("'{SECRET}' = 5"));
    texts.push(format!("{} = 5\n{} = 6", halves.0, halves.0));
    texts.push(format!("[{}]\na = 5", halves.0));
    texts.push(SECRET.to_owned());
    texts.push(format!("\"{SECRET}\""));
    texts.push(format!("{{\"{SECRET}\": 5}}"));
    texts
}

#[test]
fn no_error_shows_a_part_of_a_key() {
    for text in misplaced() {
        let config = [Config::from_toml(&text, ENTROPY), Config::from_json(&text, ENTROPY)];
        // To a policy, a key in the place of a public one is no error.
        let policy = [Policy::from_toml(&text), Policy::from_json(&text)];
        let errors = config.into_iter().map(Result::unwrap_err);
        for error in errors.chain(policy.into_iter().filter_map(Result::err)) {
            let shown = format!("{error} {error:?}");
            let parts = SECRET.as_bytes().windows(5).map(|part| str::from_utf8(part).unwrap());
            for part in parts {
                assert!(!shown.contains(part), "{text} -> {shown}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_text_is_refused_without_a_panic(text in "\\PC{0,200}") {
        prop_assert!(Config::from_toml(&text, ENTROPY).is_err());
        prop_assert!(Config::from_json(&text, ENTROPY).is_err());
    }

    #[test]
    fn random_values_are_taken_or_refused_alike_without_a_panic(
        field in prop::sample::select(vec!["name", "locator", "seeds", "segments", "incarnation", "flood_limit"]),
        value in prop_oneof![
            "\"[a-z0-9.:]{0,20}\"",
            "-?[1-9][0-9]{0,17}",
            "\\[([1-9][0-9]{0,8}(, [1-9][0-9]{0,8}){0,3})?\\]",
            "true|false|1.5|\\[\\[\\]\\]",
        ],
    ) {
        let [toml, json] = sealed_with(&[(field, &value)]);
        let shown = |read: Result<Config, TextError>| match read {
            Ok(config) => format!("{config:?}"),
            Err(TextError::Malformed { .. }) => "malformed".to_owned(),
            Err(other) => other.to_string(),
        };
        prop_assert_eq!(shown(toml), shown(json));
    }
}
