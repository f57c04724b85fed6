//! Records of the command topic, in the form of epics2kafka: the key names topic and channel, the value says how it is
//! monitored, and a tombstone ends that.

use serde::Deserialize;

use crate::channel_list::Entry;

#[derive(Deserialize)]
struct Key {
    topic: String,
    channel: String,
}

/// The entry of a record that is no tombstone, such as `{"topic":"T","channel":"C"}` with `{"mask":"va","outkey":"K"}`.
/// Beside what epics2kafka knows, the value takes all that can be set for a channel.
pub(crate) fn entry(key: &str, value: &[u8]) -> Result<Entry, String> {
    let (topic, channel) = place(key)?;
    let entry: Entry = serde_json::from_slice(value)
        .map_err(|e| format!("its value is not of the form {{\"mask\":\"va\",\"outkey\":\"K\"}}: {e}"))?;
    if !entry.name.is_empty() || entry.topic.is_some() {
        return Err("name and topic of the channel belong into its key".into());
    }
    // No range: what a tombstone ends is one channel.
    if channel.contains("..") {
        return Err("ranges are not for commands: each channel has a record of its own".into());
    }
    Ok(Entry { name: channel, topic: Some(topic), ..entry })
}

/// Topic and name of the channel that a record is about.
pub(crate) fn place(key: &str) -> Result<(String, String), String> {
    let Key { topic, channel } = serde_json::from_str(key)
        .map_err(|e| format!("its key is not of the form {{\"topic\":\"T\",\"channel\":\"C\"}}: {e}"))?;
    if topic.is_empty() || channel.is_empty() {
        return Err("its key has an empty topic or channel".into());
    }
    Ok((topic, channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<String, String> {
        entry(key, value.as_bytes())
            .map(|e| format!("{} {:?} {:?} {:?} {:?}", e.name, e.topic, e.mask, e.outkey, e.poll))
    }

    #[test]
    fn keys_name_the_channel_and_values_say_how() {
        let key = r#"{"topic":"T","channel":"C"}"#;
        assert_eq!(read(key, r#"{"mask":"va"}"#), Ok(r#"C Some("T") Some("va") None None"#.into()));
        assert_eq!(
            read(key, r#"{"mask":"a","outkey":"K","poll.ms":500}"#),
            Ok(r#"C Some("T") Some("a") Some("K") Some("500")"#.into())
        );
    }

    #[test]
    fn what_is_no_command_is_told() {
        let key = r#"{"topic":"T","channel":"C"}"#;
        for (key, value, problem) in [
            ("C", r#"{"mask":"v"}"#, "its key is not of the form"),
            (r#"{"topic":"T"}"#, r#"{"mask":"v"}"#, "missing field `channel`"),
            (r#"{"topic":"","channel":"C"}"#, r#"{"mask":"v"}"#, "an empty topic"),
            (key, "", "its value is not of the form"),
            (key, r#"{"maks":"v"}"#, "unknown field `maks`"),
            (key, r#"{"mask":"v","name":"D"}"#, "belong into its key"),
            (r#"{"topic":"T","channel":"C{1..2}"}"#, r#"{"mask":"v"}"#, "ranges are not for commands"),
        ] {
            let found = read(key, value).expect_err(problem);
            assert!(found.contains(problem), "{found}");
        }
    }
}
