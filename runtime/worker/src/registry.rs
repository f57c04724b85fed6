//! Plugins by name: the typed traits of `connect-api`, erased.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use connect_api::{
    Connector, ConnectorContext, Converter, ConverterPlugin, Error, OffsetMap, PluginInfo, Predicate, PredicatePlugin,
    Result, Role, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial, SourceConnector, SourceContext,
    SourceTask, SourceTrial, TaskContext, TopicPartition, Transform, TransformPlugin, async_trait,
    config::{Config, ConfigDef, ConfigValue, Problems},
};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Source or sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Direction {
    Source,
    Sink,
}

/// A connector that runs, its type erased.
#[async_trait]
pub trait RunningConnector: Send {
    /// See [`Connector::task_configs`].
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>>;

    /// See [`Connector::watch`].
    async fn watch(&mut self) -> Result<()>;

    /// See [`Connector::stop`].
    async fn stop(self: Box<Self>) -> Result<()>;
}

struct Erased<C>(C);

#[async_trait]
impl<C: Connector> RunningConnector for Erased<C> {
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        self.0.task_configs(max_tasks)
    }

    async fn watch(&mut self) -> Result<()> {
        self.0.watch().await
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        self.0.stop().await
    }
}

type StartSource = fn(Settings, SourceContext) -> Boxed<Box<dyn SourceTask>>;
type StartSink = fn(Settings, SinkContext) -> Boxed<Box<dyn SinkTask>>;

/// How tasks of a connector are started.
#[derive(Clone, Copy)]
pub enum TaskStart {
    /// Source tasks.
    Source(StartSource),
    /// Sink tasks.
    Sink(StartSink),
}

type TrySource = fn(Settings, SourceContext) -> Boxed<Option<SourceTrial>>;
type TrySink = fn(Settings, SinkContext) -> Boxed<Option<Box<dyn SinkTrial>>>;

/// How a connector takes part in test calls.
#[derive(Clone, Copy)]
pub enum TrialStart {
    /// See [`SourceConnector::start_trial`].
    Source(TrySource),
    /// See [`SinkConnector::start_trial`].
    Sink(TrySink),
}

type AlterSource = fn(&Settings, &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool>;
type AlterSink = fn(&Settings, &[(TopicPartition, Option<i64>)]) -> Result<bool>;
type KeptWith = fn(&Settings) -> Result<Option<String>>;

/// What a connector says to offsets that a person wants to set.
#[derive(Clone, Copy)]
pub enum AlterOffsets {
    /// See [`SourceConnector::alter_offsets`].
    Source(AlterSource),
    /// See [`SinkConnector::alter_offsets`] and [`SinkConnector::keeps_offsets_in`].
    Sink(AlterSink, KeptWith),
}

/// A connector plugin.
#[derive(Clone)]
pub struct ConnectorPlugin {
    /// Its names.
    pub info: PluginInfo,
    /// Its keys.
    pub definition: ConfigDef,
    /// How its tasks are started.
    pub tasks: TaskStart,
    /// How it takes part in test calls.
    pub trial: TrialStart,
    /// What it says to other offsets.
    pub alter: AlterOffsets,
    validate: fn(&Settings) -> Problems,
    start: fn(Settings, ConnectorContext) -> Boxed<Box<dyn RunningConnector>>,
}

impl ConnectorPlugin {
    fn new<C: Connector>(tasks: TaskStart, trial: TrialStart, alter: AlterOffsets) -> Self {
        Self {
            info: C::INFO,
            definition: C::Config::definition(),
            tasks,
            trial,
            alter,
            validate: |settings| {
                let mut problems = Problems::new();
                match C::Config::parse(settings) {
                    Ok(config) => C::validate(&config, &mut problems),
                    // A required key that is missing has been reported. Most rules across keys need all of them.
                    Err(found) => problems = found,
                }
                problems
            },
            start: |settings, context| {
                Box::pin(async move {
                    let config = C::Config::parse(&settings)?;
                    let connector = C::start(config, context).await?;
                    Ok(Box::new(Erased(connector)) as Box<dyn RunningConnector>)
                })
            },
        }
    }

    /// Source or sink.
    pub fn direction(&self) -> Direction {
        match self.tasks {
            TaskStart::Source(_) => Direction::Source,
            TaskStart::Sink(_) => Direction::Sink,
        }
    }

    /// Validates the plugin's own keys: each by itself, then rules across keys.
    pub fn validate(&self, settings: &Settings) -> Vec<ConfigValue> {
        let mut values = self.definition.validate(settings);
        // Rules across keys are judged without the keys that cannot be read, so that all problems come at once. What
        // they say of such a key is a consequence.
        let wrong: Vec<String> = values.iter().filter(|v| !v.errors.is_empty()).map(|v| v.name.clone()).collect();
        let mut readable = settings.clone();
        for name in &wrong {
            readable.remove(name);
        }
        let problems = (self.validate)(&readable);
        let names = |text: &str, key: &str| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).any(|word| word == key)
        };
        let consequence = |text: &str, key: &str| wrong.iter().any(|w| w == key || names(text, w));
        for problem in problems.iter().filter(|p| !consequence(&p.text, &p.key)) {
            match values.iter_mut().find(|v| v.name == problem.key) {
                Some(value) => value.errors.push(problem.text.clone()),
                None => values.push(ConfigValue {
                    name: problem.key.clone(),
                    value: None,
                    recommended_values: Vec::new(),
                    errors: vec![problem.text.clone()],
                    visible: true,
                }),
            }
        }
        values
    }

    /// Starts a connector.
    pub async fn start(&self, settings: Settings, context: ConnectorContext) -> Result<Box<dyn RunningConnector>> {
        (self.start)(settings, context).await
    }
}

/// A converter plugin.
#[derive(Clone)]
pub struct AnyConverter {
    /// Its names.
    pub info: PluginInfo,
    /// Its keys.
    pub definition: ConfigDef,
    /// Makes one.
    pub build: fn(&Settings, Role) -> Result<Box<dyn Converter>>,
    /// Whether it serves for keys and values, too.
    pub headers_only: bool,
}

/// A transform plugin.
#[derive(Clone)]
pub struct AnyTransform {
    /// Its names.
    pub info: PluginInfo,
    /// Its keys.
    pub definition: ConfigDef,
    /// Judges the settings under its prefix by rules that span several keys, if each can be read.
    pub validate: fn(&Settings) -> Problems,
    /// Makes one for a task from the settings under its prefix.
    pub build: fn(Settings, TaskContext) -> Boxed<Box<dyn Transform>>,
}

/// A predicate plugin.
#[derive(Clone)]
pub struct AnyPredicate {
    /// Its names.
    pub info: PluginInfo,
    /// Its keys.
    pub definition: ConfigDef,
    /// Makes one.
    pub build: fn(&Settings) -> Result<Box<dyn Predicate>>,
}

/// Plugins of one kind by any of their names.
#[derive(Clone)]
pub struct Kind<P> {
    what: &'static str,
    suffix: &'static str,
    all: Vec<Arc<P>>,
    names: BTreeMap<String, Vec<usize>>,
}

impl<P> Kind<P> {
    fn new(what: &'static str, suffix: &'static str) -> Self {
        Self { what, suffix, all: Vec::new(), names: BTreeMap::new() }
    }

    fn add(&mut self, info: PluginInfo, plugin: P) {
        let at = self.all.len();
        self.all.push(Arc::new(plugin));
        let mut name = |n: &str| {
            let known = self.names.entry(n.to_owned()).or_default();
            if !known.contains(&at) {
                known.push(at);
            }
        };
        name(info.name);
        for alias in info.aliases {
            name(alias);
            // The simple name, and that without the word of its kind, as Kafka Connect allows.
            let simple = alias.rsplit('.').next().unwrap_or(alias);
            name(simple);
            if let Some(short) = simple.strip_suffix(self.suffix).filter(|s| !s.is_empty()) {
                name(short);
            }
        }
    }

    /// All in the order of registration.
    pub fn all(&self) -> &[Arc<P>] {
        &self.all
    }

    /// The plugin of that name: short name, JVM class or its simple name.
    pub fn find(&self, name: &str) -> Result<Arc<P>> {
        match self.names.get(name.trim()).map(Vec::as_slice) {
            Some([one]) => Ok(self.all[*one].clone()),
            Some(_) => {
                Err(Error::fatal(format!("more than one {} is called {name}; use the full class name", self.what)))
            }
            None => Err(Error::fatal(format!("Class {name} could not be found.{}", self.hint(name)))),
        }
    }

    fn hint(&self, name: &str) -> String {
        match nearest(name, self.names.keys().map(String::as_str)) {
            Some(near) => format!(" Did you mean {near}?"),
            None => String::new(),
        }
    }
}

/// The known name that is nearest to a misspelt one, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(&name.to_lowercase(), &k.to_lowercase()), k));
    scored.filter(|(score, _)| *score > 0.85).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}

/// All plugins of a program.
#[derive(Clone)]
pub struct Plugins {
    /// Connectors.
    pub connectors: Kind<ConnectorPlugin>,
    /// Converters; those for headers only among them.
    pub converters: Kind<AnyConverter>,
    /// Transforms.
    pub transforms: Kind<AnyTransform>,
    /// Predicates.
    pub predicates: Kind<AnyPredicate>,
}

impl Plugins {
    /// None.
    pub fn new() -> Self {
        Self {
            connectors: Kind::new("connector", "Connector"),
            converters: Kind::new("converter", "Converter"),
            transforms: Kind::new("transform", "Transformation"),
            predicates: Kind::new("predicate", "Predicate"),
        }
    }

    /// The class of a plugin of any kind that has this name: one that stands where another kind is wanted.
    pub fn class_of(&self, name: &str) -> Option<&'static str> {
        let connector = self.connectors.find(name).map(|p| p.info);
        let converter = connector.or_else(|_| self.converters.find(name).map(|p| p.info));
        let transform = converter.or_else(|_| self.transforms.find(name).map(|p| p.info));
        Some(transform.or_else(|_| self.predicates.find(name).map(|p| p.info)).ok()?.class())
    }

    /// Adds a source connector.
    pub fn source<C: SourceConnector>(mut self) -> Self {
        let tasks = TaskStart::Source(|settings, context| {
            Box::pin(async move { C::start_task(C::Config::parse(&settings)?, context).await })
        });
        let trial = TrialStart::Source(|settings, context| {
            Box::pin(async move { C::start_trial(C::Config::parse(&settings)?, context).await })
        });
        let alter = AlterOffsets::Source(|settings, offsets| C::alter_offsets(&C::Config::parse(settings)?, offsets));
        self.connectors.add(C::INFO, ConnectorPlugin::new::<C>(tasks, trial, alter));
        self
    }

    /// Adds a sink connector.
    pub fn sink<C: SinkConnector>(mut self) -> Self {
        let tasks = TaskStart::Sink(|settings, context| {
            Box::pin(async move { C::start_task(C::Config::parse(&settings)?, context).await })
        });
        let trial = TrialStart::Sink(|settings, context| {
            Box::pin(async move { C::start_trial(C::Config::parse(&settings)?, context).await })
        });
        let alter = AlterOffsets::Sink(
            |settings, offsets| C::alter_offsets(&C::Config::parse(settings)?, offsets),
            |settings| Ok(C::keeps_offsets_in(&C::Config::parse(settings)?)),
        );
        self.connectors.add(C::INFO, ConnectorPlugin::new::<C>(tasks, trial, alter));
        self
    }

    fn any_converter<C: ConverterPlugin>(headers_only: bool) -> AnyConverter {
        AnyConverter {
            info: C::INFO,
            definition: C::Config::definition(),
            build: |settings, role| C::build(C::Config::parse(settings)?, settings, role),
            headers_only,
        }
    }

    /// Adds a converter of keys, values and headers.
    pub fn converter<C: ConverterPlugin>(mut self) -> Self {
        self.converters.add(C::INFO, Self::any_converter::<C>(false));
        self
    }

    /// Adds a converter of headers only.
    pub fn header_converter<C: ConverterPlugin>(mut self) -> Self {
        self.converters.add(C::INFO, Self::any_converter::<C>(true));
        self
    }

    /// Adds a transform.
    pub fn transform<T: TransformPlugin>(mut self) -> Self {
        let plugin = AnyTransform {
            info: T::INFO,
            definition: T::Config::definition(),
            validate: |settings| {
                let mut problems = Problems::new();
                // Keys that cannot be read have been reported.
                if let Ok(config) = T::Config::parse(settings) {
                    T::validate(&config, &mut problems);
                }
                problems
            },
            build: |settings, context| Box::pin(async move { T::build(T::Config::parse(&settings)?, &context).await }),
        };
        self.transforms.add(T::INFO, plugin);
        self
    }

    /// Adds a predicate.
    pub fn predicate<P: PredicatePlugin>(mut self) -> Self {
        let plugin = AnyPredicate {
            info: P::INFO,
            definition: P::Config::definition(),
            build: |settings| P::build(P::Config::parse(settings)?),
        };
        self.predicates.add(P::INFO, plugin);
        self
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    connect_api::config! {
        /// Settings of the source for tests.
        #[derive(Debug)]
        struct Nothing {}
    }

    struct TestSource;

    #[async_trait]
    impl Connector for TestSource {
        type Config = Nothing;
        const INFO: PluginInfo = PluginInfo { name: "test-source", aliases: &[], version: "1.0", about: "" };

        async fn start(_: Nothing, _: ConnectorContext) -> Result<Self> {
            Ok(Self)
        }

        fn task_configs(&self, _: usize) -> Result<Vec<Settings>> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl SourceConnector for TestSource {
        async fn start_task(_: Nothing, _: SourceContext) -> Result<Box<dyn SourceTask>> {
            Err(Error::fatal("there are no tasks"))
        }
    }

    /// A source without settings, for tests of what all connectors share.
    pub(crate) fn plugins() -> Plugins {
        Plugins::new().source::<TestSource>()
    }

    #[test]
    fn plugins_are_found_by_every_name_and_misspellings_are_met_with_a_hint() {
        let mut kind = Kind::new("connector", "Connector");
        let info =
            PluginInfo { name: "file-source", aliases: &["org.x.FileStreamSourceConnector"], version: "1", about: "" };
        kind.add(info, 1);
        for name in ["file-source", "org.x.FileStreamSourceConnector", "FileStreamSourceConnector", "FileStreamSource"]
        {
            assert_eq!(kind.find(name).ok().as_deref(), Some(&1), "{name}");
        }
        let e = kind.find("file-sorce").err().map(|e| e.to_string());
        assert_eq!(e.as_deref(), Some("Class file-sorce could not be found. Did you mean file-source?"));
    }

    #[test]
    fn a_simple_name_of_two_classes_is_ambiguous() {
        let mut kind = Kind::new("transform", "Transformation");
        kind.add(PluginInfo { name: "a", aliases: &["x.Same"], version: "1", about: "" }, 1);
        kind.add(PluginInfo { name: "b", aliases: &["y.Same"], version: "1", about: "" }, 2);
        assert!(kind.find("Same").is_err());
        assert_eq!(kind.find("y.Same").ok().as_deref(), Some(&2));
    }
}
