//! SAL interfaces in files and folders, as Avro schemas: what `salschema convert` does.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use roxmltree::Document;
use thiserror::Error;

use crate::topic::{Topic, Wrong};

/// The folder that has the interfaces, in their repository.
const INTERFACES: &str = "sal_interfaces";

/// What to do about a topic that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Go on with the others.
    #[default]
    GoOn,
    /// Stop there.
    Stop,
}

/// What cannot be converted, or written.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// A file or a folder.
    #[error("reading {path}", path = path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is no XML.
    #[error("reading {path}: it is not the XML of a SAL interface", path = path.display())]
    Xml {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: roxmltree::Error,
    },
    /// A topic.
    #[error("converting {path}: {place}: {reason}", path = path.display(), place = place(.topic.as_deref(), .item.as_deref()))]
    Topic {
        /// In which file.
        path: PathBuf,
        /// Name of the topic, if it has one.
        topic: Option<String>,
        /// Name of the item, or its number if it has none.
        item: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// Two topics of one name.
    #[error("converting {path}: topic {topic}: {first} has a topic of that name as well", path = path.display(), first = first.display())]
    Twice {
        /// In which file.
        path: PathBuf,
        /// Name of the topic.
        topic: String,
        /// The file that came first.
        first: PathBuf,
    },
    /// A schema that cannot be written.
    #[error("writing {path}", path = path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn place(topic: Option<&str>, item: Option<&str>) -> String {
    let topic = topic.map_or_else(|| "a topic".to_owned(), |name| format!("topic {name}"));
    item.map_or(topic.clone(), |name| format!("{topic}, item {name}"))
}

/// What became of interfaces.
#[derive(Debug, Default)]
pub struct Conversion {
    /// The topics, by the names of their files, then as they are in them.
    pub topics: Vec<Topic>,
    /// What could not be converted.
    pub errors: Vec<ConvertError>,
}

/// Converts the topics of these files and folders: of a folder all `.xml` files below it, or below its `sal_interfaces`
/// where it has one. Topics of the same name are an error of the second.
pub fn convert(paths: &[PathBuf], on_error: OnError) -> Conversion {
    let mut made = Conversion::default();
    let mut from: BTreeMap<String, PathBuf> = BTreeMap::new();
    let stops = |made: &Conversion| on_error == OnError::Stop && !made.errors.is_empty();
    for path in paths {
        for file in files(path) {
            match file.and_then(|file| Ok((topics(&file)?, file))) {
                Err(e) => made.errors.push(e),
                Ok((topics, file)) => {
                    for topic in topics {
                        match topic {
                            Err(e) => made.errors.push(e),
                            Ok(topic) => match from.insert(topic.name.clone(), file.clone()) {
                                None => made.topics.push(topic),
                                Some(first) => {
                                    let path = file.clone();
                                    made.errors.push(ConvertError::Twice { path, topic: topic.name, first });
                                }
                            },
                        }
                        if stops(&made) {
                            return made;
                        }
                    }
                }
            }
            if stops(&made) {
                return made;
            }
        }
    }
    made
}

/// Writes a topic's schema as `NAME.json` into a folder, which is made if need be, and answers where.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(topic: &Topic, folder: &Path) -> Result<PathBuf, ConvertError> {
    let path = folder.join(format!("{}.json", topic.name));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, topic.text()));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(ConvertError::Write { path, source }),
    }
}

/// The file itself, or the files of a folder in the order of their names.
fn files(path: &Path) -> Vec<Result<PathBuf, ConvertError>> {
    if !path.is_dir() {
        return vec![Ok(path.to_owned())];
    }
    let interfaces = path.join(INTERFACES);
    let mut found = Vec::new();
    below(if interfaces.is_dir() { &interfaces } else { path }, &mut found);
    found
}

fn below(folder: &Path, found: &mut Vec<Result<PathBuf, ConvertError>>) {
    let failed = |source| ConvertError::Read { path: folder.to_owned(), source };
    let entries =
        fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => return found.push(Err(failed(e))),
    };
    entries.sort();
    for path in entries {
        // A link to a folder could lead back here.
        if path.is_dir() && !path.is_symlink() {
            below(&path, found);
        } else if path.is_file() && path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xml")) {
            found.push(Ok(path));
        }
    }
}

fn topics(path: &Path) -> Result<Vec<Result<Topic, ConvertError>>, ConvertError> {
    let text = fs::read_to_string(path).map_err(|source| ConvertError::Read { path: path.to_owned(), source })?;
    // Some editors put it in front of UTF-8; others leave blanks in front of the declaration, which XML forbids.
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let document = Document::parse(text).map_err(|source| ConvertError::Xml { path: path.to_owned(), source })?;
    let of_file = |Wrong { topic, item, reason }| ConvertError::Topic { path: path.to_owned(), topic, item, reason };
    Ok(Topic::all(document.root_element()).into_iter().map(|topic| topic.map_err(of_file)).collect())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn topic(name: &str, idl: &str) -> String {
        let item = format!("<item><EFDB_Name>x</EFDB_Name><IDL_Type>{idl}</IDL_Type></item>");
        format!("<SALEvent><EFDB_Topic>{name}</EFDB_Topic>{item}</SALEvent>")
    }

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        dir
    }

    fn set(topics: &[String]) -> String {
        format!("\u{feff}\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SALEventSet>{}</SALEventSet>", topics.concat())
    }

    fn names(made: &Conversion) -> Vec<&str> {
        made.topics.iter().map(|t| t.name.as_str()).collect()
    }

    #[test]
    fn folders_are_read_below_their_interfaces_and_schemas_are_written_by_name() {
        let (b, a, other) =
            (set(&[topic("b", "int")]), set(&[topic("a2", "int"), topic("a1", "int")]), set(&[topic("no", "int")]));
        let dir = folder(&[
            ("sal_interfaces/Dome/Dome_Events.xml", &b),
            ("sal_interfaces/ATDome/deep/ATDome_Events.XML", &a),
            ("sal_interfaces/SALSubsystems.xml", "<SALSubsystemSet/>"),
            ("sal_interfaces/readme.txt", "no xml"),
            ("tests/other.xml", &other),
        ]);
        let made = convert(&[dir.path().to_owned()], OnError::GoOn);
        assert!(made.errors.is_empty(), "{:?}", made.errors);
        assert_eq!(names(&made), ["a2", "a1", "b"]);
        let named =
            convert(&[dir.path().join("tests/other.xml"), dir.path().join("sal_interfaces/Dome")], OnError::GoOn);
        assert_eq!(names(&named), ["no", "b"]);

        let out = dir.path().join("out/schemas");
        for topic in &made.topics {
            let path = write(topic, &out).expect("written");
            assert_eq!(path, out.join(format!("{}.json", topic.name)));
            assert_eq!(fs::read_to_string(path).expect("text"), topic.text());
        }
        let blocked = dir.path().join("sal_interfaces/readme.txt");
        assert!(matches!(write(&made.topics[0], &blocked), Err(ConvertError::Write { .. })));
    }

    #[test]
    fn what_cannot_be_converted_is_named_and_leaves_the_others_unless_asked() {
        let bad = set(&[topic("a", "int"), topic("b", "quaternion"), topic("c", "int")]);
        let again = set(&[topic("a", "int")]);
        let dir = folder(&[("1.xml", &bad), ("2.xml", &again), ("3.xml", "<a>")]);
        let all = [dir.path().to_owned(), dir.path().join("missing.xml")];
        let made = convert(&all, OnError::GoOn);
        assert_eq!(names(&made), ["a", "c"]);
        let told: Vec<_> =
            made.errors.iter().map(|e| e.to_string().replace(&format!("{}/", dir.path().display()), "")).collect();
        assert!(told[0].starts_with("converting 1.xml: topic b, item x: IDL_Type \"quaternion\" is none"), "{told:?}");
        assert_eq!(
            told[1..],
            [
                "converting 2.xml: topic a: 1.xml has a topic of that name as well",
                "reading 3.xml: it is not the XML of a SAL interface",
                "reading missing.xml",
            ]
        );
        assert!(made.errors[2].source().is_some() && made.errors[3].source().is_some());

        let stopped = convert(&all, OnError::Stop);
        assert_eq!((names(&stopped), stopped.errors.len()), (vec!["a"], 1));
    }
}
