//! One value of a configuration's text: what it stands for, or a sentence that says what belongs there.
//!
//! Any value may be a key in the wrong place, so none is ever shown, nor what a parser cites of the text. Which fields there are is unknown here.

use core::fmt;
use core::marker::PhantomData;
use core::net::SocketAddr;
use core::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::config::{Cipher, PathPart};
use crate::key::{NetworkKey, SecretKey};
use crate::node::{NodeId, Segment};

/// A parser's message without what it cites of the text, unless that is the name of a field or a sign.
pub(super) fn without_text(message: &str) -> String {
    const NOT_SHOWN: &str = "(not shown)";
    /// Longer than the name of each field.
    const MAX_NAME: usize = 20;
    let is_sign = |cited: &str| cited.chars().count() < 4;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    let may_show = |cited: &str| is_sign(cited) || cited.len() <= MAX_NAME && cited.bytes().all(is_plain);
    let message = match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if !is_sign(&message[first..last]) => {
            [&message[..first], NOT_SHOWN, &message[last + 1..]].concat()
        }
        _ => message.to_owned(),
    };
    let parts = message.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 || may_show(part) { part } else { NOT_SHOWN });
    parts.collect::<Vec<_>>().join("`")
}

/// What `security` may be.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Sealed,
    None,
}

fn refused<T: Kind>() -> String {
    format!("this must be {}", T::EXPECTED)
}

/// What a value of the text stands for.
pub(super) trait Kind: Sized {
    /// What is expected, for people.
    const EXPECTED: &'static str;

    /// What `text` stands for, or why it stands for nothing.
    fn of_text(_text: &str) -> Result<Self, String> {
        Err(refused::<Self>())
    }

    /// What `number` stands for, if anything.
    fn of_number(_number: u64) -> Option<Self> {
        None
    }
}

impl Kind for String {
    const EXPECTED: &'static str = "text in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Kind for SocketAddr {
    const EXPECTED: &'static str =
        "an IP address and port in quotes, as in 192.0.2.1:4789 or [2001:db8::1]:4789";
    fn of_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| refused::<Self>())
    }
}

impl Kind for Segment {
    const EXPECTED: &'static str = "the number of a segment, 0 to 16777215";
    fn of_number(number: u64) -> Option<Self> {
        Segment::new(u32::try_from(number).ok()?)
    }
}

impl Kind for Mode {
    const EXPECTED: &'static str = "sealed or none, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        match text {
            "sealed" => Ok(Mode::Sealed),
            "none" => Ok(Mode::None),
            _ => Err(refused::<Self>()),
        }
    }
}

impl Kind for Cipher {
    const EXPECTED: &'static str = "aes-256-gcm or chacha20-poly1305, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        match text {
            "aes-256-gcm" => Ok(Cipher::Aes256Gcm),
            "chacha20-poly1305" => Ok(Cipher::ChaCha20Poly1305),
            _ => Err(refused::<Self>()),
        }
    }
}

const KEY: &str = "a key of 44 characters of base64, in quotes";

impl Kind for SecretKey {
    const EXPECTED: &'static str = KEY;
    fn of_text(text: &str) -> Result<Self, String> {
        SecretKey::from_base64(text).map_err(|error| error.to_string())
    }
}

impl Kind for NetworkKey {
    const EXPECTED: &'static str = KEY;
    fn of_text(text: &str) -> Result<Self, String> {
        NetworkKey::from_base64(text).map_err(|error| error.to_string())
    }
}

impl Kind for NodeId {
    const EXPECTED: &'static str = KEY;
    fn of_text(text: &str) -> Result<Self, String> {
        NodeId::from_base64(text).map_err(|error| error.to_string())
    }
}

/// What may be or not.
pub(super) struct Switch(pub(super) bool);

impl Kind for Switch {
    const EXPECTED: &'static str = "yes or no, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        match text {
            "yes" => Ok(Switch(true)),
            "no" => Ok(Switch(false)),
            _ => Err(refused::<Self>()),
        }
    }
}

/// The path to a member that is pinned.
pub(super) struct Pin {
    pub(super) to: NodeId,
    pub(super) relays: Vec<NodeId>,
}

/// What a part of paths costs more.
pub(super) struct Price {
    pub(super) part: PathPart,
    pub(super) price: Duration,
}

fn nodes(words: &[&str]) -> Option<Vec<NodeId>> {
    words.iter().map(|word| NodeId::from_base64(word).ok()).collect()
}

fn part(words: &[&str]) -> Option<PathPart> {
    match nodes(words)?[..] {
        [relay] => Some(PathPart::Relay(relay)),
        [one, other] => Some(PathPart::Link(one, other)),
        _ => None,
    }
}

impl Kind for Pin {
    const EXPECTED: &'static str =
        "the key of a member, then direct, or via and the keys of one to three relays, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (to, relays) = match words[..] {
            [to, "direct"] => (to, &[][..]),
            [to, "via", _, ..] => (to, &words[2..]),
            _ => return Err(refused::<Self>()),
        };
        let to = NodeId::from_base64(to).ok();
        let pin = to.zip(nodes(relays)).map(|(to, relays)| Pin { to, relays });
        pin.ok_or_else(refused::<Self>)
    }
}

impl Kind for PathPart {
    const EXPECTED: &'static str = "the key of a relay, or the keys of both ends of a link, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        part(&text.split_whitespace().collect::<Vec<_>>()).ok_or_else(refused::<Self>)
    }
}

impl Kind for Price {
    const EXPECTED: &'static str =
        "the key of a relay, or the keys of both ends of a link, then microseconds, in quotes";
    fn of_text(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (us, words) = words.split_last().ok_or_else(refused::<Self>)?;
        let price = us.parse().ok().map(Duration::from_micros);
        part(words).zip(price).map(|(part, price)| Price { part, price }).ok_or_else(refused::<Self>)
    }
}

macro_rules! whole_number {
    ($($number:ty: $expected:literal,)+) => {$(
        impl Kind for $number {
            const EXPECTED: &'static str = $expected;
            fn of_number(number: u64) -> Option<Self> {
                number.try_into().ok()
            }
        }
    )+};
}

whole_number! {
    u8: "a whole number of 0 to 255",
    u16: "a whole number of 0 to 65535",
    u32: "a whole number of 0 to 4294967295",
    u64: "a whole number",
    usize: "a whole number that a machine word holds",
}

/// A value that errors do not show.
pub(super) struct Value<T>(pub(super) T);

/// A list of such values.
pub(super) struct List<T>(pub(super) Vec<T>);

struct ValueVisitor<T>(PhantomData<T>);
struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Kind> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData))
    }
}

impl<'de, T: Kind> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<T: Kind> Visitor<'_> for ValueVisitor<T> {
    type Value = Value<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<T>, E> {
        T::of_number(number).map(Value).ok_or_else(|| E::custom(refused::<T>()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<T>, E> {
        let number = u64::try_from(number).ok().and_then(T::of_number);
        number.map(Value).ok_or_else(|| E::custom(refused::<T>()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<T>, E> {
        T::of_text(text).map(Value).map_err(E::custom)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value<T>, E> {
        self.visit_str(&Zeroizing::new(text))
    }
}

impl<'de, T: Kind> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list in brackets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<List<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(Value(element)) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(List(elements))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<List<T>, E> {
        Err(E::custom("this must be a list in brackets"))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<List<T>, E> {
        self.visit_str(&Zeroizing::new(text))
    }
}
