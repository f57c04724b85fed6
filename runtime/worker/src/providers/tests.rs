use std::fs;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    providers: Providers,
}

impl Place {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn text(&self, text: &str) -> String {
        let text = text.replace("DIR", &self.dir.path().display().to_string());
        let resolved = self.providers.resolve(&Settings::from([("k", text)])).expect("resolved");
        resolved.settings.get("k").unwrap_or_default().to_owned()
    }

    fn why(&self, text: &str) -> String {
        let text = text.replace("DIR", &self.dir.path().display().to_string());
        let resolved = self.providers.resolve(&Settings::from([("k", text.as_str())])).expect("resolved");
        assert_eq!(resolved.settings.get("k"), Some(text.as_str()), "it stays as it is");
        resolved.unresolved.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>().join("; ")
    }
}

/// Three providers, those of files limited to a folder.
fn place() -> Place {
    let dir = tempfile::tempdir().expect("folder");
    fs::write(
        dir.path().join("s.properties"),
        "user = bob\npw=s3cret\\u0021\npw.a:b=colon\nref=${env:PATH}\nuser=eve\n",
    )
    .expect("file");
    fs::write(dir.path().join("token"), " t0ken\n").expect("file");
    fs::create_dir(dir.path().join("inner")).expect("folder");
    let root = dir.path().display().to_string();
    let worker = Settings::from([
        (ALIASES, "file, dir,env"),
        ("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
        ("config.providers.file.param.allowed.paths", root.as_str()),
        ("config.providers.dir.class", "DirectoryConfigProvider"),
        ("config.providers.dir.param.allowed.paths", root.as_str()),
        ("config.providers.env.class", "EnvVar"),
        ("config.providers.env.param.allowlist.pattern", "CARGO_PKG_.*"),
    ]);
    Place { dir, providers: Providers::read(&worker, Secrets::default()).expect("providers") }
}

#[test]
fn values_come_from_files_directories_and_the_environment() {
    let p = place();
    assert_eq!(p.text("${file:DIR/s.properties:pw}"), "s3cret!");
    assert_eq!(p.text("${file:DIR/s.properties:user}"), "eve", "the last one counts");
    assert_eq!(
        p.text("u=\"${file:DIR/./s.properties:user}\" p=\"${file:DIR/s.properties:pw}\";"),
        "u=\"eve\" p=\"s3cret!\";"
    );
    assert_eq!(p.text("${dir:DIR:token}"), " t0ken\n", "contents are not trimmed");
    assert_eq!(p.text("${env:CARGO_PKG_NAME}"), "connect-worker");
    assert_eq!(p.text("${file:DIR/s.properties:ref}"), "${env:PATH}", "values are not resolved again");
}

#[test]
fn what_no_provider_has_stays_as_it_is_and_why_is_said() {
    let p = place();
    for (text, why) in [
        ("${vault:a:b}", "no config provider is called \"vault\", only dir, env, file"),
        ("${file:DIR/s.properties:none}", "s.properties has no \"none\""),
        ("${file:DIR/../x:k}", "is not within allowed.paths"),
        ("${file:k}", "there is no path"),
        ("${dir:DIR/token:k}", "is not a directory"),
        ("${dir:DIR:inner}", "has no \"inner\""),
        ("${env:PATH}", "there is no \"PATH\" that the provider may read"),
    ] {
        let said = p.why(text);
        assert!(said.contains(why) && said.contains("in the setting k stays as it is"), "{text}: {said}");
    }
    assert_eq!(p.text("${vault:a} ${file:DIR/s.properties:user}"), "${vault:a} eve");
    assert!(Providers::default().resolve(&Settings::from([("k", "${a:b}")])).is_ok_and(|r| r.unresolved.len() == 1));
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_setting_and_file_but_no_contents() {
    let p = place();
    let error = |text: String| {
        let e = p.providers.resolve(&Settings::from([("connection.password", text)])).expect_err("refused");
        assert_eq!(e.exception_class(), "org.apache.kafka.common.config.ConfigException");
        e.one_line()
    };
    let gone = error(format!("${{file:{}:k}}", p.path("gone")));
    assert!(
        gone.starts_with("resolving ${file:…} in connection.password: Could not read properties from file /"),
        "{gone}"
    );
    assert!(gone.ends_with("(os error 2)"), "{gone}");
    fs::write(p.path("bad"), "pw=s3cret\\u00zz\n").expect("file");
    let bad = error(format!("${{file:{}:pw}}", p.path("bad")));
    assert!(bad.ends_with("line 1 is wrong") && !bad.contains("s3cret"), "{bad}");
    fs::write(p.path("latin"), b"pw=\xe9\n").expect("file");
    assert!(error(format!("${{file:{}:pw}}", p.path("latin"))).contains("invalid utf-8"));
    assert!(error("${env:x:y}".into()).contains("Path is not supported for EnvVarConfigProvider, invalid value 'x'"));
}

#[test]
fn declarations_are_checked_and_every_problem_named() {
    let worker = Settings::from([
        (ALIASES, "a,b,c"),
        ("config.providers.a.class", "com.x.VaultConfigProvider"),
        ("config.providers.c.class", "FileConfigProvider"),
        ("config.providers.c.param.allowed.paths", "relative"),
    ]);
    let problems = Providers::read(&worker, Secrets::default()).expect_err("problems");
    let texts: Vec<&str> = problems.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("com.x.VaultConfigProvider cannot be loaded without a JVM; FileConfigProvider, "));
    assert!(texts[1].contains("Missing required configuration \"config.providers.b.class\""), "{texts:?}");
    assert!(texts[2].contains("config.providers.c.param.allowed.paths: Path relative is not absolute"), "{texts:?}");
    let worker = Settings::from([
        (ALIASES, "f"),
        ("config.providers.f.class", "File"),
        ("config.providers.f.param.alowed.paths", "/x"),
        ("config.providers.g.class", "File"),
    ]);
    let unknown = Providers::unknown_keys(&worker);
    assert_eq!(unknown.len(), 2, "{unknown:?}");
    assert!(unknown[0].text.contains("did you mean config.providers.f.param.allowed.paths?"), "{unknown:?}");
}

#[test]
fn stored_and_shown_settings_have_references_and_no_values() {
    let p = place();
    let written = format!("${{file:{}:pw}}", p.path("s.properties"));
    let connector = Settings::from([
        ("a.password", written.as_str()),
        ("url", "http://h"),
        ("tasks.max", "${env:CARGO_PKG_VERSION_MAJOR}"),
    ]);
    let resolved = p.providers.resolve(&connector).expect("resolved");
    let mut task = resolved.settings.clone();
    task.set("copied", "u:s3cret!@h").set("task.id", "0").set("a.other", "s3cret!");
    resolved.reverse(&mut task);
    assert_eq!(task.get("a.password"), Some(written.as_str()));
    assert_eq!(task.get("tasks.max"), Some("${env:CARGO_PKG_VERSION_MAJOR}"), "whatever it is resolved to");
    assert_eq!(task.get("copied"), Some(format!("u:{written}@h").as_str()));
    assert_eq!(task.get("a.other"), Some(written.as_str()));
    assert_eq!((task.get("task.id"), task.get("url")), (Some("0"), Some("http://h")), "chance does not matter");
    assert_eq!(resolved.conceal("url", "s3cret! is wrong"), format!("{written} is wrong"));
    assert_eq!(
        resolved.conceal("tasks.max", "Invalid value 0 for configuration tasks.max: Value must be at least 1"),
        "Invalid value ${env:CARGO_PKG_VERSION_MAJOR} for configuration tasks.max: Value must be at least 1"
    );
    assert_eq!(p.providers.secrets().conceal("with s3cret!"), format!("with {written}"));
    assert!(!format!("{resolved:?} {:?}", p.providers).contains("s3cret"));
}

#[test]
fn plugin_path_is_taken_as_written() {
    let p = place();
    let worker = Settings::from([("plugin.path", "${env:CARGO_PKG_NAME}"), ("group.id", "${env:CARGO_PKG_NAME}")]);
    let settings = p.providers.resolve_worker(&worker).expect("resolved").settings;
    assert_eq!(
        (settings.get("plugin.path"), settings.get("group.id")),
        (Some("${env:CARGO_PKG_NAME}"), Some("connect-worker"))
    );
}
