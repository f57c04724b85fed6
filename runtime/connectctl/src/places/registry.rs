//! The schema registry to talk to.

use std::{path::Path, time::Duration};

use connect_api::Error;
use connect_converters::{NotARegistry, RegistryAuth, RegistryOptions, SchemaRegistry};

use super::{Places, access, untold};
use crate::{client::Client, error::Failure};

/// How a registry is named.
const NAMED: &str = "--registry URL, SCHEMA_REGISTRY or connectctl context set NAME schema.registry.url=URL";

/// A schema registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Its client.
    pub client: SchemaRegistry,
    /// Its address, without user and password.
    pub url: String,
    /// Where the address comes from, in words.
    pub origin: String,
}

impl Places {
    /// The registry that the command line, the environment, the context or the worker names.
    pub async fn registry(&self, worker: &Client, timeout: Duration) -> Result<Registry, Failure> {
        let (url, origin, beside) = if let Some(url) = self.given.registry.as_deref().filter(|u| !u.trim().is_empty()) {
            (url.to_owned(), "--registry or SCHEMA_REGISTRY".to_owned(), false)
        } else if let Some(url) = self.of_context("schema.registry.url")? {
            (url, format!("context {}", self.context_name()), true)
        } else {
            let text = |why: &str| format!("it is not known where the schema registry is: {why}; name it with {NAMED}");
            let url = match worker.worker().await {
                Ok(told) => told.schema_registry_url.ok_or_else(|| Failure::Failed(text("the worker names none")))?,
                Err(e) => return Err(untold(worker, e, text)),
            };
            (url, format!("the worker at {}", worker.address()), true)
        };
        let find = |key: &str| {
            let text = self.written(&format!("registry.{key}")).filter(|_| beside)?;
            Some((text.to_owned(), self.folder.as_path() as &Path))
        };
        let wrong = |e: String| Failure::Failed(format!("context {}: registry.{e}", self.context_name()));
        let access = access(&find).map_err(wrong)?;
        let auth = match (access.user, access.token) {
            (Some((user, password)), _) => RegistryAuth::Basic { user, password },
            (None, Some(token)) => RegistryAuth::Bearer(token),
            (None, None) => RegistryAuth::None,
        };
        let urls: Vec<String> = url.split(',').map(|u| with_scheme(u.trim())).collect();
        let shown = urls.iter().map(|u| without_user(u)).collect::<Vec<_>>().join(",");
        let options = RegistryOptions { auth, timeout, tls: access.tls, ..RegistryOptions::new(urls) };
        Ok(Registry { client: SchemaRegistry::new(options)?, url: shown, origin })
    }
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
            let host = authority.rsplit('@').next().unwrap_or_default();
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => url.to_owned(),
    }
}

impl Registry {
    /// An error of the client, with the address and who named it where the registry did not answer, or something else did.
    pub fn failure(&self, e: Error) -> Failure {
        if let Some(other) = NotARegistry::behind(&e) {
            let (doing, answered) =
                (e.message(), other.answered.as_deref().unwrap_or("what it says is no answer of one"));
            return Failure::Unreachable(format!(
                "{doing}: there is no schema registry at {} (from {}): {answered}; name its base URL with {NAMED}",
                self.url, self.origin
            ));
        }
        match Failure::from(e) {
            Failure::Unreachable(text) => Failure::Unreachable(format!(
                "{text}; asked was the schema registry at {} (from {}); is it running?",
                self.url, self.origin
            )),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_user("http://u:p@h:1/x"), "http://h:1/x");
        assert_eq!(without_user(&with_scheme("h:1")), "http://h:1");
    }
}
