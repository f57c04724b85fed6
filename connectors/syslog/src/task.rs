//! Takes what the sockets read and makes records of it.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use connect_api::{
    CancellationToken, Error, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::DropGuard, task::TaskTracker};

use crate::{
    clock::Clock,
    config::{Chosen, Invalid, SyslogSourceConfig},
    intake::{Intake, Received},
    kernel_drops,
    listener::Listen,
    message::{Expected, Message},
    meters::{Tally, full, note},
    record::Recording,
    sockets::{self, Claim, Socket},
    stream::Server,
    udp,
};

/// How often losses and connections that wait are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the log tells of connections that wait.
const FULL_EVERY: Duration = Duration::from_secs(60);
/// How long readers may take to hand over what they have read when the task stops.
const HAND_OVER: Duration = Duration::from_millis(500);

/// A running task.
#[derive(Debug)]
pub struct SyslogTask {
    context: SourceContext,
    reading: Reading,
    batch: usize,
    datagrams: mpsc::Receiver<Received>,
    messages: mpsc::Receiver<Received>,
    /// Taken, and not handed over yet.
    waiting: VecDeque<Received>,
    sockets: Sockets,
    tally: Arc<Tally>,
    /// What was last seen of each UDP socket.
    kernel: HashMap<u64, u64>,
    /// What was last said of losses, and of all.
    lost: Option<String>,
    noted: Option<String>,
    /// Places for connections, and when the log told last that others wait.
    connections: i32,
    full_told: Option<Instant>,
    look: Interval,
}

/// How bytes become records.
#[derive(Debug)]
struct Reading {
    recording: Recording,
    clock: Clock,
    expected: Expected,
    invalid: Invalid,
}

/// What listens.
#[derive(Debug)]
struct Sockets {
    listens: Vec<Listen>,
    claims: Vec<Claim>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    _guard: DropGuard,
}

impl SyslogTask {
    /// Listens. What this returns receives messages, which wait for the first poll.
    pub async fn start(config: SyslogSourceConfig, context: SourceContext) -> Result<Self> {
        let tally = Arc::new(Tally::new(&context));
        let bytes = |number: i32| usize::try_from(number).unwrap_or(1);
        let (from_datagrams, datagrams) = Intake::new(config.queue_size(), bytes(config.queue_bytes), tally.clone());
        let (from_streams, messages) = Intake::new(config.batch(), bytes(config.read_ahead), tally.clone());
        let acceptor = config.acceptor()?;
        let (limits, places) = (config.limits(), Arc::new(Semaphore::new(bytes(config.connections))));
        let stopping = context.stopping().child_token();
        let mut sockets = Sockets {
            listens: Vec::new(),
            claims: Vec::new(),
            tasks: TaskTracker::new(),
            _guard: stopping.clone().drop_guard(),
            stopping,
        };
        let mut kernel = HashMap::new();
        // All are open before any is read: a start that fails takes nothing from anybody.
        let mut open = Vec::new();
        for listen in config.listens() {
            let (socket, bound, claim) = sockets::open(&listen, context.connector()).await?;
            tracing::info!("listening on {bound}");
            sockets.claims.push(claim);
            sockets.listens.push(bound.clone());
            open.push((socket, Arc::new(bound), listen.transport));
        }
        for (socket, listener, transport) in open {
            let (stopping, tasks) = (sockets.stopping.clone(), sockets.tasks.clone());
            match socket {
                Socket::Datagrams(socket) => {
                    if let Some(size) = limits.receive_buffer {
                        let doing = || format!("asking the kernel for syslog.udp.receive.buffer={size}");
                        udp::set_buffer(&socket, size).map_err(|e| Error::fatal(doing()).caused_by(e))?;
                    }
                    kernel.extend(kernel_drops::inode(&socket).map(|inode| (inode, 0)));
                    let (intake, limit) = (from_datagrams.clone(), limits.message);
                    sockets.tasks.spawn(udp::receive(socket, listener, limit, intake, stopping));
                }
                Socket::Connections(socket) => {
                    let tls = acceptor.clone().filter(|_| transport == crate::listener::Transport::Tls);
                    let (limits, places, intake) = (limits.clone(), places.clone(), from_streams.clone());
                    let server = Server { listener, limits, places, tls, intake, stopping, tasks };
                    sockets.tasks.spawn(server.accept(socket));
                }
            }
        }
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reading = Reading {
            recording: config.recording(),
            clock: config.timezone.clone(),
            expected: config.format,
            invalid: config.invalid,
        };
        Ok(Self {
            context,
            reading,
            batch: config.batch(),
            datagrams,
            messages,
            waiting: VecDeque::new(),
            sockets,
            tally,
            kernel,
            lost: None,
            noted: None,
            connections: config.connections,
            full_told: None,
            look,
        })
    }

    /// Where it listens, with the ports that were taken.
    pub fn listens(&self) -> &[Listen] {
        &self.sockets.listens
    }

    /// What is there as a batch, up to what is no message.
    async fn batch(&mut self) -> Result<Option<SourceBatch>> {
        let mut records: Vec<SourceRecord> = Vec::new();
        while records.len() < self.batch
            && let Some(next) = self.waiting.front()
        {
            match self.reading.record(next) {
                Ok(record) => records.push(record),
                // What came before it is handed over first, so that it is safe whatever becomes of this one.
                Err(_) if !records.is_empty() => break,
                Err(error) => {
                    let rejected = self.reading.recording.rejected(&next.arrival, next.bytes.clone());
                    self.context.report(rejected, error).await?;
                }
            }
            self.waiting.pop_front();
        }
        Ok((!records.is_empty()).then(|| SourceBatch::new(records)))
    }

    /// Waits until there is something to make a batch of.
    async fn receive(&mut self) {
        let most = self.batch;
        tokio::select! {
            received = some(&mut self.datagrams, most) => self.waiting.extend(received),
            received = some(&mut self.messages, most) => self.waiting.extend(received),
            _ = self.look.tick() => self.look_around(),
        }
        // Whichever was first, neither has to wait for the other.
        for receiver in [&mut self.datagrams, &mut self.messages] {
            for _ in 0..most / 2 {
                let Ok(next) = receiver.try_recv() else { break };
                self.waiting.push_back(next);
            }
        }
    }

    fn look_around(&mut self) {
        if !self.kernel.is_empty() {
            let counts = kernel_drops::counts();
            for (inode, seen) in &mut self.kernel {
                let now = counts.get(inode).copied().unwrap_or(*seen);
                self.tally.dropped_by_kernel(now.saturating_sub(*seen));
                *seen = now;
            }
        }
        let lost = note(self.tally.lost());
        if let (None, Some(text)) = (&self.lost, &lost) {
            tracing::warn!("{text}");
        }
        self.lost = lost;
        let full = self.tally.is_full().then(|| full(self.connections));
        if let Some(text) = &full
            && self.full_told.is_none_or(|told| told.elapsed() >= FULL_EVERY)
        {
            tracing::warn!("{text}");
            self.full_told = Some(Instant::now());
        }
        let text = [full, self.lost.clone()].into_iter().flatten().reduce(|all, one| format!("{all}; {one}"));
        if text != self.noted {
            self.noted.clone_from(&text);
            self.context.note(text);
        }
    }
}

impl Reading {
    fn record(&self, next: &Received) -> Result<SourceRecord> {
        let Received { bytes, wrong, arrival, .. } = next;
        let parsed = match wrong {
            Some(why) => Err(why.clone()),
            None => Message::parse(bytes, self.expected, &self.clock, arrival.received),
        };
        let message = match (parsed, self.invalid) {
            (Ok(message), _) => message,
            (Err(_), Invalid::Record) => Message::unknown(bytes),
            (Err(why), Invalid::Report) => return Err(Error::data(format!("what came is no syslog message: {why}"))),
        };
        self.recording.record(&message, arrival, bytes)
    }
}

/// Waits for messages; when there are no readers any more, for ever.
async fn some(receiver: &mut mpsc::Receiver<Received>, most: usize) -> Vec<Received> {
    let mut received = Vec::new();
    if receiver.recv_many(&mut received, most).await == 0 {
        pending().await
    }
    received
}

#[async_trait]
impl SourceTask for SyslogTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            if let Some(batch) = self.batch().await? {
                return Ok(batch);
            }
            self.receive().await;
        }
    }

    fn rereads(&self) -> bool {
        false
    }

    async fn remaining(&mut self) -> Result<SourceBatch> {
        self.sockets.stopping.cancel();
        self.sockets.tasks.close();
        // Readers hand over what they have, and are gone then; connections wait for room meanwhile.
        let (datagrams, messages, waiting) = (&mut self.datagrams, &mut self.messages, &mut self.waiting);
        let handing_over = async {
            let (mut datagrams_left, mut messages_left) = (true, true);
            while datagrams_left || messages_left {
                tokio::select! {
                    next = datagrams.recv(), if datagrams_left => match next {
                        Some(next) => waiting.push_back(next),
                        None => datagrams_left = false,
                    },
                    next = messages.recv(), if messages_left => match next {
                        Some(next) => waiting.push_back(next),
                        None => messages_left = false,
                    },
                }
            }
        };
        if timeout(HAND_OVER, handing_over).await.is_err() {
            tracing::warn!("some readers did not end in time; what they have read is lost");
        }
        let mut all = SourceBatch::default();
        while let Some(batch) = self.batch().await? {
            all.append(batch);
        }
        self.look_around();
        Ok(all)
    }

    async fn stop(&mut self) -> Result<()> {
        self.sockets.stopping.cancel();
        self.sockets.tasks.close();
        self.datagrams.close();
        self.messages.close();
        // Who waits for room must not: it comes with what is thrown away.
        while self.datagrams.try_recv().is_ok() || self.messages.try_recv().is_ok() {}
        let ended = timeout(HAND_OVER, self.sockets.tasks.wait()).await;
        self.sockets.claims.clear();
        ended.map_err(|_| Error::retriable("closing syslog connections: some did not end in time"))
    }
}
