//! Real programs, without Kafka: lines, positions, acknowledgements, failures, and how they end.

use std::{fs, path::Path, sync::Arc, time::Duration};

use connect_api::{Error, Settings, SourceConnector as _, SourceTask, Value, config::Config as _};
use connect_testkit::{
    Host, PATIENCE,
    source::{self, Fate},
};
use connector_exec::{ExecConfig, ExecSource};
use tokio::time::{Instant, sleep, timeout};

fn script(dir: &Path, text: &str) -> Settings {
    let path = dir.join("program.sh");
    fs::write(&path, text).expect("a script");
    Settings::from([("topic", "t")]).with("exec.command", format!("sh {}", path.display()))
}

async fn start(host: &Arc<Host>, settings: &Settings) -> Box<dyn SourceTask> {
    let (context, _) = host.source(settings);
    ExecSource::start_task(ExecConfig::parse(settings).expect("settings"), context).await.expect("a task")
}

fn values(records: &[connect_api::SourceRecord]) -> Vec<Value> {
    records.iter().map(|r| r.value.clone()).collect()
}

async fn failure(task: &mut dyn SourceTask) -> Error {
    timeout(PATIENCE, task.poll()).await.expect("in time").expect_err("it fails")
}

#[tokio::test]
async fn a_program_goes_on_where_it_was_and_is_told_what_kafka_has() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let told = dir.path().join("told");
    let settings = script(
        dir.path(),
        "n=${TOCSIN_OFFSET:-0}\nfor i in 1 2 3; do n=$((n+1)); echo \"{\\\"value\\\":$n,\\\"offset\\\":$n}\"; done\n\
         while read line; do echo \"$line\" >> \"$TOLD\"; done\n",
    )
    .with("exec.environment.TOLD", told.display().to_string());
    let mut task = start(&host, &settings).await;
    let first = source::take(&mut *task, &host, 3).await.expect("three");
    assert_eq!(values(&first), [1, 2, 3].map(Value::Int64));
    let began = Instant::now();
    while !fs::read_to_string(&told).is_ok_and(|text| text.ends_with("{\"acknowledged\":3,\"offset\":3}\n")) {
        assert!(began.elapsed() < PATIENCE, "{:?}", fs::read_to_string(&told));
        sleep(Duration::from_millis(20)).await;
    }
    source::stop(task).await;
    let mut task = start(&host, &settings).await;
    let next = source::take(&mut *task, &host, 3).await.expect("three");
    assert_eq!(values(&next), [4, 5, 6].map(Value::Int64));
    source::stop(task).await;
}

#[tokio::test]
async fn what_kafka_has_not_got_is_not_acknowledged() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let told = dir.path().join("told");
    let settings = script(
        dir.path(),
        "echo '{\"value\":1}'\nread line; echo \"$line\" > \"$TOLD\"; echo '{\"value\":2}'; sleep 60\n",
    )
    .with("exec.environment.TOLD", told.display().to_string());
    let mut task = start(&host, &settings).await;
    source::poll(&mut *task, &host, Fate::Refused).await.expect("a batch");
    source::silent(&mut *task, Duration::from_millis(300)).await;
    assert!(!told.exists());
    source::stop(task).await;
}

#[tokio::test]
async fn lines_that_are_no_records_are_reported_and_the_others_come() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let settings = script(
        dir.path(),
        "echo '{\"value\":1}'; echo 'Traceback: oops'; printf '{\"value\":\"%01000d\"}\\n' 0; echo '{\"value\":2}'; sleep 60\n",
    )
    .with("exec.line.limit", "100");
    let mut task = start(&host, &settings).await;
    let good = source::take(&mut *task, &host, 2).await.expect("two");
    assert_eq!(values(&good), [1, 2].map(Value::Int64));
    let told: Vec<String> = host.reported().iter().map(|(_, e)| e.one_line()).collect();
    assert!(told.len() == 2 && told[0].contains("not JSON") && told[1].contains("exec.line.limit=100"), "{told:?}");
    source::stop(task).await;
}

#[tokio::test]
async fn a_program_that_fails_says_why_and_what_it_wrote_before_is_not_lost() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let settings = script(dir.path(), "echo '{\"value\":1}'\necho 'no such queue' >&2\nexit 3\n");
    let mut task = start(&host, &settings).await;
    assert_eq!(source::take(&mut *task, &host, 1).await.expect("one").len(), 1);
    let told = failure(&mut *task).await.one_line();
    assert!(told.contains("exit status: 3") && told.contains("no such queue"), "{told}");
    source::stop(task).await;
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let plain = dir.path().join("plain");
    fs::write(&plain, "text").expect("a file");
    for (command, directory, why) in [
        ("/nonexistent/program", None, "there is no such program"),
        (plain.to_str().expect("a path"), None, "may not execute"),
        ("true", Some("/nonexistent"), "exec.directory /nonexistent is no folder"),
    ] {
        let mut settings = Settings::from([("topic", "t"), ("exec.command", command)]);
        if let Some(directory) = directory {
            settings.set("exec.directory", directory);
        }
        let (context, _) = host.source(&settings);
        let config = ExecConfig::parse(&settings).expect("settings");
        let told = ExecSource::start_task(config, context).await.err().map(|e| e.one_line()).unwrap_or_default();
        assert!(told.contains(why), "{command}: {told}");
    }
}

#[tokio::test]
async fn a_program_that_ends_well_is_run_again_where_that_is_asked_for() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let settings = script(dir.path(), "echo \"{\\\"value\\\":1,\\\"offset\\\":$((${TOCSIN_OFFSET:-0}+1))}\"\n");
    let mut again = start(&host, &settings.clone().with("exec.repeat.ms", "10")).await;
    let all = source::take(&mut *again, &host, 3).await.expect("three");
    let offsets: Vec<_> = all.iter().map(|r| r.source.as_ref().expect("an offset").1["offset"].clone()).collect();
    assert_eq!(offsets, [1, 2, 3]);
    source::stop(again).await;
    let mut once = start(&Host::new(), &settings).await;
    assert_eq!(source::take(&mut *once, &host, 1).await.expect("one").len(), 1);
    source::silent(&mut *once, Duration::from_millis(300)).await;
    source::stop(once).await;
}

/// Whether a process is there and no zombie.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test]
async fn all_of_a_program_ends_within_a_second_even_if_it_does_not_want_to() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let pids = dir.path().join("pids");
    let settings = script(
        dir.path(),
        "trap '' TERM\nsh -c 'trap \"\" TERM; sleep 1000' &\necho $! $$ > \"$PIDS\"\necho '{\"value\":1}'\nwait\nsleep 1000\n",
    )
    .with("exec.environment.PIDS", pids.display().to_string());
    let mut task = start(&host, &settings).await;
    source::take(&mut *task, &host, 1).await.expect("one");
    let pids = fs::read_to_string(&pids).expect("pids");
    assert!(pids.split_whitespace().all(runs), "{pids}");
    source::stop(task).await;
    let began = Instant::now();
    while pids.split_whitespace().any(runs) {
        assert!(began.elapsed() < PATIENCE, "still there: {pids}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_does_not_keep_it_from_ending() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let settings = script(dir.path(), "sleep 1000 &\necho '{\"value\":1}'\nexit 4\n");
    let mut task = start(&host, &settings).await;
    source::take(&mut *task, &host, 1).await.expect("one");
    assert!(failure(&mut *task).await.one_line().contains("exit status: 4"));
    source::stop(task).await;
}

#[tokio::test]
async fn a_program_that_never_reads_is_not_waited_for() {
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let settings = script(dir.path(), "i=0\nwhile [ $i -lt 20000 ]; do i=$((i+1)); echo \"line $i\"; done\nsleep 60\n")
        .with("exec.format", "text")
        .with("batch.size", "1");
    let mut task = start(&host, &settings).await;
    let all = source::take(&mut *task, &host, 20_000).await.expect("all");
    assert_eq!(all[19_999].value, Value::from("line 20000"));
    source::stop(task).await;
}

#[tokio::test]
async fn a_program_that_prints_large_lines_is_read_no_further_than_there_is_room() {
    const LINE: usize = 800_000;
    let (dir, host) = (tempfile::tempdir().expect("folder"), Host::new());
    let printed = dir.path().join("printed");
    let settings = script(
        dir.path(),
        "line=$(head -c 800000 /dev/zero | tr '\\0' x)\ni=0\nwhile [ $i -lt 60 ]; do i=$((i+1)); echo \"$line\"; \
         echo x >> \"$PRINTED\"; done\nsleep 60\n",
    )
    .with("exec.format", "text")
    .with("exec.environment.PRINTED", printed.display().to_string());
    let count = || fs::read(&printed).map_or(0, |marks| marks.len() / 2);
    let mut task = start(&host, &settings).await;
    let (began, mut seen, mut since) = (Instant::now(), 0, Instant::now());
    while seen == 0 || since.elapsed() < Duration::from_secs(1) {
        assert!(began.elapsed() < PATIENCE, "it goes on printing: {seen}");
        sleep(Duration::from_millis(20)).await;
        if count() != seen {
            (seen, since) = (count(), Instant::now());
        }
    }
    // 8 MiB, a line that waits for room, and one half in the pipe.
    assert!(seen * LINE < 11 << 20, "{seen} lines are read ahead");
    let batch = source::poll(&mut *task, &host, Fate::Stored).await.expect("a batch");
    assert!(!batch.is_empty() && batch.len() * LINE <= 4 << 20, "{} lines at once", batch.len());
    let rest = source::take(&mut *task, &host, 60 - batch.len()).await.expect("the others");
    assert!(rest.iter().all(|record| record.value.as_str().is_some_and(|text| text.len() == LINE)));
    source::stop(task).await;
}
