//! Control messages between the wire and the components.

use core::net::SocketAddr;

use arrayvec::ArrayVec;

use crate::config::MAX_HOPS;
use crate::engine::control::Control;
use crate::node::NodePrefix;
use crate::session::{self, Session};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::{MAX_CONTROL_LEN, Message, Pong};
use crate::wire::header::{self, MAX_HEADER_LEN};
use crate::wire::{KIND_CONTROL, SEALED_PREFIX_LEN, TAG_LEN};

/// Who sent a control message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) prefix: NodePrefix,
    /// The address an answer reaches it at without being a member; `None` if the message was relayed.
    pub(crate) address: Option<SocketAddr>,
    /// The message came in the session with a member, and is no repeat.
    pub(crate) is_member: bool,
}

impl Control {
    /// Takes a control message that arrived at `received_at`.
    pub(crate) fn handle(&mut self, source: Source, message: Message, received_at: Time, now: Time) {
        if !self.membership.is_active() {
            return;
        }
        let handled = if source.is_member {
            self.handle_member(source, message, received_at, now);
            true
        } else {
            self.handle_stranger(source, message, now)
        };
        if !handled {
            self.counters.bump(Counter::SourceStranger);
        }
    }

    fn handle_member(&mut self, source: Source, message: Message, received_at: Time, now: Time) {
        let from = source.prefix;
        match message {
            Message::ListRequest { token } => self.membership.handle_list_request(from.into(), token),
            Message::List { token, entries } => self.membership.handle_list(from, token, entries, now),
            Message::Join { record, known } => self.membership.handle_join(from.into(), record, known, now),
            Message::JoinAck { known, record } => self.membership.handle_join_ack(from, known, record, now),
            Message::JoinReject { version, reason } => {
                self.membership.handle_join_reject(from, source.address, version, reason, now);
            }
            Message::Leave { .. } => self.membership.handle_leave(from, message, now),
            Message::Ping(ping) => {
                // Two of the four time stamps: the ping's arrival, and now.
                let pong = Pong {
                    token: ping.token,
                    received_at: received_at.as_nanos(),
                    sent_at: now.as_nanos(),
                    row_version: self.latency.row_version(),
                };
                self.send_direct(from, &Message::Pong(pong));
                self.latency.hear_row_version(from, ping.row_version, now);
                self.membership.compare_digest(from, ping.list_digest, now);
            }
            Message::Pong(pong) => {
                self.latency.handle_pong(from, pong, received_at);
                self.latency.hear_row_version(from, pong.row_version, now);
            }
            Message::Row(row) => self.latency.handle_row(from, row, now),
            Message::RowRequest { from: version } => self.latency.handle_row_request(from, version),
        }
    }

    /// What nodes may say that are not members, or not known here to be; false if `message` is not among it.
    fn handle_stranger(&mut self, source: Source, message: Message, now: Time) -> bool {
        match (message, source.address) {
            (Message::ListRequest { token }, Some(address)) => {
                self.membership.handle_list_request(address.into(), token);
            }
            (Message::List { token, entries }, _) => {
                self.membership.handle_list(source.prefix, token, entries, now);
            }
            (Message::Join { record, known }, address) if record.id.prefix() == source.prefix => {
                let answer_to = address.unwrap_or(record.locator);
                self.membership.handle_join(answer_to.into(), record, known, now);
            }
            (Message::JoinReject { version, reason }, address) => {
                self.membership.handle_join_reject(source.prefix, address, version, reason, now);
            }
            // A join that was lost, or a member that was given up too early: its list tells.
            (Message::Ping(_), Some(address)) => self.membership.hear_stranger(address, now),
            _ => return false,
        }
        true
    }

    /// Sends outside any session, to an address.
    pub(super) fn send_to_address(&mut self, to: SocketAddr, message: &Message) {
        self.send(None, &[to], message);
    }

    /// Sends to a live member on the direct path.
    pub(super) fn send_direct(&mut self, to: NodePrefix, message: &Message) {
        if let Some(locator) = self.membership.list().alive(to).map(|record| record.locator) {
            self.send(Some(to), &[locator], message);
        }
    }

    /// Sends to a live member on the path that frames take.
    pub(super) fn send_on_path(&mut self, to: NodePrefix, message: &Message) {
        if let Some(path) = self.locators_on_path(to) {
            self.send(Some(to), &path, message);
        }
    }

    /// The locators of the chosen path to a live member: those of the relays in order, its own last.
    pub(super) fn locators_on_path(&self, to: NodePrefix) -> Option<ArrayVec<SocketAddr, MAX_HOPS>> {
        let path = self.router.path(to);
        path.hops().iter().map(|hop| Some(self.membership.list().alive(*hop)?.locator)).collect()
    }

    fn send(&mut self, session: Option<NodePrefix>, path: &[SocketAddr], message: &Message) {
        let session = session.and_then(|to| self.connections.get(&to)).map(|connection| &connection.session);
        let own = self.membership.own();
        let epoch = session.map_or(session::epoch(own.version.incarnation), |session| session.epoch_out());
        let mut header = header::build(own.id.prefix(), epoch, path);
        let tag = session.map_or_else(session::seal_unnumbered, |session: &std::sync::Arc<Session>| {
            session.seal(&mut header)
        });
        let mut bytes = Vec::with_capacity(MAX_HEADER_LEN + SEALED_PREFIX_LEN + MAX_CONTROL_LEN + TAG_LEN);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&[KIND_CONTROL, 0, 0, 0]);
        message.write(&mut bytes);
        bytes.extend_from_slice(&tag);
        self.counters.bump(Counter::DatagramsOut);
        self.outbox.datagrams.push((path[0], bytes));
    }
}
