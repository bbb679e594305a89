//! A man in the middle on real sockets: each node's locator is an address of his, and what is sent there reaches
//! the node as he likes. Knows no formats.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What he makes of a datagram.
type Act = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// A face for each node, at which the others see it.
pub(crate) struct Middle {
    faces: Arc<Vec<UdpSocket>>,
    /// Where the nodes themselves receive; filled in as they start.
    nodes: Arc<Mutex<Vec<SocketAddr>>>,
    act: Arc<Mutex<Act>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Middle {
    /// Faces for so many nodes; what they send passes unchanged.
    pub(crate) fn new(nodes: usize) -> Middle {
        let face = |_| UdpSocket::bind("127.0.0.1:0").unwrap();
        let faces: Arc<Vec<UdpSocket>> = Arc::new((0..nodes).map(face).collect());
        let mut middle = Middle {
            faces,
            nodes: Arc::default(),
            act: Arc::new(Mutex::new(Box::new(pass))),
            is_over: Arc::default(),
            threads: Vec::new(),
        };
        middle.threads = (0..nodes).map(|node| middle.stand_before(node)).collect();
        middle
    }

    /// The address at which others see a node.
    pub(crate) fn face(&self, node: usize) -> SocketAddr {
        self.faces[node].local_addr().unwrap()
    }

    /// The next node has started and receives here.
    pub(crate) fn add(&self, node: SocketAddr) {
        self.nodes.lock().unwrap().push(node);
    }

    /// From now on each datagram is replaced by what `act` makes of it.
    pub(crate) fn act(&self, act: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        *self.act.lock().unwrap() = Box::new(act);
    }

    /// From now on all passes unchanged.
    pub(crate) fn rest(&self) {
        self.act(pass);
    }

    /// Takes what is sent to a node's face, and hands on what becomes of it from the face of the sender.
    fn stand_before(&self, node: usize) -> JoinHandle<()> {
        let (faces, nodes) = (Arc::clone(&self.faces), Arc::clone(&self.nodes));
        let (act, is_over) = (Arc::clone(&self.act), Arc::clone(&self.is_over));
        faces[node].set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = faces[node].recv_from(&mut buffer) else { continue };
                let known = nodes.lock().unwrap().clone();
                let sender = known.iter().position(|address| *address == from);
                let Some((sender, to)) = sender.zip(known.get(node)) else { continue };
                for datagram in (act.lock().unwrap())(&buffer[..length]) {
                    // A node that is gone refuses it, which shows at the next datagram.
                    let _ = faces[sender].send_to(&datagram, to);
                }
            }
        })
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic there has been printed, and a test that needs the datagrams fails.
            let _ = thread.join();
        }
    }
}

fn pass(datagram: &[u8]) -> Vec<Vec<u8>> {
    vec![datagram.to_vec()]
}
