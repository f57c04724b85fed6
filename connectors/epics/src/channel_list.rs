//! The channels that the settings name.

use std::{collections::HashSet, sync::Arc};

use connect_api::{Topic, config::Problems};
use serde::Deserialize;

use crate::{
    channel::Mask,
    config::{MonitorConfig, ProviderKind},
    simulation::SimulatedChannel,
};

/// A channel to monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSpec {
    /// Name.
    pub name: String,
    /// Topic of its changes.
    pub topic: Topic,
    /// What the server reports.
    pub mask: Mask,
    /// Key of its records, and name of its alarm.
    pub key: Arc<str>,
    /// What it does if it is simulated.
    pub simulated: Option<SimulatedChannel>,
}

const CHANNELS: &str = "epics.channels";

/// Each with what it says; everything is text, as numbers and booleans are once the settings have been read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    topic: Option<String>,
    mask: Option<String>,
    outkey: Option<String>,
    simulate: Option<String>,
}

/// Reads the channels; every problem is found.
pub(crate) fn read(config: &MonitorConfig) -> Result<Vec<ChannelSpec>, Problems> {
    let mut problems = Problems::new();
    if let Some(Err(e)) = config.mask.as_deref().map(str::parse::<Mask>) {
        problems.invalid("epics.mask", config.default_mask(), &e.to_string());
    }
    let mut channels = Vec::new();
    match entries(config) {
        Ok(entries) if entries.is_empty() => {
            problems.invalid(CHANNELS, &config.channels, "there is no channel");
        }
        Ok(entries) => {
            for entry in entries {
                let name = entry.name.clone();
                match channel(entry, config) {
                    Ok(channel) => channels.push(channel),
                    Err(reason) => {
                        problems.invalid(CHANNELS, &name, &reason);
                    }
                }
            }
        }
        Err(reason) => {
            problems.invalid(CHANNELS, &config.channels, &reason);
        }
    }
    let (mut keys, mut names) = (HashSet::new(), HashSet::new());
    for channel in &channels {
        // Alarms share one topic.
        let topic = if config.mode.has_alarms() { "" } else { &channel.topic };
        let is_new = keys.insert((topic, &channel.key));
        if !is_new || config.provider == ProviderKind::Simulation && !names.insert(&channel.name) {
            let reason = format!("there are two channels with the key {}", channel.key);
            problems.invalid(CHANNELS, &channel.name, &reason);
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

fn entries(config: &MonitorConfig) -> Result<Vec<Entry>, String> {
    let text = config.channels.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|e| format!("reading the list of channels: {e}"));
    }
    let simulated = config.provider == ProviderKind::Simulation;
    let separates = |c: char| if simulated { matches!(c, ';' | '\n') } else { c == ',' || c.is_whitespace() };
    let items = text.split(separates).map(str::trim).filter(|item| !item.is_empty());
    // Filters behind a name are JSON, in which there may be anything.
    if let Some(item) = items.clone().find(|item| !simulated && item.contains('=') && !item.contains('{')) {
        return Err(format!(
            "a channel of an IOC has no = in its name; if {item} is to be simulated, set epics.provider to simulation"
        ));
    }
    Ok(items
        .map(|item| match item.split_once('=') {
            Some((name, simulate)) if simulated => {
                Entry { name: name.trim().to_owned(), simulate: Some(simulate.to_owned()), ..Entry::default() }
            }
            _ => Entry { name: item.to_owned(), ..Entry::default() },
        })
        .collect())
}

fn channel(entry: Entry, config: &MonitorConfig) -> Result<ChannelSpec, String> {
    let Entry { name, topic, mask, outkey, simulate } = entry;
    if name.is_empty() {
        return Err("a channel has no name".into());
    }
    let simulated = match (config.provider, simulate) {
        (ProviderKind::Simulation, Some(simulate)) => {
            Some(format!("{name}={simulate}").parse::<SimulatedChannel>().map_err(|e| e.problem)?)
        }
        (ProviderKind::Simulation, None) => return Err("it does not say what to simulate, such as name=sine".into()),
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
    let topic = topic.filter(|t| !t.is_empty()).unwrap_or_else(|| config.topic.clone());
    let key = outkey.filter(|k| !k.is_empty()).unwrap_or_else(|| name.clone());
    Ok(ChannelSpec { topic: topic.into(), key: key.into(), name, mask, simulated })
}

fn mode_name(config: &MonitorConfig) -> &'static str {
    if config.mode.has_changes() { "both" } else { "alarms" }
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

    const SIMULATION: (&str, &str) = ("epics.provider", "simulation");
    const ALARMS: (&str, &str) = ("epics.mode", "alarms");

    #[test]
    fn names_alone_take_the_defaults() {
        let channels = read("T:ai0, T:bi0\nT:ai1", &[("epics.topic", "values")]).expect("three channels");
        assert_eq!(channels.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["T:ai0", "T:bi0", "T:ai1"]);
        let first = &channels[0];
        assert_eq!((&*first.topic, &*first.key, first.mask.bits()), ("values", "T:ai0", 5));
        assert_eq!(read("T:ai0", &[ALARMS]).expect("one channel")[0].mask, Mask::ALARM);
    }

    #[test]
    fn mappings_say_more() {
        let list = r#"[{"name":"T:ai0","topic":"temperatures","mask":"v","outkey":"oven"},{"name":"T:ai1"}]"#;
        let channels = read(list, &[]).expect("two channels");
        assert_eq!((&*channels[0].topic, &*channels[0].key, channels[0].mask), ("temperatures", "oven", Mask::VALUE));
        assert_eq!((&*channels[1].topic, &*channels[1].key), ("epics", "T:ai1"));
        let unknown = mistakes(r#"[{"name":"T:ai0","key":"oven"}]"#, &[]);
        assert!(unknown[0].contains("unknown field `key`"), "{unknown:?}");
    }

    #[test]
    fn simulated_channels_are_lines_or_mappings() {
        let channels = read("T:a=sine,high=10;T:b=ramp\nT:c=walk", &[SIMULATION]).expect("three channels");
        assert_eq!(channels.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["T:a", "T:b", "T:c"]);
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
}
