//! A provider that makes up its channels, for trying out and for tests where there is no control system.
//!
//! [`Simulation`] is used as the [`Client`](crate::ca::Client) is and reports the same events. A simulated channel is a
//! double that moves between two bounds and goes into alarm as the record of an IOC would.

mod spec;

use std::{
    collections::{BTreeSet, HashMap, hash_map},
    f64::consts::TAU,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::Instrument as _;

pub use self::spec::{Kind, SimulatedChannel, SpecError};
use crate::{
    alarm::{Severity, Status},
    channel::{ChannelId, Event, Mask, NativeType, Sample, Timestamp, Value},
};

/// How many events wait for their receiver before the simulation pauses.
const EVENT_QUEUE: usize = 4096;

/// A running simulation. Dropping it stops its task.
#[derive(Debug)]
pub struct Simulation {
    commands: mpsc::UnboundedSender<Command>,
    next_id: AtomicU32,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// Two simulated channels have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated channel {0} is defined twice")]
pub struct DuplicateChannel(pub String);

impl Simulation {
    /// Starts a simulation of `channels`; their random walks repeat with the same `seed`. Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// If two channels have the same name.
    pub fn start(
        channels: Vec<SimulatedChannel>,
        seed: u64,
    ) -> Result<(Simulation, mpsc::Receiver<Event>), DuplicateChannel> {
        let mut by_name = HashMap::with_capacity(channels.len());
        let mut sources = Vec::with_capacity(channels.len());
        for (number, channel) in (0..).zip(channels) {
            match by_name.entry(channel.name.clone()) {
                hash_map::Entry::Occupied(entry) => return Err(DuplicateChannel(entry.remove_entry().0)),
                hash_map::Entry::Vacant(entry) => entry.insert(sources.len()),
            };
            sources.push(Source::new(channel, seed.wrapping_add(number)));
        }
        let cancel = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let runner = Runner {
            by_name,
            sources,
            places: HashMap::new(),
            queue: BTreeSet::new(),
            started: Instant::now(),
            events,
        };
        tasks.spawn(cancel.clone().run_until_cancelled_owned(runner.run(command_receiver)).in_current_span());
        let simulation = Simulation { commands, next_id: AtomicU32::new(0), tasks, stop: cancel.drop_guard() };
        Ok((simulation, receiver))
    }

    /// Begins to monitor a channel. As with a real client, a name that nobody has never connects.
    pub fn add(&self, name: &str, mask: Mask) -> ChannelId {
        let id = ChannelId(self.next_id.fetch_add(1, Ordering::Relaxed));
        // After the simulation has stopped, for want of a receiver of events, nothing happens any more.
        let _ = self.commands.send(Command::Add { id, name: name.into(), mask });
        id
    }

    /// Ends the monitoring of a channel. Events that are already queued still come.
    pub fn remove(&self, id: ChannelId) {
        let _ = self.commands.send(Command::Remove { id });
    }

    /// Stops the simulation and waits for its end.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[derive(Debug)]
enum Command {
    Add { id: ChannelId, name: Arc<str>, mask: Mask },
    Remove { id: ChannelId },
}

/// One task moves all channels that somebody monitors.
#[derive(Debug)]
struct Runner {
    by_name: HashMap<String, usize>,
    sources: Vec<Source>,
    /// The source of each channel that is monitored.
    places: HashMap<ChannelId, usize>,
    queue: BTreeSet<(Instant, usize)>,
    started: Instant,
    events: mpsc::Sender<Event>,
}

/// The receiver of events is gone.
struct NoReceiver;

impl Runner {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let events = self.events.clone();
        loop {
            let due = self.queue.first().map(|(due, _)| *due);
            let done = tokio::select! {
                () = events.closed() => return,
                command = commands.recv() => match command {
                    Some(Command::Add { id, name, mask }) => self.add(id, &name, mask).await,
                    Some(Command::Remove { id }) => {
                        self.remove(id);
                        Ok(())
                    }
                    None => return,
                },
                () = sleep_until(due.unwrap_or(self.started)), if due.is_some() => self.tick().await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn add(&mut self, id: ChannelId, name: &str, mask: Mask) -> Result<(), NoReceiver> {
        let Some(&place) = self.by_name.get(name) else { return Ok(()) };
        self.places.insert(id, place);
        let now = Instant::now();
        let source = &mut self.sources[place];
        if source.monitors.is_empty() {
            source.advance(now - self.started);
            source.due = now + source.channel.interval;
            self.queue.insert((source.due, place));
        }
        source.monitors.push((id, mask));
        let sample = source.sample();
        self.send(Event::Connected { id, native: NativeType::Double, count: 1, server: None }).await?;
        self.send(Event::Update { id, sample }).await
    }

    fn remove(&mut self, id: ChannelId) {
        let Some(place) = self.places.remove(&id) else { return };
        let source = &mut self.sources[place];
        source.monitors.retain(|(monitor, _)| *monitor != id);
        if source.monitors.is_empty() {
            self.queue.remove(&(source.due, place));
        }
    }

    async fn tick(&mut self) -> Result<(), NoReceiver> {
        let now = Instant::now();
        while let Some((due, place)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            self.queue.remove(&(due, place));
            let source = &mut self.sources[place];
            // Updates that were missed while the receiver was busy are not made up for.
            let next = due + source.channel.interval;
            source.due = if next > now { next } else { now + source.channel.interval };
            self.queue.insert((source.due, place));
            let alarm = source.alarm();
            source.advance(now - self.started);
            let wanted = if source.alarm() == alarm { VALUE } else { VALUE.with(Mask::ALARM) };
            let sample = source.sample();
            let receivers: Vec<ChannelId> =
                source.monitors.iter().filter(|(_, mask)| mask.intersects(wanted)).map(|(id, _)| *id).collect();
            for id in receivers {
                self.send(Event::Update { id, sample: sample.clone() }).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), NoReceiver> {
        self.events.send(event).await.map_err(|_| NoReceiver)
    }
}

/// What reports each new value.
const VALUE: Mask = Mask::VALUE.with(Mask::LOG);

/// A simulated channel with its present value.
#[derive(Debug)]
struct Source {
    channel: SimulatedChannel,
    value: f64,
    random: SplitMix64,
    due: Instant,
    monitors: Vec<(ChannelId, Mask)>,
}

impl Source {
    fn new(channel: SimulatedChannel, seed: u64) -> Source {
        let value = (channel.low + channel.high) / 2.0;
        Source { channel, value, random: SplitMix64(seed), due: Instant::now(), monitors: Vec::new() }
    }

    /// Moves the value to where it is `elapsed` after the start or, for a walk, by a step.
    fn advance(&mut self, elapsed: Duration) {
        let SimulatedChannel { kind, low, high, period, interval, .. } = self.channel;
        let span = high - low;
        let phase = (elapsed.as_secs_f64() / period.as_secs_f64()).fract();
        self.value = match kind {
            Kind::Ramp => low + span * phase,
            Kind::Sine => low + span * (1.0 + (TAU * phase).sin()) / 2.0,
            Kind::Walk => {
                // Steps add up with the square root of their number: about a span in a period.
                let step = span * (interval.as_secs_f64() / period.as_secs_f64()).sqrt().min(1.0);
                (self.value + step * (2.0 * self.random.next_unit() - 1.0)).clamp(low, high)
            }
        };
    }

    fn alarm(&self) -> (Status, Severity) {
        self.channel.alarm(self.value)
    }

    fn sample(&self) -> Sample {
        let (status, severity) = self.alarm();
        Sample { status, severity, time: Timestamp::now(), value: Value::Double(vec![self.value]) }
    }
}

/// A small generator of random numbers (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number from 0 to under 1.
    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The upper 53 bits are as many as a double holds.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(spec: &str) -> SimulatedChannel {
        spec.parse().expect("a valid channel")
    }

    fn values(spec: &str, seed: u64, count: u32) -> Vec<f64> {
        let mut source = Source::new(channel(spec), seed);
        let interval = source.channel.interval;
        (0..count)
            .map(|n| {
                source.advance(interval * n);
                source.value
            })
            .collect()
    }

    #[test]
    fn ramps_and_sines_follow_their_period() {
        assert_eq!(values("r=ramp,low=10,high=20,period=4s,interval=1s", 0, 6), [10.0, 12.5, 15.0, 17.5, 10.0, 12.5]);
        let sine = values("s=sine,low=0,high=100,period=4s,interval=1s", 0, 5);
        for (value, expected) in sine.iter().zip([50.0, 100.0, 50.0, 0.0, 50.0]) {
            assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
        }
    }

    #[test]
    fn walks_stay_within_bounds_and_repeat_with_their_seed() {
        let spec = "w=walk,low=-5,high=5,period=20s,interval=1s";
        let walk = values(spec, 7, 1000);
        assert!(walk.iter().all(|value| (-5.0..=5.0).contains(value)));
        assert!(walk.iter().any(|value| *value > 4.0) && walk.iter().any(|value| *value < -4.0));
        assert!(walk.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 10.0 * 0.23));
        assert_eq!(walk, values(spec, 7, 1000));
        assert_ne!(walk, values(spec, 8, 1000));
    }

    #[test]
    fn two_channels_of_one_name_are_an_error() {
        let channels = vec![channel("a=ramp"), channel("a=sine")];
        assert_eq!(Simulation::start(channels, 0).err(), Some(DuplicateChannel("a".into())));
    }

    fn number(event: &Event) -> f64 {
        match event {
            Event::Update { sample: Sample { value: Value::Double(values), .. }, .. } => values[0],
            other => panic!("{other:?} is not an update"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_connects_updates_and_ends_when_removed() {
        let (simulation, mut events) =
            Simulation::start(vec![channel("r=ramp,high=10,period=10s,interval=1s")], 0).expect("one channel");
        simulation.add("missing", Mask::VALUE);
        let id = simulation.add("r", Mask::VALUE);
        let connected = Event::Connected { id, native: NativeType::Double, count: 1, server: None };
        assert_eq!(events.recv().await, Some(connected));
        for expected in [0.0, 1.0, 2.0] {
            let event = events.recv().await.expect("an update");
            assert!((number(&event) - expected).abs() < 0.1, "{event:?} is not about {expected}");
        }
        simulation.remove(id);
        let other = simulation.add("r", Mask::VALUE);
        let next = events.recv().await.expect("the other monitor connects");
        assert_eq!(next.id(), other);
        simulation.stop().await;
        while let Some(event) = events.recv().await {
            assert_eq!(event.id(), other);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_of_alarms_sees_changes_of_the_alarm_only() {
        let spec = "r=ramp,high=100,period=100s,interval=1s,lolo=10.5,low_alarm=20.5,high_alarm=80.5,hihi=90.5";
        let (simulation, mut events) = Simulation::start(vec![channel(spec)], 0).expect("one channel");
        simulation.add("r", Mask::ALARM);
        assert!(matches!(events.recv().await, Some(Event::Connected { .. })));
        let mut alarms = Vec::new();
        for _ in 0..6 {
            let Some(Event::Update { sample, .. }) = events.recv().await else { panic!("only updates follow") };
            alarms.push((sample.status, sample.severity));
        }
        assert_eq!(
            alarms,
            [
                (Status::LoLo, Severity::Major),
                (Status::Low, Severity::Minor),
                (Status::NoAlarm, Severity::NoAlarm),
                (Status::High, Severity::Minor),
                (Status::HiHi, Severity::Major),
                (Status::LoLo, Severity::Major),
            ]
        );
    }

    #[tokio::test]
    async fn without_a_receiver_the_simulation_ends() {
        let (simulation, events) = Simulation::start(vec![channel("r=ramp")], 0).expect("one channel");
        drop(events);
        simulation.tasks.close();
        tokio::time::timeout(Duration::from_secs(1), simulation.tasks.wait()).await.expect("the task ends");
    }
}
