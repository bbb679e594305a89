//! The simulator: many engines, the underlay between them and the hosts behind them, in virtual time.
//!
//! A [`World`] holds everything; it goes from event to event, and all its dice follow from one seed, so
//! that what was seen once is seen again. Engines are used through the crate's public API only, and no
//! engine knows that it is simulated. The rules that engines keep are [`Rule`]: most hold after every
//! step, the rest once nothing changes any more. A [`Scenario`] is a world and its history as plain data.
//!
//! ```
//! use core::time::Duration;
//! use leon::sim::{Matrix, To, World};
//!
//! // Fujisawa, Inagi and Seoul, as in Figure 2 of the paper.
//! let mut world = World::with_links(7, 3, &Matrix::fujisawa_inagi_seoul().links());
//! world.start_all()?;
//! world.run_for(Duration::from_secs(10))?;
//! assert_eq!(world.path(0, 2), [1, 2]);
//!
//! let host = world.add_host(0);
//! let frame = world.send(host, To::Everyone, 100);
//! world.run_for(Duration::from_secs(1))?;
//! assert_eq!(world.frame(frame).sites(), [1, 2]);
//! # Ok::<(), leon::sim::Violation>(())
//! ```

mod agenda;
mod check;
mod chosen;
mod clock;
mod dice;
mod host;
mod link;
mod middle;
pub mod oracle;
mod paths;
mod rest;
mod rogue;
mod scenario;
mod site;
mod topology;
mod underlay;
mod world;

pub use check::{Rule, Violation};
pub use dice::Dice;
pub use host::{Delivery, Host, SentFrame, To};
pub use link::{Arrival, Link};
pub use middle::Caught;
pub use paths::{PathChoice, select_paths};
pub use rogue::{Rogue, Say};
pub use scenario::{Op, Origin, Report, Scenario, run};
pub use site::{SiteState, Traffic};
pub use topology::Matrix;
pub use world::World;
