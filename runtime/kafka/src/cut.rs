//! Cuts a task that was given up off from Kafka.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use connect_api::{Error, Result};

use crate::lease::Lease;

/// Shared by everything through which one task reaches Kafka. A task that does not stop cannot be ended, as its plugin
/// may be anywhere; it is cut off instead, so that whatever it still does has no effect. Cloning shares it.
#[derive(Clone, Default)]
pub struct Cut(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cut: AtomicBool,
    closers: Mutex<Vec<Closer>>,
    lease: Lease,
}

/// A [`Cut`] that may be forgotten.
pub(crate) struct WeakCut(Weak<Inner>);

impl WeakCut {
    pub(crate) fn upgrade(&self) -> Option<Cut> {
        self.0.upgrade().map(Cut)
    }
}

type Closer = Box<dyn FnOnce() + Send>;

impl Cut {
    /// For what writes under this lease; it is cut when that is lost.
    pub fn under(lease: &Lease) -> Self {
        let cut = Self(Arc::new(Inner { lease: lease.clone(), ..Inner::default() }));
        lease.bind(&cut);
        cut
    }

    pub(crate) fn downgrade(&self) -> WeakCut {
        WeakCut(Arc::downgrade(&self.0))
    }

    /// Drops what is on its way to Kafka, leaves groups, and refuses whatever comes; for good.
    pub fn cut(&self) {
        let closers = {
            let mut closers = self.0.closers.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.cut.store(true, Ordering::SeqCst);
            std::mem::take(&mut *closers)
        };
        closers.into_iter().for_each(|close| close());
    }

    /// Whether the task was given up.
    pub fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }

    /// An error once the task was given up.
    pub fn check(&self) -> Result<()> {
        if !self.is_cut() {
            return Ok(());
        }
        self.0.lease.check()?;
        Err(Error::fatal("the task did not stop in time and was given up"))
    }

    /// As [`Cut::check`], before something is written: waits while the worker does not know whether it has its seat.
    pub async fn pass(&self) -> Result<()> {
        self.check()?;
        self.0.lease.held().await?;
        self.check()
    }

    /// Whether [`Cut::pass`] would neither wait nor refuse.
    pub fn is_passable(&self) -> bool {
        !self.is_cut() && self.0.lease.is_held()
    }

    /// Closes something when the task is given up, at once if it was already. What it closes must not be kept alive by
    /// it.
    pub fn on_cut(&self, close: impl FnOnce() + Send + 'static) {
        {
            let mut closers = self.0.closers.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.0.cut.load(Ordering::SeqCst) {
                closers.push(Box::new(close));
                return;
            }
        }
        close();
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cut({})", self.is_cut())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn closers_run_once_and_at_once_when_it_is_too_late() {
        let (cut, closed) = (Cut::default(), Arc::new(AtomicUsize::new(0)));
        let count = || {
            let closed = closed.clone();
            move || {
                closed.fetch_add(1, Ordering::SeqCst);
            }
        };
        cut.on_cut(count());
        assert!(cut.check().is_ok() && closed.load(Ordering::SeqCst) == 0);
        cut.clone().cut();
        cut.cut();
        assert_eq!(closed.load(Ordering::SeqCst), 1);
        cut.on_cut(count());
        assert_eq!(closed.load(Ordering::SeqCst), 2);
        assert!(cut.check().is_err_and(|e| e.message().contains("given up")));
    }
}
