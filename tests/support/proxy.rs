//! A TCP proxy that does what networks do to connections: it delays, changes bytes, cuts with a
//! reset, and cuts in silence.
//!
//! Faults come from a seed and a budget, one about every given number of bytes. A connection that
//! is cut in silence stays open: its bytes are read and dropped. Resets and silence affect any
//! connection, also one with little traffic.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aggregation::random::{Purpose, Stream};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
    time,
};

/// The longest delay, milliseconds.
const DELAY_MS_MAX: u32 = 400;

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// One direction waits.
    Delay,
    /// One byte is changed.
    Corruption,
    /// The connection is reset on both sides.
    Reset,
    /// The connection falls silent, and neither side is told.
    Silence,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carried,
    Silenced,
    Reset,
}

struct State {
    draws: Stream,
    drawn: u64,
    /// The faults that are left.
    budget: Vec<Fault>,
    done: Vec<Fault>,
    every_bytes: u64,
    /// Bytes until the next fault.
    left_bytes: u64,
    connections: BTreeMap<u64, watch::Sender<Fate>>,
}

/// The proxy. It ends on drop, with all its connections.
pub struct Proxy {
    /// The address at which it listens.
    pub address: String,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts a proxy in front of `target`, with a budget of faults, one about every `every_bytes`
    /// bytes.
    pub fn start(target: &str, seed: u64, budget: &[(Fault, usize)], every_bytes: u64) -> Proxy {
        let target: SocketAddr = target.parse().expect("an address");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let budget = budget.iter().flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count)).collect();
        let state = State {
            draws: Stream::new(seed, Purpose::Shuffle, &[]),
            drawn: 0,
            budget,
            done: Vec::new(),
            every_bytes,
            left_bytes: every_bytes,
            connections: BTreeMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        runtime.spawn(accept(listener, target, Arc::clone(&state)));
        Proxy { address, state, runtime: Some(runtime) }
    }

    /// The number of faults that are left.
    pub fn left(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).budget.len()
    }

    /// The number of faults of a kind so far.
    pub fn count(&self, kind: Fault) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done.iter().filter(|fault| **fault == kind).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<Mutex<State>>) {
    for id in 0.. {
        let Ok((near, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // If the coordinator refuses the connection, the proxy does too.
            let Ok(far) = TcpStream::connect(target).await else { return };
            let (tell, fate) = watch::channel(Fate::Carried);
            lock(&state).connections.insert(id, tell);
            carry(near, far, &state, fate).await;
            lock(&state).connections.remove(&id);
        });
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry(mut near: TcpStream, mut far: TcpStream, state: &Mutex<State>, mut fate: watch::Receiver<Fate>) {
    let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    let silenced = fate.clone();
    let is_reset = {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        let both =
            async { tokio::join!(pump(near_in, far_out, state, &silenced), pump(far_in, near_out, state, &silenced)) };
        tokio::select! {
            _ = both => false,
            reset = fate.wait_for(|fate| *fate == Fate::Reset) => reset.is_ok(),
        }
    };
    if is_reset {
        // Closing without lingering resets a connection.
        for stream in [&near, &far] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

async fn pump(
    mut from: tokio::net::tcp::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
    state: &Mutex<State>,
    fate: &watch::Receiver<Fate>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => break,
        };
        let delay = lock(state).pass(&mut buffer[..count]);
        if let Some(delay) = delay {
            time::sleep(delay).await;
        }
        if *fate.borrow() == Fate::Carried && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    if *fate.borrow() == Fate::Carried {
        let _ = to.shutdown().await;
    }
}

impl State {
    fn draw(&mut self, below: usize) -> usize {
        self.drawn += 1;
        self.draws.u32_at(self.drawn) as usize % below.max(1)
    }

    /// Applies faults to bytes on their way. Returns how long they are held back, if at all.
    fn pass(&mut self, bytes: &mut [u8]) -> Option<Duration> {
        self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
        if self.left_bytes > 0 || self.budget.is_empty() {
            return None;
        }
        self.left_bytes = self.every_bytes / 2 + self.draw(self.every_bytes as usize) as u64;
        let choice = self.draw(self.budget.len());
        let fault = self.budget.swap_remove(choice);
        self.done.push(fault);
        match fault {
            Fault::Delay => Some(Duration::from_millis(1 + self.draw(DELAY_MS_MAX as usize) as u64)),
            Fault::Corruption => {
                let at = self.draw(bytes.len());
                bytes[at] ^= 1 << self.draw(8);
                None
            }
            Fault::Reset => self.cut(Fate::Reset),
            Fault::Silence => self.cut(Fate::Silenced),
        }
    }

    fn cut(&mut self, fate: Fate) -> Option<Duration> {
        let choice = self.draw(self.connections.len());
        if let Some(connection) = self.connections.values().nth(choice) {
            connection.send_if_modified(|present| {
                let carried = *present == Fate::Carried;
                if carried {
                    *present = fate;
                }
                carried
            });
        }
        None
    }
}
