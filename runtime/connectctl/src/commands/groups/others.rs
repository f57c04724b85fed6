//! Groups that are none of consumers, as far as it is known what their members say: Kafka Connect's workers tell each other
//! their addresses and who runs which connectors and tasks.
//!
//! The bytes are those of Kafka Connect's `ConnectProtocol` and `IncrementalCooperativeConnectProtocol`: numbers with the
//! highest byte first, texts and lists with their lengths before them.

use connect_kafka::{OtherGroup, OtherMember};
use serde::Serialize;

use crate::{
    page::Page,
    paint::{Tone, paint},
};

/// The protocol type of Kafka Connect's workers.
const CONNECT: &str = "connect";
/// The number of a task that stands for the connector itself.
const CONNECTOR: i32 = -1;

/// What a member is and does.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Member {
    client: String,
    id: String,
    host: String,
    /// Address of its REST API; null where it is not known, here and below.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Whether it decides who runs what.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<bool>,
    /// How many connectors it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    connectors: Option<usize>,
    /// How many tasks it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<usize>,
}

/// A group of another kind.
#[derive(Debug, Serialize)]
pub(super) struct DescribedOther {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    assignor: Option<String>,
    members: Vec<Member>,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.i16()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

/// The address in what a worker says of itself.
fn url(metadata: &[u8]) -> Option<String> {
    let mut bytes = Bytes(metadata);
    let _version = bytes.i16()?;
    bytes.text()
}

/// The leader's id, and how many connectors and tasks a worker was given.
fn work(assignment: &[u8]) -> Option<(String, usize, usize)> {
    let mut bytes = Bytes(assignment);
    let (_version, _error) = (bytes.i16()?, bytes.i16()?);
    let (leader, _url, _config_offset) = (bytes.text()?, bytes.text()?, bytes.take(8)?);
    let (mut connectors, mut tasks) = (0, 0);
    // A list that is not there has the length -1.
    for _ in 0..bytes.i32()? {
        let _connector = bytes.text()?;
        for _ in 0..bytes.i32()? {
            *(if bytes.i32()? == CONNECTOR { &mut connectors } else { &mut tasks }) += 1;
        }
    }
    Some((leader, connectors, tasks))
}

impl Member {
    fn new(member: OtherMember, kind: &str) -> Self {
        let work = Some(&member.assignment).filter(|_| kind == CONNECT).and_then(|bytes| work(bytes));
        Self {
            url: Some(&member.metadata).filter(|_| kind == CONNECT).and_then(|bytes| url(bytes)),
            leader: work.as_ref().map(|(leader, _, _)| *leader == member.id),
            connectors: work.as_ref().map(|(_, connectors, _)| *connectors),
            tasks: work.as_ref().map(|(_, _, tasks)| *tasks),
            client: member.client,
            id: member.id,
            host: member.host,
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{} at {}", self.client, self.host);
        if let Some(url) = &self.url {
            line.push_str(&format!(", {url}"));
        }
        if let (Some(connectors), Some(tasks)) = (self.connectors, self.tasks) {
            let s = |n: usize| if n == 1 { "" } else { "s" };
            line.push_str(&format!(", runs {connectors} connector{} and {tasks} task{}", s(connectors), s(tasks)));
        }
        if self.leader == Some(true) {
            line.push_str(", leads");
        }
        line
    }
}

impl DescribedOther {
    pub(super) fn new(group: OtherGroup) -> Self {
        Self {
            members: group.members.into_iter().map(|member| Member::new(member, &group.kind)).collect(),
            name: group.name,
            state: group.state,
            assignor: Some(group.protocol).filter(|protocol| !protocol.is_empty()),
            kind: group.kind,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn write(&self, page: &mut Page) {
        page.line(0, &paint(Tone::Strong, &self.name));
        page.entry("type", &self.kind);
        page.entry("state", &self.state);
        if let Some(assignor) = &self.assignor {
            page.entry("assignor", assignor);
        }
        for member in &self.members {
            page.entry("member", &member.line());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend(i16::try_from(text.len()).expect("short").to_be_bytes());
        out.extend(text.as_bytes());
    }

    fn metadata() -> Vec<u8> {
        let mut out = 1_i16.to_be_bytes().to_vec();
        text(&mut out, "http://w:8083/");
        out.extend(7_i64.to_be_bytes());
        out
    }

    fn assignment(leader: &str) -> Vec<u8> {
        let mut out = [1_i16.to_be_bytes(), 0_i16.to_be_bytes()].concat();
        text(&mut out, leader);
        text(&mut out, "http://w:8083/");
        out.extend(7_i64.to_be_bytes());
        out.extend(2_i32.to_be_bytes());
        for (name, tasks) in [("a", &[-1, 0, 1][..]), ("b", &[0])] {
            text(&mut out, name);
            out.extend(i32::try_from(tasks.len()).expect("few").to_be_bytes());
            tasks.iter().for_each(|task: &i32| out.extend(task.to_be_bytes()));
        }
        // Nothing is revoked, without delay.
        out.extend([(-1_i32).to_be_bytes(), 0_i32.to_be_bytes()].concat());
        out
    }

    fn group(kind: &str, metadata: Vec<u8>, assignment: Vec<u8>) -> String {
        let member = OtherMember {
            id: "m-1".into(),
            client: "connect-1".into(),
            host: "/10.0.0.1".into(),
            metadata,
            assignment,
        };
        let group = OtherGroup {
            name: "plant".into(),
            state: "Stable".into(),
            kind: kind.into(),
            protocol: "sessioned".into(),
            members: vec![member],
        };
        let mut page = Page::new(None);
        DescribedOther::new(group).write(&mut page);
        resolve(&page.text, false)
    }

    #[test]
    fn workers_are_shown_with_what_they_run() {
        let expected = "\
plant
  type          connect
  state         Stable
  assignor      sessioned
  member        connect-1 at /10.0.0.1, http://w:8083/, runs 1 connector and 3 tasks, leads
";
        assert_eq!(group("connect", metadata(), assignment("m-1")), expected);
        assert!(!group("connect", metadata(), assignment("m-2")).contains("leads"));
    }

    #[test]
    fn what_cannot_be_decoded_is_left_out() {
        let plain = "member        connect-1 at /10.0.0.1\n";
        let whole = assignment("m-1");
        for (kind, metadata, assignment) in [
            ("connect", Vec::new(), Vec::new()),
            ("connect", vec![0, 1, 255, 255], vec![0; 3]),
            ("connect", vec![0, 1, 0, 2, 255, 254], whole[..whole.len() - 12].to_vec()),
            ("other", metadata(), whole.clone()),
        ] {
            let shown = group(kind, metadata, assignment);
            assert!(shown.ends_with(plain), "{shown}");
        }
    }
}
