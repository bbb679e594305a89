//! What the scenarios have in common. No expectations of its own beyond "the mesh has formed".

use core::net::{Ipv6Addr, SocketAddr};
use core::ops::Range;
use core::time::Duration;

use leon::sim::{Link, Matrix, Violation, World};
use leon::{Counter, Event, MemberState, MemberStatus, Time};

/// A test that ends with `?` on a broken rule, which then prints its seed.
pub(crate) type Outcome = Result<(), Violation>;

/// The first seed: `LEON_SEED`, or 1.
pub(crate) fn seed() -> u64 {
    let text = std::env::var("LEON_SEED").unwrap_or_else(|_| "1".into());
    text.parse().expect("LEON_SEED is a number")
}

/// So many seeds, from the first on.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    seed()..seed() + count
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sites of which each reaches each, none started.
pub(crate) fn mesh(sites: usize, rtt_ms: f64) -> World {
    World::with_links(seed(), sites, &Matrix::full_mesh(sites, rtt_ms).links())
}

/// The underlay of a matrix, none started.
pub(crate) fn over(matrix: &Matrix) -> World {
    World::with_links(seed(), matrix.sites(), &matrix.links())
}

/// Starts all sites and waits until they agree.
pub(crate) fn formed(mut world: World) -> Result<World, Violation> {
    world.start_all()?;
    world.settle(secs(10))?;
    Ok(world)
}

/// Three sites in a triangle: `direct` between 0 and 2, `first` from 0 to 1, `second` from 1 to 2, in ms.
pub(crate) fn triangle(direct: f64, first: f64, second: f64) -> World {
    let rows = [vec![0.0, first, direct], vec![first, 0.0, second], vec![direct, second, 0.0]];
    over(&Matrix::from_ms(&rows).expect("the matrix is square"))
}

/// Changes a link between two sites in both directions.
pub(crate) fn change(world: &mut World, one: usize, other: usize, change: impl Fn(Link) -> Link) {
    for (from, to) in [(one, other), (other, one)] {
        let link = world.link(from, to).expect("the sites are linked");
        world.set_link(from, to, change(link));
    }
}

/// Nothing passes between two sites any more, in either direction.
pub(crate) fn cut_both(world: &mut World, one: usize, other: usize) {
    world.cut(one, other);
    world.cut(other, one);
}

/// What a site knows of another.
pub(crate) fn member(world: &World, at: usize, of: usize) -> Option<MemberStatus> {
    let id = world.config(of).id();
    world.status(at)?.members.into_iter().find(|member| member.id == id)
}

/// True if a site has another in its list.
pub(crate) fn lists(world: &World, at: usize, of: usize) -> bool {
    member(world, at, of).is_some_and(|member| member.state == MemberState::Alive)
}

pub(crate) fn count(world: &World, site: usize, counter: Counter) -> u64 {
    world.status(site).map_or(0, |status| status.counters.value(counter))
}

/// When a site's engine first said that such a thing happened, from `since` on.
pub(crate) fn when(world: &World, site: usize, since: Time, is_it: impl Fn(&Event) -> bool) -> Option<Time> {
    let mut events = world.events(site).iter().filter(|(at, _)| *at >= since);
    events.find(|(_, event)| is_it(event)).map(|(at, _)| *at)
}

/// An IPv6 address for a site.
pub(crate) fn ipv6(site: usize) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, site as u16 + 1).into(), 4747)
}
