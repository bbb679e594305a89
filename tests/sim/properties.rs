//! Whatever happens: rules hold at every step, and what holds at rest holds once the underlay is healed.
//!
//! `PROPTEST_CASES` says how many scenarios are tried.

use leon::sim::{Link, Op, Origin, Scenario, run};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::seed;

fn link() -> impl Strategy<Value = Link> {
    let share = || prop_oneof![6 => Just(0.0), 1 => 0.0..0.5_f64];
    let delay_ns = 100_000..100_000_000_u64;
    let jitter_ns = prop_oneof![3 => Just(0), 1 => 0..20_000_000_u64];
    let mtu = prop_oneof![6 => Just(1500_u16), 1 => 1280..1500_u16];
    (delay_ns, jitter_ns, share(), share(), share(), mtu).prop_map(
        |(delay_ns, jitter_ns, loss, duplication, reorder, mtu)| Link {
            delay_ns,
            jitter_ns,
            loss,
            duplication,
            reorder,
            mtu,
            ..Link::rtt_ms(0.0)
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let node = || 0..7_usize;
    let origin = prop_oneof![node().prop_map(Origin::Node), any::<u16>().prop_map(Origin::Stranger)];
    let bytes = prop::collection::vec(any::<u8>(), 0..100);
    prop_oneof![
        4 => node().prop_map(Op::Start),
        1 => node().prop_map(Op::Crash),
        1 => node().prop_map(Op::Restart),
        1 => node().prop_map(Op::Leave),
        1 => node().prop_map(Op::Sleep),
        1 => node().prop_map(Op::Wake),
        2 => (node(), node(), link()).prop_map(|(from, to, link)| Op::SetLink { from, to, link }),
        2 => (node(), node()).prop_map(|(from, to)| Op::Cut { from, to }),
        1 => (node(), node()).prop_map(|(from, to)| Op::Mend { from, to }),
        1 => prop::collection::vec(0..2_usize, 7).prop_map(Op::Partition),
        1 => Just(Op::Heal),
        3 => (node(), node(), 0..1600_usize).prop_map(|(from, to, len)| Op::SendFrame { from, to, len }),
        2 => (node(), 0..1600_usize).prop_map(|(from, len)| Op::Broadcast { from, len }),
        1 => (node(), 0..1600_usize).prop_map(|(from, len)| Op::SendUnknown { from, len }),
        1 => (node(), node()).prop_map(|(host, to)| Op::MoveHost { host, to }),
        2 => (node(), node()).prop_map(|(host, at)| Op::AnnounceHost { host, at }),
        1 => (node(), node()).prop_map(|(host, at)| Op::WithdrawHost { host, at }),
        1 => (node(), origin, bytes).prop_map(|(to, from, bytes)| Op::Inject { to, from, bytes }),
        1 => (node(), 1..20_usize).prop_map(|(to, count)| Op::Replay { to, count }),
        6 => (1..3000_u64).prop_map(|ms| Op::Run { ms }),
        1 => (3000..60_000_u64).prop_map(|ms| Op::Run { ms }),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    (2..=7_usize).prop_flat_map(|nodes| {
        let links = prop::collection::vec(link(), nodes * (nodes - 1));
        let delays = prop::collection::vec(prop_oneof![Just(0), 1..1000_u64], nodes);
        let ops = prop::collection::vec(op(), 1..30);
        (any::<u64>(), links, delays, ops).prop_map(move |(seed, links, delays, rest)| {
            let starts = delays.into_iter().enumerate();
            let mut ops: Vec<Op> = starts.flat_map(|(node, ms)| [Op::Start(node), Op::Run { ms }]).collect();
            ops.extend(rest);
            let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
            let pairs = pairs.filter(|(from, to)| from != to);
            let links = pairs.zip(links).map(|((from, to), link)| (from, to, link)).collect();
            Scenario { seed, nodes, links, ops }
        })
    })
}

/// So many scenarios, unless `PROPTEST_CASES` says otherwise; the same ones each time, unless `LEON_SEED`
/// says otherwise.
fn cases(otherwise: u32) -> ProptestConfig {
    let config = ProptestConfig { rng_seed: RngSeed::Fixed(seed()), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        config
    } else {
        ProptestConfig { cases: otherwise, ..config }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..cases(64) })]

    #[test]
    fn rules_hold_throughout_and_at_rest(scenario in scenario()) {
        if let Err(violation) = run(&scenario) {
            prop_assert!(false, "{violation}");
        }
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn flipped_bits_break_no_rule_of_every_step(
        mut scenario in scenario(),
        shares in prop::collection::vec(0.0..0.3_f64, 42),
    ) {
        for ((_, _, link), share) in scenario.links.iter_mut().zip(shares) {
            link.corruption = share;
        }
        if let Err(violation) = run(&scenario) {
            prop_assert!(false, "{violation}");
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_scenario_replays_exactly(scenario in scenario()) {
        prop_assert_eq!(run(&scenario), run(&scenario));
    }
}
