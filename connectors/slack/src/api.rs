//! Requests to Slack: an incoming webhook, or the methods of its Web API.

use std::time::Duration;

use connect_api::{Check, Error, ErrorClass, Result, SinkContext, config::Secret};
use connector_http::{Answer, Client, HttpConfig, Keys, Method, StatusCode, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value as Json};

use crate::{
    config::SlackSettings,
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

/// What Slack says.
enum Said {
    Yes(Json),
    Not(Done),
}

/// Slack's answer does not say how long.
const HOLD: Duration = Duration::from_secs(5);

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
                (Client::new(http, keys)?.hiding(hook).hiding_text(url.path()), url, true)
            }
            (None, token) => {
                let token = token.as_ref().map_or("", Secret::reveal);
                let url = read("slack.api.url", &format!("{}/", settings.api.trim_end_matches('/')))?;
                let keys = Keys { url: "slack.api.url", credentials: "slack.token" };
                let client = Client::new(http, keys)?.hiding_text(token);
                (client.with_authorization(&format!("Bearer {token}"))?, url, false)
            }
        };
        Ok(Self { client: client.counted_by(context), url, is_hook, has_one_channel })
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
        self.call("chat.postMessage", format!("posting a message to channel {channel}"), body).await
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
            return self.client.reach(&self.url).await;
        }
        let doing = "asking whom slack.token belongs to";
        let Said::Yes(said) = self.ask("auth.test", doing, Map::new()).await? else {
            return Ok(Check::NotChecked("slack asks to wait".into()));
        };
        let name = |key: &str| said[key].as_str().unwrap_or("?").to_owned();
        Ok(Check::Partly(format!(
            "the token is that of {} in {}; whether it may post to the channel, only a message tells",
            name("user"),
            name("team")
        )))
    }

    async fn hook(&self, body: &Json) -> Result<Done> {
        let doing = format!("posting a message to slack at {}", self.place());
        let answer = self.send(self.url.clone(), body, &doing).await?;
        if answer.is_success() {
            return Ok(Done::Sent { channel: String::new(), ts: None });
        }
        if let Some(held) = held(&answer) {
            return Ok(held);
        }
        Err(match class_of(&answer.text) {
            Some(ErrorClass::Fatal) => {
                let text =
                    format!("{doing}: make a webhook that may post to its channel and set slack.webhook.url to it");
                answer.error_as(ErrorClass::Fatal, text)
            }
            Some(class) => answer.error_as(class, doing),
            None => answer.error(doing),
        })
    }

    async fn call(&self, method: &str, doing: String, body: Map<String, Json>) -> Result<Done> {
        let said = match self.ask(method, &doing, body).await? {
            Said::Yes(said) => said,
            Said::Not(done) => return Ok(done),
        };
        let text = |key: &str| said[key].as_str().map(str::to_owned);
        Ok(Done::Sent { channel: text("channel").unwrap_or_default(), ts: text("ts") })
    }

    async fn ask(&self, method: &str, doing: &str, body: Map<String, Json>) -> Result<Said> {
        let doing = format!("{doing} of slack at {}", self.place());
        let url = self.url.join(method).map_err(|e| Error::fatal("making a URL of slack.api.url").caused_by(e))?;
        let answer = self.send(url, &Json::Object(body), &doing).await?;
        if let Some(held) = held(&answer) {
            return Ok(Said::Not(held));
        }
        if !answer.is_success() {
            return Err(answer.error(doing));
        }
        let said: Json = serde_json::from_str(&answer.text).unwrap_or_default();
        if said["ok"] == true {
            return Ok(Said::Yes(said));
        }
        let Some(word) = said["error"].as_str() else {
            let text = format!("{doing}: correct slack.api.url; this is no answer of Slack's");
            return Err(answer.error_as(ErrorClass::Fatal, text));
        };
        if is_gone(word) {
            return Ok(Said::Not(Done::Gone));
        }
        let says = |more: &str| format!("slack says {word}{more}");
        Err(match class_of(word).unwrap_or(ErrorClass::Fatal) {
            ErrorClass::Retriable if word.contains("rate") => {
                return Ok(Said::Not(Done::Held(answer.retry_after.unwrap_or(HOLD))));
            }
            ErrorClass::Retriable => Error::retriable(doing).caused_by(says("")),
            ErrorClass::Data => {
                let hints = said["response_metadata"]["messages"].as_array().into_iter().flatten();
                let hints: String = hints.filter_map(Json::as_str).take(3).map(|hint| format!(" {hint}")).collect();
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

fn held(answer: &Answer) -> Option<Done> {
    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
    limited.then(|| Done::Held(answer.retry_after.unwrap_or(HOLD)))
}
