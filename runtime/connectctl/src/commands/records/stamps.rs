//! `--stamps`: files that records hold, such as the cut-outs of alert packets, written into a folder as they are.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{error::Failure, exact::Exact};

/// What became of the files that a record holds.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// So many were written.
    pub(crate) written: u64,
    /// Why others were not.
    pub(crate) problems: Vec<Failure>,
}

/// Writes what the tree has as objects of `fileName` and `stampData` (bytes, in base64 as JSON has them); one that cannot be
/// written does not keep the others from it. Files of the same name are overwritten. The names come from records: one that
/// would leave the folder is refused.
pub(crate) fn save(tree: &Exact, folder: &Path) -> Saved {
    let mut saved = Saved::default();
    walk(tree, folder, &mut saved);
    saved
}

fn walk(tree: &Exact, folder: &Path, saved: &mut Saved) {
    match tree {
        Exact::Object(object) => match (text(object.get("fileName")), text(object.get("stampData"))) {
            (Some(name), Some(data)) => match write(name, data, folder) {
                Ok(()) => saved.written += 1,
                Err(e) => saved.problems.push(e),
            },
            _ => object.values().for_each(|inner| walk(inner, folder, saved)),
        },
        Exact::List(items) => items.iter().for_each(|inner| walk(inner, folder, saved)),
        _ => {}
    }
}

fn write(name: &str, data: &str, folder: &Path) -> Result<(), Failure> {
    let failed =
        |what: &str, e: std::io::Error| Failure::Failed(format!("writing {what} of {}: {e}", folder.display()));
    let is_plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\\', '\0']);
    if !is_plain {
        return Err(Failure::Failed(format!("{name:?} is no name of a file in {}", folder.display())));
    }
    let bytes = STANDARD.decode(data);
    let bytes = bytes.map_err(|e| Failure::Failed(format!("{name}: stampData is not bytes in base64: {e}")))?;
    fs::create_dir_all(folder).map_err(|e| failed("files", e))?;
    fs::write(folder.join(name), bytes).map_err(|e| failed(name, e))
}

fn text(value: Option<&Exact>) -> Option<&str> {
    value?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stamps_are_written_unchanged_and_stay_in_their_folder() {
        let folder = tempfile::tempdir().expect("folder");
        let inner = folder.path().join("stamps");
        let alert = json!({"candid": 1, "cutoutScience": {"fileName": "a.jpg", "stampData": "/9gA"},
            "more": [{"fileName": "b.fits.gz", "stampData": "H4sA"}], "cutoutDifference": null});
        let saved = save(&Exact::from(&alert), &inner);
        assert!(saved.written == 2 && saved.problems.is_empty(), "{saved:?}");
        assert_eq!(fs::read(inner.join("a.jpg")).expect("file"), [0xff, 0xd8, 0]);
        for name in ["../x", "/tmp/x", "..", "", "a\\b"] {
            let refused = save(&Exact::from(&json!({"fileName": name, "stampData": ""})), &inner);
            let said = refused.problems.first().map(ToString::to_string).unwrap_or_default();
            assert!(refused.written == 0 && said.contains("is no name of a file"), "{name}: {said}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn a_stamp_that_cannot_be_written_does_not_keep_the_others_from_it() {
        let folder = tempfile::tempdir().expect("folder");
        let alert = json!({"a": {"fileName": "../x", "stampData": "/9gA"}, "b": {"fileName": "b.jpg", "stampData": "/9gA"},
            "c": [{"fileName": "c.jpg", "stampData": "?"}, {"fileName": "d.jpg", "stampData": "/9gA"}]});
        let saved = save(&Exact::from(&alert), folder.path());
        assert_eq!((saved.written, saved.problems.len()), (2, 2), "{saved:?}");
        assert!(folder.path().join("b.jpg").exists() && folder.path().join("d.jpg").exists());
        let file = folder.path().join("b.jpg");
        let saved = save(&Exact::from(&json!({"fileName": "e", "stampData": ""})), &file);
        assert!(saved.written == 0 && saved.problems[0].to_string().contains("b.jpg"), "{saved:?}");
    }
}
