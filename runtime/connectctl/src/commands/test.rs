//! `connectctl test`: tries out a connector, or what a file declares, without consequences.

use std::{fmt::Write, path::PathBuf, time::Duration};

use connect_rest_model::trial::{TestContent, TestRecord, TestReport, TestStage};

use super::Context;
use crate::{
    declared::read_all,
    error::Failure,
    names::{expand, name},
    page::Page,
    placeholder::left_in,
};

/// What `test` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of connectors, patterns or /expressions/ for them, or files that declare some (- is standard input).
    #[arg(value_name = "NAME|FILE", required = true, add = crate::complete::connectors())]
    what: Vec<String>,

    /// Most records to show of each connector, at most 100.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5)]
    records: u32,

    /// Longest time for each connector: a source is read until there are enough records or this is over.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Between the end of a test and its answer.
const SPARE: Duration = Duration::from_secs(15);

/// Tries out one connector after the other and shows how far each came. That one failed is exit code 1.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let client = context.client.patient(Duration::from_secs(args.seconds) + SPARE)?;
    let mut reports = Vec::new();
    let (files, names): (Vec<&String>, Vec<&String>) = args.what.iter().partition(|what| is_file(what));
    let (declared, mut problems) = read_all(&files.into_iter().map(PathBuf::from).collect::<Vec<_>>());
    problems.extend(left_in(&declared));
    if !problems.is_empty() {
        problems.iter().for_each(|p| context.output.say(&p.line()));
        return Err(Failure::Reported);
    }
    let names: Vec<String> = names.into_iter().map(|n| name(n)).collect::<Result<_, _>>().map_err(Failure::Usage)?;
    for name in expand(&names, &client).await? {
        match client.test(&name, args.records, args.seconds).await {
            Ok(report) => reports.push(report),
            Err(e) if is_unknown(&e) => return Err(cannot(context)),
            Err(e) => return Err(context.explain(&name, e).await),
        }
    }
    for declared in declared {
        let name = &declared.connector.name;
        let Some(class) = declared.setting("connector.class") else {
            context.output.say(&declared.problem(Some("connector.class"), "is missing").line());
            return Err(Failure::Reported);
        };
        let report = client.test_config(class, &declared.config(), args.records, args.seconds).await;
        reports.push(report.map_err(|e| if is_unknown(&e) { cannot(context) } else { e.of(name) })?);
    }
    let passed = reports.iter().all(|r| r.passed);
    let names = || reports.iter().filter(|r| r.passed).map(|r| r.name.clone()).collect();
    context.output.result(&reports, names, |view| {
        let texts: Vec<String> = reports.iter().map(|r| text(r, view.width)).collect();
        texts.join("\n")
    })?;
    if passed { Ok(()) } else { Err(Failure::Reported) }
}

/// Whether the worker has no such endpoint, which is one of Kafka Connect then.
fn is_unknown(e: &Failure) -> bool {
    matches!(e, Failure::Refused { status: 404, message } if message.starts_with("HTTP 404"))
}

fn cannot(context: &Context<'_>) -> Failure {
    Failure::Failed(format!(
        "the worker at {} cannot try out connectors, as those of Kafka Connect cannot; connectctl validate -f FILE has it check \
         settings, and --url of a connectd shows what the connector would do",
        context.client.address()
    ))
}

/// Connectors are seldom named like files.
fn is_file(what: &str) -> bool {
    what == "-" || connect_files::is_readable(what.as_ref()) || std::path::Path::new(what).is_dir()
}

fn text(report: &TestReport, width: Option<usize>) -> String {
    let mut page = Page::new(width);
    page.line(0, &format!("{} ({}, {})", report.name, report.kind.name(), report.plugin));
    report.stages.iter().for_each(|stage| page.stage(stage));
    if let Some(note) = &report.note {
        page.line(2, note);
    }
    for (n, record) in report.records.iter().enumerate() {
        page.record(n + 1, record);
    }
    page.text
}

impl Page {
    fn stage(&mut self, stage: &TestStage) {
        let result = stage.result.replace('_', " ");
        let mut line = stage.of.clone();
        // What takes no time is not worth a number.
        if stage.took_ms >= 100 {
            // Writing to a string cannot fail.
            let _ = write!(line, " ({:.1} s)", Duration::from_millis(stage.took_ms).as_secs_f32());
        }
        self.titled(&format!("  {:<9} {result:<12} ", stage.stage), &line);
        if let Some(message) = &stage.message {
            self.line(6, message);
        }
        for problem in &stage.problems {
            self.line(6, &format!("{}: {}", problem.key, problem.message));
        }
    }

    fn record(&mut self, number: usize, record: &TestRecord) {
        let topic = record.topic.as_deref().map(|t| format!(" {t}")).unwrap_or_default();
        let partition = record.partition.map(|p| format!(" partition {p}")).unwrap_or_default();
        let outcome = if record.outcome == "shown" { String::new() } else { format!(": {}", record.outcome) };
        self.text.push('\n');
        self.line(0, &format!("record {number}{topic}{partition}{outcome}"));
        if let Some(from) = &record.from {
            let all = from.partition.iter().chain(from.offset.iter().flatten());
            let parts: Vec<String> =
                all.map(|(k, v)| format!("{}={}", k.trim_start_matches("kafka_"), plain(v))).collect();
            self.part("from", &parts.join(" "));
        }
        for (title, content) in [("key", &record.key), ("value", &record.value)] {
            if let Some(content) = content {
                self.part(title, &shown(content));
            }
        }
        for header in &record.headers {
            let value = header.value.as_ref().map_or_else(|| "null".into(), shown);
            self.part("header", &format!("{}: {value}", header.key));
        }
        if let Some(request) = &record.sends {
            self.part("sends", &request.to);
            for (name, value) in &request.headers {
                self.line(9, &format!("{name}: {}", plain(value)));
            }
            if let Some(body) = &request.body {
                self.line(9, body);
            }
        }
        if let Some(remark) = &record.remark {
            self.line(2, remark);
        }
        if let Some(e) = &record.error {
            self.line(2, &format!("{} in {}: {}", e.stage, e.class, e.message));
        }
    }

    fn part(&mut self, title: &str, value: &str) {
        self.titled(&format!("  {title:<6} "), value);
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shown(content: &TestContent) -> String {
    let text = match content {
        TestContent { text: Some(text), .. } => text.clone(),
        TestContent { data: Some(data), base64: None, .. } => plain(data),
        TestContent { data: Some(data), .. } => format!("{data} (bytes that are no text)"),
        TestContent { base64: Some(base64), .. } => format!("base64 {base64}"),
        _ => String::new(),
    };
    match content.cut_from {
        Some(bytes) => format!("{text} (cut; {bytes} bytes in all)"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_few_lines() {
        let report = r#"{"name":"influx","plugin":"influxdb-sink","type":"sink","passed":false,"stages":[
            {"stage":"validate","of":"influxdb-sink","result":"passed","took_ms":2},
            {"stage":"connect","of":"kafka","result":"passed","took_ms":1500,"message":"cluster x at h:1"},
            {"stage":"connect","of":"slack-sink","result":"not_checked","took_ms":0,"message":"only a request tells"},
            {"stage":"render","of":"influxdb-sink","result":"skipped","took_ms":0}],
            "records":[{"outcome":"shown","topic":"alarms","partition":0,
                "key":{"text":"pump"},"value":{"data":{"a":1}},"headers":[{"key":"h","value":{"base64":"AA=="}},{"key":"n"}],
                "from":{"partition":{"kafka_topic":"alarms","kafka_partition":0},"offset":{"kafka_offset":7}},
                "sends":{"to":"POST http://h/write (database d)","headers":{"x":"[hidden]"},"body":"alarms a=1i"}},
               {"outcome":"failed","error":{"stage":"VALUE_CONVERTER","class":"JsonConverter","message":"bad json"},
                "value":{"text":"{","cut_from":70000}}]}"#;
        let report: TestReport = serde_json::from_str(report).expect("report");
        let expected = "\
influx (sink, influxdb-sink)
  validate  passed       influxdb-sink
  connect   passed       kafka (1.5 s)
      cluster x at h:1
  connect   not checked  slack-sink
      only a request tells
  render    skipped      influxdb-sink

record 1 alarms partition 0
  from   topic=alarms partition=0 offset=7
  key    pump
  value  {\"a\":1}
  header h: base64 AA==
  header n: null
  sends  POST http://h/write (database d)
         x: [hidden]
         alarms a=1i

record 2: failed
  value  { (cut; 70000 bytes in all)
  VALUE_CONVERTER in JsonConverter: bad json
";
        assert_eq!(text(&report, None), expected);
    }

    #[test]
    fn files_are_told_from_names() {
        for file in ["-", "c.yaml", "x/c.json", "c.properties"] {
            assert!(is_file(file), "{file}");
        }
        for name in ["influxdb-sink", "a.b"] {
            assert!(!is_file(name), "{name}");
        }
    }
}
