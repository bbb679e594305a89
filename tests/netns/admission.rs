//! Who gets into the mesh and who does not, and that the logs of both sides say why.

use std::time::Duration;

use crate::AT_ONCE;
use crate::namespace::eventually;
use crate::site::{FUJISAWA, INAGI, SEOUL, World};
use crate::wan::v4;

/// A joiner that no seed answers says so after six seconds.
const SILENCE: Duration = Duration::from_secs(8);
/// A site that is allowed again is found by the lists that differ, or contacts the others itself.
const FOUND_AGAIN: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn without_the_network_key_or_a_place_on_the_allow_list_a_site_gets_in_nowhere_and_is_told() {
    let mut world = World::new(v4);
    world.give_foreign_network_key(INAGI);
    world.allow(FUJISAWA, &[FUJISAWA, INAGI]);
    for (site, seeds) in [(FUJISAWA, &[][..]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])] {
        world.start(site, seeds);
    }
    let [fujisawa, inagi, seoul] = &world.sites;
    for outsider in [inagi, seoul] {
        let explains = || {
            let key = outsider.public_key.as_str();
            outsider.says(&["no seed answers (10.99.0.1:4789)", "network key", "allow list", key])
        };
        eventually(&format!("{} is told", outsider.name), SILENCE, explains);
    }
    for site in [fujisawa, inagi, seoul] {
        let status = site.status().expect("it runs");
        assert!(status.members.is_empty(), "{}: {status:?}", site.name);
    }
    let counters = fujisawa.status().expect("it runs").counters;
    assert!(counters["drop_handshake_stranger"] > 0, "Inagi's greetings: {counters:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_that_is_sealed_and_one_that_is_not_refuse_each_other_and_both_say_so() {
    let mut world = World::new(v4);
    world.unseal(INAGI);
    world.start(FUJISAWA, &[INAGI]);
    world.start(INAGI, &[FUJISAWA]);
    let [fujisawa, inagi, _] = &world.sites;
    let told = || {
        fujisawa.says(&["10.99.0.2:4789 cannot talk", "its security is none, here it is sealed"])?;
        inagi.says(&["10.99.0.1:4789 cannot talk", "its security is sealed, here it is none"])
    };
    eventually("both say so", AT_ONCE, told);
    for site in [fujisawa, inagi] {
        let status = site.status().expect("it runs");
        assert!(status.members.is_empty(), "{}: {status:?}", site.name);
    }
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_taken_off_the_allow_list_is_dropped_wherever_the_list_is_read_again() {
    let mut world = World::new(v4);
    for site in [FUJISAWA, INAGI] {
        world.allow(site, &[FUJISAWA, INAGI, SEOUL]);
    }
    world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])]);
    let key = world.sites[SEOUL].public_key.clone();

    world.write_allow_file(FUJISAWA, "no key\n");
    world.sites[FUJISAWA].hang_up();
    let complains =
        || world.sites[FUJISAWA].says(&["the allow list and the policy stay as they were", "line 1"]);
    eventually("the bad list is refused", AT_ONCE, complains);
    world.sites[FUJISAWA].member("seoul").expect("a list that cannot be read changes nothing");

    for site in [FUJISAWA, INAGI] {
        world.allow(site, &[FUJISAWA, INAGI]);
        world.sites[site].hang_up();
        let dropped = || world.sites[site].lacks("seoul");
        eventually(&format!("{} drops seoul", world.sites[site].name), AT_ONCE, dropped);
        world.sites[site].says(&[&format!("seoul ({key}) is taken off")]).expect("the change is logged");
        world.sites[site].says(&["seoul is removed"]).expect("what came of it is logged");
        if site == FUJISAWA {
            world.sites[INAGI].member("seoul").expect("Inagi has not read its list again");
        }
    }
    let [fujisawa, inagi, seoul] = &world.sites;
    for site in [fujisawa, inagi] {
        assert_eq!(seoul.host.ping(&site.host, 1).received, 0, "to {}", site.name);
    }
    assert_eq!(fujisawa.host.ping(&inagi.host, 1).received, 1, "the others go on");

    for site in [FUJISAWA, INAGI] {
        world.allow(site, &[FUJISAWA, INAGI, SEOUL]);
        world.sites[site].hang_up();
    }
    let [fujisawa, inagi, seoul] = &world.sites;
    let back = || {
        fujisawa.member("seoul")?;
        inagi.member("seoul")
    };
    eventually("seoul is back", FOUND_AGAIN, back);
    // The host may have to give up first that it asked for in vain.
    eventually("its host is too", AT_ONCE, || seoul.host.reaches(&inagi.host));
}
