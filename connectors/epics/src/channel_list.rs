//! The channels that settings, files and commands name.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Topic,
    config::{Problems, topic_name},
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    channel::{Mask, Subscription},
    config::{MonitorConfig, ProviderKind},
    ranges::expand,
    simulation::SimulatedChannel,
};

/// A channel to monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSpec {
    /// Name.
    pub name: Arc<str>,
    /// Topic of its changes.
    pub topic: Topic,
    /// Key of its records, and name of its alarm.
    pub key: Arc<str>,
    /// What is wanted of its server.
    pub subscription: Subscription,
    /// How far a number must move from the one that was last reported; none where every change is reported.
    pub deadband: Option<f64>,
    /// The least time between two records of it that do not change its alarm.
    pub min_period: Duration,
    /// How long it must be in alarm until the alarm is raised.
    pub on_delay: Duration,
    /// What it does if it is simulated.
    pub simulated: Option<Box<SimulatedChannel>>,
}

/// The setting that names channels.
pub(crate) const CHANNELS: &str = "epics.channels";

/// What is said about one channel, or about several whose names are ranges. Everything is text, as numbers and booleans
/// are once settings have been read; commands have them as they are in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    #[serde(default)]
    pub name: String,
    pub topic: Option<String>,
    pub mask: Option<String>,
    pub outkey: Option<String>,
    pub simulate: Option<String>,
    #[serde(default, rename = "poll.ms", deserialize_with = "scalar")]
    pub poll: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    pub deadband: Option<String>,
    #[serde(default, rename = "min.period.ms", deserialize_with = "scalar")]
    pub min_period: Option<String>,
    #[serde(default, rename = "on.delay.ms", deserialize_with = "scalar")]
    pub on_delay: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    pub priority: Option<String>,
}

/// A number or a text, as text.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        serde_json::Value::Number(number) => Ok(Some(number.to_string())),
        other => Err(D::Error::custom(format!("{other} is no number"))),
    }
}

/// Reads the channels of the settings; every problem is found.
pub(crate) fn read(config: &MonitorConfig) -> Result<Vec<ChannelSpec>, Problems> {
    let mut problems = Problems::new();
    if let Some(Err(e)) = config.mask.as_deref().map(str::parse::<Mask>) {
        problems.invalid("epics.mask", config.default_mask(), &e.to_string());
    }
    let mut channels = Vec::new();
    let text = config.channels.as_deref().unwrap_or_default();
    match entries(text, config.provider) {
        Ok(entries) if entries.is_empty() && config.channels.is_some() => {
            problems.invalid(CHANNELS, text, "there is no channel");
        }
        Ok(entries) => {
            let mut maker = Maker::new(config);
            for entry in entries {
                let name = entry.name.clone();
                match maker.make(entry) {
                    Ok(made) => channels.extend(made),
                    Err(reason) => {
                        problems.invalid(CHANNELS, &name, &reason);
                    }
                }
            }
        }
        Err(reason) => {
            problems.invalid(CHANNELS, text, &reason);
        }
    }
    let mut unique = Unique::new(config);
    for channel in &channels {
        if let Err(reason) = unique.add(channel) {
            problems.invalid(CHANNELS, &channel.name, &reason);
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

/// Reads a file with an item in each line, as in the setting; what begins with `#` is a comment. Lines of the form
/// `KEY=VALUE`, in which epics2kafka keeps the records of its command topic, will do, too.
///
/// # Errors
///
/// Each line that is wrong, with its number.
pub(crate) fn read_file(text: &str, config: &MonitorConfig) -> Result<Vec<ChannelSpec>, Vec<String>> {
    let (mut channels, mut problems) = (Vec::new(), Vec::new());
    let mut maker = Maker::new(config);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let made = if line.starts_with('{') && line.contains("}={") {
            let (key, value) = line.split_once("}={").unwrap_or_default();
            crate::commands::entry(&format!("{key}}}"), format!("{{{value}").as_bytes())
                .and_then(|entry| maker.make(entry))
        } else {
            item(line, config.provider).and_then(|entry| maker.make(entry))
        };
        match made {
            Ok(made) => channels.extend(made),
            Err(reason) => problems.push(format!("line {number}: {line}: {reason}")),
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

fn entries(text: &str, provider: ProviderKind) -> Result<Vec<Entry>, String> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|e| format!("reading the list of channels: {e}"));
    }
    let simulated = provider == ProviderKind::Simulation;
    let separates = |c: char| if simulated { matches!(c, ';' | '\n') } else { c == ',' || c.is_whitespace() };
    let items = text.split(separates).map(str::trim).filter(|item| !item.is_empty());
    items.map(|text| item(text, provider)).collect()
}

/// `NAME`, or as in the files of epics2kafka's containers `NAME|TOPIC|MASK|OUTKEY`; simulated `NAME=WHAT`.
fn item(text: &str, provider: ProviderKind) -> Result<Entry, String> {
    if provider == ProviderKind::Simulation {
        let (name, simulate) = text.split_once('=').unzip();
        let name = name.unwrap_or(text).trim().to_owned();
        return Ok(Entry { name, simulate: simulate.map(str::to_owned), ..Entry::default() });
    }
    // Filters behind a name are JSON, in which there may be anything.
    if text.contains('=') && !text.contains('{') {
        return Err(format!(
            "a channel of an IOC has no = in its name; if {text} is to be simulated, set epics.provider to simulation"
        ));
    }
    if text.contains('"') || !text.contains('|') {
        return Ok(Entry { name: text.to_owned(), ..Entry::default() });
    }
    let mut parts = text.split('|').map(str::trim);
    let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let entry =
        Entry { name: next().unwrap_or_default(), topic: next(), mask: next(), outkey: next(), ..Entry::default() };
    if parts.next().is_some() { Err("it has more parts than NAME|TOPIC|MASK|OUTKEY".into()) } else { Ok(entry) }
}

/// Makes channels of entries.
pub(crate) struct Maker<'a> {
    config: &'a MonitorConfig,
    /// Channels share the names of their topics.
    topics: HashMap<String, Topic>,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(config: &'a MonitorConfig) -> Maker<'a> {
        Maker { config, topics: HashMap::new() }
    }

    /// The channels of an entry, several where its name is a range.
    pub(crate) fn make(&mut self, entry: Entry) -> Result<Vec<ChannelSpec>, String> {
        if entry.name.is_empty() {
            return Err("a channel has no name".into());
        }
        let names = match self.config.provider {
            ProviderKind::Ca => expand(&entry.name)?,
            ProviderKind::Simulation => vec![entry.name.clone()],
        };
        let template = self.one(entry, &names[0])?;
        let keys = match template.1 {
            Some(outkey) => Some(expand(&outkey).and_then(|keys| {
                let (all, wanted) = (keys.len(), names.len());
                if all == wanted {
                    Ok(keys)
                } else {
                    Err(format!("the key {outkey} stands for {all} names, where the channel stands for {wanted}"))
                }
            })?),
            None => None,
        };
        let mut keys = keys.map(Vec::into_iter);
        let made = names.into_iter().map(|name| {
            let name: Arc<str> = name.into();
            let key = keys.as_mut().and_then(Iterator::next).map_or_else(|| name.clone(), Into::into);
            ChannelSpec { name, key, ..template.0.clone() }
        });
        Ok(made.collect())
    }

    /// A channel, and the key that it should have.
    fn one(&mut self, entry: Entry, name: &str) -> Result<(ChannelSpec, Option<String>), String> {
        let config = self.config;
        let Entry { topic, mask, outkey, simulate, poll, deadband, min_period, on_delay, priority, .. } = entry;
        let simulated = match (config.provider, simulate) {
            (ProviderKind::Simulation, Some(simulate)) => {
                let read = format!("{name}={simulate}").parse::<SimulatedChannel>();
                Some(Box::new(read.map_err(|e| e.problem)?))
            }
            (ProviderKind::Simulation, None) => {
                return Err("it does not say what to simulate, such as name=sine".into());
            }
            (ProviderKind::Ca, Some(_)) => {
                return Err("simulate is for simulated channels: set epics.provider to simulation, or remove it".into());
            }
            (ProviderKind::Ca, None) => None,
        };
        let of_its_own = mask.is_some();
        let mask = match mask.as_deref().unwrap_or(config.default_mask()).parse::<Mask>() {
            Ok(mask) => mask,
            Err(e) if of_its_own => return Err(e.to_string()),
            // It is reported once, for the setting.
            Err(_) => Mask::VALUE.with(Mask::ALARM),
        };
        if !config.suits(mask) {
            return Err(format!("its mask has no a, so that epics.mode={} would see no alarm", mode_name(config)));
        }
        let poll = milliseconds("poll.ms", poll, config.poll.map(|millis| millis.0))?;
        if poll == Some(Duration::ZERO) {
            return Err("its poll.ms is 0; leave it out for a channel that is to be monitored".into());
        }
        let on_delay = milliseconds("on.delay.ms", on_delay, Some(config.on_delay.0))?.unwrap_or_default();
        if !on_delay.is_zero() && !config.mode.has_alarms() {
            return Err("on.delay.ms delays alarms, and epics.mode=changes writes none".into());
        }
        let deadband = match deadband {
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|band| *band >= 0.0 && f64::is_finite(*band))
                    .ok_or_else(|| format!("its deadband is {text}, which is no number from 0 on"))?,
            ),
            None => config.deadband,
        };
        let priority =
            match priority {
                Some(text) => text.parse().ok().filter(|priority| *priority <= MAX_PRIORITY).ok_or_else(|| {
                    format!("its priority is {text}, which is no whole number from 0 to {MAX_PRIORITY}")
                })?,
                None => config.priority.try_into().unwrap_or(MAX_PRIORITY),
            };
        let topic = topic.filter(|t| !t.is_empty()).unwrap_or_else(|| config.topic.clone());
        topic_name(&topic)?;
        let topic = self.topics.entry(topic).or_insert_with_key(|topic| topic.as_str().into()).clone();
        let channel = ChannelSpec {
            name: name.into(),
            topic,
            key: name.into(),
            subscription: Subscription { mask, poll, priority, metadata: config.metadata },
            deadband,
            min_period: milliseconds("min.period.ms", min_period, Some(config.min_period.0))?.unwrap_or_default(),
            on_delay,
            simulated,
        };
        Ok((channel, outkey.filter(|key| !key.is_empty())))
    }
}

/// The greatest priority of Channel Access.
pub(crate) const MAX_PRIORITY: u8 = 99;

fn milliseconds(key: &str, text: Option<String>, default: Option<Duration>) -> Result<Option<Duration>, String> {
    let Some(text) = text else { return Ok(default) };
    let read = text.parse().map(Duration::from_millis);
    read.map(Some).map_err(|_| format!("its {key} is {text}, which is no whole number of milliseconds"))
}

fn mode_name(config: &MonitorConfig) -> &'static str {
    if config.mode.has_changes() { "both" } else { "alarms" }
}

/// Finds channels that would be in each other's way.
pub(crate) struct Unique {
    /// Alarms share one topic.
    one_topic: bool,
    /// Simulated channels are what their names are.
    one_of_each: bool,
    channels: HashSet<(Topic, Arc<str>)>,
    keys: HashSet<(Topic, Arc<str>)>,
}

impl Unique {
    pub(crate) fn new(config: &MonitorConfig) -> Unique {
        Unique {
            one_topic: config.mode.has_alarms(),
            one_of_each: config.provider == ProviderKind::Simulation,
            channels: HashSet::new(),
            keys: HashSet::new(),
        }
    }

    /// Adds a channel unless there is one like it.
    pub(crate) fn add(&mut self, channel: &ChannelSpec) -> Result<(), String> {
        let of = |all: bool| if all { Topic::from("") } else { channel.topic.clone() };
        if !self.keys.insert((of(self.one_topic), channel.key.clone())) {
            return Err(format!("there are two channels with the key {}", channel.key));
        }
        if !self.channels.insert((of(self.one_of_each), channel.name.clone())) {
            return Err(format!("the channel {} is there twice", channel.name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;

    fn read(channels: &str, more: &[(&str, &str)]) -> Result<Vec<ChannelSpec>, Vec<String>> {
        let mut settings: Settings = more.iter().copied().collect();
        settings.set(CHANNELS, channels);
        let config = MonitorConfig::parse(&settings).expect("each key is valid");
        let texts =
            |all: Problems| all.iter().map(|p| p.text.replace(" for configuration epics.channels", "")).collect();
        super::read(&config).map_err(texts)
    }

    fn mistakes(channels: &str, more: &[(&str, &str)]) -> Vec<String> {
        read(channels, more).expect_err("mistakes")
    }

    fn names(channels: &[ChannelSpec]) -> Vec<&str> {
        channels.iter().map(|c| &*c.name).collect()
    }

    const SIMULATION: (&str, &str) = ("epics.provider", "simulation");
    const ALARMS: (&str, &str) = ("epics.mode", "alarms");

    #[test]
    fn names_alone_take_the_defaults() {
        let channels = read("T:ai0, T:bi0\nT:ai1", &[("epics.topic", "values")]).expect("three channels");
        assert_eq!(names(&channels), ["T:ai0", "T:bi0", "T:ai1"]);
        let first = &channels[0];
        assert_eq!((&*first.topic, &*first.key, first.subscription.mask.bits()), ("values", "T:ai0", 5));
        assert_eq!(read("T:ai0", &[ALARMS]).expect("one channel")[0].subscription.mask, Mask::ALARM);
    }

    #[test]
    fn mappings_say_more() {
        let list = r#"[{"name":"T:ai0","topic":"temperatures","mask":"v","outkey":"oven"},{"name":"T:ai1"}]"#;
        let channels = read(list, &[]).expect("two channels");
        assert_eq!(
            (&*channels[0].topic, &*channels[0].key, channels[0].subscription.mask),
            ("temperatures", "oven", Mask::VALUE)
        );
        assert_eq!((&*channels[1].topic, &*channels[1].key), ("epics", "T:ai1"));
        let unknown = mistakes(r#"[{"name":"T:ai0","key":"oven"}]"#, &[]);
        assert!(unknown[0].contains("unknown field `key`"), "{unknown:?}");
    }

    #[test]
    fn simulated_channels_are_lines_or_mappings() {
        let channels = read("T:a=sine,high=10;T:b=ramp\nT:c=walk", &[SIMULATION]).expect("three channels");
        assert_eq!(names(&channels), ["T:a", "T:b", "T:c"]);
        assert_eq!(channels[0].simulated.as_ref().map(|s| s.high), Some(10.0));
        let mapped = read(r#"[{"name":"T:a","simulate":"sine,high=10","outkey":"a"}]"#, &[SIMULATION]).expect("one");
        assert_eq!((&*mapped[0].key, &mapped[0].simulated), ("a", &channels[0].simulated));
        assert_eq!(
            mistakes("T:a", &[SIMULATION]),
            ["Invalid value T:a: it does not say what to simulate, such as name=sine"]
        );
        assert_eq!(
            mistakes("T:a=square", &[SIMULATION]),
            ["Invalid value T:a: `square` is none of ramp, sine and walk"]
        );
    }

    #[test]
    fn simulated_channels_of_an_ioc_are_told_where_they_belong() {
        assert_eq!(
            mistakes("T:b,T:a=sine,low=0", &[]),
            ["Invalid value T:b,T:a=sine,low=0: a channel of an IOC has no = in its name; if T:a=sine is to be \
              simulated, set epics.provider to simulation"]
        );
        assert!(read(r#"T:a.VAL{"x":"="}"#, &[]).is_ok(), "a filter");
    }

    #[test]
    fn keys_are_unique_in_their_topic() {
        assert_eq!(mistakes("a,a", &[]), ["Invalid value a: there are two channels with the key a"]);
        let apart = r#"[{"name":"a","topic":"t"},{"name":"a","topic":"u"}]"#;
        assert!(read(apart, &[]).is_ok());
        assert_eq!(mistakes(apart, &[ALARMS]).len(), 1, "there is one topic of alarms");
    }

    #[test]
    fn every_mistake_is_found() {
        let list = r#"[{"name":"a","mask":"x"},{"name":""},{"name":"b","mask":"v"},{"name":"c","simulate":"sine"}]"#;
        let found = mistakes(list, &[ALARMS, ("epics.mask", "q")]);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(mistakes(" , ", &[]), ["Invalid value ,: there is no channel"]);
    }

    #[test]
    fn ranges_name_channels_and_their_keys() {
        let channels = read("T:ai{08..10},T:b", &[]).expect("four channels");
        assert_eq!(names(&channels), ["T:ai08", "T:ai09", "T:ai10", "T:b"]);
        let list = r#"[{"name":"T:ai{1..2}","outkey":"oven{5..6}"}]"#;
        let keys: Vec<_> = read(list, &[]).expect("two channels").iter().map(|c| c.key.to_string()).collect();
        assert_eq!(keys, ["oven5", "oven6"]);
        let one = r#"[{"name":"T:ai{1..2}","outkey":"oven"}]"#;
        assert_eq!(
            mistakes(one, &[]),
            ["Invalid value T:ai{1..2}: the key oven stands for 1 names, where the channel stands for 2"]
        );
        assert!(mistakes("T:ai{2..1}", &[])[0].ends_with("the range {2..1} runs backwards"));
    }

    #[test]
    fn channels_have_settings_of_their_own_before_those_of_all() {
        let list = r#"[{"name":"a","poll.ms":"500","deadband":"0.5","min.period.ms":"100","on.delay.ms":"2000",
            "priority":"7"},{"name":"b"}]"#;
        let defaults =
            [("epics.mode", "both"), ("epics.deadband", "1"), ("epics.on.delay.ms", "50"), ("monitor.priority", "3")];
        let channels = read(list, &defaults).expect("two channels");
        let ms = Duration::from_millis;
        let shown =
            |c: &ChannelSpec| (c.subscription.poll, c.deadband, c.min_period, c.on_delay, c.subscription.priority);
        assert_eq!(shown(&channels[0]), (Some(ms(500)), Some(0.5), ms(100), ms(2000), 7));
        assert_eq!(shown(&channels[1]), (None, Some(1.0), Duration::ZERO, ms(50), 3));
        let wrong = r#"[{"name":"a","poll.ms":"0"},{"name":"b","deadband":"-1"},{"name":"c","priority":"100"},
            {"name":"d","min.period.ms":"1s"},{"name":"e","on.delay.ms":"1"},{"name":"f","topic":"a b"}]"#;
        assert_eq!(mistakes(wrong, &[]).len(), 6);
    }

    #[test]
    fn files_have_a_channel_in_each_line() {
        let settings = Settings::from([("epics.channels.file", "x")]);
        let config = MonitorConfig::parse(&settings).expect("valid");
        let text = "# of epics2kafka\nT:a\n\n  T:b{1..2}  \nT:c|temperatures|a|oven\nT:d||va\n\
            {\"topic\":\"t\",\"channel\":\"T:e\"}={\"mask\":\"v\",\"outkey\":\"e\"}\n";
        let channels = read_file(text, &config).expect("six channels");
        assert_eq!(names(&channels), ["T:a", "T:b1", "T:b2", "T:c", "T:d", "T:e"]);
        let shown = |c: &ChannelSpec| format!("{} {} {}", c.topic, c.key, c.subscription.mask.bits());
        assert_eq!(shown(&channels[3]), "temperatures oven 4");
        assert_eq!(shown(&channels[4]), "epics T:d 5");
        assert_eq!(shown(&channels[5]), "t e 1");
        let problems = read_file("T:a\nT:b=1\n|t\na|b|v|d|e\n", &config).expect_err("three mistakes");
        assert_eq!(problems.len(), 3);
        assert!(problems[1].starts_with("line 3: |t: a channel has no name"), "{problems:?}");
    }
}
