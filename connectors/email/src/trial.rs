//! Test calls: they talk to the server as for a mail, and send none.

use connect_api::{Check, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTrial, async_trait};

use connector_alarm::place::{self, is_active};

use crate::{
    config::{EmailSettings, Tombstones},
    memory::Memory,
    message::Plan,
    smtp::Smtp,
};

/// A sink in a test call.
pub struct EmailTrial {
    plan: Plan,
    smtp: Smtp,
    tombstones: Tombstones,
    memory: Memory,
}

impl EmailTrial {
    /// Connects to nothing yet.
    pub async fn new(config: &EmailSettings, context: &SinkContext) -> Result<Self> {
        let plan = Plan::new(config, context.connector())?;
        let memory = Memory::of(context).await?;
        Ok(Self { plan, smtp: Smtp::new(config.server()?), tombstones: config.tombstones, memory })
    }
}

#[async_trait]
impl SinkTrial for EmailTrial {
    async fn check(&mut self) -> Result<Check> {
        self.smtp.check(&self.plan.from.email).await.map(Check::Passed)
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let over = !is_active(record);
        if over && self.tombstones == Tombstones::Ignore {
            return Ok(Rendering::Nothing("email.tombstones is ignore".into()));
        }
        let (said, thread) = if over && self.plan.has_threads() {
            let Some(open) = self.memory.alarm(&place::of(record))? else {
                let why = "no mail has told of it while it was active, and its end goes to whoever got one";
                return Ok(Rendering::Nothing(why.into()));
            };
            let thread = self.memory.thread(&open.thread)?;
            (self.plan.say_over(record, open.to, open.thread, thread.as_ref())?, thread)
        } else {
            let key = self.plan.thread(record)?;
            let thread = key.as_deref().map_or(Ok(None), |key| self.memory.thread(key))?;
            (self.plan.say(record, key, thread.as_ref())?, thread)
        };
        if said.to.is_empty() {
            return Ok(Rendering::Nothing("email.to gives no recipient".into()));
        }
        let mail = self.plan.single(record, &said, thread.as_ref())?;
        let to: Vec<String> = mail.to.iter().map(ToString::to_string).collect();
        let headers = [("From", self.plan.from.to_string()), ("Subject", mail.subject), ("Message-ID", mail.id)];
        Ok(Rendering::Sent(Rendered {
            to: format!("mail to {}", to.join(", ")),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: Some(mail.text),
        }))
    }
}
