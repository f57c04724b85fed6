//! A bounded map behind a lock.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keeps at most a number of entries.
///
/// A full cache is emptied instead of tracking use: schemas are few, and those in use come back with their
/// next record, so an order of use would cost every record more than it saves.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    limit: usize,
    entries: Mutex<HashMap<K, V>>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), entries: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.lock().get(key).cloned()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut entries = self.lock();
        if entries.len() >= self.limit && !entries.contains_key(&key) {
            entries.clear();
        }
        entries.insert(key, value);
    }

    pub(crate) fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
        let mut entries = self.lock();
        if let Some(value) = entries.get(&key) {
            return value.clone();
        }
        if entries.len() >= self.limit {
            entries.clear();
        }
        entries.entry(key).or_insert_with(make).clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        // No code that can panic runs under the lock, so a poisoned one still holds whole entries.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds() {
        let cache = Cache::new(2);
        for i in 0..5 {
            cache.insert(i, i);
            assert_eq!(cache.get(&i), Some(i));
            assert!(cache.lock().len() <= 2);
        }
    }
}
