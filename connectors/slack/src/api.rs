//! Requests to Slack: an incoming webhook, or the methods of its Web API.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use connect_api::{Check, Error, ErrorClass, Result, SinkContext, config::Secret};
use connector_http::{Answer, Client, HttpConfig, Keys, Method, StatusCode, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value as Json};

use crate::{
    config::SlackSettings,
    said::Said,
    words::{class_of, denies, is_about_channel, is_gone, way_out},
};

/// The way to Slack.
#[derive(Debug)]
pub struct Api {
    client: Client,
    url: Url,
    is_hook: bool,
    /// Whether a channel that cannot be posted to is the settings' fault and not a record's.
    has_one_channel: bool,
    /// How many posts in a row had an answer that nobody can read: their messages may be there.
    unread: AtomicU32,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Slack has it. A webhook does not say where.
    Sent {
        /// The channel's id.
        channel: String,
        /// The message.
        ts: Option<String>,
    },
    /// The message that was to be changed is not there any more.
    Gone,
    /// The channel may get its next message after that time.
    Held(Duration),
}

/// What came of a question.
enum Asked {
    Yes(Said),
    Not(Done),
}

/// Slack's answer does not say how long.
const HOLD: Duration = Duration::from_secs(5);
/// The last part of the path of a webhook of Slack's is that long; that of another server may be a word.
const SECRET: usize = 16;
/// Slack echoes messages in its answers, with characters as escapes.
const ANSWER: usize = 1024 * 1024;
/// How long a message that may be there is not posted a third time, and at most.
const UNREAD: Duration = Duration::from_secs(60);
const LONGEST_UNREAD: Duration = Duration::from_secs(3600);

impl Api {
    /// By the settings.
    pub fn new(
        settings: &SlackSettings,
        http: &HttpConfig,
        context: &SinkContext,
        has_one_channel: bool,
    ) -> Result<Self> {
        let read =
            |key: &str, text: &str| Url::parse(text).map_err(|e| Error::fatal(format!("reading {key}")).caused_by(e));
        let (client, url, is_hook) = match (&settings.url, &settings.token) {
            (Some(hook), _) => {
                let url = read("slack.webhook.url", hook.reveal())?;
                let keys = Keys { url: "slack.webhook.url", credentials: "slack.webhook.url" };
                // Some servers name the path that they do not know.
                let client = Client::new(http, keys)?.hiding(hook).hiding_text(url.path());
                let last = url.path_segments().and_then(Iterator::last).filter(|last| last.len() >= SECRET);
                (last.into_iter().fold(client, Client::hiding_text), url, true)
            }
            (None, token) => {
                let token = token.as_ref().map_or("", Secret::reveal);
                let url = read("slack.api.url", &format!("{}/", settings.api.trim_end_matches('/')))?;
                let keys = Keys { url: "slack.api.url", credentials: "slack.token" };
                let client = Client::new(http, keys)?.hiding_text(token);
                (client.with_authorization(&format!("Bearer {token}"))?, url, false)
            }
        };
        let client = client.reading(ANSWER).counted_by(context);
        Ok(Self { client, url, is_hook, has_one_channel, unread: AtomicU32::default() })
    }

    /// Whether messages are final.
    pub fn is_hook(&self) -> bool {
        self.is_hook
    }

    /// Where requests go, for people.
    pub fn place(&self) -> String {
        self.client.place(&self.url)
    }

    /// Posts a message to a channel, or into a thread of it.
    pub async fn post(&self, channel: &str, thread: Option<&str>, mut body: Map<String, Json>) -> Result<Done> {
        if self.is_hook {
            return self.hook(&Json::Object(body)).await;
        }
        body.insert("channel".into(), channel.into());
        if let Some(ts) = thread {
            body.insert("thread_ts".into(), ts.into());
        }
        if self.unread.load(Ordering::Relaxed) > 0 {
            // A message that may be there is not posted again before answers get through again.
            let doing = "asking whether answers come through before a message is posted again";
            if let Asked::Not(done) = self.ask("auth.test", doing, Map::new()).await? {
                return Ok(done);
            }
        }
        let doing = format!("posting a message to channel {channel}");
        match self.call("chat.postMessage", doing.clone(), body).await? {
            Done::Gone if thread.is_none() => {
                Err(Error::data(doing).caused_by("slack says that the message is not there, which is a new one"))
            }
            done => Ok(done),
        }
    }

    /// Changes a message.
    pub async fn update(&self, channel: &str, ts: &str, mut body: Map<String, Json>) -> Result<Done> {
        body.insert("channel".into(), channel.into());
        body.insert("ts".into(), ts.into());
        self.call("chat.update", format!("changing a message in channel {channel}"), body).await
    }

    /// Deletes a message.
    pub async fn delete(&self, channel: &str, ts: &str) -> Result<Done> {
        let body = Map::from_iter([("channel".to_owned(), channel.into()), ("ts".to_owned(), ts.into())]);
        self.call("chat.delete", format!("deleting a message in channel {channel}"), body).await
    }

    /// Asks Slack whom the token belongs to; of a webhook only whether the server is there.
    pub async fn check(&self) -> Result<Check> {
        if self.is_hook {
            // Whether Slack takes the webhook, only a message tells.
            return self.client.knock(&self.url).await;
        }
        let doing = "asking whom slack.token belongs to";
        let Asked::Yes(said) = self.ask("auth.test", doing, Map::new()).await? else {
            return Ok(Check::NotChecked("slack asks to wait".into()));
        };
        let name = |name: Option<String>| name.unwrap_or_else(|| "?".into());
        Ok(Check::Partly(format!(
            "the token is that of {} in {}; whether it may post to the channel, only a message tells",
            name(said.user),
            name(said.team)
        )))
    }

    async fn hook(&self, body: &Json) -> Result<Done> {
        let doing = format!("posting a message to slack at {}", self.place());
        let answer = self.send(self.url.clone(), body, &doing).await?;
        if let Some(held) = held(&answer) {
            return Ok(held);
        }
        if answer.is_success() && hook_took(&answer) {
            return Ok(Done::Sent { channel: String::new(), ts: None });
        }
        Err(match class_of(&answer.text) {
            Some(ErrorClass::Fatal) => {
                let text =
                    format!("{doing}: make a webhook that may post to its channel and set slack.webhook.url to it");
                // The URL is what Slack knows us by.
                answer.error_as(ErrorClass::Fatal, text).denied()
            }
            Some(class) => answer.error_as(class, doing),
            None if answer.is_success() => answer.page_error(doing.clone()).unwrap_or_else(|| {
                let text = format!("{doing}: correct slack.webhook.url; a webhook of Slack's answers ok");
                answer.error_as(ErrorClass::Fatal, text)
            }),
            None if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) => answer.error(doing).denied(),
            None => answer.error(doing),
        })
    }

    async fn call(&self, method: &str, doing: String, body: Map<String, Json>) -> Result<Done> {
        let said = match self.ask(method, &doing, body).await? {
            Asked::Yes(said) => said,
            Asked::Not(done) => return Ok(done),
        };
        // A message is found again by both.
        Ok(match (said.channel, said.ts) {
            (Some(channel), Some(ts)) => Done::Sent { channel, ts: Some(ts) },
            _ => Done::Sent { channel: String::new(), ts: None },
        })
    }

    async fn ask(&self, method: &str, doing: &str, body: Map<String, Json>) -> Result<Asked> {
        let doing = format!("{doing} of slack at {}", self.place());
        let url = self.url.join(method).map_err(|e| Error::fatal("making a URL of slack.api.url").caused_by(e))?;
        let answer = self.send(url, &Json::Object(body), &doing).await?;
        if let Some(held) = held(&answer) {
            return Ok(Asked::Not(held));
        }
        if !answer.is_success() {
            return Err(answer.error(doing));
        }
        let said = Said::read(&answer.text);
        let posts = method == "chat.postMessage";
        if said.ok.is_none() && said.error.is_none() && is_cut(&answer, &said) {
            // The message may be there: twice is better than never.
            let e = Error::retriable(doing).caused_by("slack's answer breaks off");
            let times = if posts { self.unread.fetch_add(1, Ordering::Relaxed) } else { 0 };
            return Err(if times > 0 {
                e.retry_after(LONGEST_UNREAD.min(UNREAD * (1 << times.min(7)) / 2))
            } else {
                e
            });
        }
        if posts {
            self.unread.store(0, Ordering::Relaxed);
        }
        if said.ok == Some(true) {
            return Ok(Asked::Yes(said));
        }
        let Some(word) = said.error.as_deref() else {
            if said.ok.is_some() && !said.whole {
                return Err(Error::retriable(doing).caused_by("slack says no, and its answer breaks off"));
            }
            let text = format!("{doing}: correct slack.api.url; this is no answer of Slack's");
            return Err(answer.error_as(ErrorClass::Fatal, text));
        };
        if is_gone(word) {
            return Ok(Asked::Not(Done::Gone));
        }
        let says = |more: &str| format!("slack says {word}{more}");
        Err(match class_of(word).unwrap_or(ErrorClass::Fatal) {
            ErrorClass::Retriable if word.contains("rate") => {
                return Ok(Asked::Not(Done::Held(answer.retry_after.unwrap_or(HOLD))));
            }
            ErrorClass::Retriable => Error::retriable(doing).caused_by(says("")),
            ErrorClass::Data => {
                let hints: String = said.hints.iter().take(3).map(|hint| format!(" {hint}")).collect();
                Error::data(doing).caused_by(says(&hints))
            }
            ErrorClass::Fatal => {
                let text = format!("{doing}: {}", way_out(word));
                match is_about_channel(word) && !self.has_one_channel {
                    true => Error::data(text).caused_by(says("")),
                    false if denies(word) => Error::fatal(text).caused_by(says("")).denied(),
                    false => Error::fatal(text).caused_by(says("")),
                }
            }
        })
    }

    async fn send(&self, url: Url, body: &Json, doing: &str) -> Result<Answer> {
        let request = self.client.request(Method::POST, url);
        let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string());
        self.client.send(request, || doing.to_owned()).await
    }
}

/// Whether an answer with status 2xx says that the message is taken: by the word ok, by nothing, or by JSON that does not say
/// otherwise, as servers do that understand Slack's messages.
fn hook_took(answer: &Answer) -> bool {
    let text = answer.text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("ok") {
        return true;
    }
    // The status is the answer: what breaks off behind it does not make it a failure.
    let Ok(Json::Object(said)) = serde_json::from_str(text) else {
        return answer.broken && (text.starts_with('{') || "ok".starts_with(text));
    };
    let fails = |name: &str| said.get(name).is_some_and(|ok| *ok == false);
    !fails("ok") && !fails("success") && !said.contains_key("error") && said.get("result").is_none_or(|r| r != "error")
}

// A page for people is whole, and no answer of Slack's.
fn is_cut(answer: &Answer, said: &Said) -> bool {
    !said.whole && (answer.broken || answer.cut || answer.text.trim_start().starts_with('{'))
}

fn held(answer: &Answer) -> Option<Done> {
    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
    limited.then(|| Done::Held(answer.retry_after.unwrap_or(HOLD)))
}
