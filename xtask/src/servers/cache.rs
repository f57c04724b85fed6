//! The folder outside the checkout that keeps fetched programs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Error, Result};

/// The file that says a download is complete, and of what version.
const MARKER: &str = ".complete";

/// A folder of fetched programs, one sub-folder per item and version.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache: `$TOCSIN_CACHE`, else `$XDG_CACHE_HOME/tocsin`, else `~/.cache/tocsin`.
    pub fn open() -> Result<Self> {
        let root = default_root(|name| std::env::var_os(name).filter(|value| !value.is_empty())).ok_or_else(|| {
            Error::missing("a cache folder", "export TOCSIN_CACHE=/a/folder/of/yours (HOME is not set)")
        })?;
        Self::at(&root)
    }

    /// A cache in this folder, created if needed.
    pub fn at(root: &Path) -> Result<Self> {
        // Servers run in folders of their own, so that relative paths would not reach them.
        let root =
            std::path::absolute(root).map_err(Error::io(format!("finding the cache folder {}", root.display())))?;
        fs::create_dir_all(&root).map_err(Error::io(format!("creating the cache folder {}", root.display())))?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of an item, if that version is completely there.
    pub fn find(&self, item: &str, version: &str) -> Option<PathBuf> {
        let folder = self.root.join(format!("{item}-{version}"));
        let marked = fs::read_to_string(folder.join(MARKER)).ok()?;
        (marked.trim() == version).then_some(folder)
    }

    /// The folder of an item, filled by `fill` unless that version is completely there.
    ///
    /// `fill` gets an empty folder, which takes its final name only once complete. Another process that wants the same
    /// item waits. Returns the final folder.
    pub fn ensure(&self, item: &str, version: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        if let Some(folder) = self.find(item, version) {
            return Ok(folder);
        }
        let _lock = self.lock(item)?;
        if let Some(folder) = self.find(item, version) {
            return Ok(folder);
        }
        let started = std::time::Instant::now();
        eprintln!("preparing {item} {version} into {}", self.root.display());
        let prefix = format!(".partial-{item}-");
        self.remove_partial(&prefix)?;
        let partial = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&self.root)
            .map_err(Error::io(format!("creating a folder in {}", self.root.display())))?;
        fill(partial.path())?;
        let marker = partial.path().join(MARKER);
        fs::write(&marker, format!("{version}\n")).map_err(Error::io(format!("writing {}", marker.display())))?;
        let folder = self.root.join(format!("{item}-{version}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::io(format!("removing incomplete {}", folder.display())))?;
        }
        fs::rename(partial.path(), &folder).map_err(Error::io(format!("naming {}", folder.display())))?;
        // The folder has moved: what the guard would remove is no longer there.
        let _ = partial.keep();
        eprintln!("prepared {item} {version} in {:.1} s", started.elapsed().as_secs_f64());
        Ok(folder)
    }

    /// Holds the item's lock until dropped; the system releases it if the process dies.
    fn lock(&self, item: &str) -> Result<File> {
        let path = self.root.join(format!("{item}.lock"));
        let doing = || format!("locking {}", path.display());
        let file = File::create(&path).map_err(Error::io(doing()))?;
        if file.try_lock().is_err() {
            let _ = writeln!(std::io::stderr(), "waiting for another process that prepares {item}");
            file.lock().map_err(Error::io(doing()))?;
        }
        Ok(file)
    }

    /// Removes what an interrupted fetch left; only under the item's lock.
    fn remove_partial(&self, prefix: &str) -> Result<()> {
        let entries =
            fs::read_dir(&self.root).map_err(Error::io(format!("listing the cache folder {}", self.root.display())))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(Error::io(format!("removing incomplete {}", path.display())))?;
            }
        }
        Ok(())
    }
}

fn default_root(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(root) = variable("TOCSIN_CACHE") {
        return Some(root.into());
    }
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
    caches.map(|folder| folder.join("tocsin"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        (folder, cache)
    }

    #[test]
    fn an_item_is_filled_once() {
        let (_guard, cache) = scratch();
        let folder = cache.ensure("tool", "1.0", |to| fs::write(to.join("file"), "x").map_err(Error::io("w"))).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "x");
        let again = cache.ensure("tool", "1.0", |_| panic!("filled twice")).unwrap();
        assert_eq!(again, folder);
        assert_eq!(cache.find("tool", "1.0"), Some(folder));
        assert_eq!(cache.find("tool", "2.0"), None);
    }

    #[test]
    fn a_failed_fill_leaves_nothing_behind() {
        let (_guard, cache) = scratch();
        let error = cache.ensure("tool", "1.0", |_| Err(Error::missing("net", "plug"))).unwrap_err();
        assert_eq!(error.to_string(), "net is missing; get it with: plug");
        assert_eq!(cache.find("tool", "1.0"), None);
        let left: Vec<_> = fs::read_dir(cache.root()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["tool.lock"]);
    }

    #[test]
    fn a_half_download_is_done_again() {
        let (_guard, cache) = scratch();
        fs::create_dir_all(cache.root().join("tool-1.0/half")).unwrap();
        fs::create_dir_all(cache.root().join(".partial-tool-abc")).unwrap();
        let folder = cache.ensure("tool", "1.0", |_| Ok(())).unwrap();
        assert!(!folder.join("half").exists());
        assert!(!cache.root().join(".partial-tool-abc").exists());
    }

    #[test]
    fn two_threads_fill_an_item_once() {
        let (_guard, cache) = scratch();
        let filled = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let count = |_: &Path| {
                        filled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(())
                    };
                    cache.ensure("tool", "1.0", count).unwrap();
                });
            }
        });
        assert_eq!(filled.into_inner(), 1);
    }

    #[test]
    fn the_folder_follows_the_environment() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
            default_root(move |name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/tocsin".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/tocsin".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("TOCSIN_CACHE", "/t")]), Some("/t".into()));
        assert_eq!(with(&[]), None);
    }
}
