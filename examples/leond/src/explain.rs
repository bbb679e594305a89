//! `leond explain`: why frames for a member take the path they take, as JSON and as tables.

use std::io::Write;
use std::time::Duration;

use anyhow::{bail, ensure};
use leon::{MemberState, MemberStatus, NodeId, PastChange, PathLink, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::ExplainArgs;
use crate::control::{self, Answer, Request};
use crate::status::{describe_path, millis, ms, thousandths};
use crate::table::render;

/// A daemon's explanation. The field names are what scripts rely on; times are milliseconds of a round trip.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Explanation {
    /// The member's name.
    name: String,
    id: String,
    state: String,
    /// Best first.
    candidates: Vec<Candidate>,
    /// The last changes of the path, the latest first.
    changes: Vec<Change>,
}

/// A path that frames take or could take.
#[derive(Debug, Deserialize, Serialize)]
struct Candidate {
    /// Names of the relays in order, then the member's own.
    path: Vec<String>,
    /// `verdict`, and `estimate` where one decides: as in docs/snapshot.md.
    #[serde(flatten)]
    verdict: Map<String, Value>,
    /// The verdict for people.
    why: String,
    fast_cost_ms: Option<f64>,
    slow_cost_ms: Option<f64>,
    relay_charge_ms: f64,
    /// What the operator adds for its relays and links.
    price_ms: f64,
    /// What is held against it lately.
    penalty_ms: f64,
    /// How much less it would have to cost for frames to take it.
    gap_ms: Option<f64>,
    is_backup: bool,
    links: Vec<Link>,
}

/// A link of a path.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Link {
    from: String,
    to: String,
    /// As in docs/snapshot.md.
    state: String,
    fast_ms: Option<f64>,
    slow_ms: Option<f64>,
    loss_charge_ms: f64,
    jitter_charge_ms: f64,
    skew_ms: f64,
    /// Answered pings, and the age of the last; `None` for links between others.
    samples: Option<u32>,
    age_s: Option<f64>,
}

/// A change of the path.
#[derive(Debug, Deserialize, Serialize)]
struct Change {
    age_s: f64,
    /// As in docs/snapshot.md.
    cause: String,
    /// Names as in `path`.
    former: Option<Vec<String>>,
}

/// The member of that name, or whose public key or identity begins with `wanted`.
pub(crate) fn find<'a>(members: &'a [MemberStatus], wanted: &str) -> anyhow::Result<&'a MemberStatus> {
    let named: Vec<_> = members.iter().filter(|member| member.name == wanted).collect();
    // A name is free again once its member is gone, so several may have had it.
    if let Some(member) = named.iter().find(|member| member.state == MemberState::Alive).or(named.first()) {
        return Ok(member);
    }
    let begins = |id: &NodeId| id.to_base64().starts_with(wanted) || id.to_string().starts_with(wanted);
    let mut matching = members.iter().filter(|member| !wanted.is_empty() && begins(&member.id));
    match (matching.next(), matching.count()) {
        (Some(member), 0) => Ok(member),
        (Some(_), more) => {
            bail!("{} members have a key that begins with {wanted}: give more of it", more + 1)
        }
        (None, _) => {
            bail!("no member is called {wanted:?} or has a key that begins so: `leond status` lists them")
        }
    }
}

impl Explanation {
    /// What the engine says, with the names that `status` has in place of identities.
    pub(crate) fn new(explanation: &leon::Explanation, status: &Status) -> Explanation {
        let name = |id: &NodeId| {
            let member = status.members.iter().find(|member| member.id == *id);
            let own = (status.id == *id).then_some(&status.name);
            own.or(member.map(|member| &member.name)).map_or_else(|| id.to_string(), String::clone)
        };
        let path = |path: &[NodeId]| path.iter().map(name).collect::<Vec<_>>();
        let candidate = |candidate: &leon::Candidate| Candidate {
            path: path(&candidate.path),
            verdict: match json(candidate.verdict) {
                Value::Object(fields) => fields,
                _ => Map::new(),
            },
            why: candidate.verdict.to_string(),
            fast_cost_ms: candidate.fast_cost.map(millis),
            slow_cost_ms: candidate.slow_cost.map(millis),
            relay_charge_ms: millis(candidate.relay_charge),
            price_ms: millis(candidate.price),
            penalty_ms: millis(candidate.penalty),
            gap_ms: candidate.gap.map(millis),
            is_backup: candidate.is_backup,
            links: candidate.links.iter().map(|link| Link::new(link, name)).collect(),
        };
        let change = |change: &PastChange| Change {
            age_s: seconds(change.age),
            cause: word(change.cause),
            former: change.former.as_deref().map(path),
        };
        Explanation {
            name: explanation.name.clone(),
            id: explanation.to.to_string(),
            state: explanation.state.name().to_owned(),
            candidates: explanation.candidates.iter().map(candidate).collect(),
            changes: explanation.changes.iter().map(change).collect(),
        }
    }
}

impl Link {
    fn new(link: &PathLink, name: impl Fn(&NodeId) -> String) -> Link {
        Link {
            from: name(&link.from),
            to: name(&link.to),
            state: word(link.state),
            fast_ms: link.fast.map(millis),
            slow_ms: link.slow.map(millis),
            loss_charge_ms: millis(link.loss_charge),
            jitter_charge_ms: millis(link.jitter_charge),
            skew_ms: thousandths(link.skew_ns as f64 / 1e6),
            samples: link.probe.map(|probe| probe.samples),
            age_s: link.probe.and_then(|probe| probe.age).map(seconds),
        }
    }

    fn row(&self) -> [String; 9] {
        [
            format!("{} - {}", self.from, self.to),
            self.state.clone(),
            ms(self.fast_ms),
            ms(self.slow_ms),
            ms(Some(self.loss_charge_ms)),
            ms(Some(self.jitter_charge_ms)),
            ms(Some(self.skew_ms)),
            self.samples.map_or_else(|| "-".to_owned(), |samples| samples.to_string()),
            self.age_s.map_or_else(|| "-".to_owned(), |age| format!("{age:.1}")),
        ]
    }
}

impl Candidate {
    fn row(&self) -> [String; 8] {
        [
            describe_path(&self.path),
            ms(self.fast_cost_ms),
            ms(self.slow_cost_ms),
            ms(Some(self.relay_charge_ms)),
            ms(Some(self.price_ms)),
            ms(Some(self.penalty_ms)),
            ms(self.gap_ms),
            if self.is_backup { format!("{}; the backup", self.why) } else { self.why.clone() },
        ]
    }
}

/// Asks the daemon and prints its explanation.
pub(crate) fn show(arguments: &ExplainArgs) -> anyhow::Result<()> {
    ensure!(!arguments.member.is_empty(), "an empty text names no member");
    let request = Request::Explain { member: arguments.member.clone() };
    let Answer::Explain(explanation) = control::ask(&arguments.socket, &request)? else {
        bail!(control::NO_SENSE);
    };
    let text =
        if arguments.json { serde_json::to_string_pretty(&explanation)? } else { for_people(&explanation) };
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

fn for_people(explanation: &Explanation) -> String {
    let Explanation { name, id, state, candidates, changes } = explanation;
    let change = |change: &Change| {
        let former = change
            .former
            .as_deref()
            .map_or_else(String::new, |path| format!(", before: {}", describe_path(path)));
        format!("\nchanged {:.1} s ago ({}{former})", change.age_s, change.cause)
    };
    let changes: String = changes.iter().map(change).collect();
    let headers = ["PATH", ">FAST ms", ">SLOW ms", ">RELAYS ms", ">PRICE ms", ">HELD ms", ">GAP ms", "WHY"];
    let paths = render(headers, candidates.iter().map(Candidate::row));
    let mut links: Vec<Link> = Vec::new();
    for link in candidates.iter().flat_map(|candidate| &candidate.links) {
        if !links.contains(link) {
            links.push(link.clone());
        }
    }
    let headers =
        ["LINK", "STATE", ">FAST ms", ">SLOW ms", ">LOSS ms", ">JITTER ms", ">SKEW ms", ">ANSWERS", ">AGE s"];
    let links = render(headers, links.iter().map(Link::row));
    format!("{name} (id {id}): {state}{changes}\n\n{paths}\n\n{links}")
}

/// What the library serialises a value to. Its enums cannot fail.
fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The name of a variant, as docs/snapshot.md has it.
fn word(value: impl Serialize) -> String {
    json(value).as_str().unwrap_or_default().to_owned()
}

fn seconds(duration: Duration) -> f64 {
    thousandths(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, id: u8, state: MemberState) -> MemberStatus {
        MemberStatus {
            id: NodeId([id; 32]),
            name: name.to_owned(),
            locator: "127.0.0.1:4789".parse().unwrap(),
            incarnation: 1,
            state,
            rtt: None,
            jitter: None,
            loss: 0.0,
            path: Vec::new(),
            path_cost: None,
            direct_cost: None,
            bulk_path: Vec::new(),
        }
    }

    #[test]
    fn a_member_is_found_by_its_name_or_the_beginning_of_its_key() {
        let members = [
            member("inagi", 1, MemberState::Failed),
            member("inagi", 2, MemberState::Alive),
            member("seoul", 3, MemberState::Alive),
        ];
        let found = |wanted: &str| find(&members, wanted).map(|member| member.id.0[0]);
        assert_eq!(found("inagi").unwrap(), 2);
        assert_eq!(found(&NodeId([3; 32]).to_base64()[..4]).unwrap(), 3);
        assert_eq!(found("0303").unwrap(), 3);
        assert!(found("0").unwrap_err().to_string().contains("3 members have a key"));
        assert!(found("busan").unwrap_err().to_string().contains("no member is called \"busan\""));
        assert!(found("").is_err());
    }

    #[test]
    fn people_see_paths_links_and_reasons_by_name() {
        let link = |from: &str, to: &str, fast_ms, samples| Link {
            from: from.to_owned(),
            to: to.to_owned(),
            state: "up".to_owned(),
            fast_ms: Some(fast_ms),
            slow_ms: Some(fast_ms),
            loss_charge_ms: 0.0,
            jitter_charge_ms: 0.0,
            skew_ms: 0.0,
            samples,
            age_s: samples.map(|_| 0.5),
        };
        let candidate = |path: &[&str], why: &str, links| Candidate {
            path: path.iter().map(|&name| name.to_owned()).collect(),
            verdict: Map::new(),
            why: why.to_owned(),
            fast_cost_ms: Some(21.1),
            slow_cost_ms: None,
            relay_charge_ms: 0.1,
            price_ms: 0.0,
            penalty_ms: 0.0,
            gap_ms: None,
            is_backup: false,
            links,
        };
        let detour = vec![link("fujisawa", "inagi", 4.0, Some(30)), link("inagi", "seoul", 17.0, None)];
        let explanation = Explanation {
            name: "seoul".to_owned(),
            id: "0303030303030303".to_owned(),
            state: "alive".to_owned(),
            candidates: vec![
                candidate(&["inagi", "seoul"], "frames take it", detour.clone()),
                candidate(&["seoul"], "costs more on both estimates", detour),
            ],
            changes: vec![Change {
                age_s: 12.34,
                cause: "better".to_owned(),
                former: Some(vec!["seoul".to_owned()]),
            }],
        };
        let text = for_people(&explanation);
        assert!(text.contains("changed 12.3 s ago (better, before: direct)"), "{text}");
        assert!(text.contains("via inagi") && text.contains("costs more on both estimates"), "{text}");
        assert_eq!(text.matches("inagi - seoul").count(), 1, "each link once: {text}");
    }
}
