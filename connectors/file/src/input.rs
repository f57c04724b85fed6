//! Bytes of a file: as they are, or unpacked.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

/// What a file compressed by gzip begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// So many bytes are passed over at once, so that a large file holds up nobody.
const STRIDE: u64 = 8 * 1024 * 1024;

/// A file to read.
#[derive(Debug)]
pub struct Input {
    file: File,
    unpacked: Option<Unpacked>,
}

/// The contents of a file that is compressed.
#[derive(Debug)]
struct Unpacked {
    decoder: MultiGzDecoder<BufReader<Shared>>,
    /// Bytes of the contents that were read.
    at: u64,
    /// Length of the file when its contents came to an end.
    ended: Option<u64>,
    /// Whether that end was in the middle of the compressed data.
    is_cut: bool,
}

impl Input {
    /// Of an open file, whose name may say that it is compressed. One that is still empty counts as what its name says.
    pub fn new(file: File, path: &Path, unpack: bool) -> io::Result<Self> {
        let mut begins = [0; MAGIC.len()];
        let is_compressed = unpack
            && path.extension() == Some(OsStr::new("gz"))
            && match file.read_at(&mut begins, 0)? {
                read if read < MAGIC.len() => begins[..read] == MAGIC[..read],
                _ => begins == MAGIC,
            };
        let unpacked = if is_compressed { Some(Unpacked::new(&file)?) } else { None };
        Ok(Self { file, unpacked })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether positions are those of the contents and not of the file.
    pub fn is_compressed(&self) -> bool {
        self.unpacked.is_some()
    }

    /// Whether the contents ended, when last read, in the middle of the compressed data.
    pub fn is_cut(&self) -> bool {
        self.unpacked.as_ref().is_some_and(|unpacked| unpacked.is_cut)
    }

    /// Whether there may be anything behind a position.
    pub fn has_more(&self, at: u64) -> io::Result<bool> {
        let length = self.file.metadata()?.size();
        Ok(self.unpacked.as_ref().map_or(length > at, |unpacked| unpacked.ended != Some(length)))
    }

    /// Reads from a position on; 0 at the end. `None` asks to be called again: it is on its way there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where compressed data is damaged, which is its end from then on.
    pub fn read_at(&mut self, room: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        match &mut self.unpacked {
            None => self.file.read_at(room, at).map(Some),
            Some(unpacked) => unpacked.read_at(&self.file, room, at),
        }
    }
}

impl Unpacked {
    fn new(file: &File) -> io::Result<Self> {
        let decoder = MultiGzDecoder::new(BufReader::new(Shared { file: file.try_clone()?, at: 0 }));
        Ok(Self { decoder, at: 0, ended: None, is_cut: false })
    }

    fn read_at(&mut self, file: &File, room: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        let length = file.metadata()?.size();
        if self.ended == Some(length) {
            return Ok(Some(0));
        }
        // A decoder does not go on behind an end, and never back.
        if self.ended.is_some() || self.at > at {
            *self = Self::new(file)?;
        }
        if self.at < at {
            let stride = (at - self.at).min(STRIDE);
            let mut passed = (&mut self.decoder).take(stride);
            let copied = io::copy(&mut passed, &mut io::sink());
            let read = self.end_or_error(copied, length)?;
            self.at += read;
            if read == stride {
                return Ok(None);
            }
            // It is shorter than it was.
            self.ended.get_or_insert(length);
            return Ok(Some(0));
        }
        let read = self.decoder.read(room).map(|n| n as u64);
        let read = self.end_or_error(read, length)?;
        if read == 0 && self.ended.is_none() {
            self.ended = Some(length);
        }
        self.at += read;
        Ok(Some(usize::try_from(read).unwrap_or_default()))
    }

    fn end_or_error(&mut self, read: io::Result<u64>, length: u64) -> io::Result<u64> {
        match read {
            Ok(read) => Ok(read),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                (self.ended, self.is_cut) = (Some(length), true);
                Ok(0)
            }
            // Not all of flate2's errors are of one kind. What is behind the damage cannot be read, ever.
            Err(e) if e.raw_os_error().is_none() => {
                self.ended = Some(length);
                Err(io::Error::new(io::ErrorKind::InvalidData, e))
            }
            Err(e) => Err(e),
        }
    }
}

/// A file that is read by its own positions, as all clones of a file share theirs.
#[derive(Debug)]
struct Shared {
    file: File,
    at: u64,
}

impl Read for Shared {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).expect("packed");
        encoder.finish().expect("packed")
    }

    fn input(folder: &Path, name: &str, bytes: &[u8]) -> Input {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("file");
        Input::new(File::open(&path).expect("file"), &path, true).expect("input")
    }

    fn rest(input: &mut Input, mut at: u64) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let mut room = [0; 1000];
            match input.read_at(&mut room, at)? {
                None => {}
                Some(0) => return Ok(all),
                Some(n) => {
                    all.extend_from_slice(&room[..n]);
                    at += n as u64;
                }
            }
        }
    }

    #[test]
    fn only_what_is_named_so_and_begins_so_is_unpacked() {
        let dir = tempfile::tempdir().expect("folder");
        let (text, gz) = (b"one\ntwo\n".as_slice(), packed(b"one\ntwo\n"));
        for (name, bytes, compressed) in
            [("a.gz", &*gz, true), ("a", &gz, false), ("b.gz", text, false), ("c.gz", b"", true), ("d", text, false)]
        {
            let mut input = input(dir.path(), name, bytes);
            assert_eq!(input.is_compressed(), compressed, "{name}");
            let expected = if name == "a.gz" { text } else { bytes };
            assert_eq!(rest(&mut input, 0).expect("contents"), expected, "{name}");
        }
    }

    #[test]
    fn contents_are_read_from_any_position_and_go_on_when_the_file_grows() {
        let dir = tempfile::tempdir().expect("folder");
        let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut large = input(dir.path(), "a.gz", &packed(&content));
        assert_eq!(rest(&mut large, 19_999_000).expect("end"), content[19_999_000..]);
        assert_eq!(rest(&mut large, 20_000_000).expect("end"), b"");

        let (first, second) = (packed(b"first\n"), packed(b"second\n"));
        let mut growing = input(dir.path(), "b.gz", &first[..first.len() - 9]);
        let begun = rest(&mut growing, 0).expect("what is there");
        assert!(b"first\n".starts_with(&begun) && growing.is_cut(), "{begun:?}");
        fs::write(dir.path().join("b.gz"), &first).expect("file");
        assert_eq!(rest(&mut growing, 2).expect("contents"), b"rst\n");
        assert!(!growing.is_cut());
        let both = [first, second].concat();
        fs::write(dir.path().join("b.gz"), &both).expect("file");
        assert_eq!(rest(&mut growing, 6).expect("contents"), b"second\n");
    }

    #[test]
    fn damaged_data_is_an_error() {
        let dir = tempfile::tempdir().expect("folder");
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(n) % 251) as u8).collect();
        let mut bytes = packed(&content);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8].fill(0xff);
        let mut damaged = input(dir.path(), "a.gz", &bytes);
        assert_eq!(rest(&mut damaged, 0).expect_err("damaged").kind(), io::ErrorKind::InvalidData);
        assert_eq!(damaged.read_at(&mut [0; 10], 50_000).expect("its end"), Some(0));
    }
}
