//! Channels that come and go while the task runs: by commands, and by a file.

mod support;

use std::{path::Path, sync::Arc, time::Duration};

use connect_api::{Settings, SourceConnector, SourceRecord, SourceTask, config::Config};
use connector_epics::{EpicsConfig, EpicsSource};
use support::{
    LONG, connector_at,
    ioc::Ioc,
    worker::{Worker, poll},
};
use tokio::time::{Instant, timeout};

const DATABASE: &str = r#"
record(ao,"T:a"){field(VAL,"1") field(PINI,"YES") field(HIGH,"80") field(HSV,"MINOR")}
record(ao,"T:b"){field(VAL,"2") field(PINI,"YES") field(HIGH,"80") field(HSV,"MINOR")}
record(ao,"T:c"){field(VAL,"3") field(PINI,"YES") field(HIGH,"80") field(HSV,"MINOR")}
"#;

fn settings(ioc: &Ioc, more: &[(&str, &str)]) -> Settings {
    connector_at(ioc.address(), more)
}

async fn start(worker: &Arc<Worker>, settings: &Settings) -> Box<dyn SourceTask> {
    let config = EpicsConfig::parse(settings).expect("valid settings");
    EpicsSource::start_task(config, worker.context(settings)).await.expect("the task starts")
}

fn text(record: &SourceRecord) -> String {
    let value = record.value.to_string();
    let number = value.split_once("Values=[").map_or(value.as_str(), |(_, rest)| rest.trim_end_matches("]}"));
    format!("{}/{} {number}", record.topic, record.key)
}

/// So many records, in the order of their texts.
async fn texts(task: &mut dyn SourceTask, count: usize) -> Vec<String> {
    let mut texts: Vec<String> = poll(task, count).await.iter().map(text).collect();
    texts.sort();
    texts
}

/// Polls without expecting anything until the task says what is waited for.
async fn noted(worker: &Worker, task: &mut dyn SourceTask, part: &str) {
    let begun = Instant::now();
    while !worker.note().contains(part) {
        assert!(begun.elapsed() < LONG, "{part} is not in the note: {}", worker.note());
        if let Ok(batch) = timeout(Duration::from_millis(20), task.poll()).await {
            panic!("{batch:?} while waiting for a note");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_begin_and_end_channels_and_leave_all_others_alone() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    worker.command("values", "T:a", Some(r#"{"mask":"va"}"#));
    let mut task = start(&worker, &settings(&ioc, &[("command.topic", "commands")])).await;
    assert_eq!(texts(&mut *task, 1).await, ["values/T:a 1.0"]);

    // Another channel, and the same one for another topic. A channel that began anew would tell its value again.
    worker.command("values", "T:b", Some(r#"{"mask":"v","outkey":"bee"}"#));
    worker.command("others", "T:a", Some(r#"{"mask":"v","outkey":"again"}"#));
    assert_eq!(texts(&mut *task, 2).await, ["others/again 1.0", "values/bee 2.0"]);
    ioc.put("T:a", 11);
    assert_eq!(texts(&mut *task, 2).await, ["others/again 11.0", "values/T:a 11.0"]);

    // One ends. What it would tell is not told, while the others go on.
    worker.command("values", "T:a", None);
    // A change of what a command says is taken up, too.
    worker.command("values", "T:b", Some(r#"{"mask":"v","outkey":"wasp"}"#));
    assert_eq!(texts(&mut *task, 1).await, ["values/wasp 2.0"]);
    ioc.put("T:a", 12);
    ioc.put("T:b", 22);
    assert_eq!(texts(&mut *task, 2).await, ["others/again 12.0", "values/wasp 22.0"]);

    // What is no command is told, reported with its bytes, and ends nothing.
    worker.command("values", "T:c", Some(r#"{"maks":"v"}"#));
    noted(&worker, &mut *task, "unknown field `maks`").await;
    assert_eq!(worker.reports.lock().expect("unpoisoned").len(), 1);
    worker.command("values", "T:c", Some(r#"{"mask":"v"}"#));
    assert_eq!(texts(&mut *task, 1).await, ["values/T:c 3.0"]);
    assert_eq!(worker.note(), "");
    // Two channels cannot have one key in one topic.
    worker.command("others", "T:b", Some(r#"{"mask":"v","outkey":"again"}"#));
    noted(&worker, &mut *task, "there are two channels with the key again").await;
    ioc.put("T:c", 33);
    assert_eq!(texts(&mut *task, 1).await, ["values/T:c 33.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_take_their_shares_of_commands_and_settings() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    let all = settings(&ioc, &[("command.topic", "commands"), ("epics.channels", "T:a")]);
    let mut tasks = Vec::new();
    for share in ["0/3", "1/3", "2/3"] {
        tasks.push(start(&worker, &all.clone().with("task.share", share)).await);
    }
    worker.command("values", "T:b", Some(r#"{"mask":"v"}"#));
    worker.command("values", "T:c", Some(r#"{"mask":"v"}"#));
    let mut found = Vec::new();
    let begun = Instant::now();
    while found.len() < 3 {
        assert!(begun.elapsed() < LONG, "{found:?} only");
        for task in &mut tasks {
            if let Ok(batch) = timeout(Duration::from_millis(20), task.poll()).await {
                found.extend(batch.expect("a batch").into_parts().0.iter().map(text));
            }
        }
    }
    found.sort();
    assert_eq!(found, ["epics/T:a 1.0", "values/T:b 2.0", "values/T:c 3.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_keep_coming_take_effect_together_but_not_never() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    let more = [("command.topic", "commands"), ("command.settle.seconds", "1")];
    let mut task = start(&worker, &settings(&ioc, &more)).await;
    let begun = Instant::now();
    // One more each 300 ms: the second of silence never comes.
    let read = loop {
        let n = begun.elapsed().as_millis();
        worker.command("values", "T:a", Some(&format!(r#"{{"mask":"v","outkey":"{n}"}}"#)));
        if let Ok(batch) = timeout(Duration::from_millis(300), task.poll()).await {
            break batch.expect("a batch").into_parts().0;
        }
        assert!(begun.elapsed() < LONG + LONG, "commands never take effect");
    };
    assert_eq!(read.len(), 1);
    assert!(begun.elapsed() >= Duration::from_secs(5), "after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alarm_of_a_channel_that_is_monitored_no_more_is_cleared() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    worker.command("epics", "T:a", Some(r#"{"mask":"a"}"#));
    worker.command("epics", "T:b", Some(r#"{"mask":"a","on.delay.ms":"1000"}"#));
    let more = [("command.topic", "commands"), ("epics.mode", "alarms"), ("alarm.registered.topic", "")];
    let mut task = start(&worker, &settings(&ioc, &more)).await;
    ioc.put("T:a", 90);
    let raised = poll(&mut *task, 1).await;
    worker.store(&raised[0]);
    assert!(worker.alarm("T:a").is_some());
    worker.command("epics", "T:a", None);
    let cleared = poll(&mut *task, 1).await;
    assert_eq!((cleared[0].key.as_str(), cleared[0].value.is_null()), (Some("T:a"), true));
    worker.store(&cleared[0]);

    // An alarm that has to last is raised when it has, and one that does not is none.
    ioc.put_all(&[("T:b", "90"), ("T:b", "2")]);
    assert!(timeout(Duration::from_millis(2500), task.poll()).await.is_err(), "it did not last");
    let begun = Instant::now();
    ioc.put("T:b", 91);
    let raised = poll(&mut *task, 1).await;
    assert_eq!((raised[0].key.as_str(), raised[0].value.is_null()), (Some("T:b"), false));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    worker.store(&raised[0]);
    ioc.put("T:b", 2);
    assert!(poll(&mut *task, 1).await[0].value.is_null(), "back to normal is told at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_channels_is_followed_and_its_mistakes_change_nothing() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("channels.txt");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    let worker = Worker::new();
    let all = settings(&ioc, &[("epics.channels.file", path.to_str().expect("a path"))]);
    write("T:a\nT:b=2\n");
    let refused = |path: &Path| {
        let config = EpicsConfig::parse(&all).expect("valid settings");
        let (worker, path) = (&worker, path.display().to_string());
        let context = worker.context(&all);
        async move {
            let error = EpicsSource::start_task(config, context).await.err().expect("a mistake");
            assert!(error.message().contains(&path) && error.message().contains("line 2: T:b=2"), "{error:?}");
        }
    };
    refused(&path).await;

    write("# two of three\nT:a\nT:b|others|va|bee\n");
    let mut task = start(&worker, &all).await;
    assert_eq!(texts(&mut *task, 2).await, ["epics/T:a 1.0", "others/bee 2.0"]);
    write("T:c\nT:b|others|va|bee\n");
    assert_eq!(texts(&mut *task, 1).await, ["epics/T:c 3.0"]);
    ioc.put_all(&[("T:a", "10"), ("T:b", "20")]);
    assert_eq!(texts(&mut *task, 1).await, ["others/bee 20.0"]);
    write("T:c\nT:b|others|q\n");
    noted(&worker, &mut *task, "line 2: T:b|others|q: mask `q`").await;
    std::fs::remove_file(&path).expect("removed");
    noted(&worker, &mut *task, "it cannot be read").await;
    ioc.put("T:b", 21);
    assert_eq!(texts(&mut *task, 1).await, ["others/bee 21.0"]);
    write("T:a\n");
    assert_eq!(texts(&mut *task, 1).await, ["epics/T:a 10.0"]);
    assert_eq!(worker.note(), "");
}
