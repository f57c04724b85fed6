//! Prometheus's Alertmanager, which sends webhooks.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, debian, http};

const PACKAGE: &str = "prometheus-alertmanager";
const PROGRAM: &str = "usr/bin/prometheus-alertmanager";
/// Where the package installs its templates.
const SHARED: &str = "/usr/share/prometheus/alertmanager";
/// A time at which what fires is over, in the form of the API; none is yet.
const OVER: &str = "2001-01-01T00:00:01Z";

/// An Alertmanager that tells one receiver of every alert within a second or two.
#[derive(Debug)]
pub struct Alertmanager {
    process: Process,
    port: Port,
}

impl Alertmanager {
    /// What is fetched, and its version.
    pub(crate) const ITEM: (&str, &str) = (PACKAGE, debian::VERSION);

    /// Fetches it unless it is in the cache; returns the program.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        relocated(debian::program(cache, PACKAGE, PROGRAM)?)
    }

    /// Starts one that posts to this URL with a bearer token. An authority is for https.
    pub fn start(url: &str, token: &str, authority: Option<&Path>) -> Result<Self> {
        let program = Self::fetch(&Cache::open()?)?;
        let port = Port::claim()?;
        let dir = process::folder("alertmanager")?;
        let tls = authority.map(|file| format!(", tls_config: {{ca_file: '{}'}}", file.display()));
        let settings = format!(
            "route: {{receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n- name: hook\n  webhook_configs:\n  - url: '{url}'\n    send_resolved: true\n    \
             http_config: {{authorization: {{credentials: '{token}'}}{}}}\n",
            tls.unwrap_or_default()
        );
        let settings = process::write(dir.path(), "alertmanager.yml", &settings)?;
        let mut command = std::process::Command::new(&program);
        if let Some(templates) = templates(&program) {
            for name in ["default.tmpl", "email.tmpl"] {
                let doing = format!("copying {name} from {}", templates.display());
                fs::copy(templates.join(name), dir.path().join(name)).map_err(Error::io(doing))?;
            }
        }
        command.arg(format!("--config.file={}", settings.display()));
        command.arg(format!("--storage.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={}", port.address()));
        // Alone: no port for others.
        command.arg("--cluster.listen-address=");
        let address = port.address();
        let launch = Launch {
            name: "alertmanager",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/-/ready")),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Lets alerts of this name fire, one for each instance.
    pub fn fire(&self, name: &str, instances: &[&str]) -> Result<()> {
        self.post(name, instances, None)
    }

    /// Lets them be over.
    pub fn resolve(&self, name: &str, instances: &[&str]) -> Result<()> {
        self.post(name, instances, Some(OVER))
    }

    fn post(&self, name: &str, instances: &[&str], end: Option<&str>) -> Result<()> {
        let alert = |instance: &&str| {
            let mut alert = serde_json::json!({
                "labels": {"alertname": name, "instance": instance, "severity": "critical"},
                "annotations": {"summary": format!("{name} on {instance}")},
            });
            if let Some(end) = end {
                // It must have begun before.
                alert["startsAt"] = "2001-01-01T00:00:00Z".into();
                alert["endsAt"] = end.into();
            }
            alert
        };
        let body = serde_json::Value::Array(instances.iter().map(alert).collect()).to_string();
        let headers = [("Content-Type", "application/json")];
        let answer = http::request(&self.port.address(), "POST", "/api/v2/alerts", &headers, &body)?;
        http::body_of(answer, || format!("posting alerts {name} to alertmanager")).map(drop)
    }
}

/// The folder of the templates that belong to a program which was unpacked; none if it is installed.
fn templates(program: &Path) -> Option<PathBuf> {
    let root = program.parent()?.parent()?.parent()?;
    (root != Path::new("/")).then(|| root.join(SHARED.trim_start_matches('/')))
}

/// Debian's program reads its templates from where the package installs them. What was unpacked elsewhere is made to
/// read them from the folder that it runs in: the path is written over by one that is as long.
fn relocated(program: PathBuf) -> Result<PathBuf> {
    if templates(&program).is_none() {
        return Ok(program);
    }
    let copy = program.with_extension("relocated");
    if copy.exists() {
        return Ok(copy);
    }
    let doing = || format!("making {} of {}", copy.display(), program.display());
    let mut bytes = fs::read(&program).map_err(Error::io(doing()))?;
    let here = format!(".{}", "/".repeat(SHARED.len() - 1));
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(SHARED.len()).position(|window| window == SHARED.as_bytes()) {
        at += found;
        bytes[at..at + SHARED.len()].copy_from_slice(here.as_bytes());
    }
    // Others may be doing the same.
    let folder = program.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(doing()))?;
    file.write_all(&bytes).map_err(Error::io(doing()))?;
    let (mode, path) = (fs::Permissions::from_mode(0o755), file.into_temp_path());
    fs::set_permissions(&path, mode).map_err(Error::io(doing()))?;
    path.persist(&copy).map_err(|e| Error::io(doing())(e.error))?;
    Ok(copy)
}

impl Server for Alertmanager {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
