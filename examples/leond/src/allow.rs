//! The allow list: whose public keys may be members, as operators write it down. What becomes of a node that
//! is not on it is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow};
use leon::{KeyError, NodeId};
use serde::Deserialize;

/// A public key as people write it, in base64.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct PublicKey(NodeId);

/// Where the allow list is written down; in both places counts as well as in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Keys among the settings.
    pub(crate) keys: Option<Vec<PublicKey>>,
    /// A file with one key on each line.
    pub(crate) file: Option<PathBuf>,
}

/// The nodes that may be members, each with the name that the file has for it, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowList(BTreeMap<NodeId, String>);

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        NodeId::from_base64(text).map(PublicKey)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl Sources {
    /// Reads the list; `None` if there is none, so that every holder of the network key may be a member.
    pub(crate) fn read(&self) -> anyhow::Result<Option<AllowList>> {
        if self.keys.is_none() && self.file.is_none() {
            return Ok(None);
        }
        let mut list = match &self.file {
            Some(path) => AllowList::from_file(path)?,
            None => AllowList::default(),
        };
        for &PublicKey(id) in self.keys.iter().flatten() {
            list.0.entry(id).or_default();
        }
        Ok(Some(list))
    }
}

impl AllowList {
    fn from_file(path: &Path) -> anyhow::Result<AllowList> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read allow file {shown}"))?;
        text.parse().with_context(|| format!("allow file {shown} is wrong"))
    }

    /// The nodes on the list.
    pub(crate) fn ids(&self) -> BTreeSet<NodeId> {
        self.0.keys().copied().collect()
    }
}

impl FromStr for AllowList {
    type Err = anyhow::Error;

    /// One public key on each line, and after it whatever name people have for it; `#` starts a comment.
    fn from_str(text: &str) -> anyhow::Result<AllowList> {
        let mut list = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let content = line.split('#').next().unwrap_or_default().trim();
            let (key, name) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
            if key.is_empty() {
                continue;
            }
            let id = NodeId::from_base64(key).map_err(|error| anyhow!("line {number}: {error}"))?;
            list.insert(id, name.trim_start().to_owned());
        }
        Ok(AllowList(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> String {
        NodeId([number; 32]).to_base64()
    }

    fn list(text: &str) -> AllowList {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_has_a_key_and_perhaps_a_name_on_each_line_and_comments() {
        let [a, b, c] = [1, 2, 3].map(key);
        let text = format!("# sites\n\n{a}\n  {b}\tseoul, rack 3  # new\r\n{c}#inagi\n");
        let names = [(1, ""), (2, "seoul, rack 3"), (3, "")];
        assert_eq!(list(&text).0, names.map(|(id, name)| (NodeId([id; 32]), name.to_owned())).into());
        assert!(list("# nobody\n").ids().is_empty());
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        let error = format!("{}\nseoul\n", key(1)).parse::<AllowList>().unwrap_err().to_string();
        assert_eq!(error, "line 2: a key has 44 characters of base64, this text has 5");
    }

    #[test]
    fn both_sources_count_and_none_is_another_thing_than_an_empty_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{} seoul", key(1))).unwrap();
        let keys = Some(vec![key(1).parse().unwrap(), key(2).parse().unwrap()]);
        let file = Some(file.path().to_owned());
        let read = |keys, file| Sources { keys, file }.read().unwrap();
        assert_eq!(read(None, None), None);
        assert_eq!(read(Some(Vec::new()), None), Some(AllowList::default()));
        assert_eq!(read(None, file.clone()), Some(list(&format!("{} seoul", key(1)))));
        assert_eq!(read(keys, file), Some(list(&format!("{} seoul\n{}", key(1), key(2)))));
        let error = Sources { keys: None, file: Some("absent".into()) }.read().unwrap_err();
        assert!(format!("{error:#}").contains("cannot read allow file absent"), "{error:#}");
    }
}
