//! Levels of loggers, which `/admin/loggers` shows and sets (rest.md §8). A logger is a target of `tracing`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use connect_rest_model::LoggerLevel;
use tracing::level_filters::LevelFilter;

/// The logger of everything that has no level of its own.
pub const ROOT: &str = "root";

/// Log4j's levels, and what they let through here. No event is fatal.
const LEVELS: [(&str, LevelFilter); 8] = [
    ("OFF", LevelFilter::OFF),
    ("FATAL", LevelFilter::OFF),
    ("ERROR", LevelFilter::ERROR),
    ("WARN", LevelFilter::WARN),
    ("INFO", LevelFilter::INFO),
    ("DEBUG", LevelFilter::DEBUG),
    ("TRACE", LevelFilter::TRACE),
    ("ALL", LevelFilter::TRACE),
];

#[derive(Debug, Clone, Copy)]
struct Level {
    index: usize,
    modified: Option<u64>,
}

impl Level {
    fn shown(self) -> LoggerLevel {
        LoggerLevel { level: LEVELS[self.index].0.to_owned(), last_modified: self.modified }
    }
}

struct State {
    root: Level,
    own: BTreeMap<String, Level>,
}

impl State {
    /// The level of the longest set name that the logger's name begins with.
    fn effective(&self, name: &str) -> Level {
        let longest =
            self.own.iter().filter(|(own, _)| name.starts_with(own.as_str())).max_by_key(|(own, _)| own.len());
        longest.map_or(self.root, |(_, level)| *level)
    }
}

/// What makes levels effective: the level of all others, and those of targets that begin with a name.
pub type Apply = Box<dyn Fn(LevelFilter, &[(String, LevelFilter)]) + Send + Sync>;

/// The loggers of the process.
pub struct Loggers {
    state: Mutex<State>,
    // Apart from the levels, because setting those makes every target known again.
    known: Mutex<BTreeSet<String>>,
    apply: Apply,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index_of(filter: LevelFilter) -> usize {
    LEVELS.iter().position(|(_, f)| *f == filter).unwrap_or(0)
}

impl Loggers {
    /// Loggers with the levels of the start.
    pub fn new(root: LevelFilter, own: impl IntoIterator<Item = (String, LevelFilter)>, apply: Apply) -> Self {
        let level = |filter| Level { index: index_of(filter), modified: None };
        let own: BTreeMap<String, Level> = own.into_iter().map(|(name, filter)| (name, level(filter))).collect();
        let known = own.keys().cloned().collect();
        Self { state: Mutex::new(State { root: level(root), own }), known: Mutex::new(known), apply }
    }

    /// Says that there is such a logger.
    pub fn know(&self, name: &str) {
        let mut known = lock(&self.known);
        if !known.contains(name) {
            known.insert(name.to_owned());
        }
    }

    /// All loggers by name, `root` among them.
    pub fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let known = lock(&self.known).clone();
        let state = lock(&self.state);
        let mut all: BTreeMap<String, LoggerLevel> =
            known.into_iter().map(|name| (name.clone(), state.effective(&name).shown())).collect();
        all.insert(ROOT.to_owned(), state.root.shown());
        all
    }

    /// One logger, if there is one of exactly that name.
    pub fn get(&self, name: &str) -> Option<LoggerLevel> {
        if name.eq_ignore_ascii_case(ROOT) {
            return Some(lock(&self.state).root.shown());
        }
        lock(&self.known).contains(name).then(|| lock(&self.state).effective(name).shown())
    }

    /// Sets the level of all loggers whose names begin so; answers the names of those that it changed, sorted. An
    /// error is a level that there is not.
    pub fn set(&self, name: &str, level: &str) -> Result<Vec<String>, String> {
        let wanted = level.trim().to_uppercase();
        let index = LEVELS.iter().position(|(l, _)| *l == wanted);
        let index = index.ok_or_else(|| format!("invalid log level '{level}'."))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let level = Level { index, modified: Some(u64::try_from(now).unwrap_or(u64::MAX)) };
        let all = name.eq_ignore_ascii_case(ROOT);
        if !all {
            self.know(name);
        }
        let known = lock(&self.known).clone();
        let mut state = lock(&self.state);
        let reached = known.into_iter().filter(|k| all || k.starts_with(name));
        let mut changed: Vec<String> = reached.filter(|k| state.effective(k).index != index).collect();
        // A logger that is not changed keeps the time of its last change.
        for name in &changed {
            state.own.insert(name.clone(), level);
        }
        if all && state.root.index != index {
            state.root = level;
            changed.push(ROOT.to_owned());
        } else if !all && !state.own.contains_key(name) {
            let same = state.effective(name);
            state.own.insert(name.to_owned(), same);
        }
        changed.sort();
        let own: Vec<(String, LevelFilter)> = state.own.iter().map(|(n, l)| (n.clone(), LEVELS[l.index].1)).collect();
        (self.apply)(LEVELS[state.root.index].1, &own);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Applied = Arc<Mutex<(Option<LevelFilter>, Vec<(String, LevelFilter)>)>>;

    fn loggers() -> (Loggers, Applied) {
        let applied = Applied::default();
        let to = applied.clone();
        let apply: Apply = Box::new(move |root, own| *lock(&to) = (Some(root), own.to_vec()));
        let loggers = Loggers::new(LevelFilter::INFO, [("noisy".to_owned(), LevelFilter::OFF)], apply);
        for name in ["a", "a::b", "a::bc", "x"] {
            loggers.know(name);
        }
        (loggers, applied)
    }

    fn level(loggers: &Loggers, name: &str) -> String {
        loggers.get(name).expect("a logger").level
    }

    #[test]
    fn a_level_reaches_all_loggers_that_begin_so() {
        let (loggers, applied) = loggers();
        assert_eq!(loggers.set("a::b", " debug "), Ok(vec!["a::b".into(), "a::bc".into()]));
        assert_eq!(loggers.set("a::b", "DEBUG"), Ok(Vec::new()), "the same again changes nothing");
        assert_eq!((level(&loggers, "a::bc").as_str(), level(&loggers, "a").as_str()), ("DEBUG", "INFO"));
        assert!(loggers.get("a::b").is_some_and(|l| l.last_modified.is_some()));
        assert!(loggers.get("a").is_some_and(|l| l.last_modified.is_none()));
        assert!(lock(&applied).1.contains(&("a::bc".into(), LevelFilter::DEBUG)));
        assert_eq!(loggers.set("a", "ERROR"), Ok(vec!["a".into(), "a::b".into(), "a::bc".into()]));
    }

    #[test]
    fn root_reaches_all_and_names_are_exact() {
        let (loggers, applied) = loggers();
        let all = ["a", "a::b", "a::bc", "noisy", "root", "x"].map(str::to_owned).to_vec();
        assert_eq!(loggers.set("ROOT", "trace"), Ok(all.clone()));
        assert_eq!(lock(&applied).0, Some(LevelFilter::TRACE));
        assert_eq!(loggers.all().into_keys().collect::<Vec<_>>(), all);
        assert_eq!(loggers.get("a::"), None);
    }

    #[test]
    fn a_new_logger_is_there_afterwards_changed_or_not() {
        let (loggers, _) = loggers();
        assert_eq!(loggers.set("new", "INFO"), Ok(Vec::new()));
        assert_eq!(loggers.get("new").map(|l| (l.level, l.last_modified)), Some(("INFO".into(), None)));
        assert_eq!(loggers.set("newer", "FATAL"), Ok(vec!["newer".into()]));
        assert_eq!(level(&loggers, "newer"), "FATAL");
        assert_eq!(loggers.set("a", "LOUD"), Err("invalid log level 'LOUD'.".into()));
    }
}
