//! The pages of the reference and the man pages, made of the grammar.

mod support;

use std::{collections::BTreeSet, fs, path::Path};

use support::bare;

#[test]
fn the_reference_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/connectctl");
    let mut names = BTreeSet::new();
    for (name, text) in connectctl::reference::pages() {
        let found = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(found == text, "docs/reference/connectctl/{name} is not current: run `cargo xtask docs`");
        names.insert(name);
    }
    let there =
        fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").file_name().into_string().expect("UTF-8"));
    assert_eq!(there.collect::<BTreeSet<_>>(), names, "pages of commands that are gone have to be removed");
}

#[tokio::test]
async fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().expect("folder");
    let run = bare(&["manual", &folder.path().join("man1").to_string_lossy()]).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    for page in ["connectctl.1", "connectctl-status.1", "connectctl-context-set.1"] {
        let text = fs::read_to_string(folder.path().join("man1").join(page)).unwrap_or_default();
        assert!(text.contains(".SH") && text.contains(".TH"), "{page}: {text}");
    }
}

#[tokio::test]
async fn scripts_for_completion_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = bare(&["completion", shell]).run().await;
        assert!(run.code == 0 && run.out.contains("COMPLETE"), "{shell}: {run:?}");
    }
    assert_eq!(bare(&["completion", "csh"]).run().await.code, 2);
}
