//! A long life under random faults: every rule at every step, no member failed that a sound path led to, and after
//! each storm what holds at rest.
//!
//! The whole day: `cargo test --release --test sim soak -- --ignored --nocapture`. `LEON_SEED` says which,
//! `LEON_SOAK_HOURS` how long.

use core::time::Duration;

use leon::driver::clock;
use leon::sim::{Dice, Link, Matrix, SiteState, To, Violation, World};
use leon::{MacAddr, Time};

use crate::sound::Sound;
use crate::support::{Outcome, cut_both, ms, secs, seed};

const SITES: usize = 12;
/// Hosts that say nothing of themselves, and as many that are announced.
const HOSTS: usize = 12;
/// How long a healed mesh may take to agree: a failed member and a seed that is none are contacted every 30 s, give
/// or take a quarter.
const REST_LIMIT: Duration = secs(45);

/// A world, what is wrong with it at the moment, and what became of it so far.
struct Soak {
    world: World,
    dice: Dice,
    sound: Sound,
    /// The links as they are without faults.
    links: Vec<(usize, usize, Link)>,
    /// Sites that are asleep, and for how much longer.
    sleepers: Vec<(usize, Duration)>,
    /// The one site whose address is not its locator, and what it was before.
    moved: Option<usize>,
    addresses: u16,
    storms: u32,
    faults: u64,
    rests: Vec<Duration>,
}

impl Soak {
    fn new(seed: u64) -> Result<Self, Violation> {
        let links = Matrix::internet_like(SITES, seed).links();
        let mut world = World::with_links(seed, SITES, &links);
        let seeds: Vec<_> = (0..3).map(|site| world.address(site)).collect();
        for site in 0..SITES {
            world.config_mut(site).seeds.clone_from(&seeds);
        }
        for host in 0..2 * HOSTS {
            world.add_host(host % SITES);
        }
        world.start_all()?;
        world.settle(secs(10))?;
        Ok(Soak {
            sound: Sound::new(&world),
            world,
            dice: Dice::named(seed, "soak"),
            links,
            sleepers: Vec::new(),
            moved: None,
            addresses: 0,
            storms: 0,
            faults: 0,
            rests: Vec::new(),
        })
    }

    /// Storm after storm until so much time has passed.
    fn run(&mut self, duration: Duration) -> Outcome {
        let end = self.world.now() + duration;
        while self.world.now() < end {
            let left = end.since(self.world.now());
            let minutes = if self.dice.chance(0.1) { 120 } else { 20 };
            let duration = secs(60 + self.dice.below(minutes * 60));
            self.storm(left.min(duration))?;
            self.rest()?;
        }
        Ok(())
    }

    fn storm(&mut self, duration: Duration) -> Outcome {
        self.storms += 1;
        let end = self.world.now() + duration;
        // Some storms are wild, in others the mesh has time to act between two faults.
        let pause_ms = [200, 2_000, 20_000][self.dice.below(3) as usize];
        while self.world.now() < end {
            if self.dice.chance(0.5) {
                self.traffic();
            } else {
                self.faults += 1;
                self.fault();
            }
            let pause = ms(1 + self.dice.below(pause_ms));
            self.pass(pause)?;
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Outcome {
        self.sound.look(&self.world);
        self.world.run_for(time)?;
        self.sound.check(&self.world);
        let mut woken = Vec::new();
        for (site, left) in &mut self.sleepers {
            *left = left.saturating_sub(time);
            if left.is_zero() {
                woken.push(*site);
            }
        }
        self.sleepers.retain(|(_, left)| !left.is_zero());
        woken.into_iter().for_each(|site| self.world.wake(site));
        Ok(())
    }

    fn site(&mut self) -> usize {
        self.dice.below(SITES as u64) as usize
    }

    fn pair(&mut self) -> (usize, usize) {
        let one = self.site();
        let other = (one + 1 + self.dice.below(SITES as u64 - 1) as usize) % SITES;
        (one, other)
    }

    fn traffic(&mut self) {
        let host = self.dice.below(2 * HOSTS as u64) as usize;
        let other = self.dice.below(2 * HOSTS as u64) as usize;
        let len = self.dice.below(1500) as usize;
        match self.dice.below(10) {
            0..=4 => {
                self.world.send(host, To::Host(other), len);
            }
            5 | 6 => {
                self.world.send(host, To::Everyone, len);
            }
            7 => {
                self.world.send(host, To::Mac(MacAddr([2, 0xde, 0xad, 0, 0, 1])), len);
            }
            8 => self.migrate(host),
            _ => {
                let site = self.site();
                self.world.replay(site, 20);
            }
        }
    }

    /// A host goes to another site; if it is one that is announced, as its hypervisors say, in either order.
    fn migrate(&mut self, host: usize) {
        let (from, to) = (self.world.host(host).site, self.site());
        let name = self.world.host(host).name();
        let is_announced = host >= HOSTS;
        let first = self.dice.chance(0.5);
        if is_announced && first {
            self.world.withdraw_at(from, name);
        }
        self.world.move_host(host, to);
        if is_announced {
            let _ = self.world.announce(host);
        }
        if is_announced && !first && from != to {
            self.world.withdraw_at(from, name);
        }
        self.world.send(host, To::Everyone, 60);
    }

    fn fault(&mut self) {
        let (one, other) = self.pair();
        match self.dice.below(20) {
            0 | 1 => self.world.cut(one, other),
            2..=4 => cut_both(&mut self.world, one, other),
            5..=7 => {
                self.world.mend(one, other);
                self.world.mend(other, one);
            }
            8 | 9 => self.spoil(one, other),
            10 => self.world.crash(one),
            11 => {
                self.world.restart(one);
                self.sound.forget(one, self.world.now());
            }
            12 | 13 => (0..SITES).for_each(|site| self.world.start(site)),
            14 => self.leave(one),
            15 | 16 => self.sleep(one),
            17 => self.split(),
            18 => self.heal(),
            _ => self.change_address(one),
        }
    }

    /// The link gets worse in one direction, or as good as it was.
    fn spoil(&mut self, from: usize, to: usize) {
        let Some(link) = self.world.link(from, to) else { return };
        let mut share = |most: f64| if self.dice.chance(0.5) { most * self.dice.share() } else { 0.0 };
        let (loss, duplication, reorder) = (share(0.4), share(0.5), share(0.5));
        let corruption = share(0.05);
        let jitter_ns = (share(1.0) * 30e6) as u64;
        self.world.set_link(from, to, Link { loss, duplication, reorder, corruption, jitter_ns, ..link });
    }

    fn leave(&mut self, site: usize) {
        // Who has left is started again as who has crashed.
        if self.world.state(site) == SiteState::Running {
            self.world.leave(site);
        } else if self.world.state(site) == SiteState::Leaving {
            self.world.crash(site);
        }
    }

    fn sleep(&mut self, site: usize) {
        let longest = [2_000, 20_000, 600_000][self.dice.below(3) as usize];
        let time = ms(1 + self.dice.below(longest));
        self.world.sleep(site);
        self.sleepers.retain(|(sleeper, _)| *sleeper != site);
        self.sleepers.push((site, time));
    }

    /// The mesh falls into two to four parts; sometimes one site reaches all of them.
    fn split(&mut self) {
        let parts = 2 + self.dice.below(3);
        let groups: Vec<usize> = (0..SITES).map(|_| self.dice.below(parts) as usize).collect();
        if self.dice.chance(0.5) {
            self.world.partition(&groups);
            return;
        }
        let bridge = self.site();
        for (one, other) in (0..SITES).flat_map(|one| (0..one).map(move |other| (one, other))) {
            if groups[one] != groups[other] && one != bridge && other != bridge {
                cut_both(&mut self.world, one, other);
            }
        }
    }

    fn heal(&mut self) {
        self.world.heal();
        for &(from, to, link) in &self.links {
            self.world.set_link(from, to, link);
        }
    }

    /// The site's socket appears at another address, as behind a NAT that was restarted. At one site at a time: two
    /// that move at once cannot tell each other.
    fn change_address(&mut self, site: usize) {
        if self.moved.is_none() {
            self.moved = Some(site);
            self.addresses += 1;
            let [high, low] = self.addresses.to_be_bytes();
            self.sound.forget(site, self.world.now());
            self.world.readdress(site, ([10, 1, high, low], 4747).into());
        }
    }

    /// Everything is healed, and the mesh comes to rest.
    fn rest(&mut self) -> Outcome {
        self.sleepers.clear();
        (0..SITES).for_each(|site| self.world.wake(site));
        self.heal();
        for site in 0..SITES {
            if self.world.state(site) == SiteState::Leaving {
                self.world.crash(site);
            }
            self.world.start(site);
        }
        if let Some(site) = self.moved.take() {
            // It is started anew with the address that it has.
            self.world.restart(site);
            self.sound.forget(site, self.world.now());
            let seeds: Vec<_> = (0..3).map(|site| self.world.address(site)).collect();
            (0..SITES).for_each(|site| self.world.config_mut(site).seeds.clone_from(&seeds));
        }
        self.sound.look(&self.world);
        self.rests.push(self.world.settle(REST_LIMIT)?);
        self.world.check_at_rest()?;
        self.sound.check(&self.world);
        Ok(())
    }

    fn report(&self, since: Time) -> String {
        let passed = self.world.now().since(Time::ZERO).as_secs_f64();
        let deliveries: usize = self.world.frames().iter().map(|frame| frame.deliveries.len()).sum();
        let mut rests = self.rests.clone();
        rests.sort_unstable();
        format!(
            "{:.1} h at {:.0} virtual seconds per second: {} storms, {} faults, {} frames sent, {deliveries} delivered, \
             {} members failed, at rest after {:.1} s (median), {:.1} s (longest)",
            passed / 3600.0,
            passed / clock::now().since(since).as_secs_f64(),
            self.storms,
            self.faults,
            self.world.frames().len(),
            self.sound.failures(),
            rests[rests.len() / 2].as_secs_f64(),
            rests[rests.len() - 1].as_secs_f64(),
        )
    }
}

#[test]
fn a_quarter_of_an_hour_of_faults_breaks_no_rule() -> Outcome {
    let mut soak = Soak::new(seed())?;
    soak.run(secs(900))
}

#[test]
#[ignore = "takes minutes: a day of virtual time"]
fn a_day_of_faults_breaks_no_rule() -> Outcome {
    let hours = std::env::var("LEON_SOAK_HOURS").map_or(24, |text| text.parse().expect("a number of hours"));
    let since = clock::now();
    let mut soak = Soak::new(seed())?;
    for _ in 0..hours {
        soak.run(secs(3600))?;
        println!("seed {}, {}", seed(), soak.report(since));
    }
    Ok(())
}
