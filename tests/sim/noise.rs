//! Steady links with jitter and loss: paths stay near the best ones, and stay.

use leon::Event;
use leon::sim::oracle::{Costs, lowest_costs, path_cost};
use leon::sim::{Link, Matrix, Violation, World};

use crate::support::{Outcome, secs, seeds};

const SITES: usize = 12;
const MINUTES: u64 = 10;

/// A mesh of a dozen sites with 2 ms of jitter and 1 % of loss on each link, after its first two minutes.
fn noisy(seed: u64) -> Result<World, Violation> {
    let noisy = |(from, to, link)| (from, to, Link { jitter_ns: 2_000_000, loss: 0.01, ..link });
    let links: Vec<_> = Matrix::internet_like(SITES, seed).links().into_iter().map(noisy).collect();
    let mut world = World::with_links(seed, SITES, &links);
    world.start_all()?;
    world.run_for(secs(120))?;
    Ok(world)
}

/// The true costs of all pairs together: direct, along the present paths, and along the best ones.
fn sums(world: &World, truth: &Costs, best: &Costs) -> [u64; 3] {
    let mut sums = [0; 3];
    for from in 0..SITES {
        let status = world.status(from).expect("all sites run");
        for member in status.members {
            let to = world.site_of(member.id).expect("a site");
            let hops = member.path.iter().map(|id| world.site_of(*id).expect("a site"));
            let path: Vec<usize> = core::iter::once(from).chain(hops).collect();
            let costs = [truth[from][to], path_cost(truth, 0, &path), best[from][to]];
            sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost.expect("a full mesh"));
        }
    }
    sums
}

#[test]
fn jitter_and_loss_neither_make_paths_flap_nor_keep_them_from_the_gain() -> Outcome {
    let (mut changes, mut draws, mut sum) = (0, 0, [0; 3]);
    for seed in seeds(4) {
        let mut world = noisy(seed)?;
        let truth = world.true_costs();
        let best = lowest_costs(&truth, 0, 4);
        let since = world.now();
        for _ in 0..MINUTES * 6 {
            world.run_for(secs(10))?;
            let now = sums(&world, &truth, &best);
            sum.iter_mut().zip(now).for_each(|(sum, now)| *sum += now);
        }
        let events = (0..SITES).flat_map(|site| world.events(site));
        let is_change = |event: &Event| matches!(event, Event::PathChanged { .. });
        changes += events.filter(|(at, event)| *at >= since && is_change(event)).count();
        draws += 1;
    }
    let pairs = SITES * (SITES - 1) * draws;
    let switches = changes as f64 / (pairs as f64 * MINUTES as f64);
    let [direct, taken, best] = sum.map(|sum| sum as f64);
    let realised = (direct - taken) / (direct - best);
    println!("{switches:.4} switches for each pair and minute, {realised:.3} of the oracle's gain");
    assert!(switches <= 0.05 && realised >= 0.93, "{switches} switches, {realised} of the gain");
    Ok(())
}
