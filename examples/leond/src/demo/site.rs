//! One site: an engine on a driver thread, attached to the WAN by its socket and to a host by its port.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use leon::driver::{Driver, Port, StopHandle, Underlay, clock};
use leon::{Config, Engine, Event, Keys, MemberState, MemberStatus, NodeId, Security, Segment};

use super::NAMES;
use super::wan::{SiteNo, Wan};

/// A running site.
pub(super) struct Site {
    pub(super) locator: SocketAddr,
    engine: Arc<Engine>,
    stop: StopHandle,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Site {
    /// Starts site `number` as a member that has `keys` and joins through `seed`. Its events go to `events`.
    /// Returns the other end of its frame port, too.
    pub(super) fn start(
        number: SiteNo,
        keys: Keys,
        seed: Option<SocketAddr>,
        wan: &Wan,
        events: Sender<Event>,
    ) -> anyhow::Result<(Site, UnixDatagram)> {
        let name = NAMES[number];
        let underlay = Underlay::bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
        let locator = wan.attach(number, underlay.local_addr())?;
        let mut config = Config::new(name, locator, Security::Sealed(keys), clock::entropy()?);
        config.incarnation = clock::incarnation();
        config.seeds.extend(seed);
        let engine = Arc::new(Engine::new(config, clock::now())?);
        let (port, card) = UnixDatagram::pair()?;
        let port = Port::from_unix_datagram(port, Segment::DEFAULT)?;
        let driver = Driver::new(Arc::clone(&engine), underlay, port)?;
        let stop = driver.stop_handle();
        let run = move || {
            driver.run(|event| {
                // Nobody listens any more once the demo is over.
                let _ = events.send(event);
            })
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok((Site { locator, engine, stop, thread }, card))
    }

    /// What this site knows of `other`, if that is a live member.
    pub(super) fn member(&self, other: NodeId) -> Option<MemberStatus> {
        let members = self.engine.status(clock::now()).members;
        members.into_iter().find(|member| member.id == other && member.state == MemberState::Alive)
    }

    /// Stops the site and waits for its thread.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.stop.stop();
        let result = self.thread.join().map_err(|_| anyhow::anyhow!("a site's thread panicked"))?;
        result.context("a site's driver failed")
    }
}
