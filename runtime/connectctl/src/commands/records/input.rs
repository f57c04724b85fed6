//! Texts to send: from the command line, from files, from standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    thread,
};

use tokio::sync::mpsc;

use crate::error::Failure;

/// A text and where it stands, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// Where the texts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Given(Vec<String>),
    /// The lines of files; `-` is standard input. Empty lines are left out.
    Lines(Vec<PathBuf>),
    /// Whole files, each one text.
    Whole(Vec<PathBuf>),
}

/// So many texts wait at most.
const AHEAD: usize = 1000;

type Texts = mpsc::Receiver<Result<Text, Failure>>;

impl Source {
    /// Reads them on a thread of its own, for standard input may have nothing for long. An error is the last thing that comes.
    pub(crate) fn texts(self) -> Result<Texts, Failure> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let read = move || {
            let done = match self {
                Self::Given(all) => all.into_iter().enumerate().try_for_each(|(at, text)| {
                    let place = format!("value {}", at + 1);
                    sender.blocking_send(Ok(Text { place, text })).map_err(|_| None)
                }),
                Self::Lines(paths) => paths.iter().try_for_each(|path| lines(path, &sender)),
                Self::Whole(paths) => paths.iter().try_for_each(|path| whole(path, &sender)),
            };
            if let Err(Some(failure)) = done {
                // Whoever waited may have given up.
                let _ = sender.blocking_send(Err(failure));
            }
        };
        let spawned = thread::Builder::new().name("input".into()).spawn(read);
        spawned.map_err(|e| Failure::Failed(format!("starting to read: {e}")))?;
        Ok(receiver)
    }
}

fn open(path: &Path) -> io::Result<(String, Box<dyn Read>)> {
    Ok(match path.to_str() {
        Some("-") => ("standard input".into(), Box::new(io::stdin())),
        _ => (path.display().to_string(), Box::new(File::open(path)?)),
    })
}

fn failed(path: &Path, e: &io::Error) -> Option<Failure> {
    Some(Failure::Failed(format!("reading {}: {e}", path.display())))
}

fn text(bytes: Vec<u8>, place: &str) -> Result<String, Option<Failure>> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to() + 1;
        let text = format!("{place}: it is not UTF-8 at byte {at}; it was not sent, nor what stands behind it");
        Some(Failure::Failed(text))
    })
}

/// No failure is told where nobody waits any more.
fn lines(path: &Path, sender: &mpsc::Sender<Result<Text, Failure>>) -> Result<(), Option<Failure>> {
    let (name, file) = open(path).map_err(|e| failed(path, &e))?;
    for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
        let mut line = line.map_err(|e| failed(path, &e))?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.is_empty() {
            let place = format!("line {} of {name}", number + 1);
            let text = text(line, &place)?;
            sender.blocking_send(Ok(Text { place, text })).map_err(|_| None)?;
        }
    }
    Ok(())
}

fn whole(path: &Path, sender: &mpsc::Sender<Result<Text, Failure>>) -> Result<(), Option<Failure>> {
    let (place, mut file) = open(path).map_err(|e| failed(path, &e))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
    let text = text(bytes, &place)?;
    sender.blocking_send(Ok(Text { place, text })).map_err(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: Source) -> Vec<Result<Text, Failure>> {
        let mut texts = source.texts().expect("texts");
        let mut all = Vec::new();
        while let Some(text) = texts.recv().await {
            all.push(text);
        }
        all
    }

    #[tokio::test]
    async fn lines_and_files_are_read_with_their_places() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("f");
        std::fs::write(&path, "a\n\nb c").expect("file");
        let found = all(Source::Lines(vec![path.clone()])).await;
        let texts: Vec<Text> = found.into_iter().map(|t| t.expect("text")).collect();
        let place = |n: u32| format!("line {n} of {}", path.display());
        assert_eq!(texts, [Text { place: place(1), text: "a".into() }, Text { place: place(3), text: "b c".into() }]);
        let found = all(Source::Whole(vec![path.clone()])).await;
        assert_eq!(found, [Ok(Text { place: path.display().to_string(), text: "a\n\nb c".into() })]);
        let broken = folder.path().join("broken");
        std::fs::write(&broken, b"a\r\n\nb\xffc\nd\n").expect("file");
        let found = all(Source::Lines(vec![broken.clone()])).await;
        assert_eq!((found.len(), found[0].as_ref().map(|t| t.text.as_str())), (2, Ok("a")));
        let said = |found: &Result<Text, Failure>| found.as_ref().map_or_else(ToString::to_string, |t| t.text.clone());
        let expected = format!("line 3 of {}: it is not UTF-8 at byte 2; it was not sent", broken.display());
        assert!(said(&found[1]).starts_with(&expected), "{found:?}");
        let found = all(Source::Whole(vec![broken])).await;
        assert!(said(&found[0]).contains("broken: it is not UTF-8 at byte 6"), "{found:?}");
        let found = all(Source::Lines(vec![path, "/nonexistent".into()])).await;
        assert!(
            found.len() == 3 && found[2].as_ref().is_err_and(|e| e.to_string().contains("/nonexistent")),
            "{found:?}"
        );
    }
}
