//! EnvVarConfigProvider: variables of the process's environment.

use std::collections::{BTreeMap, BTreeSet};

use connect_api::{Result, Settings};
use regex::Regex;

use super::{Answer, config_error};

/// The parameter with the expression that names of variables match as a whole.
pub(super) const ALLOWLIST: &str = "allowlist.pattern";

/// The environment as it was when the worker started, as far as it may be read.
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(super) fn capture(parameters: &Settings) -> Result<Self, String> {
        // Variables that are no text can be in no setting.
        let text =
            |(k, v): (std::ffi::OsString, std::ffi::OsString)| Some((k.into_string().ok()?, v.into_string().ok()?));
        Self::filter(parameters, std::env::vars_os().filter_map(text))
    }

    fn filter(parameters: &Settings, all: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let pattern = match parameters.get(ALLOWLIST) {
            Some(text) => {
                Some(Regex::new(&format!("^(?:{text})$")).map_err(|_| format!("{text:?} is no regular expression"))?)
            }
            None => None,
        };
        Ok(Self(all.filter(|(name, _)| pattern.as_ref().is_none_or(|p| p.is_match(name))).collect()))
    }

    pub(super) fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Answer> {
        if !path.is_empty() {
            return Err(config_error(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )));
        }
        let values = keys.iter().filter_map(|k| Some(((*k).to_owned(), self.0.get(*k)?.clone())));
        Ok(Answer { values: values.collect(), refused: None })
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(pattern: Option<&str>) -> Vec<String> {
        let parameters = pattern.map(|p| (ALLOWLIST, p)).into_iter().collect();
        let all = ["DB_USER", "DB_PASSWORD", "HOME"].map(|k| (k.to_owned(), "v".to_owned()));
        Environment::filter(&parameters, all.into_iter()).expect("environment").0.into_keys().collect()
    }

    #[test]
    fn the_pattern_matches_whole_names() {
        assert_eq!(filtered(None).len(), 3);
        assert_eq!(filtered(Some("DB_.*")), ["DB_PASSWORD", "DB_USER"]);
        assert!(filtered(Some("DB")).is_empty());
        let wrong = Settings::from([(ALLOWLIST, "(")]);
        assert!(Environment::filter(&wrong, std::iter::empty()).is_err_and(|e| e == "\"(\" is no regular expression"));
    }

    #[test]
    fn a_path_is_an_error() {
        let environment = Environment(BTreeMap::new());
        let e = environment.get("x", &BTreeSet::from(["y"])).expect_err("refused");
        assert_eq!(e.message(), "Path is not supported for EnvVarConfigProvider, invalid value 'x'");
    }
}
