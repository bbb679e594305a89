//! What live members have for themselves alone, their names and their locators, and who has it: so that a newcomer is not
//! compared with each of a thousand members.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::error::RejectReason;
use crate::node::NodePrefix;
use crate::wire::record::Record;

/// Of live members.
#[derive(Debug, Default)]
pub(super) struct Claims {
    names: BTreeMap<String, NodePrefix>,
    locators: BTreeMap<SocketAddr, NodePrefix>,
}

impl Claims {
    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// A member lives. It must be in nobody's way.
    pub(super) fn add(&mut self, record: &Record) {
        let prefix = record.id.prefix();
        self.names.insert(record.name.clone(), prefix);
        self.locators.insert(record.locator, prefix);
    }

    /// A member lives no more.
    pub(super) fn remove(&mut self, record: &Record) {
        self.names.remove(&record.name);
        self.locators.remove(&record.locator);
    }

    /// The members that are in the way of a node, and by what.
    pub(super) fn holders(&self, record: &Record) -> impl Iterator<Item = (RejectReason, NodePrefix)> {
        let name = self.names.get(&record.name).map(|holder| (RejectReason::NameTaken, *holder));
        let locator = self.at(record.locator).map(|holder| (RejectReason::LocatorTaken, holder));
        let own = record.id.prefix();
        name.into_iter().chain(locator).filter(move |(_, holder)| *holder != own)
    }

    /// The member with this locator.
    pub(super) fn at(&self, locator: SocketAddr) -> Option<NodePrefix> {
        self.locators.get(&locator).copied()
    }
}
