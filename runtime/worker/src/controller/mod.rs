//! What should run: connectors by name with configuration and target state, and the requests that change them.

mod answers;
mod following;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Settings};
use connect_rest_model::{ConfigInfos, ConfigMap, ConnectorInfo, ConnectorStatus, ConnectorType};
use tokio::sync::{Mutex, MutexGuard, SetOnce};
use tokio_util::sync::CancellationToken;

use crate::{
    registry::Direction,
    stage,
    status::State,
    storage::{Target, config_log::Restart},
    supervisor::{Handle, Queued, Services},
    trial, unknown_keys, validation,
};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request itself is wrong: 400.
    Bad(String),
    /// There is no such thing: 404.
    NotFound(String),
    /// It exists already: 409.
    Conflict(String),
    /// Something went wrong: 500.
    Failed(String),
}

impl Refusal {
    /// What is said of it.
    pub fn text(&self) -> &str {
        match self {
            Self::Bad(text) | Self::NotFound(text) | Self::Conflict(text) | Self::Failed(text) => text,
        }
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Self::Failed(e.one_line())
    }
}

const LOST_PLACE: &str = "the worker has lost its place in the cluster: ";

/// What requests about connectors get.
pub type Answer<T> = Result<T, Refusal>;

struct Connector {
    kind: ConnectorType,
    handle: Handle,
    /// The configuration and target that its actor was told last.
    told: Option<(Settings, Target)>,
}

/// What the answer to a change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// What Kafka Connect's workers wait for: a distributed one until the change is stored, a standalone one until it has
    /// been carried out.
    Kafkas,
    /// Until the connector has been started, or has failed to.
    Started,
}

/// The worker's connectors.
pub struct Controller {
    services: Services,
    all: Mutex<BTreeMap<String, Connector>>,
    /// Connectors that were deleted and have not stopped yet; each is cancelled when it has. One of the same name is not
    /// started before.
    leaving: std::sync::Mutex<BTreeMap<String, CancellationToken>>,
    /// Held while a change is stored, or two requests could create the same connector.
    changing: Mutex<()>,
    /// Set when nothing is to be started any more.
    stopping: AtomicBool,
    opened: SetOnce<()>,
    cluster_id: std::sync::Mutex<Option<String>>,
    trials: trial::Places,
}

/// What a restart restarts.
struct Selected {
    connector: bool,
    tasks: Vec<u32>,
}

/// What a configuration that is written may find.
enum Write {
    /// No connector of that name; it gets this target state.
    New(Option<Target>),
    /// Whatever there is.
    Any,
}

impl Controller {
    /// No connectors yet.
    pub fn new(services: Services) -> Arc<Self> {
        Arc::new(Self {
            services,
            all: Mutex::default(),
            leaving: std::sync::Mutex::default(),
            changing: Mutex::default(),
            stopping: AtomicBool::new(false),
            opened: SetOnce::new(),
            cluster_id: std::sync::Mutex::default(),
            trials: trial::Places::default(),
        })
    }

    /// What connectors run on.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Says that what is stored has been read: requests about connectors can be served.
    pub fn set_opened(&self) {
        // It may have been said before.
        let _ = self.opened.set(());
    }

    /// Resolves when what is stored has been read.
    pub async fn opened(&self) {
        self.opened.wait().await;
    }

    /// Sets the id of the Kafka cluster.
    pub fn set_cluster_id(&self, id: Option<String>) {
        *self.cluster_id.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = id;
    }

    /// The id of the Kafka cluster, when known.
    pub fn cluster_id(&self) -> Option<String> {
        self.cluster_id.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Names of all connectors.
    pub async fn names(&self) -> Vec<String> {
        self.all.lock().await.keys().cloned().collect()
    }

    /// Validates a configuration for the plugin that it names.
    pub async fn validate(&self, config: &ConfigMap) -> Answer<ConfigInfos> {
        let class = config.get("connector.class").and_then(Option::as_deref);
        let Some(class) = class else {
            return Err(Refusal::Bad(format!("Connector config {} contains no connector type", java_map(config))));
        };
        let worker = self.services.worker.clone();
        let plugins = self.services.plugins.clone();
        let given = config.clone();
        let work = self.services.threads.call("validation", move || {
            let resolved = stage::step("resolving transformed configuration properties for the connector", || {
                worker.providers.resolve(&texts(&given))
            })?;
            let group = worker.distributed.as_ref().map(|settings| settings.group_id.as_str());
            Ok(validation::validate(&plugins, Some(&worker.config), group, &resolved.given(&given)).map(|mut infos| {
                resolved.conceal_infos(&mut infos);
                infos
            }))
        });
        const WAITING: &str = "waiting for a new thread to become available for connector validation";
        stage::during(WAITING, work).await?.map_err(|e| {
            let known: Vec<&str> = self.services.plugins.connectors.all().iter().map(|p| p.info.class()).collect();
            let hint = e.message().split_once(" Did you mean").map(|(_, h)| format!(" Did you mean{h}")).unwrap_or_default();
            Refusal::Bad(format!(
                "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}.{hint}",
                known.join(", ")
            ))
        })
    }

    /// Checks a configuration; answers it as written, which is what is stored.
    async fn check(&self, config: &ConfigMap) -> Answer<Settings> {
        let infos = self.validate(config).await?;
        if infos.error_count > 0 {
            let texts: Vec<&str> = infos.errors().collect();
            return Err(Refusal::Bad(format!(
                "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list \
                 of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
                infos.error_count,
                texts.join("\n")
            )));
        }
        let settings = texts(config);
        let resolved = self.services.worker.providers.resolve(&settings)?;
        for (_, sentence) in unknown_keys::find(&self.services.plugins, &resolved.settings) {
            tracing::warn!(connector = settings.get("name"), "{sentence}");
        }
        Ok(settings)
    }

    /// Adds `name` to the configuration; another name in it is refused.
    fn named(name: &str, mut config: ConfigMap) -> Answer<ConfigMap> {
        match config.get("name").and_then(Option::as_deref) {
            Some(other) if other != name => Err(Refusal::Bad(format!(
                "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
            ))),
            Some(_) => Ok(config),
            None => {
                config.insert("name".into(), Some(name.to_owned()));
                Ok(config)
            }
        }
    }

    /// Creates a connector; without a target state it is started.
    pub async fn create(
        &self,
        name: &str,
        config: ConfigMap,
        target: Option<Target>,
        until: Until,
    ) -> Answer<ConnectorInfo> {
        let settings = self.check(&Self::named(name, config)?).await?;
        self.put(name, settings, Write::New(target), until).await.map(|(info, _)| info)
    }

    /// Creates a connector or replaces its configuration; tells whether it is new.
    pub async fn put_config(&self, name: &str, config: ConfigMap, until: Until) -> Answer<(ConnectorInfo, bool)> {
        let settings = self.check(&Self::named(name, config)?).await?;
        self.put(name, settings, Write::Any, until).await
    }

    /// Merges a patch into the configuration; null removes a key. What others have stored while it was checked is merged
    /// with it, too: Kafka Connect's workers lose one of two patches at the same time.
    pub async fn patch_config(&self, name: &str, patch: ConfigMap) -> Answer<ConnectorInfo> {
        let stored = || self.services.configs.log().connector(name).cloned();
        loop {
            let before = stored().ok_or_else(|| not_found(name))?;
            let mut config: ConfigMap = before.iter().map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).collect();
            for (key, value) in patch.clone() {
                match value {
                    Some(value) => drop(config.insert(key, Some(value))),
                    None => drop(config.shift_remove(&key)),
                }
            }
            let settings = self.check(&Self::named(name, config)?).await?;
            let one_at_a_time = self.change().await?;
            if stored().as_ref() == Some(&before) {
                let put = self.put_alone(one_at_a_time, name, settings, Write::Any, Until::Kafkas).await;
                return put.map(|(info, _)| info);
            }
        }
    }

    async fn put(&self, name: &str, settings: Settings, write: Write, until: Until) -> Answer<(ConnectorInfo, bool)> {
        let one_at_a_time = self.change().await?;
        self.put_alone(one_at_a_time, name, settings, write, until).await
    }

    async fn put_alone(
        &self,
        one_at_a_time: MutexGuard<'_, ()>,
        name: &str,
        settings: Settings,
        write: Write,
        until: Until,
    ) -> Answer<(ConnectorInfo, bool)> {
        let new = !self.all.lock().await.contains_key(name);
        let tasks_before = self.task_ids(name);
        let target = match write {
            Write::New(_) if !new => return Err(Refusal::Conflict(format!("Connector {name} already exists"))),
            Write::New(target) => target,
            Write::Any => None,
        };
        let writing = format!("writing a config for connector {name} to the config topic");
        stage::during(writing, self.services.configs.put_connector(name, &settings, target)).await?;
        let target = self.services.configs.log().target(name);
        // Queued before the next change is stored, so that all are taken up in that order.
        let configured = self.configure(&mut *self.all.lock().await, name, settings, target)?;
        drop(one_at_a_time);
        // As in Kafka Connect, the connector exists even if it cannot be started.
        if until == Until::Started || self.carries_out() {
            stage::during("starting the connector", configured.done()).await??;
        }
        let mut info = self.info(name).await?;
        if self.services.worker.distributed.is_some() {
            // Kafka Connect's distributed workers answer before the tasks are made anew, its standalone ones after that.
            info.tasks = tasks_before;
        }
        Ok((info, new))
    }

    /// Tells a connector's actor what to run. One that has none gets it.
    fn configure(
        &self,
        all: &mut BTreeMap<String, Connector>,
        name: &str,
        settings: Settings,
        target: Target,
    ) -> Answer<Queued<connect_api::Result<()>>> {
        self.going_on()?;
        let class = self.services.worker.providers.connector_class(&settings)?;
        let plugin = self.services.plugins.connectors.find(&class)?;
        let kind = match plugin.direction() {
            Direction::Source => ConnectorType::Source,
            Direction::Sink => ConnectorType::Sink,
        };
        let new = || {
            let before = self.leaving().get(name).cloned();
            Connector { kind, handle: Handle::new(name.into(), self.services.clone(), before), told: None }
        };
        let c = all.entry(name.to_owned()).or_insert_with(new);
        c.kind = kind;
        let configured = c.handle.configure(settings.clone(), target)?;
        c.told = Some((settings, target));
        Ok(configured)
    }

    pub(crate) fn trials(&self) -> &trial::Places {
        &self.trials
    }

    /// Lets one change be stored at a time, and none when the worker is shutting down: nobody would take it up.
    pub(crate) async fn change(&self) -> Answer<MutexGuard<'_, ()>> {
        let changing = self.changing.lock().await;
        self.going_on()?;
        self.services.worker.lease.check().map_err(|e| Refusal::Failed(LOST_PLACE.to_owned() + &e.one_line()))?;
        Ok(changing)
    }

    fn going_on(&self) -> Answer<()> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Refusal::Failed("Worker is shutting down".into()));
        }
        Ok(())
    }

    pub(crate) async fn handle(&self, name: &str, missing: impl FnOnce() -> String) -> Answer<Handle> {
        self.going_on()?;
        let all = self.all.lock().await;
        all.get(name).map(|c| c.handle.clone()).ok_or_else(|| Refusal::NotFound(missing()))
    }

    /// Sets the target state; it is taken up in the background.
    pub async fn set_target(&self, name: &str, target: Target) -> Answer<()> {
        let handle = self.handle(name, || format!("Unknown connector {name}")).await?;
        let configs = &self.services.configs;
        let one_at_a_time = self.change().await?;
        if target == Target::Stopped {
            // A stopped connector has no tasks, also for a worker that takes over.
            configs.put_tasks(name, &[]).await?;
        }
        configs.put_target(name, target).await?;
        let queued = handle.target(target)?;
        if let Some((_, told)) = self.all.lock().await.get_mut(name).and_then(|c| c.told.as_mut()) {
            *told = target;
        }
        drop(one_at_a_time);
        // Pause and resume answer before they are carried out.
        if target == Target::Stopped && self.carries_out() {
            stage::during(format!("stopping connector {name}"), queued.done()).await?;
        }
        Ok(())
    }

    /// Deletes a connector. Its offsets and its consumer group stay.
    pub async fn delete(&self, name: &str) -> Answer<()> {
        let one_at_a_time = self.change().await?;
        self.handle(name, || format!("Connector {name} not found")).await?;
        self.services.configs.remove_connector(name).await?;
        let stopped = self.part_with(&mut *self.all.lock().await, name);
        drop(one_at_a_time);
        if let Some(stopped) = stopped.filter(|_| self.carries_out()) {
            stage::during(format!("stopping connector {name}"), stopped.cancelled()).await;
        }
        Ok(())
    }

    /// Whether requests are answered when they have been carried out: a distributed worker of Kafka Connect answers when
    /// they are stored.
    fn carries_out(&self) -> bool {
        self.services.worker.distributed.is_none()
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, CancellationToken>> {
        self.leaving.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Has a connector stopped that is no more; what is answered is cancelled when it has.
    fn part_with(&self, all: &mut BTreeMap<String, Connector>, name: &str) -> Option<CancellationToken> {
        let connector = all.remove(name)?;
        let (services, own, stopped) = (self.services.clone(), name.to_owned(), CancellationToken::new());
        {
            let mut leaving = self.leaving();
            leaving.retain(|_, stopped| !stopped.is_cancelled());
            leaving.insert(own.clone(), stopped.clone());
        }
        services.statuses.remove(name);
        let done = stopped.clone().drop_guard();
        tokio::spawn(async move {
            connector.handle.stop().await;
            // Its last state has been set since.
            services.statuses.remove(&own);
            services.topics.reset(&own);
            drop(done);
        });
        Some(stopped)
    }

    /// Restarts the connector's own part and waits for it.
    pub async fn restart_connector(&self, name: &str) -> Answer<()> {
        let handle = self.handle(name, || format!("Unknown connector: {name}")).await?;
        let failed = |e: Error| Refusal::Failed(format!("Failed to start connector: {name}: {}", e.one_line()));
        let queued = handle.restart(true, Vec::new())?;
        stage::during(format!("restarting connector {name}"), queued.done()).await?.map_err(failed)
    }

    /// Has restarted what the plan of KIP-745 selects; answers the status with what will be restarted shown as
    /// RESTARTING.
    pub async fn restart_plan(&self, name: &str, include_tasks: bool, only_failed: bool) -> Answer<ConnectorStatus> {
        self.handle(name, || format!("Unknown connector: {name}")).await?;
        let asked = Restart { connector: name.to_owned(), include_tasks, only_failed };
        let missing = || Refusal::NotFound(format!("Status for connector {name} not found"));
        let (status, _) = self.plan(&asked).ok_or_else(missing)?;
        // It is answered before it is carried out, which is done by whoever reads what is stored.
        self.services.configs.put_restart(asked).await?;
        Ok(status)
    }

    /// What a restart will be like, and what it restarts. As in Kafka Connect, that is what has a state.
    fn plan(&self, asked: &Restart) -> Option<(ConnectorStatus, Selected)> {
        let mut status = self.services.statuses.status(&asked.connector)?;
        let selected = |state: &str| !asked.only_failed || state == State::Failed.name();
        let connector = selected(&status.connector.state);
        let restarting = State::Restarting.name();
        if connector {
            status.connector.state = restarting.to_owned();
        }
        let mut tasks = Vec::new();
        for task in status.tasks.iter_mut().filter(|t| asked.include_tasks && selected(&t.state)) {
            task.state = restarting.to_owned();
            tasks.push(task.id);
        }
        Some((status, Selected { connector, tasks }))
    }

    /// Restarts a task and waits until it has been started.
    pub async fn restart_task(&self, name: &str, task: i32) -> Answer<()> {
        let handle = self.handle(name, || format!("Unknown connector: {name}")).await?;
        let id = u32::try_from(task).ok().filter(|id| (*id as usize) < self.services.configs.log().tasks(name).len());
        let id = id.ok_or_else(|| Refusal::NotFound(format!("Unknown task: {name}-{task}")))?;
        let queued = handle.restart(false, vec![id])?;
        stage::during(format!("restarting task {name}-{id}"), queued.done())
            .await?
            .map_err(|e| Refusal::Failed(format!("Failed to start task: {name}-{task}: {}", e.one_line())))
    }

    /// Stops all connectors side by side.
    pub async fn shut_down(&self) {
        // They stay listed: a client that found none would create them again.
        let handles: Vec<Handle> = {
            let all = self.all.lock().await;
            self.stopping.store(true, Ordering::Release);
            all.values().map(|c| c.handle.clone()).collect()
        };
        let stops = futures_util::future::join_all(handles.iter().map(Handle::stop));
        let leaving: Vec<CancellationToken> = self.leaving().values().cloned().collect();
        let left = futures_util::future::join_all(leaving.iter().map(CancellationToken::cancelled));
        let limit = self.services.worker.config.shutdown_timeout.0 + Duration::from_secs(10);
        if tokio::time::timeout(limit, async { tokio::join!(stops, left) }).await.is_err() {
            tracing::warn!("some connectors did not stop within {} s", limit.as_secs());
        }
    }
}

pub(crate) fn not_found(name: &str) -> Refusal {
    Refusal::NotFound(format!("Connector {name} not found"))
}

/// What is not null in a request's settings.
pub(crate) fn texts(config: &ConfigMap) -> Settings {
    config.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_deref()?))).collect()
}

/// The text of a Java map, as some of Kafka Connect's messages show it. Values may be secrets, so they are
/// left out here.
fn java_map(config: &ConfigMap) -> String {
    let keys: Vec<String> = config.keys().map(|k| format!("{k}=…")).collect();
    format!("{{{}}}", keys.join(", "))
}
