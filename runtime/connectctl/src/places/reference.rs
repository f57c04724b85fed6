//! References to secrets: what stands in a context instead of a password. Every other value of a context may be a reference
//! as well.
//!
//! | Written | Stands for |
//! |---|---|
//! | `env:NAME` or `${env:NAME}` | a variable of the environment |
//! | `file:PATH` or `${file:PATH}` | the text of a file, without blanks and line ends around it |
//! | `${file:PATH:KEY}` | a key of a file that ends in .properties, .yaml or .json |
//!
//! The forms with braces may stand within a text. Paths that are not absolute begin at the folder of the file that
//! refers to them.

use std::{env, fs, path::Path};

use connect_api::config::Secret;

const FORMS: &str = "write env:NAME or file:PATH";

/// Whether the text refers to something, in any form.
pub fn is_in(text: &str) -> bool {
    whole(text).is_some() || text.contains("${env:") || text.contains("${file:")
}

/// The text with what it refers to in place.
pub fn resolve(text: &str, folder: &Path) -> Result<Secret, String> {
    if let Some((kind, what)) = whole(text) {
        return look_up(kind, what, folder).map(Secret::new);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let reference = from[2..].split_once('}').and_then(|(inside, after)| Some((inside.split_once(':')?, after)));
        match reference.filter(|((kind, _), _)| matches!(*kind, "env" | "file")) {
            Some(((kind, what), after)) => {
                out.push_str(&look_up(kind, what, folder)?);
                rest = after;
            }
            None => {
                out.push_str("${");
                rest = &from[2..];
            }
        }
    }
    Ok(Secret::new(out + rest))
}

fn whole(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(kind, what)| matches!(*kind, "env" | "file") && !what.is_empty())
}

fn look_up(kind: &str, what: &str, folder: &Path) -> Result<String, String> {
    if kind == "env" {
        return match env::var(what) {
            Ok(value) => Ok(value),
            Err(env::VarError::NotPresent) => Err(format!("the environment has no variable {what}; set it")),
            Err(env::VarError::NotUnicode(_)) => Err(format!("the environment's variable {what} is no text")),
        };
    }
    let read = |path: &str| {
        let path = folder.join(path);
        fs::read_to_string(&path).map_err(|e| format!("reading {}: {e}", path.display()))
    };
    // A path may hold a colon, but a file of that name is looked for first.
    match what.rsplit_once(':').filter(|_| !folder.join(what).exists()) {
        None => read(what).map(|text| text.trim().to_owned()),
        Some((path, key)) => {
            let all = connect_files::read_worker(&folder.join(path)).map_err(|e| e.to_string())?;
            let value = all.into_iter().find(|(k, _)| k == key).map(|(_, value)| value);
            value.ok_or_else(|| format!("{path} has no key {key}"))
        }
    }
}

/// Refuses a secret that is written as it is.
pub fn demand(key: &str, text: &str) -> Result<(), String> {
    if is_in(text) { Ok(()) } else { Err(format!("{key} must refer to the secret, not hold it; {FORMS}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, folder: &Path) -> Result<String, String> {
        resolve(text, folder).map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn what_is_referred_to_is_put_in_place() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("pw"), " s3cret\n").expect("file");
        fs::write(folder.path().join("all.properties"), "a=1\npassword=p w\n").expect("file");
        let at = |text: &str| resolved(text, folder.path());
        assert_eq!(at("file:pw").as_deref(), Ok("s3cret"));
        assert_eq!(at("u:${file:pw}!").as_deref(), Ok("u:s3cret!"));
        assert_eq!(at("password=\"${file:all.properties:password}\";").as_deref(), Ok("password=\"p w\";"));
        assert_eq!(at("env:CARGO_PKG_NAME").as_deref(), Ok("connectctl"));
        assert_eq!(at("${env:CARGO_PKG_NAME}${x:y}$").as_deref(), Ok("connectctl${x:y}$"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |text: &str| resolved(text, folder.path()).expect_err(text);
        assert!(at("env:NO_SUCH_VARIABLE_HERE").contains("NO_SUCH_VARIABLE_HERE"));
        assert!(at("file:none").contains("none: "));
        fs::write(folder.path().join("p.properties"), "a=1\n").expect("file");
        assert!(at("${file:p.properties:b}").contains("no key b"));
        assert!(demand("password", "secret").is_err_and(|e| e.contains("env:NAME")));
        assert_eq!(demand("password", "env:X"), Ok(()));
    }
}
