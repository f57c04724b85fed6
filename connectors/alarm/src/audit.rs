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
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = kernel.or_else(|| variable("HOSTNAME")).unwrap_or_default();
        let user = user.map(str::trim).filter(|name| !name.is_empty()).map_or_else(account, str::to_owned);
        let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
        Self { user: user.into(), host: host.into(), producer }
    }

    /// Sets the three headers in place of those that are there.
    pub fn stamp(&self, headers: &mut Headers) {
        for (key, text) in [(USER, &self.user), (PRODUCER, &self.producer), (HOST, &self.host)] {
            headers.remove(key);
            headers.add_string(key, text.clone());
        }
    }
}

/// The account of this process: what the session says, else the name of its user id, else that id.
pub fn account() -> String {
    let id = rustix::process::getuid().as_raw();
    let said = variable("USER").or_else(|| variable("LOGNAME"));
    let known = || name_of(&std::fs::read_to_string("/etc/passwd").ok()?, id);
    said.map(|name| name.trim().to_owned()).or_else(known).unwrap_or_else(|| id.to_string())
}

/// A variable that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// The name of a user id in the lines of passwd(5): `name:password:id:…`.
fn name_of(accounts: &str, id: u32) -> Option<String> {
    let named = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next().filter(|name| !name.is_empty() && !name.starts_with(['+', '-', '#']))?;
        (parts.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    };
    accounts.lines().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_ids() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\n+nis:x:7:7::/:\nops:x:7:7:Operator:/home/ops:/bin/sh\n";
        assert_eq!(name_of(accounts, 0).as_deref(), Some("root"));
        assert_eq!(name_of(accounts, 7).as_deref(), Some("ops"));
        assert_eq!(name_of(accounts, 1), None);
    }

    #[test]
    fn no_header_is_empty() {
        let audit = Audit::of_process("ca".into(), Some(" "));
        assert!(!audit.user.is_empty() && !audit.host.is_empty());
        assert_eq!(&*Audit::of_process("ca".into(), Some("ops")).user, "ops");
    }
}
