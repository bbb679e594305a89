//! Hosts that exchange frames while something fails, and for how long the frames stop.

use std::time::Duration;

use leon::Time;
use leon::sim::{Dice, To, World};

/// Most pairs of hosts that exchange frames at a time.
const MAX_PAIRS: usize = 4;
/// Length of the frames, in bytes: that of a small voice packet.
const FRAME_LEN: usize = 200;
/// After so long no frame is on its way any more.
const LAST_ARRIVAL: Duration = Duration::from_secs(4);

/// A host at each site, and the frames of the present exchange.
pub(super) struct Traffic {
    /// By site.
    hosts: Vec<usize>,
    flows: Vec<Flow>,
    begun_at: Time,
    ended_at: Option<Time>,
}

/// The frames from one host to another.
struct Flow {
    from: usize,
    to: usize,
    /// Whether the fault broke the chosen path of this direction.
    is_hit: bool,
    frames: Vec<usize>,
}

impl Traffic {
    /// Puts a host at each site.
    pub(super) fn new(world: &mut World) -> Traffic {
        let hosts = (0..world.sites()).map(|site| world.add_host(site)).collect();
        Traffic { hosts, flows: Vec::new(), begun_at: world.now(), ended_at: Some(Time::ZERO) }
    }

    /// True while frames are sent or on their way.
    pub(super) fn is_on(&self) -> bool {
        self.ended_at.is_none()
    }

    pub(super) fn begun_at(&self) -> Time {
        self.begun_at
    }

    /// Hosts at the ends of some of these pairs begin to exchange frames, both ways.
    pub(super) fn begin(&mut self, world: &mut World, pairs: &[(usize, usize)], dice: &mut Dice) {
        if self.ended_at.is_some_and(|ended_at| world.now().since(ended_at) > LAST_ARRIVAL) {
            world.forget_frames();
        }
        let mut pairs: Vec<_> = pairs.iter().map(|&(from, to)| (from.min(to), from.max(to))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        while pairs.len() > MAX_PAIRS {
            pairs.swap_remove(dice.below(pairs.len() as u64) as usize);
        }
        let flow = |(from, to)| Flow { from, to, is_hit: false, frames: Vec::new() };
        self.flows = pairs.into_iter().flat_map(|(low, high)| [(low, high), (high, low)]).map(flow).collect();
        self.begun_at = world.now();
        self.ended_at = None;
        for flow in &self.flows {
            world.send(self.hosts[flow.from], To::Everyone, FRAME_LEN);
        }
    }

    /// Each host sends a frame to its peer.
    pub(super) fn exchange(&mut self, world: &mut World) {
        for flow in &mut self.flows {
            let to = To::Host(self.hosts[flow.to]);
            flow.frames.push(world.send(self.hosts[flow.from], to, FRAME_LEN));
        }
    }

    /// These are the pairs of sites whose chosen path, in this direction, is broken now.
    pub(super) fn watch(&mut self, dead: &[(usize, usize)]) {
        for flow in &mut self.flows {
            flow.is_hit = dead.contains(&(flow.from, flow.to));
        }
    }

    /// Ends the exchange; says for how long frames stopped arriving in each direction that was hit: the longest
    /// time between two arrivals, or the last one and now, that ended after the fault.
    pub(super) fn end(&mut self, world: &World, fault_at: Time) -> Vec<Duration> {
        self.ended_at = Some(world.now());
        let gap = |flow: &Flow| {
            let sent = flow.frames.iter().flat_map(|&frame| &world.frame(frame).deliveries);
            let mut arrivals: Vec<Time> =
                sent.filter(|delivery| delivery.site == flow.to).map(|delivery| delivery.at).collect();
            arrivals.sort_unstable();
            arrivals.push(world.now());
            let gaps = arrivals.windows(2).filter(|pair| pair[1] > fault_at);
            gaps.map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
        };
        self.flows.iter().filter(|flow| flow.is_hit).map(gap).collect()
    }
}
