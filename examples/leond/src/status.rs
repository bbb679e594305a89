//! `leond status`: what a daemon reports about itself, as JSON and as tables.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use leon::driver::IoCounters;
use leon::{HostStatus, MemberState, MemberStatus, NodeId, Status};
use serde::{Deserialize, Serialize};

use crate::cli::StatusArgs;
use crate::config::SecurityMode;
use crate::control::{self, Answer, Request};
use crate::table::render;

/// A daemon's report. The field names are what scripts rely on.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    #[serde(rename = "self")]
    pub(crate) own: Own,
    pub(crate) members: Vec<Member>,
    pub(crate) fdb: Vec<Host>,
    pub(crate) counters: BTreeMap<String, u64>,
}

/// The node itself.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Own {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) security: SecurityMode,
    /// In base64; `None` if security is none.
    pub(crate) public_key: Option<String>,
    pub(crate) locator: Option<SocketAddr>,
    pub(crate) incarnation: u64,
    /// Hash of the member list, the same on all nodes that hold the same list.
    pub(crate) list_digest: String,
}

/// Another member. Times are milliseconds of a round trip.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) id: String,
    /// In base64; `None` if security is none.
    pub(crate) public_key: Option<String>,
    pub(crate) locator: SocketAddr,
    pub(crate) state: String,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) jitter_ms: Option<f64>,
    pub(crate) loss_pct: f64,
    /// Names of the relays in order, then the member's own; empty if frames cannot be sent to it.
    pub(crate) path: Vec<String>,
    pub(crate) path_ms: Option<f64>,
    pub(crate) direct_ms: Option<f64>,
}

/// A host in the FDB.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Host {
    pub(crate) segment: u32,
    pub(crate) vlan: u16,
    pub(crate) mac: String,
    /// The member it sits behind; `None` for this site.
    pub(crate) member: Option<String>,
    /// How the daemon knows: "learned" or "announced".
    pub(crate) origin: String,
    pub(crate) age_s: f64,
}

impl Report {
    /// What `status` and `io` say of a node with this `security`, with names in place of identities.
    pub(crate) fn new(status: &Status, io: &IoCounters, security: SecurityMode) -> Report {
        let names: HashMap<NodeId, &str> =
            status.members.iter().map(|member| (member.id, member.name.as_str())).collect();
        let name = |id: &NodeId| names.get(id).map_or_else(|| id.to_string(), |&name| name.to_owned());
        let own = Own {
            name: status.name.clone(),
            id: status.id.to_string(),
            security,
            public_key: public_key(&status.id, security),
            locator: Some(status.locator),
            incarnation: status.incarnation,
            list_digest: format!("{:016x}", status.list_digest),
        };
        let mut fdb: Vec<_> = status.fdb.iter().map(|host| Host::new(host, name)).collect();
        fdb.sort_by(|a, b| (a.segment, a.vlan, &a.mac).cmp(&(b.segment, b.vlan, &b.mac)));
        let engine = status.counters.iter().map(|(counter, value)| (counter.name(), value));
        Report {
            own,
            members: status.members.iter().map(|member| Member::new(member, security, name)).collect(),
            fdb,
            counters: engine.chain(io.iter()).map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }
}

impl Member {
    fn new(member: &MemberStatus, security: SecurityMode, name: impl Fn(&NodeId) -> String) -> Member {
        Member {
            name: member.name.clone(),
            id: member.id.to_string(),
            public_key: public_key(&member.id, security),
            locator: member.locator,
            state: member.state.name().to_owned(),
            rtt_ms: member.rtt.map(millis),
            jitter_ms: member.jitter.map(millis),
            loss_pct: thousandths(member.loss * 100.0),
            path: member.path.iter().map(name).collect(),
            path_ms: member.path_cost.map(millis),
            direct_ms: member.direct_cost.map(millis),
        }
    }

    fn row(&self) -> [String; 10] {
        let alive = self.state == MemberState::Alive.name();
        [
            self.name.clone(),
            self.public_key.as_deref().map_or("-", short).to_owned(),
            self.locator.to_string(),
            self.state.clone(),
            ms(self.rtt_ms),
            ms(self.jitter_ms),
            if alive { format!("{:.1}", self.loss_pct) } else { "-".to_owned() },
            describe_path(&self.path),
            ms(self.path_ms),
            ms(self.direct_ms),
        ]
    }
}

impl Host {
    fn new(host: &HostStatus, name: impl Fn(&NodeId) -> String) -> Host {
        Host {
            segment: host.segment.id(),
            vlan: host.vlan,
            mac: host.mac.to_string(),
            member: host.member.as_ref().map(name),
            origin: host.origin.name().to_owned(),
            age_s: thousandths(host.age.as_secs_f64()),
        }
    }

    fn row(&self) -> [String; 6] {
        [
            self.mac.clone(),
            self.member.clone().unwrap_or_else(|| "(this site)".to_owned()),
            self.segment.to_string(),
            self.vlan.to_string(),
            self.origin.clone(),
            format!("{:.1}", self.age_s),
        ]
    }
}

/// The identity of a node in base64, if it is a key.
fn public_key(id: &NodeId, security: SecurityMode) -> Option<String> {
    (security == SecurityMode::Sealed).then(|| id.to_base64())
}

/// The beginning of a public key: enough to find it in a list.
fn short(key: &str) -> &str {
    key.get(..8).unwrap_or(key)
}

/// A path for people; `names` are those of the relays in order and of the destination.
pub(crate) fn describe_path(names: &[String]) -> String {
    match names.split_last() {
        None => "-".to_owned(),
        Some((_, [])) => "direct".to_owned(),
        Some((_, relays)) => format!("via {}", relays.join(", ")),
    }
}

/// Asks the daemon and prints its report.
pub(crate) fn show(arguments: &StatusArgs) -> anyhow::Result<()> {
    let Answer::Status(report) = control::ask(&arguments.socket, &Request::Status)? else {
        bail!(control::NO_SENSE);
    };
    let text = if arguments.json { serde_json::to_string_pretty(&report)? } else { for_people(&report) };
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

fn for_people(report: &Report) -> String {
    let own = &report.own;
    let locator = own.locator.map_or_else(String::new, |locator| format!(" at {locator}"));
    let mut text = format!("{}{locator} (id {}, list {})\n", own.name, own.id, own.list_digest);
    let key = own.public_key.as_ref().map_or_else(String::new, |key| format!(", public key {key}"));
    text.push_str(&format!("security: {}{key}\n", own.security.name()));
    let headers = [
        "MEMBER",
        "KEY",
        "LOCATOR",
        "STATE",
        ">RTT ms",
        ">JITTER ms",
        ">LOSS %",
        "PATH",
        ">PATH ms",
        ">DIRECT ms",
    ];
    section(
        &mut text,
        "members",
        render(headers, report.members.iter().map(Member::row)),
        report.members.len(),
    );
    let headers = ["HOST", "MEMBER", ">SEGMENT", ">VLAN", "ORIGIN", ">AGE s"];
    section(&mut text, "hosts", render(headers, report.fdb.iter().map(Host::row)), report.fdb.len());
    let counted: Vec<_> = report.counters.iter().filter(|(_, value)| **value > 0).collect();
    let rows = counted.iter().map(|(name, value)| [name.to_string(), value.to_string()]);
    section(&mut text, "counters", render(["COUNTER", ">VALUE"], rows), counted.len());
    text.truncate(text.trim_end().len());
    text
}

fn section(text: &mut String, what: &str, table: String, rows: usize) {
    let content = if rows == 0 { format!("no {what}") } else { table };
    text.push_str(&format!("\n{content}\n"));
}

/// Milliseconds for people.
pub(crate) fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

/// `duration` in milliseconds, to the microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    thousandths(duration.as_secs_f64() * 1000.0)
}

/// `value`, rounded to thousandths.
pub(crate) fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use leon::HostOrigin;

    const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn report() -> Report {
        let member = |name: &str, state: &str, path: &[&str]| Member {
            name: name.to_owned(),
            id: "0011223344556677".to_owned(),
            public_key: Some(KEY.to_owned()),
            locator: "127.0.0.1:4789".parse().unwrap(),
            state: state.to_owned(),
            rtt_ms: Some(32.1),
            jitter_ms: None,
            loss_pct: 0.0,
            path: path.iter().map(|&name| name.to_owned()).collect(),
            path_ms: Some(21.25),
            direct_ms: None,
        };
        Report {
            members: vec![member("seoul", "alive", &["inagi", "seoul"]), member("old", "left", &[])],
            counters: [("frames_in".to_owned(), 3), ("frames_out".to_owned(), 0)].into(),
            ..Report::default()
        }
    }

    #[test]
    fn people_see_paths_by_name_and_only_counters_that_counted() {
        let text = for_people(&report());
        assert!(text.contains("via inagi") && text.contains("21.250"), "{text}");
        assert!(text.contains("frames_in") && !text.contains("frames_out"), "{text}");
        assert!(text.contains("no hosts"), "{text}");
    }

    #[test]
    fn people_see_where_a_host_is_and_how_that_is_known() {
        let host = |origin: HostOrigin| Host {
            segment: 0,
            vlan: 7,
            mac: "02:00:00:00:00:01".to_owned(),
            member: Some("seoul".to_owned()),
            origin: origin.name().to_owned(),
            age_s: 3.0,
        };
        let fdb = vec![host(HostOrigin::Announced), host(HostOrigin::Learned)];
        let text = for_people(&Report { fdb, ..report() });
        assert!(
            text.contains("seoul") && text.contains(" announced ") && text.contains(" learned "),
            "{text}"
        );
    }

    #[test]
    fn the_own_key_is_shown_in_full_and_those_of_members_to_tell_them_apart() {
        let mut report = report();
        let text = for_people(&report);
        assert!(text.contains("security: sealed\n") && text.contains(" hSDwCYkw "), "{text}");
        assert!(!text.contains(KEY), "{text}");
        report.own.public_key = Some(KEY.to_owned());
        assert!(for_people(&report).contains(&format!("security: sealed, public key {KEY}\n")));
        let id = NodeId([7; 32]);
        assert_eq!(public_key(&id, SecurityMode::Sealed), Some(id.to_base64()));
        assert_eq!(public_key(&id, SecurityMode::None), None);
    }

    #[test]
    fn scripts_find_every_documented_field() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["members"][0]["path"], serde_json::json!(["inagi", "seoul"]));
        assert_eq!(json["members"][0]["direct_ms"], serde_json::Value::Null);
        assert_eq!(json["self"]["security"], "sealed");
        assert_eq!(json["members"][0]["public_key"], KEY);
        assert!(json["self"]["locator"].is_null() && json["counters"]["frames_out"] == 0);
    }
}
