//! Test calls: they talk to the server as for a mail, and send none.

use connect_api::{Check, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTrial, async_trait};

use crate::{
    config::{EmailSettings, Tombstones},
    message::Plan,
    smtp::Smtp,
};

/// A sink in a test call.
pub struct EmailTrial {
    plan: Plan,
    smtp: Smtp,
    tombstones: Tombstones,
}

impl EmailTrial {
    /// Connects to nothing yet.
    pub fn new(config: &EmailSettings, context: &SinkContext) -> Result<Self> {
        let plan = Plan::new(config, context.connector())?;
        Ok(Self { plan, smtp: Smtp::new(config.server()?), tombstones: config.tombstones })
    }
}

#[async_trait]
impl SinkTrial for EmailTrial {
    async fn check(&mut self) -> Result<Check> {
        self.smtp.check(&self.plan.from.email).await.map(Check::Passed)
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        if record.value.is_null() && self.tombstones == Tombstones::Ignore {
            return Ok(Rendering::Nothing("email.tombstones is ignore".into()));
        }
        let thread = self.plan.thread(record)?;
        let said = self.plan.say(record, thread, None)?;
        if said.to.is_empty() {
            return Ok(Rendering::Nothing("email.to gives no recipient".into()));
        }
        let mail = self.plan.single(record, &said, None)?;
        let to: Vec<String> = mail.to.iter().map(ToString::to_string).collect();
        let headers = [("From", self.plan.from.to_string()), ("Subject", mail.subject), ("Message-ID", mail.id)];
        Ok(Rendering::Sent(Rendered {
            to: format!("mail to {}", to.join(", ")),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: Some(mail.text),
        }))
    }
}
