//! What the worker is doing for a request, so that a request that takes too long can say it (KIP-916).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

tokio::task_local! {
    static STAGE: Arc<Mutex<Option<Stage>>>;
}

#[derive(Debug, Clone)]
struct Stage {
    what: String,
    began: SystemTime,
    completed: Option<SystemTime>,
}

/// Carries out a request's work; when it does not end in time, answers with Kafka Connect's text for that.
///
/// The work goes on all the same, also when the client goes away: a change that has been begun is completed.
pub(crate) async fn within<T: Send + 'static>(
    limit: std::time::Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let stage = Arc::new(Mutex::new(None));
    match tokio::time::timeout(limit, tokio::spawn(STAGE.scope(stage.clone(), work))).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        // The runtime is ending.
        Ok(Err(_)) => Err("Worker is shutting down".into()),
        Err(_) => Err(sentence(stage.lock().unwrap_or_else(PoisonError::into_inner).as_ref())),
    }
}

/// Does a part of a request's work, known by these words.
pub(crate) async fn during<T>(what: impl Into<String>, work: impl Future<Output = T>) -> T {
    let (stages, what) = (Stages::current(), what.into());
    let began = stages.begin(&what);
    let done = work.await;
    stages.set(Stage { what, began, completed: Some(SystemTime::now()) });
    done
}

/// As [`during`], for work that does not wait.
pub(crate) fn step<T>(what: impl Into<String>, work: impl FnOnce() -> T) -> T {
    let (stages, what) = (Stages::current(), what.into());
    let began = stages.begin(&what);
    let done = work();
    stages.set(Stage { what, began, completed: Some(SystemTime::now()) });
    done
}

/// Tells one request what is done for it, also from other threads. Work that no request waits for has nobody to tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stages(Option<Arc<Mutex<Option<Stage>>>>);

impl Stages {
    /// Those of the request whose work this is.
    pub(crate) fn current() -> Self {
        Self(STAGE.try_with(Arc::clone).ok())
    }

    /// Says that a part of the work begins; answers when.
    pub(crate) fn begin(&self, what: &str) -> SystemTime {
        let began = SystemTime::now();
        self.set(Stage { what: what.to_owned(), began, completed: None });
        began
    }

    fn set(&self, stage: Stage) {
        if let Some(shared) = &self.0 {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        }
    }

    /// Does work whose stages are these.
    pub(crate) fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            Some(shared) => STAGE.sync_scope(shared, work),
            None => work(),
        }
    }
}

fn sentence(stage: Option<&Stage>) -> String {
    let Some(Stage { what, began, completed }) = stage else { return "Request timed out".into() };
    let began = instant(*began);
    match completed {
        None => format!("Request timed out. The worker is currently {what}, which began at {began}."),
        Some(at) => format!(
            "Request timed out. The last operation the worker completed was {what}, which began at {began} and completed at {}.",
            instant(*at)
        ),
    }
}

fn instant(at: SystemTime) -> String {
    let ms = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    connect_api::time::rfc3339(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_request_that_takes_too_long_says_what_the_worker_does() {
        let text = within(SOON, during("starting the connector", pending::<()>())).await.expect_err("too long");
        let began =
            text.strip_prefix("Request timed out. The worker is currently starting the connector, which began at ");
        assert!(began.is_some_and(|b| b.ends_with("Z.") && b.contains('T')), "{text}");
        let text = within(SOON, async {
            during("restarting task c-0", async {}).await;
            pending::<()>().await;
        });
        let text = text.await.expect_err("too long");
        assert!(
            text.starts_with("Request timed out. The last operation the worker completed was restarting task c-0, ")
        );
        assert!(text.contains("Z and completed at "), "{text}");
        assert_eq!(within(SOON, pending::<()>()).await, Err("Request timed out".into()));
    }

    #[tokio::test]
    async fn work_is_completed_although_nobody_waits_for_it() {
        let (begun, wait) = tokio::sync::oneshot::channel();
        let (end, ended) = tokio::sync::oneshot::channel();
        let work = within(Duration::from_secs(60), async move {
            let waited = wait.await;
            // Nobody hears of it if the test has failed meanwhile.
            let _ = end.send(waited);
        });
        assert!(tokio::time::timeout(SOON, work).await.is_err(), "the client goes away");
        begun.send(()).expect("the work goes on");
        assert_eq!(ended.await, Ok(Ok(())));
    }

    #[tokio::test]
    async fn work_that_ends_in_time_is_handed_on() {
        assert_eq!(within(Duration::from_secs(60), during("a", async { 1 })).await, Ok(1));
        assert_eq!(during("without a request", async { 2 }).await, 2);
        assert_eq!(step("without a request", || 3), 3);
    }

    #[tokio::test]
    async fn another_thread_tells_the_request_what_it_does() {
        let text = within(SOON, async {
            let stages = Stages::current();
            let told = std::thread::spawn(move || stages.scope(|| step("elsewhere", || ()))).join();
            told.expect("the other thread");
            pending::<()>().await;
        });
        let text = text.await.expect_err("too long");
        assert!(
            text.starts_with("Request timed out. The last operation the worker completed was elsewhere, "),
            "{text}"
        );
    }
}
