//! What plugins count for the worker's page `/metrics`.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Labels of a meter: names and values.
pub type MeterLabels = Vec<(&'static str, String)>;

/// A count that only grows. Cloning is cheap, adding an atomic addition.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds so many.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value; 0 before it is set.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Observations, such as times in seconds: how many there were, and their sum. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Summary(Arc<Mutex<(u64, f64)>>);

impl Summary {
    /// Adds an observation.
    pub fn observe(&self, value: f64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = (seen.0 + 1, seen.1 + value);
    }

    /// How many observations there were, and their sum.
    pub fn value(&self) -> (u64, f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the three.
#[derive(Debug, Clone)]
pub enum MeterValue {
    /// See [`Counter`].
    Counter(Counter),
    /// See [`Gauge`].
    Gauge(Gauge),
    /// See [`Summary`].
    Summary(Summary),
}

/// What is counted under a name with these labels.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Name, as it is on the page.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Labels beside `connector` and `task`.
    pub labels: MeterLabels,
    /// Where the value is.
    pub value: MeterValue,
}

/// All that a task and its transforms count. Cloning is cheap; clones share.
#[derive(Clone, Default)]
pub struct Meters(Arc<Mutex<Vec<Meter>>>);

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all().iter().map(|m| m.name)).finish()
    }
}

impl Meters {
    /// See [`crate::TaskContext::counter`].
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        let known = |v: &MeterValue| if let MeterValue::Counter(c) = v { Some(c.clone()) } else { None };
        self.meter((name, help, labels), known, MeterValue::Counter)
    }

    /// See [`crate::TaskContext::gauge`].
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        let known = |v: &MeterValue| if let MeterValue::Gauge(g) = v { Some(g.clone()) } else { None };
        self.meter((name, help, labels), known, MeterValue::Gauge)
    }

    /// See [`crate::TaskContext::summary`].
    pub fn summary(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Summary {
        let known = |v: &MeterValue| if let MeterValue::Summary(s) = v { Some(s.clone()) } else { None };
        self.meter((name, help, labels), known, MeterValue::Summary)
    }

    /// All meters, in the order in which they were asked for.
    pub fn all(&self) -> Vec<Meter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn meter<T: Default + Clone>(
        &self,
        (name, help, labels): (&'static str, &'static str, &[(&'static str, &str)]),
        known: impl Fn(&MeterValue) -> Option<T>,
        new: fn(T) -> MeterValue,
    ) -> T {
        debug_assert!(
            is_name(name) && labels.iter().all(|(l, _)| is_name(l) && !["connector", "task"].contains(l)),
            "{name} {labels:?}"
        );
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |m: &&Meter| m.name == name && m.labels.iter().map(|(l, v)| (*l, v.as_str())).eq(labels.iter().copied());
        if let Some(value) = all.iter().find(is_it).and_then(|m| known(&m.value)) {
            return value;
        }
        let value = T::default();
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        all.push(Meter { name, help, labels, value: new(value.clone()) });
        value
    }
}

/// Whether Prometheus takes it as a name.
fn is_name(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(begins) && name.chars().all(|c| begins(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_labels_are_the_same_meter() {
        let meters = Meters::default();
        meters.counter("sent_total", "Sent.", &[("to", "a")]).add(2);
        meters.counter("sent_total", "Sent.", &[("to", "a")]).add(3);
        meters.counter("sent_total", "Sent.", &[("to", "b")]).add(7);
        assert_eq!(meters.counter("sent_total", "Sent.", &[("to", "a")]).value(), 5);
        assert_eq!(meters.all().len(), 2);
    }

    #[test]
    fn summaries_have_count_and_sum() {
        let summary = Meters::default().summary("took_seconds", "Took.", &[]);
        summary.observe(0.5);
        summary.observe(0.25);
        assert_eq!(summary.value(), (2, 0.75));
    }
}
