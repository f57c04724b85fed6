//! Who wrote an alarm, in the headers that JLab's scripts show.

use std::sync::Arc;

use connect_api::Headers;

const USER: &str = "user";
const PRODUCER: &str = "producer";
const HOST: &str = "host";

/// Who writes: the headers `user`, `producer` and `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// A person's or a service's account.
    pub user: Arc<str>,
    /// The program, here a connector.
    pub producer: Arc<str>,
    /// The machine.
    pub host: Arc<str>,
}

impl Audit {
    /// The account and machine of this process; `user` goes before the account.
    pub fn of_process(producer: Arc<str>, user: Option<&str>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = kernel.or_else(|| variable("HOSTNAME")).unwrap_or_default();
        let user = user.map(str::to_owned).or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let or = |text: &str, other: &str| Arc::from(if text.trim().is_empty() { other } else { text.trim() });
        Self { user: or(&user.unwrap_or_default(), "tocsin"), host: or(&host, "localhost"), producer }
    }

    /// Sets the three headers in place of those that are there.
    pub fn stamp(&self, headers: &mut Headers) {
        for (key, text) in [(USER, &self.user), (PRODUCER, &self.producer), (HOST, &self.host)] {
            headers.remove(key);
            headers.add_string(key, text.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_is_empty() {
        let audit = Audit::of_process("ca".into(), Some(" "));
        assert!(!audit.user.is_empty() && !audit.host.is_empty());
        assert_eq!(&*Audit::of_process("ca".into(), Some("ops")).user, "ops");
    }
}
