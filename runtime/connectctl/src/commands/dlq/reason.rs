//! What the headers of a dead letter say (KIP-298), as Kafka Connect and Tocsin write them.

use std::sync::Arc;

use connect_api::{Bytes, time};
use serde::{Deserialize, Serialize};

use super::super::status::trace;

/// Headers as Kafka has them.
pub(super) type Headers = [(Arc<str>, Option<Bytes>)];

/// What all headers of an error begin with.
const ERRORS: &str = "__connect.errors.";
/// What all headers of a replay begin with.
pub(super) const REPLAY: &str = "__connectctl.replay.";

/// Where the record was that became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands) struct Origin {
    /// Topic.
    pub(in crate::commands) topic: String,
    /// Partition.
    pub(in crate::commands) partition: Option<i32>,
    /// Offset.
    pub(in crate::commands) offset: Option<i64>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.topic)?;
        match (self.partition, self.offset) {
            (Some(partition), Some(offset)) => write!(f, ":{partition}:{offset}"),
            (Some(partition), None) => write!(f, ":{partition}"),
            _ => Ok(()),
        }
    }
}

/// Why a record is a dead letter. Everything may be missing: workers write these headers only with
/// `errors.deadletterqueue.context.headers.enable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// Name of the connector.
    pub(super) connector: Option<String>,
    /// Number of its task.
    pub(super) task: Option<String>,
    /// What was being done, such as `VALUE_CONVERTER`.
    pub(super) stage: Option<String>,
    /// Class of the plugin that failed.
    pub(super) class: Option<String>,
    /// Class of the exception.
    pub(super) exception: Option<String>,
    /// Its message.
    pub(super) message: Option<String>,
    /// All of it, with causes.
    pub(super) trace: Option<String>,
    /// Where the record was.
    pub(super) origin: Option<Origin>,
    /// How many bytes the value had of which the letter has the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_from: Option<u64>,
}

impl Reason {
    /// Reads them. Of several headers of one name the last counts, as in Kafka.
    pub(super) fn read(headers: &Headers) -> Self {
        let text = |name: &str| {
            let found = headers.iter().rev().find(|(key, _)| key.strip_prefix(ERRORS) == Some(name))?;
            Some(String::from_utf8_lossy(found.1.as_ref()?).into_owned()).filter(|t| !t.is_empty())
        };
        let number = |name: &str| text(name)?.parse().ok();
        Self {
            connector: text("connector.name"),
            task: text("task.id"),
            stage: text("stage"),
            class: text("class.name"),
            exception: text("exception.class.name"),
            message: text("exception.message"),
            trace: text("exception.stacktrace"),
            origin: text("topic").map(|topic| Origin {
                topic,
                partition: number("partition").and_then(|n| i32::try_from(n).ok()),
                offset: number("offset"),
            }),
            cut_from: text("value.size").and_then(|t| t.parse().ok()),
        }
    }

    /// Exception, message and causes in one line.
    pub(super) fn line(&self) -> String {
        if let Some(all) = &self.trace {
            return trace::one_line(all);
        }
        let exception = self.exception.as_deref().map(short);
        match (exception, &self.message) {
            (Some(class), Some(message)) => one_line(&format!("{class}: {message}")),
            (Some(class), None) => class.to_owned(),
            (None, Some(message)) => one_line(message),
            (None, None) => "not told: the letter has no headers of the error".into(),
        }
    }

    /// All texts in which a reason is looked for.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.exception, &self.message, &self.trace].into_iter().flatten().map(String::as_str)
    }
}

/// A class without its package.
pub(super) fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// When the record was sent by the last replay, milliseconds since 1970.
pub(super) fn replayed_at(headers: &Headers) -> Option<i64> {
    let found = headers.iter().rev().find(|(key, _)| key.strip_prefix(REPLAY) == Some("time"))?;
    time::parse_rfc3339(std::str::from_utf8(found.1.as_deref()?).ok()?)
}

/// Whether the header is of the record itself, and not of what happened to it.
pub(super) fn is_own(name: &str) -> bool {
    !name.starts_with(ERRORS) && !name.starts_with(REPLAY)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Headers as a worker of Kafka Connect writes them: `DeadLetterQueueReporter.populateContextHeaders`.
    pub(in super::super) fn of_jvm() -> Vec<(Arc<str>, Option<Bytes>)> {
        let trace = "org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to \
                     serialization error: \n\tat org.apache.kafka.connect.json.JsonConverter.toConnectData(JsonConverter.java:333)\n\
                     Caused by: org.apache.kafka.common.errors.SerializationException: com.fasterxml.jackson.core.JsonParseException: \
                     Unrecognized token 'nojson'\n\t... 17 more\n";
        [
            ("user", "me"),
            ("__connect.errors.topic", "alarms"),
            ("__connect.errors.partition", "2"),
            ("__connect.errors.offset", "1200"),
            ("__connect.errors.connector.name", "influxdb-sink"),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.stage", "VALUE_CONVERTER"),
            ("__connect.errors.class.name", "org.apache.kafka.connect.json.JsonConverter"),
            ("__connect.errors.exception.class.name", "org.apache.kafka.connect.errors.DataException"),
            (
                "__connect.errors.exception.message",
                "Converting byte[] to Kafka Connect data failed due to serialization error: ",
            ),
            ("__connect.errors.exception.stacktrace", trace),
        ]
        .map(|(name, value)| (Arc::from(name), Some(Bytes::copy_from_slice(value.as_bytes()))))
        .to_vec()
    }

    #[test]
    fn headers_of_a_jvm_worker_are_read() {
        let reason = Reason::read(&of_jvm());
        assert_eq!(reason.stage.as_deref(), Some("VALUE_CONVERTER"));
        assert_eq!((reason.connector.as_deref(), reason.task.as_deref()), (Some("influxdb-sink"), Some("0")));
        assert_eq!(reason.origin.as_ref().map(ToString::to_string).as_deref(), Some("alarms:2:1200"));
        let line = reason.line();
        assert!(line.starts_with("DataException: Converting byte[] to Kafka Connect data failed"), "{line}");
        assert!(line.ends_with("JsonParseException: Unrecognized token 'nojson'") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn the_last_header_of_a_name_counts_and_null_is_none() {
        let mut headers = of_jvm();
        headers.push(("__connect.errors.offset".into(), Some(Bytes::from_static(b"7"))));
        headers.push(("__connect.errors.exception.message".into(), None));
        headers.push(("__connect.errors.exception.stacktrace".into(), None));
        headers.push(("__connect.errors.value.size".into(), Some(Bytes::from_static(b"2000000"))));
        let reason = Reason::read(&headers);
        assert_eq!(reason.origin.as_ref().and_then(|o| o.offset), Some(7));
        assert_eq!(reason.line(), "DataException");
        assert_eq!(reason.cut_from, Some(2_000_000));
    }

    #[test]
    fn a_letter_without_headers_of_the_error_says_so() {
        let reason = Reason::read(&[("__connect.errors.partition".into(), Some(Bytes::from_static(b"x")))]);
        assert_eq!(reason, Reason::default());
        assert!(reason.line().contains("no headers of the error"));
    }

    #[test]
    fn only_the_records_own_headers_are_its_own() {
        assert!(is_own("user") && is_own("__connect.other"));
        assert!(!is_own("__connect.errors.stage") && !is_own("__connectctl.replay.by"));
    }
}
