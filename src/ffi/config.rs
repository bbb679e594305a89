//! The configuration as C gives it.

use core::ffi::c_char;
use core::mem::offset_of;
use core::time::Duration;

use crate::ffi::memory::{self, Extensible};
use crate::ffi::status::{Error, LEON_E_CONFIG, LEON_E_TEXT, LEON_E_UNSUPPORTED, sentence};
use crate::ffi::types::{leon_address, leon_id, leon_key, segment};
use crate::{Cipher, Config, Keys, NetworkKey, Policy, SecretKey, Security, Segment};

/// Every datagram is encrypted and authenticated end to end; needs `secret_key` and `network_key`. The default.
pub const LEON_SECURITY_SEALED: u32 = 0;
/// Nothing is authenticated or encrypted: whoever can send UDP to a node can join, read and inject. For underlays
/// that are trusted end to end. Needs `id`.
pub const LEON_SECURITY_NONE: u32 = 1;

/// The cipher that this machine does faster. The default.
pub const LEON_CIPHER_FASTEST: u32 = 0;
/// AES-256-GCM.
pub const LEON_CIPHER_AES_256_GCM: u32 = 1;
/// ChaCha20-Poly1305.
pub const LEON_CIPHER_CHACHA20_POLY1305: u32 = 2;

/// The fields of the struct itself.
pub const LEON_FORMAT_STRUCT: u32 = 0;
/// A text in TOML.
pub const LEON_FORMAT_TOML: u32 = 1;
/// A text in JSON.
pub const LEON_FORMAT_JSON: u32 = 2;

/// What a node is told at its creation. Set it to zeros, then `struct_size`, then what you choose: zero stands for
/// the default of each field. leon copies what the pointers lead to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_config {
    /// `sizeof(leon_config)`.
    pub struct_size: u32,
    /// Where the fields from `name` on to `flood_limit` come from: `LEON_FORMAT_STRUCT`, or with one of the other
    /// `LEON_FORMAT_*` from `text`; then they must be zero here.
    pub format: u32,
    /// The text, UTF-8, with the fields of docs/config.md.
    pub text: *const c_char,
    /// Its length in bytes.
    pub text_len: usize,
    /// 32 bytes from a random source, such as getrandom(2), of which no other engine is given the same: keys follow
    /// from them. Required.
    pub entropy: *const leon_key,
    /// When this life of the node began, in a unit that never goes back over restarts: nanoseconds of the wall
    /// clock will do. A higher one replaces the former life. Required, also with a text.
    pub incarnation: u64,
    /// Most datagrams that one `leon_datagram_out` may hold, up to 64, for UDP GSO. Default 1.
    pub max_segments: u32,
    /// Zero.
    pub reserved: u32,

    /// The name people know this node by: 1 to 63 bytes of UTF-8 without control characters, unique in the mesh.
    /// Required.
    pub name: *const c_char,
    /// The address at which the other members reach this node: unicast, with a port, without a scope. Required.
    pub locator: leon_address,
    /// Members to fetch the list from; the node's own address among them is ignored.
    pub seeds: *const leon_address,
    /// Number of seeds; none for the first node.
    pub seed_count: usize,
    /// Segments this node serves, each below 2^24, without repeats, up to 64. Default: segment 0 alone.
    pub segments: *const u32,
    /// Number of segments.
    pub segment_count: usize,
    /// This node's own secret key: 32 random bytes, the same after every restart. Required if sealed.
    pub secret_key: *const leon_key,
    /// The key that all nodes of the mesh share. Required if sealed.
    pub network_key: *const leon_key,
    /// The identities that may be members, if not NULL; else whoever holds the network key may be one.
    pub allowed: *const leon_id,
    /// Number of them; 0 with `allowed` set lets nobody in.
    pub allowed_count: usize,
    /// The node's identity, with `LEON_SECURITY_NONE` only.
    pub id: *const leon_id,
    /// One of `LEON_SECURITY_*`.
    pub security: u32,
    /// One of `LEON_CIPHER_*`. Two members use AES-256-GCM between them if both prefer it.
    pub cipher: u32,
    /// Largest IP packet the underlay carries, in bytes, 1280 to 65535. Default 1500.
    pub underlay_mtu: u32,
    /// Most members, this node included, 2 to 4096. Default 1024.
    pub max_members: u32,
    /// Most hosts the FDB holds, a power of two from 64 to 4194304. Default 16384.
    pub fdb_capacity: u32,
    /// How long a host that sends nothing stays in the FDB, in seconds, 1 to 1000000. Default 300.
    pub fdb_ageing_s: u32,
    /// How often the link to each member is probed where there are at most 14, in milliseconds, 100 to 60000. Default
    /// 2000.
    pub ping_interval_ms: u32,
    /// What passing through one relay costs, in nanoseconds of round-trip time, up to 1000000000. Default 100000;
    /// 1 is as good as nothing.
    pub relay_charge_ns: u32,
    /// Most datagrams per second that are relayed for one member, 1 to 1000000000. Default 1000000.
    pub relay_limit: u32,
    /// Most frames per second that one member may send to all hosts of this site, 1 to 1000000000. Default 10000.
    pub flood_limit: u32,
}

// SAFETY: integers and pointers; zero is a value of each; the size first.
unsafe impl Extensible for leon_config {
    const NAME: &'static str = "config";
    const FIRST: usize = offset_of!(leon_config, flood_limit) + size_of::<u32>();
}

/// What C has chosen.
pub(super) struct Choice {
    pub(super) config: Config,
    pub(super) max_segments: usize,
}

/// Most datagrams that Linux splits one send into, in all versions that can (`UDP_MAX_SEGMENTS` of udp.h).
const MAX_SEGMENTS: u32 = 64;

/// Reads the caller's struct.
///
/// # Safety
///
/// `from` is NULL, or points to as many readable bytes as its `struct_size` says, and its pointers to what the
/// documentation of their fields says.
pub(super) unsafe fn read(from: *const leon_config) -> Result<Choice, Error> {
    // SAFETY: the caller's word.
    let given = unsafe { memory::read_sized(from)? };
    if given.reserved != 0 {
        return Err(Error::new(LEON_E_UNSUPPORTED, "config.reserved is not 0"));
    }
    if given.max_segments > MAX_SEGMENTS {
        let text = format_args!("config.max_segments is {}, not at most {MAX_SEGMENTS}", given.max_segments);
        return Err(Error::new(LEON_E_CONFIG, text));
    }
    if given.incarnation == 0 {
        return Err(Error::new(LEON_E_CONFIG, "config.incarnation is 0: it tells the lives of a node apart"));
    }
    // SAFETY: the caller's word.
    let entropy = unsafe { memory::read(given.entropy, "config.entropy")? };
    let config = match given.format {
        // SAFETY: the caller's word.
        LEON_FORMAT_STRUCT => unsafe { of_fields(&given, entropy.bytes)? },
        // SAFETY: the caller's word.
        LEON_FORMAT_TOML | LEON_FORMAT_JSON => unsafe { of_text(&given, entropy.bytes)? },
        other => return Err(unknown("config.format", other)),
    };
    Ok(Choice { config, max_segments: given.max_segments.max(1) as usize })
}

/// Bytes that one identity takes at most while it is put on the list of those allowed.
pub(super) const OF_ALLOWED: usize = 256;
/// Bytes that a seed takes at most.
pub(super) const OF_SEED: usize = 256;
/// Bytes that one of a text takes at most while it is read.
pub(super) const OF_TEXT_BYTE: usize = 256;
/// What grows with nothing.
const FIXED: usize = 64 * 1024;

/// Bytes that [`read`] may allocate.
///
/// # Safety
///
/// As for [`read`].
pub(super) unsafe fn demand(from: *const leon_config) -> Result<usize, Error> {
    // SAFETY: the caller's word.
    let given = unsafe { memory::read_sized(from)? };
    let parts = [
        (given.text_len, OF_TEXT_BYTE),
        (given.seed_count, OF_SEED),
        (given.segment_count, size_of::<Segment>() * 4),
        (given.allowed_count, OF_ALLOWED),
    ];
    // What is larger than any memory is refused, without a byte of it taken.
    let of_part =
        |(count, size): (usize, usize)| if count <= isize::MAX as usize / size { count * size } else { 0 };
    Ok(FIXED + parts.into_iter().map(of_part).fold(0, usize::saturating_add))
}

/// The configuration that stands in a text.
///
/// # Safety
///
/// As for [`read`].
unsafe fn of_text(given: &leon_config, entropy: [u8; 32]) -> Result<Config, Error> {
    if has_fields(given) {
        let text = "config.format says that the fields stand in config.text, but some are set in the struct";
        return Err(Error::new(LEON_E_UNSUPPORTED, text));
    }
    // SAFETY: the caller's word.
    let text = unsafe { memory::array(given.text.cast::<u8>(), given.text_len) };
    let text = utf8(text.map_err(|error| in_field(error.into(), "text"))?, "config.text")?;
    let is_toml = given.format == LEON_FORMAT_TOML;
    let parsed = if is_toml { Config::from_toml(text, entropy) } else { Config::from_json(text, entropy) };
    let mut config = parsed.map_err(|error| Error::new(LEON_E_CONFIG, error))?;
    config.incarnation = given.incarnation;
    Ok(config)
}

/// The policy that stands in a text.
pub(super) fn policy(format: u32, text: &[u8]) -> Result<Policy, Error> {
    let text = utf8(text, "text")?;
    let parsed = match format {
        LEON_FORMAT_TOML => Policy::from_toml(text),
        LEON_FORMAT_JSON => Policy::from_json(text),
        other => return Err(unknown("format", other)),
    };
    parsed.map_err(|error| Error::new(LEON_E_CONFIG, error))
}

fn utf8<'a>(text: &'a [u8], what: &str) -> Result<&'a str, Error> {
    str::from_utf8(text).map_err(|_| Error::new(LEON_E_TEXT, format_args!("{what} is not UTF-8")))
}

/// True if a field is set that stands in the text.
fn has_fields(given: &leon_config) -> bool {
    let numbers = [
        given.security,
        given.cipher,
        given.underlay_mtu,
        given.max_members,
        given.fdb_capacity,
        given.fdb_ageing_s,
        given.ping_interval_ms,
        given.relay_charge_ns,
        given.relay_limit,
        given.flood_limit,
    ];
    let keys = [given.secret_key, given.network_key];
    let ids = [given.allowed, given.id];
    numbers != [0; 10]
        || given.locator != leon_address::NONE
        || !(given.name.is_null() && given.seeds.is_null() && given.segments.is_null())
        || !(keys.iter().all(|key| key.is_null()) && ids.iter().all(|id| id.is_null()))
}

/// The configuration that stands in the struct.
///
/// # Safety
///
/// As for [`read`].
unsafe fn of_fields(given: &leon_config, entropy: [u8; 32]) -> Result<Config, Error> {
    if !given.text.is_null() || given.text_len != 0 {
        return Err(Error::new(LEON_E_UNSUPPORTED, "config.text is set although config.format is a struct"));
    }
    // SAFETY: the caller's word.
    let (name, security) = unsafe { (memory::text(given.name, "config.name")?, security(given)?) };
    let locator = given.locator.to_rust().map_err(|error| in_field(error, "locator"))?;
    let mut config = Config::new(name, locator, security, entropy);
    config.incarnation = given.incarnation;
    // SAFETY: the caller's word.
    let (seeds, segments) = unsafe {
        (
            memory::array(given.seeds, given.seed_count).map_err(|error| in_field(error.into(), "seeds"))?,
            memory::array(given.segments, given.segment_count)
                .map_err(|error| in_field(error.into(), "segments"))?,
        )
    };
    let seeds: Result<_, Error> = seeds.iter().map(|seed| seed.to_rust()).collect();
    config.seeds = seeds.map_err(|error| in_field(error, "seeds"))?;
    if !segments.is_empty() {
        let segments: Result<Vec<Segment>, Error> = segments.iter().map(|id| segment(*id)).collect();
        config.segments = segments?;
    }
    config.cipher = match given.cipher {
        LEON_CIPHER_FASTEST => config.cipher,
        LEON_CIPHER_AES_256_GCM => Cipher::Aes256Gcm,
        LEON_CIPHER_CHACHA20_POLY1305 => Cipher::ChaCha20Poly1305,
        other => return Err(unknown("config.cipher", other)),
    };
    let chosen = |value: u32| (value != 0).then_some(value);
    if let Some(mtu) = chosen(given.underlay_mtu) {
        // Out of the range of u16 is out of that of the field, which is told with the others.
        config.underlay_mtu = u16::try_from(mtu).unwrap_or(0);
    }
    if let Some(members) = chosen(given.max_members) {
        config.max_members = members as usize;
    }
    if let Some(capacity) = chosen(given.fdb_capacity) {
        config.fdb_capacity = capacity as usize;
    }
    if let Some(seconds) = chosen(given.fdb_ageing_s) {
        config.fdb_ageing = Duration::from_secs(seconds.into());
    }
    if let Some(millis) = chosen(given.ping_interval_ms) {
        config.ping_interval = Duration::from_millis(millis.into());
    }
    if let Some(nanos) = chosen(given.relay_charge_ns) {
        config.relay_charge = Duration::from_nanos(nanos.into());
    }
    config.relay_limit = chosen(given.relay_limit).unwrap_or(config.relay_limit);
    config.flood_limit = chosen(given.flood_limit).unwrap_or(config.flood_limit);
    Ok(config)
}

/// How datagrams are protected.
///
/// # Safety
///
/// As for [`read`].
unsafe fn security(given: &leon_config) -> Result<Security, Error> {
    match given.security {
        LEON_SECURITY_SEALED => {
            if !given.id.is_null() {
                let text = "config.id is set although the node is sealed: its identity follows from its key";
                return Err(Error::new(LEON_E_CONFIG, text));
            }
            // SAFETY: the caller's word.
            let (secret, network) = unsafe {
                (
                    memory::read(given.secret_key, "config.secret_key")?,
                    memory::read(given.network_key, "config.network_key")?,
                )
            };
            let mut keys =
                Keys::new(SecretKey::from_bytes(secret.bytes), NetworkKey::from_bytes(network.bytes));
            if !given.allowed.is_null() {
                // SAFETY: the caller's word.
                let allowed = unsafe { memory::array(given.allowed, given.allowed_count) };
                let allowed = allowed.map_err(|error| in_field(error.into(), "allowed"))?;
                keys.allowed = Some(allowed.iter().map(|id| id.to_rust()).collect());
            } else if given.allowed_count != 0 {
                return Err(Error::null("config.allowed"));
            }
            Ok(Security::Sealed(keys))
        }
        LEON_SECURITY_NONE => {
            let keys = [given.secret_key.is_null(), given.network_key.is_null(), given.allowed.is_null()];
            if keys.contains(&false) {
                let text =
                    "config.secret_key, network_key or allowed is set although config.security is none";
                return Err(Error::new(LEON_E_CONFIG, text));
            }
            // SAFETY: the caller's word.
            let id = unsafe { memory::read(given.id, "config.id")? };
            Ok(Security::None { id: id.to_rust() })
        }
        other => Err(unknown("config.security", other)),
    }
}

fn unknown(field: &str, value: u32) -> Error {
    Error::new(LEON_E_UNSUPPORTED, format_args!("{field} is {value}, which this version does not know"))
}

/// The same error, with the field it is in.
fn in_field(error: Error, field: &str) -> Error {
    let what = if error.text.is_empty() { sentence(error.status) } else { &error.text };
    Error::new(error.status, format_args!("config.{field}: {what}"))
}
