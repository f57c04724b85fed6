//! The Avro schema to write packets with, from files: parts that refer to each other by name are made one.

use std::fs;

use apache_avro::Schema as Avro;
use connect_api::{Error, Result};

/// Reads the schema of these files, the packet's last; `None` where no file is named.
///
/// # Errors
///
/// If a file cannot be read, or they are no schema together.
pub fn read(files: &[String]) -> Result<Option<Avro>> {
    let failed = |what: &str, e: Box<dyn std::error::Error + Send + Sync>| {
        Error::fatal(format!("reading the schema in {what}: correct alert.stream.schema.files")).caused_by(e)
    };
    let mut texts = Vec::new();
    for file in files {
        texts.push(fs::read_to_string(file).map_err(|e| failed(file, e.into()))?);
    }
    let all = || files.join(", ");
    let mut parts = Avro::parse_list(&texts).map_err(|e| failed(&all(), e.into()))?;
    let Some(mut whole) = parts.pop() else { return Ok(None) };
    whole.denormalize(&parts).map_err(|e| failed(&all(), e.into()))?;
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[&str]) -> Result<Option<Avro>> {
        let dir = tempfile::tempdir().expect("folder");
        let path = |n: usize| dir.path().join(format!("{n}.avsc")).to_string_lossy().into_owned();
        for (n, part) in parts.iter().enumerate() {
            fs::write(path(n), part).expect("a file");
        }
        read(&(0..parts.len()).map(path).collect::<Vec<_>>())
    }

    #[test]
    fn parts_are_put_where_they_are_named_each_once() {
        let cutout = r#"{"namespace":"ztf.alert","type":"record","name":"cutout","fields":[{"name":"stampData","type":"bytes"}]}"#;
        let alert = r#"{"namespace":"ztf","type":"record","name":"alert","fields":[
            {"name":"id","type":"long"},
            {"name":"one","type":["null","ztf.alert.cutout"],"default":null},
            {"name":"all","type":{"type":"array","items":"ztf.alert.cutout"}}]}"#;
        let schema = written(&[cutout, alert]).expect("a schema").expect("one");
        let text = schema.canonical_form();
        assert_eq!(text.matches("stampData").count(), 1, "{text}");
        assert!(text.contains(r#""name":"ztf.alert""#) && text.contains(r#""items":"ztf.alert.cutout""#), "{text}");
    }

    #[test]
    fn what_is_no_schema_is_named() {
        assert!(read(&[]).is_ok_and(|none| none.is_none()));
        let e = read(&["/nonexistent.avsc".into()]).expect_err("no file");
        assert!(e.message().contains("/nonexistent.avsc") && e.message().contains("alert.stream.schema.files"));
        assert!(written(&["{"]).is_err());
        assert!(written(&[r#"{"type":"record","name":"a","fields":[{"name":"x","type":"missing"}]}"#]).is_err());
    }
}
