//! `connector.client.config.override.policy`: which settings of Kafka clients connectors may set (config.md §6.3).

use connect_api::config::{ConfigType, KeyType};

/// A policy of Kafka Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverridePolicy {
    /// Every setting.
    All,
    /// None.
    None,
    /// Who the client is.
    Principal,
}

const POLICIES: [(OverridePolicy, &str); 3] =
    [(OverridePolicy::All, "All"), (OverridePolicy::None, "None"), (OverridePolicy::Principal, "Principal")];
const SUFFIX: &str = "ConnectorClientConfigOverridePolicy";
const PACKAGE: &str = "org.apache.kafka.connect.connector.policy.";

impl OverridePolicy {
    /// Refuses a setting, named without prefix, with Kafka Connect's text.
    pub fn check(self, key: &str) -> Result<(), String> {
        let (allowed, name) = match self {
            Self::All => return Ok(()),
            Self::None => (false, "None"),
            Self::Principal => {
                (["sasl.jaas.config", "sasl.mechanism", "security.protocol"].contains(&key), "Principal")
            }
        };
        if allowed {
            return Ok(());
        }
        Err(format!("The '{name}' policy does not allow '{key}' to be overridden in the connector configuration."))
    }
}

impl ConfigType for OverridePolicy {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        let simple = text.strip_prefix(PACKAGE).unwrap_or(text);
        let short = simple.strip_suffix(SUFFIX).unwrap_or(simple);
        let found = POLICIES.iter().find(|(_, name)| *name == short);
        found.map(|(policy, _)| *policy).ok_or_else(|| "it is none of All, None, Principal".to_owned())
    }

    fn options() -> Vec<String> {
        POLICIES.map(|(_, name)| name.to_owned()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_known_by_each_name() {
        for name in [
            "Principal",
            "PrincipalConnectorClientConfigOverridePolicy",
            "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy",
        ] {
            assert_eq!(OverridePolicy::parse(name), Ok(OverridePolicy::Principal), "{name}");
        }
        assert!(OverridePolicy::parse("all").is_err());
    }

    #[test]
    fn settings_are_refused_with_kafka_connects_text() {
        assert_eq!(
            OverridePolicy::None.check("acks"),
            Err("The 'None' policy does not allow 'acks' to be overridden in the connector configuration.".into())
        );
        assert!(OverridePolicy::Principal.check("linger.ms").is_err_and(|e| e.contains("'Principal'")));
        assert_eq!(OverridePolicy::Principal.check("sasl.mechanism"), Ok(()));
        assert_eq!(OverridePolicy::All.check("acks"), Ok(()));
    }
}
