//! What the demo prints: where things are, and what to try next.

use std::fmt::Write;

use connect_files::ConnectorFile;

/// Addresses of the embedded parts.
pub(crate) struct Places<'a> {
    pub rest: String,
    pub bootstrap: &'a str,
    pub registry: &'a str,
}

fn setting<'a>(c: &'a ConnectorFile, key: &str) -> Option<&'a str> {
    c.config.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

/// The text.
pub(crate) fn text(places: &Places<'_>, connectors: &[ConnectorFile]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, places, connectors);
    out
}

fn write_text(out: &mut String, places: &Places<'_>, connectors: &[ConnectorFile]) -> std::fmt::Result {
    let url = places.rest.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:");
    writeln!(out, "Tocsin {} is running with its embedded broker.", env!("CARGO_PKG_VERSION"))?;
    writeln!(out)?;
    writeln!(out, "  REST API            {url}")?;
    writeln!(
        out,
        "  Kafka broker        {}   (in memory: 100,000 messages or 5 MB a partition; gone at exit)",
        places.bootstrap
    )?;
    writeln!(out, "  Schema registry     {}", places.registry)?;
    for c in connectors {
        let class = setting(c, "connector.class").unwrap_or_default();
        let what = match class {
            "file-sink" | "file-stream-sink" => setting(c, "file").map(|f| format!("writes {f}")),
            "webhook-source" => {
                let scheme = setting(c, "webhook.tls.certificate.file").map_or("http", |_| "https");
                Some(format!("listens on {scheme}://{}", setting(c, "webhook.listen").unwrap_or("127.0.0.1:8090")))
            }
            "syslog-source" => {
                let by_default = "udp://127.0.0.1:5514,tcp://127.0.0.1:5514";
                Some(format!("listens on {}", setting(c, "syslog.listeners").unwrap_or(by_default)))
            }
            _ => None,
        };
        writeln!(out, "  {:<19} {class}{}", c.name, what.map(|w| format!(", {w}")).unwrap_or_default())?;
    }
    writeln!(out)?;
    writeln!(out, "Try next:")?;
    let flag = if url == "http://127.0.0.1:8083" { String::new() } else { format!(" --url {url}") };
    let connectctl = connectctl();
    writeln!(out, "  {connectctl}{flag} status")?;
    for c in connectors.iter().filter(|c| matches!(setting(c, "connector.class"), Some("file-sink"))) {
        if let Some(file) = setting(c, "file") {
            writeln!(out, "  tail -f {file}")?;
        }
    }
    let webhook = |c: &&ConnectorFile| {
        let of = [("connector.class", "webhook-source"), ("webhook.format", "healthbot")];
        // The line is to work as it stands, and to show no secret.
        let closed = ["webhook.token", "webhook.username", "webhook.hmac.secret", "webhook.tls.certificate.file"];
        of.iter().all(|(key, value)| setting(c, key) == Some(value))
            && closed.iter().all(|key| setting(c, key).is_none())
    };
    if let Some(c) = connectors.iter().find(webhook) {
        let address = setting(c, "webhook.listen").unwrap_or("127.0.0.1:8090");
        let own = format!("/{}", c.name);
        let path = setting(c, "webhook.paths").and_then(|p| p.split(',').next()).unwrap_or(&own);
        for (word, severity, message) in
            [("raise", "major", "temperature above 60"), ("clear", "normal", "temperature is fine")]
        {
            let body = format!(
                r#"{{"device-id":"edge-1","group":"edge","keys":{{"_instance_id":"0"}},"message":"{message}","rule":"temperature","severity":"{severity}","topic":"chassis.temperature","trigger":"high"}}"#
            );
            writeln!(out, "  # {word} an alarm")?;
            writeln!(out, "  curl -i http://{address}{path} -H 'Content-Type: application/json' -d '{body}'")?;
        }
    }
    if connectors.is_empty() {
        writeln!(out, "  {connectctl}{flag} plugins")?;
        writeln!(out, "  {connectctl}{flag} apply -f CONNECTOR.yaml")?;
    }
    writeln!(out, "  kcat -b {} -L", places.bootstrap)
}

/// How the command line tool is called from here: by name where it can be found, else by its place beside this
/// program.
fn connectctl() -> String {
    const NAME: &str = "connectctl";
    let found = |folder: std::path::PathBuf| folder.join(NAME).is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(found) {
        return NAME.to_owned();
    }
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(NAME)).filter(|p| p.is_file());
    let Some(beside) = beside else { return NAME.to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    beside.strip_prefix(&here).unwrap_or(&beside).display().to_string()
}
