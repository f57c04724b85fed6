//! What the Web API answers, read as far as it came: Slack says first whether it took a request, and then echoes the message,
//! which may be long.

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value as Json;

/// An answer of the Web API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether Slack did what it was asked for.
    pub ok: Option<bool>,
    /// The word that says why not.
    pub error: Option<String>,
    /// The channel of the message.
    pub channel: Option<String>,
    /// The message.
    pub ts: Option<String>,
    /// Whom the token belongs to.
    pub user: Option<String>,
    /// Where that is.
    pub team: Option<String>,
    /// What is wrong with the request, in more words.
    pub hints: Vec<String>,
    /// Whether the answer is JSON to its end.
    pub whole: bool,
}

impl Said {
    /// Reads an answer. What stands before the place where it breaks off counts.
    pub fn read(text: &str) -> Self {
        let mut said = Self::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Members(&mut said).deserialize(&mut reader).and_then(|()| reader.end());
        said.whole = read.is_ok();
        said
    }
}

/// Takes the members of an object one by one, so that those before an error are kept.
struct Members<'a>(&'a mut Said);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(said) = self;
        while let Some(name) = members.next_key::<String>()? {
            let text = match name.as_str() {
                "ok" => {
                    said.ok = members.next_value::<Json>()?.as_bool();
                    continue;
                }
                "response_metadata" => {
                    let metadata = members.next_value::<Json>()?;
                    let hints = metadata["messages"].as_array().into_iter().flatten();
                    said.hints = hints.filter_map(Json::as_str).map(str::to_owned).collect();
                    continue;
                }
                "error" => &mut said.error,
                "channel" => &mut said.channel,
                "ts" => &mut said.ts,
                "user" => &mut said.user,
                "team" => &mut said.team,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *text = members.next_value::<Json>()?.as_str().map(str::to_owned);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_end_is_read_and_the_echo_is_not_needed() {
        let answer = r#"{"ok":true,"channel":"C1","ts":"1.2","message":{"ok":false,"text":"long"}}"#;
        let whole = Said::read(answer);
        assert_eq!((whole.ok, whole.channel.as_deref(), whole.ts.as_deref()), (Some(true), Some("C1"), Some("1.2")));
        assert!(whole.whole);
        for end in answer.find("\"message").expect("echo")..answer.len() {
            assert_eq!(Said::read(&answer[..end]), Said { whole: false, ..whole.clone() }, "{}", &answer[..end]);
        }
        let early = Said::read(r#"{"ok":true,"channel":"C1","ts":"1"#);
        assert_eq!((early.ok, early.ts, early.whole), (Some(true), None, false));
    }

    #[test]
    fn refusals_have_a_word_and_hints() {
        let said = Said::read(r#"{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["a",1,"b"]}}"#);
        assert_eq!(
            (said.ok, said.error.as_deref(), said.hints),
            (Some(false), Some("invalid_blocks"), vec!["a".into(), "b".into()])
        );
        for odd in ["", "[]", "<html>", "\"ok\"", "{}", r#"{"ok":"yes","error":3}"#] {
            let said = Said::read(odd);
            assert_eq!((said.ok, said.error), (None, None), "{odd}");
        }
    }
}
