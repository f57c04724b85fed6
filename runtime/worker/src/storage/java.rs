//! Java's serialisation of a `HashMap<byte[], byte[]>`: the file format of a standalone worker's offsets
//! (runtime.md §7.4; Java Object Serialization Specification, version 5).

use std::collections::BTreeMap;

type Offsets = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

const MAGIC: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];
const MAP_CLASS: &[u8] = b"java.util.HashMap";
const MAP_UID: u64 = 0x0507_DAC1_C316_60D1;
const BYTES_CLASS: &[u8] = b"[B";
const BYTES_UID: u64 = 0xACF3_17F8_0608_54E0;

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const ARRAY: u8 = 0x75;
const BLOCK: u8 = 0x77;
const END: u8 = 0x78;
const FIRST_HANDLE: u32 = 0x007E_0000;

/// The bytes that Java would write for such a map.
pub(crate) fn write(entries: &Offsets) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(OBJECT);
    class(&mut out, MAP_CLASS, MAP_UID, 0x03, &[(b'F', "loadFactor"), (b'I', "threshold")]);
    // Java grows its table to a power of two that the entries fill at most three quarters.
    let capacity = (entries.len() * 4 / 3 + 1).next_power_of_two().max(16);
    out.extend(0.75f32.to_be_bytes());
    out.extend(u32::try_from(capacity * 3 / 4).unwrap_or(u32::MAX).to_be_bytes());
    out.extend([BLOCK, 8]);
    out.extend(u32::try_from(capacity).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut known = false;
    let mut array = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.push(ARRAY);
        if std::mem::replace(&mut known, true) {
            // Handles: HashMap's class, the map, then the class of byte arrays.
            out.push(REFERENCE);
            out.extend((FIRST_HANDLE + 2).to_be_bytes());
        } else {
            class(out, BYTES_CLASS, BYTES_UID, 0x02, &[]);
        }
        out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(bytes);
    };
    for (key, value) in entries {
        array(&mut out, key);
        match value {
            Some(value) => array(&mut out, value),
            None => out.push(NULL),
        }
    }
    out.push(END);
    out
}

fn class(out: &mut Vec<u8>, name: &[u8], uid: u64, flags: u8, fields: &[(u8, &str)]) {
    out.push(CLASS);
    out.extend((name.len() as u16).to_be_bytes());
    out.extend(name);
    out.extend(uid.to_be_bytes());
    out.push(flags);
    out.extend((fields.len() as u16).to_be_bytes());
    for (kind, field) in fields {
        out.push(*kind);
        out.extend((field.len() as u16).to_be_bytes());
        out.extend(field.as_bytes());
    }
    out.extend([END, NULL]);
}

/// Reads what Java wrote; the error says what was found instead.
pub(crate) fn read(bytes: &[u8]) -> Result<Offsets, String> {
    let mut r = Reader { bytes, at: 0, byte_arrays: None, handles: 0, arrays: Vec::new() };
    if r.take(4)? != MAGIC {
        return Err("it is not a Java object stream".into());
    }
    r.expect(OBJECT, "an object")?;
    let name = r.class()?;
    if name != MAP_CLASS {
        return Err(format!("Expected HashMap but found class {}", String::from_utf8_lossy(&name)));
    }
    r.new_handle();
    r.take(8)?;
    r.expect(BLOCK, "the map's size")?;
    r.expect(8, "the map's size")?;
    r.take(4)?;
    let size = r.u32()?;
    let mut entries = Offsets::new();
    for _ in 0..size {
        let Some(key) = r.array()? else { return Err("a key is null".into()) };
        let value = r.array()?;
        entries.insert(key, value);
    }
    r.expect(END, "the end of the map")?;
    Ok(entries)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    byte_arrays: Option<u32>,
    handles: u32,
    arrays: Vec<(u32, Vec<u8>)>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends early, at byte {}", self.bytes.len()))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<usize, String> {
        let b = self.take(2)?;
        Ok(usize::from(u16::from_be_bytes([b[0], b[1]])))
    }

    fn u32(&mut self) -> Result<u32, String> {
        let b = self.take(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), String> {
        let at = self.at;
        match self.byte()? {
            b if b == byte => Ok(()),
            b => Err(format!("expected {what} at byte {at} but found 0x{b:02x}")),
        }
    }

    fn new_handle(&mut self) -> u32 {
        self.handles += 1;
        FIRST_HANDLE + self.handles - 1
    }

    /// A class description; its name.
    fn class(&mut self) -> Result<Vec<u8>, String> {
        self.expect(CLASS, "a class")?;
        let length = self.u16()?;
        let name = self.take(length)?.to_vec();
        self.take(9)?;
        self.new_handle();
        for _ in 0..self.u16()? {
            self.byte()?;
            let length = self.u16()?;
            self.take(length)?;
        }
        self.expect(END, "the end of a class")?;
        self.expect(NULL, "no super class")?;
        Ok(name)
    }

    fn array(&mut self) -> Result<Option<Vec<u8>>, String> {
        let at = self.at;
        match self.byte()? {
            NULL => Ok(None),
            REFERENCE => {
                let handle = self.u32()?;
                let known = self.arrays.iter().find(|(h, _)| *h == handle);
                known.map(|(_, a)| Some(a.clone())).ok_or_else(|| format!("unknown reference at byte {at}"))
            }
            ARRAY => {
                if self.bytes.get(self.at) == Some(&REFERENCE) {
                    self.byte()?;
                    let handle = self.u32()?;
                    if self.byte_arrays != Some(handle) {
                        return Err(format!("unknown class at byte {at}"));
                    }
                } else {
                    let handle = FIRST_HANDLE + self.handles;
                    let name = self.class()?;
                    if name != BYTES_CLASS {
                        return Err(format!("expected byte arrays but found class {}", String::from_utf8_lossy(&name)));
                    }
                    self.byte_arrays = Some(handle);
                }
                let handle = self.new_handle();
                let length = self.u32()? as usize;
                let array = self.take(length)?.to_vec();
                self.arrays.push((handle, array.clone()));
                Ok(Some(array))
            }
            b => Err(format!("expected a byte array at byte {at} but found 0x{b:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Offsets {
        let mut entries = Offsets::new();
        entries.insert(br#"["c",{"filename":"/a"}]"#.to_vec(), Some(br#"{"position":12}"#.to_vec()));
        entries.insert(br#"["c",{"filename":"/b"}]"#.to_vec(), None);
        entries
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(&sample())), Ok(sample()));
        assert_eq!(read(&write(&Offsets::new())), Ok(Offsets::new()));
    }

    #[test]
    fn cut_and_changed_streams_are_errors() {
        let good = write(&sample());
        for n in 0..good.len() {
            assert!(read(&good[..n]).is_err(), "{n} bytes");
        }
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0xFF;
            // Anything but a panic or a huge allocation.
            let _ = read(&bad);
        }
        assert!(read(b"{}").is_err());
    }
}
