//! The seeds of `leond run`. Those given by name are looked up at the start and again while the node runs, since sites
//! move and name servers fail; in a thread of its own, since a lookup may take many seconds.
//!
//! Knows names and addresses, not what seeds are for.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use leon::driver::Handle;

/// Names are looked up this often: as soon as records that are meant to change let caches forget them.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// A name that has no address yet is looked up again after this, and then after twice as long each time.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// When somebody is silent, names are looked up after this: many may fall silent together, and a record that is changed
/// because a site has moved is not changed at once.
const HURRY: Duration = Duration::from_secs(2);

/// Members to join the mesh through.
#[derive(Debug)]
pub(crate) struct Seeds {
    addresses: Vec<SocketAddr>,
    names: Vec<Name>,
    /// What the socket is bound to.
    listen: IpAddr,
    retry: Duration,
}

/// A seed given by name.
#[derive(Debug)]
struct Name {
    /// With the port.
    text: String,
    /// Those of the last lookup that gave any.
    addresses: Vec<SocketAddr>,
    is_failing: bool,
}

/// Asks for names to be looked up soon.
pub(crate) struct Resolver(Option<Sender<()>>);

impl Seeds {
    /// Takes seeds as settings have them, for a socket bound to `listen`. Looks nothing up.
    pub(crate) fn parse(texts: &[String], listen: IpAddr) -> anyhow::Result<Seeds> {
        let mut seeds = Seeds { addresses: Vec::new(), names: Vec::new(), listen, retry: RETRY_INTERVAL };
        for text in texts {
            if let Ok(address) = text.parse::<SocketAddr>() {
                ensure!(
                    address.port() != 0 && !address.ip().is_unspecified(),
                    "seed {text} is no address to send to"
                );
                match usable(text, vec![address], listen) {
                    Ok(usable) => seeds.addresses.extend(usable),
                    Err(error) => log::warn!("{error:#}"),
                }
                continue;
            }
            let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(':'));
            let port = port.and_then(|(_, port)| port.parse().ok());
            ensure!(port.is_some_and(|port: u16| port != 0), "seed {text} must be HOST:PORT");
            seeds.names.push(Name { text: text.clone(), addresses: Vec::new(), is_failing: false });
        }
        ensure!(
            texts.is_empty() || !(seeds.addresses.is_empty() && seeds.names.is_empty()),
            "none of the seeds can be used: {}",
            texts.join(", ")
        );
        Ok(seeds)
    }

    /// The addresses known so far.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let mut all = self.addresses.clone();
        for address in self.names.iter().flat_map(|name| &name.addresses) {
            if !all.contains(address) {
                all.push(*address);
            }
        }
        all
    }

    /// Keeps the seeds of a running node up to date for as long as the program runs.
    pub(crate) fn follow(self, handle: Handle) -> anyhow::Result<Resolver> {
        if self.names.is_empty() {
            return Ok(Resolver(None));
        }
        let (hurry, asked) = mpsc::channel();
        let run = move || self.run(&handle, &asked);
        thread::Builder::new().name("seeds".to_owned()).spawn(run).context("cannot start a thread")?;
        Ok(Resolver(Some(hurry)))
    }

    fn run(mut self, handle: &Handle, asked: &Receiver<()>) {
        loop {
            let wait = self.refresh(|text| Ok(text.to_socket_addrs()?.collect()));
            // The engine sees for itself what has changed.
            if let Err(error) = handle.set_seeds(self.addresses()) {
                log::error!("{error}");
            }
            // Whoever asks waits a little, and with it all who ask until then.
            match asked.recv_timeout(wait) {
                Ok(()) => while asked.recv_timeout(HURRY).is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks all names up, says what has changed, and gives the time until they are to be looked up again. A name
    /// that cannot be looked up keeps the addresses it had.
    fn refresh(&mut self, lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>>) -> Duration {
        for name in &mut self.names {
            let found = lookup(&name.text).with_context(|| format!("cannot resolve seed {}", name.text));
            match found.and_then(|found| usable(&name.text, found, self.listen)) {
                Ok(found) => {
                    if name.is_failing || found != name.addresses {
                        let shown: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
                        log::info!("seed {} is {}", name.text, shown.join(", "));
                    }
                    (name.addresses, name.is_failing) = (found, false);
                }
                Err(error) => {
                    if !name.is_failing {
                        log::warn!("{error:#}; trying again until it can be");
                    }
                    name.is_failing = true;
                }
            }
        }
        if self.names.iter().any(|name| name.is_failing) {
            let wait = self.retry;
            self.retry = (2 * wait).min(REFRESH_INTERVAL);
            return wait;
        }
        self.retry = RETRY_INTERVAL;
        REFRESH_INTERVAL
    }
}

impl Resolver {
    /// Somebody is silent who may have moved: names are looked up within seconds.
    pub(crate) fn hurry(&self) {
        // The thread lives as long as this end does.
        let _ = self.0.as_ref().map(|hurry| hurry.send(()));
    }
}

/// Those addresses of a seed that the socket can send to, sorted: the order that servers give says nothing.
fn usable(seed: &str, mut addresses: Vec<SocketAddr>, listen: IpAddr) -> anyhow::Result<Vec<SocketAddr>> {
    addresses.retain(|address| can_reach(listen, address.ip()) && !address.ip().is_unspecified());
    ensure!(!addresses.is_empty(), "seed {seed} has no address that a socket on {listen} can send to");
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// True if a socket bound to `listen` can send to `address`, as far as IP versions go.
fn can_reach(listen: IpAddr, address: IpAddr) -> bool {
    listen.is_ipv6() && listen.is_unspecified() || listen.is_ipv4() == address.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "::";

    fn seeds(texts: &[&str], listen: &str) -> anyhow::Result<Seeds> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Seeds::parse(&texts, listen.parse().unwrap())
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn failure(_: &str) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("no name server answers"))
    }

    #[test]
    fn a_seed_is_an_address_or_a_name_with_a_port() {
        let known = seeds(&["192.0.2.1:9", "[2001:db8::1]:9", "seoul.example:9"], ANY).unwrap();
        assert_eq!(known.addresses(), addresses(&["192.0.2.1:9", "[2001:db8::1]:9"]));
        assert_eq!(known.names[0].text, "seoul.example:9");
        for wrong in ["seoul.example", "seoul.example:", ":9", "192.0.2.1:0", "0.0.0.0:9", "2001:db8::1"] {
            let error = seeds(&[wrong], ANY).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_seed_must_have_an_address_of_an_ip_version_the_socket_speaks() {
        assert!(seeds(&["127.0.0.1:9"], "127.0.0.1").is_ok() && seeds(&["127.0.0.1:9"], ANY).is_ok());
        assert!(seeds(&["127.0.0.1:9"], "::1").is_err());
        let mut both = seeds(&["seoul.example:9"], "127.0.0.1").unwrap();
        both.refresh(|_| Ok(addresses(&["[2001:db8::1]:9", "192.0.2.7:9"])));
        assert_eq!(both.addresses(), addresses(&["192.0.2.7:9"]));
    }

    #[test]
    fn a_name_that_moves_is_followed_and_one_that_fails_keeps_its_addresses() {
        let mut followed = seeds(&["192.0.2.1:9", "seoul.example:9"], ANY).unwrap();
        for last in ["192.0.2.2:9", "192.0.2.3:9"] {
            assert_eq!(followed.refresh(|_| Ok(addresses(&[last]))), REFRESH_INTERVAL);
            assert_eq!(followed.addresses(), addresses(&["192.0.2.1:9", last]));
        }
        followed.refresh(failure);
        assert_eq!(followed.addresses(), addresses(&["192.0.2.1:9", "192.0.2.3:9"]));
    }

    #[test]
    fn a_lookup_that_fails_is_repeated_less_and_less_often() {
        let mut failing = seeds(&["seoul.example:9"], ANY).unwrap();
        let waits: Vec<u64> = (0..8).map(|_| failing.refresh(failure).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        failing.refresh(|_| Ok(addresses(&["192.0.2.2:9"])));
        assert_eq!(failing.refresh(failure), RETRY_INTERVAL);
    }
}
