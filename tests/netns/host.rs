//! A host behind a site: a namespace of its own with one Ethernet device, plugged into a bridge by veth.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use crate::namespace::{Namespace, Ping, eventually};

/// How long the kernel may take to have a bridge forward, on a machine that may be small.
const FORWARDS: Duration = Duration::from_secs(5);

/// A host of the overlay network 192.168.77.0/24.
pub(crate) struct Host {
    ns: Namespace,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: String,
    number: u8,
}

impl Host {
    /// A host that is not plugged in anywhere yet; `number` ends its addresses.
    pub(crate) fn new(number: u8) -> Self {
        Self {
            ns: Namespace::new(&format!("host{number}")),
            address: Ipv4Addr::new(192, 168, 77, number),
            mac: format!("02:77:00:00:00:{number:02x}"),
            number,
        }
    }

    /// Plugs the host into the bridge of a site, with the MTU that the overlay carries, and waits until frames pass.
    pub(crate) fn plug_in(&self, site: &Namespace, mtu: u64) {
        let Self { ns, address, mac, number } = self;
        let host = ns.name();
        let peer = format!("peer eth0 address {mac} mtu {mtu} netns {host}");
        site.ip(&format!("link add to-{number} mtu {mtu} master br0 type veth {peer}"));
        site.ip(&format!("link set to-{number} up"));
        ns.ip(&format!("address add {address}/24 broadcast + dev eth0"));
        ns.ip("link set eth0 up");
        // The kernel tells the bridge of a new carrier later, on a machine with much to do by tens of milliseconds;
        // until then the port drops frames.
        let forwards = || {
            let links = site.ip(&format!("-j -d link show to-{number}"));
            let links: Value = serde_json::from_str(&links).expect("ip -j prints JSON");
            let state = &links[0]["linkinfo"]["info_slave_data"]["state"];
            if state == "forwarding" { Ok(()) } else { Err(format!("its port is {state}")) }
        };
        eventually(&format!("the bridge forwards for {host}"), FORWARDS, forwards);
    }

    /// Unplugs it. Both ends of the cable are gone then, and all that the host knew of its neighbours.
    pub(crate) fn unplug(&self) {
        self.ns.ip("link del eth0");
    }

    pub(crate) fn ping(&self, to: &Host, count: u32) -> Ping {
        self.ns.ping(to.address, count)
    }

    /// Fails unless one ping is answered; with what came of it.
    pub(crate) fn reaches(&self, to: &Host) -> Result<Ping, String> {
        let ping = self.ping(to, 1);
        if ping.received == 1 { Ok(ping) } else { Err(format!("{ping:?}")) }
    }

    /// See [`crate::namespace::Handle::inside`].
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.ns.inside(work)
    }

    /// The MAC address that ARP found for another host.
    pub(crate) fn neighbour(&self, other: &Host) -> Option<String> {
        let entries = self.ns.ip(&format!("-j neigh show to {} dev eth0", other.address));
        let entries: Value = serde_json::from_str(&entries).expect("ip -j prints JSON");
        Some(entries[0]["lladdr"].as_str()?.to_owned())
    }
}
