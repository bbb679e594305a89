//! A configuration, or its policy alone, as text: one schema in TOML and in JSON, described in `docs/config.md`.
//!
//! The text holds keys. They are read where they stand, without a copy, and no error shows any part of the
//! text but names of fields. Where the text comes from is unknown here.

use core::net::SocketAddr;
use core::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};

use crate::config::value::{List, Mode, Pin, Price, Switch, Value, without_text};
use crate::config::{Bulk, Cipher, Config, Keys, PathPart, Policy, Security};
use crate::error::ConfigError;
use crate::key::{NetworkKey, SecretKey};
use crate::node::{NodeId, Segment};

/// A text that is no configuration or no policy. Never holds a part of the text, but names of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text is not TOML or JSON, has an unknown or a repeated field, or a value of the wrong kind.
    #[error("line {line}, column {column}: {message}")]
    Malformed {
        /// The line, from 1 on.
        line: usize,
        /// The byte within the line, from 1 on.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A field that has no default is not set.
    #[error("`{field}` is not set: {advice}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A field is set that another one rules out.
    #[error("`{field}` is set, but {reason}")]
    Contradiction {
        /// The field.
        field: &'static str,
        /// Why it has no place, and what to do.
        reason: &'static str,
    },
    /// The node's own key is the key of the network.
    #[error(
        "`secret_key` and `network_key` are the same: the first is this node's own, the second is shared by all"
    )]
    SameKey,
    /// A value is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Config {
    /// Reads a configuration from TOML; `docs/config.md` lists the fields. What is not set is as in
    /// [`Config::new`]. `entropy` must come from a random source of the host; there is no field for it.
    ///
    /// The text holds keys, so the caller should wipe it. Here they are read in place; but text that is not TOML at
    /// all, and keys with escape sequences, leave copies behind in freed memory.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where, without showing the text.
    pub fn from_toml(text: &str, entropy: [u8; 32]) -> Result<Config, TextError> {
        from_toml::<Fields>(text)?.complete(entropy)
    }

    /// Reads a configuration from JSON: one object with the fields that [`from_toml`](Config::from_toml) takes, null
    /// being the same as not set.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where, without showing the text.
    pub fn from_json(text: &str, entropy: [u8; 32]) -> Result<Config, TextError> {
        from_json::<Fields>(text)?.complete(entropy)
    }
}

impl Policy {
    /// Reads a policy from TOML: the fields `pins`, `avoid` and `prices_us` of `docs/config.md`. None has to be set.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where, without showing the text.
    pub fn from_toml(text: &str) -> Result<Policy, TextError> {
        from_toml::<PolicyFields>(text)?.complete()
    }

    /// Reads a policy from JSON: one object with the fields that [`from_toml`](Policy::from_toml) takes, null being
    /// the same as not set.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where, without showing the text.
    pub fn from_json(text: &str) -> Result<Policy, TextError> {
        from_json::<PolicyFields>(text)?.complete()
    }
}

/// As a part of another schema, with the same fields and ranges. What its errors show is up to the format.
impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PolicyFields::deserialize(deserializer)?.complete().map_err(D::Error::custom)
    }
}

/// Reads fields from TOML.
fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, TextError> {
    let malformed = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        TextError::Malformed { line, column, message: without_text(error.message()) }
    };
    // Through the table: the errors of the short way hold a copy of the text.
    let table = toml::de::DeTable::parse(text).map_err(malformed)?;
    T::deserialize(toml::de::Deserializer::from(table)).map_err(malformed)
}

/// Reads fields from one object of JSON.
fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, TextError> {
    let start = text.len() - text.trim_start().len();
    if !text[start..].starts_with('{') {
        let (line, column) = position(text, start);
        let message = "one object in braces is expected".to_owned();
        return Err(TextError::Malformed { line, column, message });
    }
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let shown = error.to_string();
        let message = shown.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&shown);
        TextError::Malformed { line: line.max(1), column: column.max(1), message: without_text(message) }
    })
}

/// What the text sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<Value<String>>,
    locator: Option<Value<SocketAddr>>,
    incarnation: Option<Value<u64>>,
    seeds: Option<List<SocketAddr>>,
    segments: Option<List<Segment>>,
    security: Option<Value<Mode>>,
    secret_key: Option<Value<SecretKey>>,
    network_key: Option<Value<NetworkKey>>,
    id: Option<Value<NodeId>>,
    allowed: Option<List<NodeId>>,
    cipher: Option<Value<Cipher>>,
    underlay_mtu: Option<Value<u16>>,
    max_members: Option<Value<usize>>,
    fdb_capacity: Option<Value<usize>>,
    fdb_ageing_s: Option<Value<u64>>,
    ping_interval_ms: Option<Value<u64>>,
    relay_charge_us: Option<Value<u64>>,
    pins: Option<List<Pin>>,
    avoid: Option<List<PathPart>>,
    prices_us: Option<List<Price>>,
    bulk_dscp: Option<List<u8>>,
    bulk_pcp: Option<List<u8>>,
    transit: Option<Value<Switch>>,
    relay_capacity: Option<Value<u32>>,
    relay_limit: Option<Value<u32>>,
    flood_limit: Option<Value<u32>>,
}

/// What the text of a policy sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFields {
    pins: Option<List<Pin>>,
    avoid: Option<List<PathPart>>,
    prices_us: Option<List<Price>>,
}

impl PolicyFields {
    fn complete(self) -> Result<Policy, TextError> {
        let policy = Policy {
            pins: elements(self.pins).map(|Pin { to, relays }| (to, relays)).collect(),
            avoid: elements(self.avoid).collect(),
            prices: elements(self.prices_us).map(|Price { part, price }| (part, price)).collect(),
        };
        policy.validate()?;
        Ok(policy)
    }
}

impl Fields {
    fn complete(mut self, entropy: [u8; 32]) -> Result<Config, TextError> {
        let name = needed(self.name.take(), "name", "give this node a name that no other has")?;
        let advice = "give the address and port at which the others reach this node";
        let locator = needed(self.locator.take(), "locator", advice)?;
        let security = match self.security.take() {
            None | Some(Value(Mode::Sealed)) => self.sealed()?,
            Some(Value(Mode::None)) => self.unsealed()?,
        };
        let mut config = Config::new(name, locator, security, entropy);
        set(&mut config.incarnation, self.incarnation, |incarnation| incarnation);
        set(&mut config.cipher, self.cipher, |cipher| cipher);
        set(&mut config.underlay_mtu, self.underlay_mtu, |bytes| bytes);
        set(&mut config.max_members, self.max_members, |members| members);
        set(&mut config.fdb_capacity, self.fdb_capacity, |hosts| hosts);
        set(&mut config.fdb_ageing, self.fdb_ageing_s, Duration::from_secs);
        set(&mut config.ping_interval, self.ping_interval_ms, Duration::from_millis);
        set(&mut config.relay_charge, self.relay_charge_us, Duration::from_micros);
        set(&mut config.transit, self.transit, |Switch(is_on)| is_on);
        set(&mut config.relay_capacity, self.relay_capacity, |limit| limit);
        set(&mut config.relay_limit, self.relay_limit, |limit| limit);
        set(&mut config.flood_limit, self.flood_limit, |limit| limit);
        let policy = PolicyFields { pins: self.pins, avoid: self.avoid, prices_us: self.prices_us };
        config.policy = policy.complete()?;
        config.bulk =
            Bulk { dscp: elements(self.bulk_dscp).collect(), pcp: elements(self.bulk_pcp).collect() };
        if let Some(List(seeds)) = self.seeds {
            config.seeds = seeds;
        }
        if let Some(List(segments)) = self.segments {
            config.segments = segments;
        }
        config.validate()?;
        Ok(config)
    }

    fn sealed(&mut self) -> Result<Security, TextError> {
        if self.id.is_some() {
            let reason = "with `security` sealed it follows from `secret_key`: drop it";
            return Err(TextError::Contradiction { field: "id", reason });
        }
        let advice = "give this node's own key, or set `security` to none, which protects nothing";
        let secret = needed(self.secret_key.take(), "secret_key", advice)?;
        let advice = "give the key that all nodes share, or set `security` to none, which protects nothing";
        let network = needed(self.network_key.take(), "network_key", advice)?;
        if secret.as_bytes() == network.as_bytes() {
            return Err(TextError::SameKey);
        }
        let mut keys = Keys::new(secret, network);
        keys.allowed = self.allowed.take().map(|List(allowed)| allowed.into_iter().collect());
        Ok(Security::Sealed(keys))
    }

    fn unsealed(&mut self) -> Result<Security, TextError> {
        let about_keys = [
            ("secret_key", self.secret_key.is_some()),
            ("network_key", self.network_key.is_some()),
            ("allowed", self.allowed.is_some()),
        ];
        if let Some((field, _)) = about_keys.into_iter().find(|(_, is_set)| *is_set) {
            let reason = "`security` is none, which uses no keys: drop one of the two";
            return Err(TextError::Contradiction { field, reason });
        }
        let advice = "with `security` none, give 32 bytes in base64 that no other node has";
        Ok(Security::None { id: needed(self.id.take(), "id", advice)? })
    }
}

fn needed<T>(value: Option<Value<T>>, field: &'static str, advice: &'static str) -> Result<T, TextError> {
    value.map(|Value(value)| value).ok_or(TextError::Missing { field, advice })
}

fn set<T, U>(field: &mut U, value: Option<Value<T>>, of: impl FnOnce(T) -> U) {
    if let Some(Value(value)) = value {
        *field = of(value);
    }
}

fn elements<T>(list: Option<List<T>>) -> impl Iterator<Item = T> {
    list.into_iter().flat_map(|List(elements)| elements)
}

/// Line and column of a byte of the text, both from 1 on.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (1 + before.iter().filter(|byte| **byte == b'\n').count(), 1 + before.len() - line_start)
}

#[cfg(test)]
mod tests;
