//! The network test.
#![allow(
    clippy::disallowed_methods,
    reason = "this test talks to a real kernel in real time: it reads the clock and polls with a deadline"
)]

#[path = "netns/namespace.rs"]
mod namespace;
#[path = "netns/wan.rs"]
mod wan;

use namespace::Namespace;
use wan::{Wan, v4, v6};

const FUJISAWA: usize = 0;
const INAGI: usize = 1;
const SEOUL: usize = 2;

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn the_emulated_wan_has_the_delays_that_were_set() {
    let sites = ["fujisawa", "inagi", "seoul"].map(Namespace::new);
    let wan = Wan::new(&sites.each_ref());
    for (a, b, ms) in [(FUJISAWA, SEOUL, 32.0), (FUJISAWA, INAGI, 4.0), (INAGI, SEOUL, 17.0)] {
        wan.set_rtt(a, b, ms);
        for to in [v4(b), v6(b)] {
            let ping = sites[a].ping(to, 20);
            eprintln!("{ping:?}");
            assert_eq!(ping.received, ping.sent, "{ping:?}");
            assert!((ms..ms + 1.0).contains(&ping.min_ms), "{ms} ms were set: {ping:?}");
            assert!(ping.avg_ms < ms + 5.0, "{ms} ms were set: {ping:?}");
        }
    }

    wan.cut(SEOUL, FUJISAWA);
    assert_eq!(sites[FUJISAWA].ping(v4(SEOUL), 5).received, 0, "the answers' direction is cut");
    assert_eq!(sites[INAGI].ping(v4(SEOUL), 5).received, 5, "other pairs are not");
    wan.mend(SEOUL, FUJISAWA);
    assert_eq!(sites[FUJISAWA].ping(v4(SEOUL), 5).received, 5);

    wan.set_loss(FUJISAWA, INAGI, 0.3);
    let lossy = sites[FUJISAWA].ping(v4(INAGI), 100);
    assert!((50..=90).contains(&lossy.received), "30 % were to be lost: {lossy:?}");
}
