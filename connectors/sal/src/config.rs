//! Settings of the transform.

use std::path::PathBuf;

use connect_api::{
    Error, Result, Role, TaskContext,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader},
};
use connect_converters::{AvroConfig, RegistryCredentials, RegistryOptions, SchemaRegistry};

connect_api::config! {
    /// Where schemas come from and how records are called.
    #[derive(Debug)]
    pub struct SalOptions {
        /// Base URLs of the schema registry, comma-separated. Default: the registry of the record's value converter, with its
        /// credentials.
        urls: Vec<String> = Key::new("schema.registry.url").default("").high(),
        /// Folder with the schemas, as NAME.json or NAME.avsc, in place of a registry.
        folder: Option<String> = Key::new("schemas.folder").high(),
        /// What stands in front of the name of a SAL topic, with a dot between, in the subject of its schema and in the topic
        /// of its records.
        namespace: String = Key::new("namespace").default("lsst.sal").non_empty().topic(),
        /// How often it is looked for newer schemas of the topics that have come so far, and for those of topics that had none.
        refresh: Millis = Key::new("schemas.refresh.ms").default("30000").check(|every: &Millis| {
            if every.0.as_millis() < 100 { Err("Value must be at least 100".into()) } else { Ok(()) }
        }),
    }
}

/// Settings of the transform.
#[derive(Debug)]
pub struct SalConfig {
    /// All but the credentials.
    pub options: SalOptions,
    /// Credentials for the registry that is named here.
    pub credentials: RegistryCredentials,
}

impl Config for SalConfig {
    fn definition() -> ConfigDef {
        let mut definition = SalOptions::definition();
        definition.embed("", &RegistryCredentials::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Both are read before any is judged, so that every problem is found.
        let (options, credentials) = (SalOptions::read(reader), RegistryCredentials::read(reader));
        Some(Self { options: options?, credentials: credentials? })
    }
}

/// Where schemas come from.
#[derive(Debug)]
pub enum Place {
    /// A registry.
    Registry(SchemaRegistry),
    /// A folder of files.
    Folder(PathBuf),
}

impl SalConfig {
    /// Where schemas come from.
    ///
    /// # Errors
    ///
    /// If both a folder and a registry are named, or neither is and the value converter has no registry.
    pub fn place(&self, context: &TaskContext) -> Result<Place> {
        let options = &self.options;
        Ok(match (&options.folder, options.urls.is_empty()) {
            (Some(_), false) => {
                let text = "schemas.folder and schema.registry.url are both set; schemas come from one of them";
                return Err(Problems::new().add("schemas.folder", text).clone().into());
            }
            (Some(folder), true) => Place::Folder(folder.into()),
            (None, false) => {
                let auth = self.credentials.auth()?;
                Place::Registry(SchemaRegistry::new(RegistryOptions {
                    auth,
                    ..RegistryOptions::new(options.urls.clone())
                })?)
            }
            (None, true) => Place::Registry(of_converter(context)?),
        })
    }
}

/// The registry of the value converter.
fn of_converter(context: &TaskContext) -> Result<SchemaRegistry> {
    let settings = context.converter_settings(Role::Value);
    if settings.get("schema.registry.url").is_none() {
        return Err(Error::fatal(
            "there is nowhere to get schemas from: the value converter has no registry; set schema.registry.url or \
             schemas.folder of the transform",
        ));
    }
    let config =
        AvroConfig::parse(&settings).map_err(|e| Error::from(e).context("reading the value converter's registry"))?;
    SchemaRegistry::new(config.registry_options()?)
}
