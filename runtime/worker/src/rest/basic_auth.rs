//! HTTP Basic authentication by a file of users and passwords: Kafka Connect's `BasicAuthSecurityRestExtension` with
//! its `PropertyFileLoginModule` (rest.md §10).

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use openssl::memcmp;

/// The one extension that there is, by its full and its short name.
pub(crate) const EXTENSION: [&str; 2] = [
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
    "BasicAuthSecurityRestExtension",
];

/// The worker setting that names the JAAS file; for a JVM it is a system property.
pub(crate) const JAAS_FILE: &str = "java.security.auth.login.config";

/// The entry of the JAAS file, and its login module.
const ENTRY: &str = "KafkaConnect";
const MODULE: &str = "PropertyFileLoginModule";

/// Users and their passwords. An empty file accepts everyone, as in Kafka Connect.
#[derive(Clone)]
pub(super) struct BasicAuth(Arc<HashMap<String, String>>);

impl BasicAuth {
    /// Reads the JAAS file and the file that it names. The error is a key and what is wrong.
    pub(super) fn read(jaas: Option<&str>) -> Result<Self, (String, String)> {
        let read = || {
            let path = jaas.ok_or_else(|| {
                format!("basic authentication needs it: the JAAS file whose entry {ENTRY} names {MODULE} and its file")
            })?;
            let text = fs::read_to_string(path).map_err(|e| format!("reading {path}: {e}"))?;
            let users = users_file(&text).map_err(|e| format!("{path}: {e}"))?;
            Self::from_file(Path::new(&users))
        };
        read().map_err(|e: String| (JAAS_FILE.to_owned(), format!("{JAAS_FILE}: {e}")))
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let file = fs::File::open(path).map_err(|e| format!("reading the users from {shown}: {e}"))?;
        let users = java_properties::read(file).map_err(|e| format!("reading the users from {shown}: {e}"))?;
        if users.is_empty() {
            tracing::warn!("{shown} names no user, so that the REST API accepts everyone");
        }
        Ok(Self(Arc::new(users)))
    }

    fn accepts(&self, authorization: Option<&str>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let given =
            authorization.and_then(|a| a.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let decoded = given.and_then(|(_, text)| BASE64_STANDARD.decode(text.trim()).ok());
        let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
        let Some((user, password)) = text.split_once(':') else { return false };
        self.0.get(user).is_some_and(|p| p.len() == password.len() && memcmp::eq(p.as_bytes(), password.as_bytes()))
    }
}

/// The file that the login module of Kafka Connect's entry reads.
fn users_file(jaas: &str) -> Result<String, String> {
    let shape = format!(
        "expected {ENTRY} {{ org.apache.kafka.connect.rest.basic.auth.extension.{MODULE} required file=\"…\"; }};"
    );
    let jaas = regex::Regex::new(r"(?m)/\*(?s:.*?)\*/|^\s*(//|#).*$").map_or(jaas.into(), |r| r.replace_all(jaas, ""));
    let find = |pattern: &str, text: &str| {
        let found = regex::Regex::new(pattern).ok()?.captures(text)?.get(1)?;
        Some(found.as_str().to_owned())
    };
    let entry = find(&format!(r"(?s)(?:^|[\s;]){ENTRY}\s*\{{([^}}]*)\}}"), &jaas);
    let entry = entry.ok_or_else(|| format!("there is no entry {ENTRY}; {shape}"))?;
    let options = find(&format!(r"(?s){MODULE}\s+[a-z]+\s+([^;]*);"), &entry);
    let options = options.ok_or_else(|| format!("the entry {ENTRY} does not use {MODULE}; {shape}"))?;
    let file = find(r#"(?:^|\s)file\s*=\s*["']([^"']+)["']"#, &options);
    file.ok_or_else(|| format!("the login module has no option file; {shape}"))
}

/// Refuses requests without right credentials.
pub(super) async fn authenticate(State(auth): State<BasicAuth>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if auth.accepts(given) {
        return next.run(request).await;
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::UNAUTHORIZED, kind, "User cannot access the resource.").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_kafka_connect_names_the_file() {
        let jaas = "// users\nOther { x.Y required file=\"/no\"; };\nKafkaConnect {\n  \
                    org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  \
                    debug=\"true\" file=\"/etc/users\";\n};\n";
        assert_eq!(users_file(jaas).as_deref(), Ok("/etc/users"));
        for (wrong, part) in [
            ("", "no entry"),
            ("KafkaConnect { x.Y required file=\"/a\"; };", "does not use"),
            ("KafkaConnect { PropertyFileLoginModule required a=\"b\"; };", "no option file"),
        ] {
            assert!(users_file(wrong).is_err_and(|e| e.contains(part)), "{wrong}");
        }
    }

    #[test]
    fn right_credentials_are_accepted_and_no_others() {
        let auth = BasicAuth(Arc::new([("u".to_owned(), "p:w".to_owned())].into()));
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(auth.accepts(Some(&basic("u:p:w"))));
        for wrong in [None, Some(basic("u:x")), Some(basic("v:p:w")), Some(basic("u")), Some("Bearer x".into())] {
            assert!(!auth.accepts(wrong.as_deref()), "{wrong:?}");
        }
        assert!(!auth.accepts(Some("Basic ?")));
        assert!(BasicAuth(Arc::default()).accepts(None), "no user means everyone");
    }
}
