//! What the source counts, and what it says in its status of what is lost.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use connect_api::{Counter, Gauge, SourceContext};

use crate::listener::Transport;

/// What the readers of sockets and the task count.
#[derive(Debug)]
pub struct Tally {
    received: [Counter; 3],
    dropped: Counter,
    dropped_by_kernel: Counter,
    connections: Gauge,
    open: Mutex<u32>,
    locked_out: AtomicUsize,
}

impl Tally {
    /// Counts of a task.
    pub fn new(context: &SourceContext) -> Self {
        let received = |transport: Transport| {
            let help = "Syslog messages that were read, by transport.";
            context.counter("tocsin_syslog_received_messages_total", help, &[("transport", transport.name())])
        };
        let dropped = |by: &str| {
            let help = "Syslog messages over UDP that were dropped because more came than Kafka took: by the connector, whose \
                        queue was full, or by the kernel, whose buffer was.";
            context.counter("tocsin_syslog_dropped_messages_total", help, &[("by", by)])
        };
        Self {
            received: [Transport::Udp, Transport::Tcp, Transport::Tls].map(received),
            dropped: dropped("connector"),
            dropped_by_kernel: dropped("kernel"),
            connections: context.gauge("tocsin_syslog_connections", "Connections of syslog senders.", &[]),
            open: Mutex::new(0),
            locked_out: AtomicUsize::new(0),
        }
    }

    /// A message was read.
    pub fn received(&self, transport: Transport) {
        let [udp, tcp, tls] = &self.received;
        let counter = match transport {
            Transport::Udp => udp,
            Transport::Tcp => tcp,
            Transport::Tls => tls,
        };
        counter.add(1);
    }

    /// A datagram was dropped because too many wait.
    pub fn dropped(&self) {
        self.dropped.add(1);
    }

    /// The kernel dropped so many more.
    pub fn dropped_by_kernel(&self, more: u64) {
        self.dropped_by_kernel.add(more);
    }

    /// How many datagrams were dropped here, and how many by the kernel.
    pub fn lost(&self) -> (u64, u64) {
        (self.dropped.value(), self.dropped_by_kernel.value())
    }

    /// A connection begins; it ends with the guard.
    pub fn connection(&self) -> Open<'_> {
        self.change(|open| open + 1);
        Open(self)
    }

    /// A listener has a connection that finds no place, until the guard is dropped.
    pub fn locked_out(&self) -> LockedOut<'_> {
        self.locked_out.fetch_add(1, Ordering::Relaxed);
        LockedOut(self)
    }

    /// Whether connections wait for a place.
    pub fn is_full(&self) -> bool {
        self.locked_out.load(Ordering::Relaxed) > 0
    }

    fn change(&self, change: impl FnOnce(u32) -> u32) {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *open = change(*open);
        self.connections.set(f64::from(*open));
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub struct Open<'a>(&'a Tally);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(|open| open.saturating_sub(1));
    }
}

/// A connection that waits for a place.
#[derive(Debug)]
pub struct LockedOut<'a>(&'a Tally);

impl Drop for LockedOut<'_> {
    fn drop(&mut self) {
        self.0.locked_out.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the status says while connections wait for one of so many places.
pub fn full(places: i32) -> String {
    format!(
        "all {places} connections that syslog.connections allows are taken, and others wait: it can be larger, or \
         syslog.idle.timeout.ms can be set so that silent senders are cut off"
    )
}

/// What the status says of messages that were lost; none if there are none.
pub fn note((dropped, by_kernel): (u64, u64)) -> Option<String> {
    let here = format!(
        "{dropped} messages over udp were dropped since the start because more came than kafka took: \
         syslog.udp.queue and syslog.udp.queue.bytes can be larger"
    );
    let there = format!(
        "{by_kernel} messages over udp were dropped by the kernel since the start because its buffer was full: \
         syslog.udp.receive.buffer can be larger"
    );
    match (dropped, by_kernel) {
        (0, 0) => None,
        (_, 0) => Some(here),
        (0, _) => Some(there),
        _ => Some(format!("{here}; {there}")),
    }
}
