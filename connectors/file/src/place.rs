//! Where a task stands, and in which file: what a source offset says.

use std::{fs::File, io, os::unix::fs::FileExt};

use connect_api::{Error, OffsetMap, Result};

/// So many bytes at the beginning tell files apart.
pub(crate) const HEAD: usize = 1024;

/// A place in a file. Kafka's own connector writes the position alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes behind the last line that was handed over.
    pub position: u64,
    /// The file in which it is, as far as it is known.
    pub identity: Option<Identity>,
    /// Where it is the end of the file: when that was last written to, in milliseconds since 1970.
    pub ended: Option<i64>,
}

/// What is known of a file that may have been renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The file's number in its file system. It may be given to another file when this one is gone. The device is not
    /// noted: its number changes with restarts of a machine or a container.
    pub inode: u64,
    /// Length and hash of the file's beginning.
    pub head: (usize, u64),
}

impl Place {
    /// The place that a source offset stands for.
    pub fn from_offset(offset: &OffsetMap) -> Result<Self> {
        let position = offset.get("position").map_or(Some(0), serde_json::Value::as_u64);
        let position = position.ok_or_else(|| Error::fatal("Offset position is the incorrect type"))?;
        let text = |name: &str| offset.get(name).and_then(|v| v.as_str());
        let head = text("head").and_then(|head| {
            let (length, hash) = head.split_once(':')?;
            Some((length.parse().ok().filter(|n| *n <= HEAD)?, u64::from_str_radix(hash, 16).ok()?))
        });
        let inode = text("inode").and_then(|inode| inode.parse().ok());
        let identity = inode.zip(head).map(|(inode, head)| Identity { inode, head });
        let ended = offset.get("ended").and_then(serde_json::Value::as_i64);
        Ok(Self { position, identity, ended })
    }

    /// The place as a source offset.
    pub fn to_offset(&self) -> OffsetMap {
        let mut offset = OffsetMap::new();
        offset.insert("position".into(), self.position.into());
        if let Some(Identity { inode, head: (length, hash) }) = &self.identity {
            offset.insert("inode".into(), inode.to_string().into());
            offset.insert("head".into(), format!("{length}:{hash:016x}").into());
        }
        if let Some(ended) = self.ended {
            offset.insert("ended".into(), ended.into());
        }
        offset
    }
}

/// The first bytes of a file, as far as they were handed over.
#[derive(Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
    hash: u64,
}

impl Head {
    /// Reads what the task has handed over of a file in which it stands at that position.
    pub fn read(file: &File, position: u64) -> io::Result<Self> {
        let mut head = Self::default();
        head.extend(&beginning(file, usize::try_from(position).unwrap_or(HEAD).min(HEAD))?);
        Ok(head)
    }

    /// Adds what was handed over, from the beginning on.
    pub fn extend(&mut self, bytes: &[u8]) {
        let room = HEAD - self.bytes.len();
        if room > 0 {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.hash = hash(&self.bytes);
        }
    }

    /// Whether the file still begins so.
    pub fn matches(&self, file: &File) -> io::Result<bool> {
        Ok(beginning(file, self.bytes.len())? == self.bytes)
    }

    /// Length and hash.
    pub fn fingerprint(&self) -> (usize, u64) {
        (self.bytes.len(), self.hash)
    }
}

/// Whether a file begins with what a fingerprint was made of.
pub fn has_fingerprint(file: &File, (length, expected): (usize, u64)) -> io::Result<bool> {
    let head = beginning(file, length)?;
    Ok(head.len() == length && (length == 0 || hash(&head) == expected))
}

/// The first bytes of a file, fewer when it is shorter.
fn beginning(file: &File, length: usize) -> io::Result<Vec<u8>> {
    let (mut head, mut read) = (vec![0; length], 0);
    while read < length {
        match file.read_at(&mut head[read..], read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    head.truncate(read);
    Ok(head)
}

/// Whether bytes begin with what a fingerprint was made of.
pub fn begins_with(bytes: &[u8], (length, expected): (usize, u64)) -> bool {
    bytes.get(..length).is_some_and(|head| hash(head) == expected)
}

/// FNV-1a: the same in every version, which the standard library's hashes do not promise.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn map(value: Value) -> OffsetMap {
        value.as_object().cloned().expect("a map")
    }

    #[test]
    fn places_go_through_offsets_and_kafkas_own_offsets_are_understood() {
        let place = Place { position: 7, identity: Some(Identity { inode: u64::MAX, head: (7, 0xab) }), ended: None };
        let offset = place.to_offset();
        assert_eq!(
            Value::from(offset.clone()),
            json!({"position": 7, "inode": "18446744073709551615", "head": "7:00000000000000ab"})
        );
        assert_eq!(Place::from_offset(&offset).expect("ours"), place);
        let kafkas = Place::from_offset(&map(json!({"position": 9}))).expect("kafka's");
        assert_eq!(kafkas, Place { position: 9, identity: None, ended: None });
        let e = Place::from_offset(&map(json!({"position": "9"}))).expect_err("text");
        assert_eq!(e.message(), "Offset position is the incorrect type");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn files_are_told_apart_by_their_beginning() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("f");
        std::fs::write(&path, "one\ntwo\n").expect("file");
        let file = File::open(&path).expect("file");
        let mut head = Head::default();
        head.extend(b"one\n");
        assert!(head.matches(&file).expect("read") && has_fingerprint(&file, head.fingerprint()).expect("read"));
        assert_eq!(Head::read(&file, 4).expect("read").fingerprint(), head.fingerprint());
        for other in ["two\none\n", "on"] {
            std::fs::write(&path, other).expect("file");
            assert!(!head.matches(&file).expect("read"), "{other}");
            assert!(!has_fingerprint(&file, head.fingerprint()).expect("read"), "{other}");
        }
    }
}
