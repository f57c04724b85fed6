//! The latest schemas of SAL topics: fetched when a topic first comes, looked for again in the background.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use connect_api::{Error, ErrorClass, Prepare, Result};
use tokio::time::Instant;

use crate::{config::Place, plan::Plan};

/// How many names without a schema are remembered: they are what messages say, so there could be any number.
const UNKNOWN: usize = 1000;

/// Schemas by the names of their SAL topics. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Schemas(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    place: Place,
    namespace: String,
    refresh: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    plans: HashMap<Arc<str>, Arc<Plan>>,
    /// Why there is no plan, and when that was found.
    unknown: HashMap<Arc<str>, (Error, Instant)>,
}

impl Schemas {
    /// Schemas from there, whose subjects begin with the namespace; what is known is looked for again so often.
    pub fn new(place: Place, namespace: String, refresh: Duration) -> Self {
        Self(Arc::new(Shared { place, namespace, refresh, known: Mutex::default() }))
    }

    /// How messages of this topic become records, or why they do not; `None` when that is not known.
    pub fn plan(&self, name: &str) -> Option<Result<Arc<Plan>>> {
        let known = self.0.known();
        if let Some(plan) = known.plans.get(name) {
            return Some(Ok(plan.clone()));
        }
        let (why, at) = known.unknown.get(name)?;
        (at.elapsed() < self.0.refresh).then(|| Err(why.clone()))
    }

    /// The work after which [`Schemas::plan`] knows about the topic.
    pub fn look(&self, name: &str) -> Prepare {
        let (shared, name) = (self.0.clone(), Arc::<str>::from(name));
        Box::pin(async move {
            let plan = shared.look(&name).await?.and_then(|text| Plan::new(&shared.subject(&name), &text));
            shared.learn(name, plan);
            Ok(())
        })
    }

    /// Looks for newer schemas until it is dropped.
    pub async fn follow(self) {
        let mut away = false;
        loop {
            tokio::time::sleep(self.0.refresh).await;
            let names: Vec<Arc<str>> = self.0.known().plans.keys().cloned().collect();
            for name in names {
                match self.renew(name).await {
                    Ok(()) => away = false,
                    Err(e) => {
                        if !std::mem::replace(&mut away, true) {
                            tracing::warn!("schemas stay as they are: {}", e.one_line());
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Takes up what has become of a schema; an error when nobody can tell.
    async fn renew(&self, name: Arc<str>) -> Result<()> {
        let old = self.0.known().plans.get(&name).cloned();
        let plan = match self.0.look(&name).await? {
            Ok(text) if old.is_some_and(|old| *old.text() == *text) => return Ok(()),
            found => found.and_then(|text| Plan::new(&self.0.subject(&name), &text)),
        };
        match &plan {
            Ok(plan) => tracing::info!("{} has a new schema", plan.topic()),
            Err(e) => tracing::warn!("messages of {name} have no schema any more: {}", e.one_line()),
        }
        self.0.learn(name, plan);
        Ok(())
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }

    /// The text of the latest schema, or why there is none; an error when nobody can tell.
    async fn look(&self, name: &str) -> Result<Result<Arc<str>>> {
        match &self.place {
            Place::Folder(folder) => read(folder, name).await,
            Place::Registry(registry) => match registry.latest(&self.subject(name)).await {
                Ok(latest) => Ok(Ok(latest.schema.into())),
                Err(e) if e.class() == ErrorClass::Data => Ok(Err(e)),
                Err(e) => Err(e),
            },
        }
    }

    fn learn(&self, name: Arc<str>, plan: Result<Plan>) {
        let mut known = self.known();
        known.unknown.remove(&name);
        match plan {
            Ok(plan) => {
                known.plans.insert(name, Arc::new(plan));
            }
            Err(e) => {
                known.plans.remove(&name);
                // Emptied when it is full: those that come again are looked for again.
                if known.unknown.len() >= UNKNOWN {
                    known.unknown.clear();
                }
                known.unknown.insert(name, (e, Instant::now()));
            }
        }
    }
}

/// The text of a topic's file in the folder.
async fn read(folder: &Path, name: &str) -> Result<Result<Arc<str>>> {
    for ending in ["json", "avsc"] {
        let path = folder.join(format!("{name}.{ending}"));
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => return Ok(Ok(text.into())),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::retriable(format!("reading the schema {}", path.display())).caused_by(e)),
        }
    }
    let text = format!("there is no schema of {name} in {}: {name}.json or {name}.avsc", folder.display());
    Ok(Err(Error::data(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::{
        Mock, MockServer, ResponseTemplate,
        matchers::{method, path},
    };

    use connect_converters::{RegistryOptions, SchemaRegistry};

    use super::*;

    fn schema(field: &str) -> String {
        let fields = json!([{"name": field, "type": "double", "sal_index": 0}]);
        json!({"type": "record", "namespace": "lsst.sal", "name": "a", "fields": fields}).to_string()
    }

    fn latest(text: &str) -> ResponseTemplate {
        ResponseTemplate::new(200)
            .set_body_json(json!({"subject": "lsst.sal.a", "version": 1, "id": 1, "schema": text}))
    }

    /// The registry answers so, from now on.
    async fn answer(server: &MockServer, answer: ResponseTemplate) {
        server.reset().await;
        let latest = Mock::given(method("GET")).and(path("/subjects/lsst.sal.a/versions/latest"));
        latest.respond_with(answer).mount(server).await;
    }

    fn of(server: &MockServer, refresh: Duration) -> Schemas {
        let registry = SchemaRegistry::new(RegistryOptions::new(vec![server.uri()])).expect("a client");
        Schemas::new(Place::Registry(registry), "lsst.sal".into(), refresh)
    }

    fn plan(schemas: &Schemas) -> Result<Arc<Plan>> {
        schemas.plan("a").expect("it is known")
    }

    fn fields(schemas: &Schemas) -> Vec<String> {
        let plan = plan(schemas).expect("a plan");
        plan.schema().fields().iter().map(|f| f.name().to_owned()).collect()
    }

    /// Waits until the topic has this one field.
    async fn until(schemas: &Schemas, field: &str) {
        let there = async {
            while !schemas.plan("a").is_some_and(|plan| plan.is_ok() && fields(schemas) == [field]) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), there).await.expect("in time");
    }

    #[tokio::test]
    async fn a_registry_is_asked_once_and_newer_schemas_are_noticed() {
        let server = MockServer::start().await;
        answer(&server, latest(&schema("x"))).await;
        let schemas = of(&server, Duration::from_millis(20));
        assert!(schemas.plan("a").is_none(), "not yet");
        schemas.look("a").await.expect("found");
        assert_eq!((fields(&schemas), &**plan(&schemas).expect("a plan").topic()), (vec!["x".into()], "lsst.sal.a"));

        let following = tokio::spawn(schemas.clone().follow());
        answer(&server, ResponseTemplate::new(503)).await;
        let asked = async {
            while server.received_requests().await.unwrap_or_default().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.expect("in time");
        assert_eq!(fields(&schemas), ["x"], "a registry that is away changes nothing");
        answer(&server, latest(&schema("y"))).await;
        until(&schemas, "y").await;
        following.abort();
    }

    #[tokio::test]
    async fn a_topic_without_schema_is_looked_for_again_later_and_a_registry_that_is_away_at_once() {
        let server = MockServer::start().await;
        answer(&server, ResponseTemplate::new(503)).await;
        let schemas = of(&server, Duration::from_secs(2));
        let away = schemas.look("a").await.expect_err("away");
        assert_eq!(away.class(), ErrorClass::Retriable);

        let refusal = json!({"error_code": 40401, "message": "Subject 'lsst.sal.a' not found."});
        answer(&server, ResponseTemplate::new(404).set_body_json(refusal)).await;
        assert!(schemas.plan("a").is_none(), "it is not known yet");
        schemas.look("a").await.expect("that there is none is an answer");
        let e = plan(&schemas).expect_err("no schema");
        assert!(e.class() == ErrorClass::Data && e.message().contains("lsst.sal.a"), "{e}");

        answer(&server, latest(&schema("x"))).await;
        let again = async {
            while schemas.plan("a").is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("in time");
        schemas.look("a").await.expect("found");
        assert_eq!(fields(&schemas), ["x"]);
    }

    #[tokio::test]
    async fn what_is_remembered_of_names_without_schema_is_bounded() {
        let dir = tempfile::tempdir().expect("folder");
        let schemas = Schemas::new(Place::Folder(dir.path().into()), "lsst.sal".into(), Duration::from_secs(60));
        for n in 0..UNKNOWN + 10 {
            schemas.look(&format!("t{n}")).await.expect("none");
        }
        assert_eq!(schemas.0.known().unknown.len(), 10);
    }

    #[tokio::test]
    async fn a_folder_is_as_good_as_a_registry() {
        let dir = tempfile::tempdir().expect("folder");
        let schemas = Schemas::new(Place::Folder(dir.path().into()), "lsst.sal".into(), Duration::from_secs(2));
        schemas.look("a").await.expect("none");
        let e = plan(&schemas).expect_err("no file");
        assert!(e.message().contains("a.json or a.avsc"), "{e}");
        std::fs::write(dir.path().join("a.avsc"), schema("x")).expect("a file");
        let following = tokio::spawn(schemas.clone().follow());
        schemas.look("a").await.expect("found");
        assert_eq!(fields(&schemas), ["x"]);
        std::fs::write(dir.path().join("a.json"), schema("y")).expect("a file");
        until(&schemas, "y").await;
        following.abort();
    }
}
