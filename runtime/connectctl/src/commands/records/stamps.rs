//! `--stamps`: files that records hold, such as the cut-outs of alert packets, written into a folder as they are.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{error::Failure, exact::Exact};

/// Writes what the tree has as objects of `fileName` and `stampData` (bytes, in base64 as JSON has them) and tells how many
/// there were. Files of the same name are overwritten. The names come from records: one that would leave the folder is
/// refused.
pub(crate) fn save(tree: &Exact, folder: &Path) -> Result<usize, Failure> {
    let failed =
        |what: &str, e: std::io::Error| Failure::Failed(format!("writing {what} of {}: {e}", folder.display()));
    match tree {
        Exact::Object(object) => {
            if let (Some(name), Some(data)) = (text(object.get("fileName")), text(object.get("stampData"))) {
                let is_plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\\', '\0']);
                if !is_plain {
                    return Err(Failure::Failed(format!("{name:?} is no name of a file in {}", folder.display())));
                }
                let bytes = STANDARD.decode(data);
                let bytes =
                    bytes.map_err(|e| Failure::Failed(format!("{name}: stampData is not bytes in base64: {e}")))?;
                fs::create_dir_all(folder).map_err(|e| failed("files", e))?;
                fs::write(folder.join(name), bytes).map_err(|e| failed(name, e))?;
                return Ok(1);
            }
            object.values().map(|inner| save(inner, folder)).sum()
        }
        Exact::List(items) => items.iter().map(|inner| save(inner, folder)).sum(),
        _ => Ok(0),
    }
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
        assert_eq!(save(&Exact::from(&alert), &inner), Ok(2));
        assert_eq!(fs::read(inner.join("a.jpg")).expect("file"), [0xff, 0xd8, 0]);
        for name in ["../x", "/tmp/x", "..", "", "a\\b"] {
            let refused = save(&Exact::from(&json!({"fileName": name, "stampData": ""})), &inner);
            assert!(refused.is_err_and(|e| e.to_string().contains("is no name of a file")), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }
}
