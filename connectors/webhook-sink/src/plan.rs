//! What a connector does, whatever settings said it: those of this sink, or those of one that it stands in for.

use std::time::Duration;

use connect_api::{
    Error, ErrorClass, PluginInfo, Result, SinkContext, SinkTask, SinkTrial, async_trait,
    config::{Config, Problems, Secret},
};
use connector_http::{
    Answer, AuthConfig, Client, DeliveryConfig, HttpConfig, Keys, OAuthConfig, OAuthKeys, Signer, Statuses, Url,
};

use crate::{
    batch::Batch,
    request::RequestPlan,
    responses::ResponsePlan,
    task::{Sender, WebhookTask},
};

/// One way to configure the sink: names, settings, and what they mean.
#[async_trait]
pub trait Style: Send + Sync + 'static {
    /// The settings.
    type Config: Config;

    /// The names.
    const INFO: PluginInfo;

    /// Rules that span several keys.
    fn validate(config: &Self::Config, problems: &mut Problems);

    /// What is done. Errors are fatal.
    fn plan(config: &Self::Config) -> Result<Plan>;

    /// The task; the default does what the plan says.
    async fn task(config: Self::Config, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(WebhookTask::new(Self::plan(&config)?, context)?))
    }

    /// What a test call asks.
    async fn trial(config: &Self::Config, context: &SinkContext) -> Result<Box<dyn SinkTrial>> {
        let _ = context;
        Ok(Box::new(Sender::for_trial(Self::plan(config)?)?))
    }
}

/// What is sent how, and what answers mean.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names of settings, for errors.
    pub keys: Keys,
    /// The client.
    pub http: HttpConfig,
    /// What the server knows us by.
    pub auth: AuthConfig,
    /// The same by tokens.
    pub oauth: OAuthConfig,
    /// Names of the settings of tokens, for errors.
    pub oauth_keys: OAuthKeys,
    /// Signs requests.
    pub signer: Option<Signer>,
    /// Kept out of whatever is said about requests.
    pub hidden: Vec<Secret>,
    /// From records to requests.
    pub request: RequestPlan,
    /// Several records in one request.
    pub batch: Option<Batch>,
    /// Several requests at once.
    pub delivery: DeliveryConfig,
    /// What answers mean.
    pub verdicts: Verdicts,
    /// Topics for answers.
    pub responses: Option<ResponsePlan>,
    /// What a test call may ask with GET.
    pub check: Option<Url>,
}

impl Plan {
    /// The client that sends the requests.
    pub fn client(&self) -> Result<Client> {
        let client =
            Client::new(&self.http, self.keys)?.with_auth(&self.auth)?.with_oauth_of(&self.oauth, self.oauth_keys)?;
        Ok(self.hidden.iter().fold(client, Client::hiding))
    }
}

/// What answers mean.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// Statuses of requests that were taken.
    pub success: Statuses,
    /// Statuses after which the same is sent again, beside those that mean it anyway.
    pub retry: Statuses,
    /// How often, and what then; without end where there is none.
    pub limit: Option<Limit>,
    /// Finds in the text of an answer that credentials are wrong, which its status does not say, and tells their setting.
    pub denial: Option<fn(&Answer) -> Option<&'static str>>,
    /// Whether a page for people may be a success: what receivers answer is not known.
    pub pages: bool,
}

/// How often a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How often.
    pub retries: u32,
    /// How long to wait in between, unless the server says so.
    pub back_off: Duration,
    /// Whether the records are bad ones then; if not, the task fails.
    pub give_up: bool,
}

impl Verdicts {
    /// The error that an answer stands for, if any.
    pub fn judge(&self, answer: &Answer, doing: impl Fn() -> String) -> Option<Error> {
        if self.success.contains(answer.status) {
            return if self.pages { None } else { answer.page_error(doing()) };
        }
        if self.retry.contains(answer.status) {
            return Some(answer.error_as(ErrorClass::Retriable, doing()));
        }
        Some(match self.denial.and_then(|read| read(answer)) {
            Some(key) => answer.error_as(ErrorClass::Fatal, format!("{}: correct {key}", doing())).denied(),
            None => answer.error(doing()),
        })
    }
}

impl Limit {
    /// What becomes of an error after so many tries that failed in a way that passes.
    pub fn judge(&self, e: Error, tries: u32) -> Error {
        if e.class() != ErrorClass::Retriable {
            return e;
        }
        if tries <= self.retries {
            return if e.delay().is_some() { e } else { e.retry_after(self.back_off) };
        }
        let text = format!("giving up after {tries} tries, as the settings say");
        let given_up = if self.give_up { Error::data(text) } else { Error::fatal(text) };
        given_up.caused_by(e)
    }
}
