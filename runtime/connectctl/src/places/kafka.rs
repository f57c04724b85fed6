//! The Kafka to talk to, as ready settings of clients.

use std::path::Path;

use connect_api::{Error, Settings};
use connect_kafka::{ClientSettings, Role, settings::is_known, translate};

use super::{Places, reference, untold};
use crate::{client::Client, error::Failure};

/// A Kafka cluster's address and settings of clients.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Settings in the names of Java's clients, secrets in place.
    java: Settings,
    /// Where the address comes from, in words.
    pub origin: String,
}

impl Places {
    /// The Kafka that the command line, the environment, the context or the worker names.
    pub async fn kafka(&self, worker: &Client) -> Result<Kafka, Failure> {
        let mut java = Settings::new();
        let origin = if let Some(brokers) = self.given.bootstrap_servers.as_deref().filter(|b| !b.trim().is_empty()) {
            java.set("bootstrap.servers", brokers);
            "--bootstrap-servers or BOOTSTRAP_SERVERS".to_owned()
        } else if let Some(brokers) = self.of_context("bootstrap.servers")? {
            java.set("bootstrap.servers", &brokers);
            self.add_settings_of_context(&mut java)?;
            format!("context {}", self.context_name())
        } else {
            let told = worker.worker().await.map_err(|e| untold(worker, e, unknown_kafka))?;
            java.set("bootstrap.servers", &told.bootstrap_servers);
            self.add_settings_of_context(&mut java)?;
            if !java.contains("security.protocol") {
                java.set("security.protocol", &told.security_protocol);
            }
            format!("the worker at {}", worker.address())
        };
        if let Some(file) = &self.given.command_config {
            let settings = connect_files::read_worker(file).map_err(|e| Failure::Failed(e.to_string()))?;
            for (key, value) in settings.into_iter().filter(|(key, _)| key != "bootstrap.servers") {
                let value = within(&key, &value, file.parent().unwrap_or(Path::new("")));
                java.set(key, value.map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))?);
            }
        }
        if !java.contains("client.id") {
            java.set("client.id", "connectctl");
        }
        Ok(Kafka { java, origin })
    }

    fn add_settings_of_context(&self, java: &mut Settings) -> Result<(), Failure> {
        let Some((name, all)) = &self.context else { return Ok(()) };
        for (key, value) in all.iter().filter_map(|(key, value)| Some((key.strip_prefix("kafka.")?, value))) {
            // Java's clients know addresses that begin so.
            let is_address = key.ends_with(".url") && value.starts_with("file://");
            let value = if is_address { within(key, value, &self.folder) } else { anywhere(key, value, &self.folder) };
            java.set(key, value.map_err(|e| Failure::Failed(format!("context {name}: kafka.{e}")))?);
        }
        Ok(())
    }
}

fn unknown_kafka(why: &str) -> String {
    format!(
        "it is not known where Kafka is: {why}; name its brokers with --bootstrap-servers HOST:PORT, BOOTSTRAP_SERVERS or \
         connectctl context set NAME bootstrap.servers=HOST:PORT"
    )
}

/// A setting of a file for Java's clients, which know references within `${}` only.
fn within(key: &str, value: &str, folder: &Path) -> Result<String, String> {
    if value.contains("${") { anywhere(key, value, folder) } else { Ok(placed(key, value.to_owned(), folder)) }
}

/// A setting of a context, with references of any form.
fn anywhere(key: &str, value: &str, folder: &Path) -> Result<String, String> {
    let value = reference::resolve(value, folder).map_err(|e| format!("{key}: {e}"))?;
    Ok(placed(key, value.reveal().to_owned(), folder))
}

/// Files of stores begin where the file does that names them.
fn placed(key: &str, value: String, folder: &Path) -> String {
    let is_file = key.ends_with(".location") && !value.trim().is_empty();
    if is_file { folder.join(value.trim()).display().to_string() } else { value }
}

impl Kafka {
    /// Settings of a client of that role.
    pub fn client(&self, role: Role) -> Result<ClientSettings, Failure> {
        // What only another role's client knows is not meant for this one.
        let all = [Role::Admin, Role::Consumer, Role::Producer];
        let fits = |key: &str| is_known(role, key) || !all.iter().any(|other| is_known(*other, key));
        let java = self.java.iter().filter(|(key, _)| fits(key)).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        translate(role, &java).map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.key, p.reason)).collect();
            Failure::Failed(format!("settings of Kafka's clients: {}", texts.join("; ")))
        })
    }

    /// The brokers' addresses.
    pub fn brokers(&self) -> &str {
        self.java.get("bootstrap.servers").unwrap_or_default()
    }

    /// An error of a client, with the brokers and who named them where they did not answer.
    pub fn failure(&self, e: Error) -> Failure {
        match Failure::from(e) {
            Failure::Unreachable(text) => Failure::Unreachable(format!(
                "{text}; asked was Kafka at {} (from {}); is it running, and are security.protocol and credentials right?",
                self.brokers(),
                self.origin
            )),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_for_java_refer_within_braces_only_and_contexts_in_every_form() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("pw"), "s3cret\n").expect("file");
        let here = folder.path();
        for text in ["file:pw", "${file:pw}"] {
            assert_eq!(anywhere("sasl.password", text, here).as_deref(), Ok("s3cret"));
        }
        assert_eq!(within("sasl.password", "file:pw", here).as_deref(), Ok("file:pw"));
        assert_eq!(within("sasl.password", "${file:pw}", here).as_deref(), Ok("s3cret"));
        let store = here.join("ca.pem").display().to_string();
        assert_eq!(anywhere("ssl.truststore.location", "ca.pem", here), Ok(store));
        let missing = anywhere("sasl.password", "env:NO_SUCH_VARIABLE_HERE", here);
        assert!(missing.is_err_and(|e| e.starts_with("sasl.password: the environment has no variable NO_SUCH")));
    }
}
