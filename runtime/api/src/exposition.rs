//! Metrics that are settings of a connector: families whose names, labels and series come and go, shown by all tasks of
//! the connector together.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{Error, Result};

/// What a family means to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by buckets.
    Histogram,
}

impl FamilyKind {
    /// The name on the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Name, as it is on the page.
    pub name: Arc<str>,
    /// What it means.
    pub help: Arc<str>,
    /// What it is to Prometheus.
    pub kind: FamilyKind,
}

impl Family {
    /// The names that lines of the page begin with.
    pub fn line_names(&self) -> Vec<String> {
        match self.kind {
            FamilyKind::Histogram => ["", "_bucket", "_sum", "_count"].map(|end| format!("{}{end}", self.name)).into(),
            FamilyKind::Counter | FamilyKind::Gauge => vec![self.name.to_string()],
        }
    }
}

/// One series of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Labels, names and values, beside `connector`.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Its value.
    pub value: SeriesValue,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesValue {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// Upper bounds, ascending, without the infinite one, and how many observations are not above each.
        buckets: Vec<(f64, u64)>,
        /// Sum of all observations.
        sum: f64,
        /// How many observations.
        count: u64,
    },
}

/// What the tasks of a connector show together on the worker's page `/metrics`.
pub trait Exposition: Any + Send + Sync {
    /// The families, always the same ones.
    fn families(&self) -> &[Family];

    /// The series of each family, in the order of the families; asked for with each reading of the page. No two of a
    /// family may have the same labels.
    fn series(&self) -> Vec<Vec<Series>>;
}

type ByConnector = BTreeMap<Arc<str>, Weak<dyn Exposition>>;

/// What the connectors of a worker show. Cloning is cheap; clones share.
#[derive(Clone, Default)]
pub struct Expositions {
    all: Arc<Mutex<ByConnector>>,
    reserved: &'static [&'static str],
}

impl Expositions {
    /// Nothing yet. Names that begin so are the worker's own.
    pub fn reserving(reserved: &'static [&'static str]) -> Self {
        Self { all: Arc::default(), reserved }
    }

    /// See [`crate::TaskContext::expose`].
    pub fn join<E: Exposition>(
        &self,
        connector: &Arc<str>,
        fits: impl FnOnce(&E) -> bool,
        make: impl FnOnce() -> E,
    ) -> Result<Arc<E>> {
        let mut all = self.lock();
        all.retain(|_, exposition| exposition.strong_count() > 0);
        let known = all.get(connector).and_then(Weak::upgrade);
        let known = known.and_then(|known| (known as Arc<dyn Any + Send + Sync>).downcast::<E>().ok());
        if let Some(known) = known.filter(|known| fits(known)) {
            return Ok(known);
        }
        let made = Arc::new(make());
        for family in made.families() {
            if let Some(prefix) = self.reserved.iter().find(|prefix| family.name.starts_with(**prefix)) {
                let text =
                    format!("showing metric {}: names that begin with {prefix} are the worker's own", family.name);
                return Err(Error::fatal(format!("{text}; choose another one")));
            }
            for (other, exposition) in all.iter().filter(|(other, _)| *other != connector) {
                let Some(exposition) = exposition.upgrade() else { continue };
                for theirs in exposition.families() {
                    refuse_clash(family, theirs, &format!("connector {other}"))?;
                }
            }
        }
        let shared: Arc<dyn Exposition> = made.clone();
        all.insert(connector.clone(), Arc::downgrade(&shared));
        Ok(made)
    }

    /// What there is, with the connectors' names.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<dyn Exposition>)> {
        self.lock().iter().filter_map(|(connector, one)| Some((connector.clone(), one.upgrade()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, ByConnector> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Expositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// Refuses a family that cannot be on a page with another one: Prometheus takes each name with one type.
pub fn refuse_clash(family: &Family, other: &Family, whose: &str) -> Result<()> {
    if family.name == other.name && family.kind == other.kind {
        return Ok(());
    }
    let theirs = other.line_names();
    match family.line_names().into_iter().find(|name| theirs.contains(name)) {
        Some(name) => Err(Error::fatal(format!(
            "showing {} {}: {name} is already of the {} {} of {whose}; give one of them another name",
            family.kind.name(),
            family.name,
            other.kind.name(),
            other.name
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(Vec<Family>);

    impl Exposition for Shown {
        fn families(&self) -> &[Family] {
            &self.0
        }

        fn series(&self) -> Vec<Vec<Series>> {
            vec![Vec::new(); self.0.len()]
        }
    }

    fn shown(name: &str, kind: FamilyKind) -> Shown {
        Shown(vec![Family { name: name.into(), help: "Help.".into(), kind }])
    }

    #[test]
    fn tasks_of_a_connector_share_one_exposition_while_any_holds_it() {
        let all = Expositions::default();
        let join = || all.join(&"a".into(), |_| true, || shown("n", FamilyKind::Gauge)).expect("joined");
        let (first, second) = (join(), join());
        assert!(Arc::ptr_eq(&first, &second) && all.all().len() == 1);
        let other = all.join(&"a".into(), |_: &Shown| false, || shown("n", FamilyKind::Counter)).expect("its own");
        assert!(!Arc::ptr_eq(&first, &other), "one that does not fit is replaced");
        drop((first, second));
        assert_eq!(all.all().len(), 1);
        drop(other);
        assert!(all.all().is_empty());
    }

    #[test]
    fn names_that_would_spoil_the_page_are_refused() {
        let all = Expositions::reserving(&["kafka_connect_"]);
        let join = |connector: &str, name: &str, kind| all.join(&connector.into(), |_| true, || shown(name, kind));
        let _first = join("a", "calls_seconds", FamilyKind::Histogram).expect("first");
        let e = join("b", "calls_seconds", FamilyKind::Gauge).err().expect("another type");
        let text = "showing gauge calls_seconds: calls_seconds is already of the histogram calls_seconds of connector a; give \
                    one of them another name";
        assert_eq!(e.message(), text);
        assert!(join("b", "calls_seconds_count", FamilyKind::Gauge).is_err(), "a line of the histogram");
        assert!(join("b", "kafka_connect_x", FamilyKind::Gauge).is_err(), "the worker's");
        assert!(join("b", "calls_seconds", FamilyKind::Histogram).is_ok(), "the same type");
    }
}
