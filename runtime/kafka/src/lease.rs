//! Whether a worker may write: its seat, as the group last confirmed it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use connect_api::{Error, Result};
use tokio::sync::watch;

use crate::cut::{Cut, WeakCut};

/// A point in time by both clocks: the monotonic one goes on while a process is halted, but not while its machine
/// sleeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    pub(crate) fn within(&self, limit: Duration) -> bool {
        // A wall clock that was set back says nothing.
        self.monotonic.elapsed() < limit && self.wall.elapsed().map_or(true, |past| past < limit)
    }
}

#[derive(Debug)]
enum Standing {
    /// Not confirmed yet.
    Awaited,
    /// When the group was asked for what it has confirmed.
    Confirmed(Moment),
    /// For good.
    Lost(Error),
}

/// Says whether the worker has its seat. One that nobody else could have, as that of a standalone worker, is always
/// held (`Lease::default()`). Cloning shares it.
#[derive(Clone, Default)]
pub struct Lease(Option<Arc<Inner>>);

struct Inner {
    term: Duration,
    standing: watch::Sender<Standing>,
    cuts: Mutex<Vec<WeakCut>>,
}

impl Lease {
    /// A lease that is not held yet. The group forgets a member that was silent for `session`; a confirmation counts
    /// for a little less.
    pub fn awaited(session: Duration) -> Self {
        let standing = watch::Sender::new(Standing::Awaited);
        Self(Some(Arc::new(Inner { term: session * 9 / 10, standing, cuts: Mutex::default() })))
    }

    /// Waits until the group has confirmed the seat so lately that no other can have it; an error once it is lost.
    pub async fn held(&self) -> Result<()> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let mut changes = inner.standing.subscribe();
        loop {
            match &*changes.borrow_and_update() {
                Standing::Confirmed(asked) if asked.within(inner.term) => return Ok(()),
                Standing::Lost(e) => return Err(e.clone()),
                Standing::Awaited | Standing::Confirmed(_) => {}
            }
            // The sender lives as long as this.
            if changes.changed().await.is_err() {
                return Err(Error::fatal("the member of the worker's group has ended"));
            }
        }
    }

    /// An error once the seat is lost.
    pub fn check(&self) -> Result<()> {
        match self.0.as_ref().map(|inner| inner.standing.borrow()).as_deref() {
            Some(Standing::Lost(e)) => Err(e.clone()),
            _ => Ok(()),
        }
    }

    /// Resolves with the reason when the seat is lost.
    pub async fn lost(&self) -> Error {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        let mut changes = inner.standing.subscribe();
        match changes.wait_for(|standing| matches!(standing, Standing::Lost(_))).await.as_deref() {
            Ok(Standing::Lost(e)) => e.clone(),
            _ => Error::fatal("the member of the worker's group has ended"),
        }
    }

    /// Whether the latest confirmation still counts.
    pub(crate) fn is_held(&self) -> bool {
        let Some(inner) = &self.0 else { return true };
        matches!(&*inner.standing.borrow(), Standing::Confirmed(asked) if asked.within(inner.term))
    }

    /// The group has confirmed the seat when it was asked then. What was lost stays lost.
    pub(crate) fn confirm(&self, asked: Moment) {
        let Some(inner) = &self.0 else { return };
        inner.standing.send_if_modified(|standing| {
            let lost = matches!(standing, Standing::Lost(_));
            if !lost {
                *standing = Standing::Confirmed(asked);
            }
            !lost
        });
    }

    /// Whether the seat is held is not known until it is confirmed again.
    pub(crate) fn doubt(&self) {
        let Some(inner) = &self.0 else { return };
        inner.standing.send_if_modified(|standing| {
            let confirmed = matches!(standing, Standing::Confirmed(_));
            if confirmed {
                *standing = Standing::Awaited;
            }
            confirmed
        });
    }

    /// Gives the seat up for good, and cuts everything off from Kafka that writes under it.
    pub(crate) fn lose(&self, why: Error) {
        let Some(inner) = &self.0 else { return };
        let first = inner.standing.send_if_modified(|standing| {
            let lost = matches!(standing, Standing::Lost(_));
            if !lost {
                *standing = Standing::Lost(why);
            }
            !lost
        });
        if first {
            let cuts = std::mem::take(&mut *inner.cuts.lock().unwrap_or_else(PoisonError::into_inner));
            cuts.iter().filter_map(WeakCut::upgrade).for_each(|cut| cut.cut());
        }
    }

    /// Cuts this when the seat is lost.
    pub(crate) fn bind(&self, cut: &Cut) {
        let Some(inner) = &self.0 else { return };
        {
            let mut cuts = inner.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts.retain(|cut| cut.upgrade().is_some());
            cuts.push(cut.downgrade());
        }
        if self.check().is_err() {
            cut.cut();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(inner) => write!(f, "Lease({:?})", *inner.standing.borrow()),
            None => f.write_str("Lease(nobody else's)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn who_writes_waits_for_a_fresh_confirmation() {
        Lease::default().held().await.expect("nobody else could have it");
        let lease = Lease::awaited(Duration::from_secs(60));
        assert!(tokio::time::timeout(SHORT, lease.held()).await.is_err(), "not confirmed yet");
        let old = Moment {
            monotonic: Instant::now().checked_sub(Duration::from_secs(55)).expect("it runs longer"),
            wall: SystemTime::now(),
        };
        lease.confirm(old);
        assert!(!lease.is_held() && tokio::time::timeout(SHORT, lease.held()).await.is_err(), "too long ago");
        let slept = Moment { monotonic: Instant::now(), wall: SystemTime::now() - Duration::from_secs(55) };
        lease.confirm(slept);
        assert!(!lease.is_held(), "the machine slept");
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.held().await }
        });
        lease.confirm(Moment::now());
        waiting.await.expect("it waits").expect("held");
        assert!(lease.is_held());
        let set_back = Moment { monotonic: Instant::now(), wall: SystemTime::now() + Duration::from_secs(3600) };
        lease.confirm(set_back);
        assert!(lease.is_held());
        lease.doubt();
        assert!(!lease.is_held());
    }

    #[tokio::test]
    async fn what_is_lost_stays_lost_and_is_cut_off() {
        let lease = Lease::awaited(Duration::from_secs(60));
        lease.confirm(Moment::now());
        let before = Cut::under(&lease);
        before.pass().await.expect("held");
        lease.lose(Error::fatal("another has it"));
        lease.confirm(Moment::now());
        lease.lose(Error::fatal("something else"));
        let text = "another has it";
        assert!(before.is_cut() && before.pass().await.is_err_and(|e| e.message() == text));
        assert!(Cut::under(&lease).is_cut());
        assert!(lease.held().await.is_err_and(|e| e.message() == text));
        assert_eq!(lease.lost().await.message(), text);
    }
}
