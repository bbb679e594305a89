//! Measurements with ICMP echo: round-trip times, and how long frames stopped.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use leon::Time;
use leon::driver::clock;
use parking_lot::Mutex;

use super::host::Host;
use super::packet::Address;

/// Echoes per measurement; the median of fewer moves with the load of the machine.
const ROUNDS: u16 = 41;
/// Echoes before a measurement, unmeasured: they teach the FDBs and warm up caches.
const WARM_UP: u16 = 3;
/// Time between two echoes of a stream.
const SPACING: Duration = Duration::from_millis(5);
/// Echoes in a row that make a flow: those of half a second.
const FLOW: usize = 100;
/// After this time an echo of a stream counts as unanswered.
const PATIENCE: Duration = Duration::from_millis(300);

/// A host and the neighbour it pings.
#[derive(Clone)]
pub(super) struct Pinger {
    host: Arc<Host>,
    neighbour: Address,
}

impl Pinger {
    /// Lets `host` find the neighbour that has `ip`.
    pub(super) fn new(host: Arc<Host>, ip: Ipv4Addr) -> anyhow::Result<Pinger> {
        let neighbour = host.resolve(ip)?;
        Ok(Pinger { host, neighbour })
    }
}

/// The median round-trip times over both. They take turns, so that both meet the same machine.
pub(super) fn round_trips(a: &Pinger, b: &Pinger) -> anyhow::Result<(Duration, Duration)> {
    let (mut times_a, mut times_b) = (Vec::new(), Vec::new());
    for sequence in 0..WARM_UP + ROUNDS {
        for (pinger, times) in [(a, &mut times_a), (b, &mut times_b)] {
            let time = pinger.host.ping(pinger.neighbour, sequence)?;
            times.extend(time.filter(|_| sequence >= WARM_UP));
        }
    }
    Ok((median(times_a)?, median(times_b)?))
}

fn median(mut times: Vec<Duration>) -> anyhow::Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("no echo was answered")
}

/// One echo of a stream.
#[derive(Clone, Copy)]
struct Echo {
    sent: Time,
    answered: bool,
}

/// Echoes at a fixed rate, on a thread of their own.
pub(super) struct EchoStream {
    echoes: Arc<Mutex<Vec<Echo>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl EchoStream {
    /// Starts to ping every 5 ms.
    pub(super) fn start(pinger: Pinger) -> anyhow::Result<EchoStream> {
        let (echoes, stop) = (Arc::<Mutex<Vec<Echo>>>::default(), Arc::<AtomicBool>::default());
        let (record, stopped) = (Arc::clone(&echoes), Arc::clone(&stop));
        let send = move || {
            let mut sequence = 0;
            while !stopped.load(Ordering::Relaxed) {
                let sent = clock::now();
                record.lock().push(Echo { sent, answered: false });
                pinger.host.send_echo(pinger.neighbour, sequence)?;
                sequence = sequence.checked_add(1).context("a stream has 65536 echoes at most")?;
                note_replies(&pinger.host, &record, sent + SPACING);
            }
            note_replies(&pinger.host, &record, clock::now() + PATIENCE);
            Ok(())
        };
        let thread = thread::Builder::new().name("echoes".to_owned()).spawn(send)?;
        Ok(EchoStream { echoes, stop, thread })
    }

    /// True if frames have arrived without a gap for the last half second, as far as replies can tell by now.
    pub(super) fn flows(&self) -> bool {
        let now = clock::now();
        let echoes = self.echoes.lock();
        let decided = echoes.iter().rev().skip_while(|echo| now.since(echo.sent) < PATIENCE);
        let mut recent = decided.take(FLOW).peekable();
        recent.peek().is_some() && recent.all(|echo| echo.answered)
    }

    /// Ends the stream. Returns how long frames stopped.
    pub(super) fn finish(self) -> anyhow::Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the stream of echoes panicked"))??;
        Ok(longest_stop(&self.echoes.lock()))
    }
}

fn note_replies(host: &Host, echoes: &Mutex<Vec<Echo>>, deadline: Time) {
    while let Some((sequence, _)) = host.echo_reply(deadline) {
        if let Some(echo) = echoes.lock().get_mut(usize::from(sequence)) {
            echo.answered = true;
        }
    }
}

/// How long frames stopped: the longest time between sending two echoes that were answered while none in
/// between was, less the time that lies between any two. Zero if all were answered.
///
/// Times of sending count, not of answers: a path with another latency moves the answers, but stops nothing.
fn longest_stop(echoes: &[Echo]) -> Duration {
    let answered: Vec<usize> = (0..echoes.len()).filter(|&index| echoes[index].answered).collect();
    let stops = answered.windows(2).filter(|pair| pair[1] > pair[0] + 1);
    let length = |pair: &[usize]| echoes[pair[1]].sent.since(echoes[pair[0]].sent).saturating_sub(SPACING);
    stops.map(length).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoes(answered: &str) -> Vec<Echo> {
        let at = |index: u32| Time::ZERO + SPACING * index;
        (0..).zip(answered.chars()).map(|(index, c)| Echo { sent: at(index), answered: c == '!' }).collect()
    }

    #[test]
    fn frames_that_all_arrive_have_not_stopped() {
        assert_eq!(longest_stop(&echoes("!!!!!!")), Duration::ZERO);
        let mut late = echoes("!!!");
        late[2].sent = late[2].sent + Duration::from_millis(50);
        assert_eq!(longest_stop(&late), Duration::ZERO, "a sender that was held up");
    }

    #[test]
    fn the_longest_row_of_lost_echoes_counts() {
        assert_eq!(longest_stop(&echoes("!.!...!!")), SPACING * 3);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let times = [5, 1, 9].map(Duration::from_millis);
        assert_eq!(median(times.into()).unwrap(), times[0]);
        assert!(median(Vec::new()).is_err());
    }
}
