//! Key stores and trust stores: PEM and PKCS#12 as Java's clients name them, for librdkafka.

use std::fs;

use connect_api::Settings;

use crate::settings::{ClientSettings, Problem};

/// What a store file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pem,
    Pkcs12,
    Jks,
}

/// Translates `ssl.keystore.*` and `ssl.truststore.*`.
pub(crate) fn join(java: &Settings, out: &mut ClientSettings, problems: &mut Vec<Problem>) {
    let get = |key: &str| java.get(key).map(str::trim).filter(|v| !v.is_empty());
    let mut set = |key: &str, value: &str| drop(out.native.insert(key.to_owned(), value.to_owned()));
    let mut refuse = |key: &str, reason: String| problems.push(Problem { key: key.to_owned(), reason });

    if let Some(chain) = get("ssl.keystore.certificate.chain") {
        set("ssl.certificate.pem", &unfold(chain));
    }
    if let Some(key) = get("ssl.keystore.key") {
        set("ssl.key.pem", &unfold(key));
    }
    if let Some(certificates) = get("ssl.truststore.certificates") {
        set("ssl.ca.pem", &unfold(certificates));
    }
    if let Some(password) = get("ssl.key.password") {
        set("ssl.key.password", password);
    }
    if let Some(path) = get("ssl.keystore.location") {
        match kind("ssl.keystore", path, get("ssl.keystore.type")) {
            Ok(Kind::Pem) => {
                set("ssl.certificate.location", path);
                set("ssl.key.location", path);
                if let (None, Some(password)) = (get("ssl.key.password"), get("ssl.keystore.password")) {
                    set("ssl.key.password", password);
                }
            }
            Ok(Kind::Pkcs12) => {
                set("ssl.keystore.location", path);
                set("ssl.keystore.password", get("ssl.keystore.password").unwrap_or_default());
            }
            Ok(Kind::Jks) => refuse("ssl.keystore.location", jks(path)),
            Err((key, reason)) => refuse(&key, reason),
        }
    }
    if let Some(path) = get("ssl.truststore.location") {
        match kind("ssl.truststore", path, get("ssl.truststore.type")) {
            Ok(Kind::Pem) => set("ssl.ca.location", path),
            Ok(Kind::Pkcs12) => match certificates(path, get("ssl.truststore.password").unwrap_or_default()) {
                Ok(pem) => set("ssl.ca.pem", &pem),
                Err(reason) => refuse("ssl.truststore.location", reason),
            },
            Ok(Kind::Jks) => refuse("ssl.truststore.location", jks(path)),
            Err((key, reason)) => refuse(&key, reason),
        }
    }
}

// Java's PEM values may come on one line, with blanks where the line breaks were.
fn unfold(pem: &str) -> String {
    let mut text = pem.replace("\\n", "\n");
    if !text.contains('\n') {
        text = text.replace("----- ", "-----\n").replace(" -----", "\n-----");
        text = text
            .lines()
            .map(|l| if l.starts_with("-----") { l.to_owned() } else { l.replace(' ', "\n") })
            .collect::<Vec<_>>()
            .join("\n");
    }
    text.trim().to_owned() + "\n"
}

fn kind(prefix: &str, path: &str, declared: Option<&str>) -> Result<Kind, (String, String)> {
    let location = format!("{prefix}.location");
    let start = fs::read(path).map_err(|e| (location.clone(), format!("reading {path}: {e}")))?;
    let found = match start.as_slice() {
        [0xFE, 0xED, 0xFE, 0xED, ..] => Kind::Jks,
        [0x30, ..] => Kind::Pkcs12,
        bytes if bytes.windows(10).any(|w| w == b"-----BEGIN") => Kind::Pem,
        _ => return Err((location, format!("{path} is neither a PEM file nor a PKCS#12 store"))),
    };
    // Java's default type is JKS, which its own tools no longer write: the file itself is believed.
    let declared = match declared.map(str::to_ascii_uppercase).as_deref() {
        Some("PEM") => Kind::Pem,
        Some("PKCS12") => Kind::Pkcs12,
        Some("JKS") | None => found,
        Some(other) => return Err((format!("{prefix}.type"), format!("{other} is none of PEM, PKCS12"))),
    };
    if declared != found {
        return Err((format!("{prefix}.type"), format!("{path} is not a {declared:?} file but {found:?}")));
    }
    Ok(found)
}

fn jks(path: &str) -> String {
    format!(
        "{path} is a JKS store; convert it: keytool -importkeystore -srckeystore {path} -destkeystore {path}.p12 -deststoretype pkcs12"
    )
}

fn certificates(path: &str, password: &str) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|e| format!("reading {path}: {e}"))?;
    let opened = openssl::pkcs12::Pkcs12::from_der(&bytes).and_then(|p| p.parse2(password));
    let store =
        opened.map_err(|e| format!("opening {path}: wrong ssl.truststore.password, or not a PKCS#12 store ({e})"))?;
    let mut pem = String::new();
    for certificate in store.ca.iter().flatten().map(|c| c.to_owned()).chain(store.cert) {
        let text = certificate.to_pem().map_err(|e| format!("reading a certificate of {path}: {e}"))?;
        pem.push_str(&String::from_utf8_lossy(&text));
    }
    if pem.is_empty() {
        return Err(format!("{path} holds no certificate"));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Role, translate};

    #[test]
    fn folded_pem_is_unfolded() {
        let pem = unfold("-----BEGIN CERTIFICATE----- AAAA BBBB -----END CERTIFICATE-----");
        assert_eq!(pem, "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n");
    }

    #[test]
    fn stores_are_told_apart_by_what_they_hold() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).expect("write");
            path.to_string_lossy().into_owned()
        };
        let jks = file("a.jks", &[0xFE, 0xED, 0xFE, 0xED, 0, 0]);
        let junk = file("a.txt", b"hello");
        let pem = file("a.pem", b"-----BEGIN CERTIFICATE-----\n");
        let reason = |path: &str, kind: &str| {
            let java = Settings::from([("ssl.truststore.location", path), ("ssl.truststore.type", kind)]);
            translate(Role::Admin, &java).expect_err("refused")[0].reason.clone()
        };
        assert!(reason(&jks, "JKS").contains("keytool -importkeystore"));
        assert!(reason(&junk, "PEM").contains("neither"));
        assert!(reason(&pem, "PKCS12").contains("not a Pkcs12"));
        assert!(reason("/nowhere/x", "PEM").contains("/nowhere/x"));
        assert!(reason(&pem, "BKS").contains("none of"));
    }
}
