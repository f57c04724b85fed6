//! What brokers tell of their version.

use std::time::Duration;

use connect_api::Result;

use crate::{
    admin::Admin,
    resource::{Resource, ResourceSetting},
};

impl Admin {
    /// What a broker's settings say of its version, in words; `None` where they say nothing.
    ///
    /// Kafka's protocol has no request for it. Brokers before 4.0 have `inter.broker.protocol.version`, whose default is the
    /// newest that they know; 4.0 removed it.
    pub async fn version(&self, broker: i32, limit: Duration) -> Result<Option<String>> {
        let all = self.settings(&[Resource::Broker(broker)], limit).await?;
        let found = all.into_iter().next().transpose()?.unwrap_or_default();
        Ok(version_told_by(&found))
    }
}

/// As [`Admin::version`], of settings that are there already.
pub fn version_told_by(settings: &[ResourceSetting]) -> Option<String> {
    let setting = |key: &str| settings.iter().find(|s| s.key == key)?.value.as_deref();
    version_of(setting("inter.broker.protocol.version"), setting("process.roles"))
}

/// `roles` is a setting that every broker without ZooKeeper has.
fn version_of(protocol: Option<&str>, roles: Option<&str>) -> Option<String> {
    match (protocol, roles) {
        // As in 3.9-IV0, the last of the versions that the release has made.
        (Some(protocol), _) => Some(format!("protocol {}", protocol.split("-IV").next().unwrap_or(protocol))),
        (None, Some(_)) => Some("4.0 or newer".into()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brokers_say_of_their_version_is_not_made_more_exact_than_it_is() {
        assert_eq!(version_of(Some("3.9-IV0"), Some("broker")).as_deref(), Some("protocol 3.9"));
        assert_eq!(version_of(None, Some("broker,controller")).as_deref(), Some("4.0 or newer"));
        assert_eq!(version_of(None, None), None);
    }
}
