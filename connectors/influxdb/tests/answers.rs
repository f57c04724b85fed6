//! What the servers that cannot be installed here answer, as documented, from a server that plays them: InfluxDB 2 and 3.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::Read,
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{Check, ErrorClass, Settings, SinkConnector, SinkRecord, SinkTask, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_influxdb::{InfluxConfig, InfluxSink};
use flate2::read::GzDecoder;
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{any, header, method, path, query_param},
};

fn settings(url: &str, more: &[(&str, &str)]) -> Settings {
    let mut settings =
        Settings::from([("influxdb.url", url), ("http.proxy", "none"), ("http.request.timeout.ms", "2000")]);
    settings.extend(&more.iter().copied().collect());
    settings
}

const V2: [(&str, &str); 4] =
    [("influxdb.version", "2"), ("influxdb.bucket", "b"), ("influxdb.org", "o"), ("influxdb.token", "s3cret")];
const V3: [(&str, &str); 3] = [("influxdb.version", "3"), ("influxdb.database", "d"), ("influxdb.token", "s3cret")];

async fn start(settings: &Settings) -> (Box<dyn SinkTask>, Arc<Host>) {
    let host = Host::new();
    let (context, _) = host.sink(settings);
    (InfluxSink::start_task(InfluxConfig::parse(settings).unwrap(), context).await.unwrap(), host)
}

fn records(count: i64) -> Vec<SinkRecord> {
    (0..count).map(|i| record("t", i, "k", Value::map([("v", Value::Int64(i))]))).collect()
}

fn lines(request: &Request) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(&*request.body).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn mocked_answers_with_status_200_and_a_text_have_stored_nothing() {
    for text in ["<html>Log in</html>", r#"{"results":[{"error":"database not found"}]}"#, &"x".repeat(200_000)] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_string(text);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        for version in [&[("influxdb.database", "d")][..], &V2, &V3] {
            let settings = settings(&server.uri(), version);
            let e = start(&settings).await.0.put(&records(3)).await.unwrap_err();
            assert!(e.class() == ErrorClass::Fatal && e.message().contains("correct influxdb.url"), "{e:?}");
            let (context, _) = Host::new().sink(&settings);
            let trial = InfluxSink::start_trial(InfluxConfig::parse(&settings).unwrap(), context).await.unwrap();
            let e = trial.unwrap().check().await.unwrap_err();
            assert!(e.class() == ErrorClass::Fatal && e.message().contains("correct influxdb.url"), "{e:?}");
        }
    }
}

/// Stores all lines but those with a bad value, and answers with what `refuse` makes of the numbers of those, from 1, with
/// their texts.
struct Server<F> {
    bad: &'static [i64],
    stored: Arc<Mutex<Vec<String>>>,
    refuse: F,
    all_or_nothing: bool,
}

impl<F: Fn(&[(usize, String)]) -> ResponseTemplate + Send + Sync> Respond for Server<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let is_bad = |line: &String| self.bad.iter().any(|v| line.contains(&format!(" v={v}i ")));
        let all = lines(request);
        let bad: Vec<(usize, String)> = all.iter().cloned().enumerate().filter(|(_, line)| is_bad(line)).collect();
        if bad.is_empty() || !self.all_or_nothing {
            self.stored.lock().unwrap().extend(all.into_iter().filter(|line| !is_bad(line)));
        }
        match bad.is_empty() {
            true => ResponseTemplate::new(204),
            false => (self.refuse)(&bad.into_iter().map(|(at, line)| (at + 1, line)).collect::<Vec<_>>()),
        }
    }
}

/// Delivers 40 records, of which 0, 17 and 39 are refused; answers the requests that it took and what was reported.
async fn isolated(
    settings: &[(&str, &str)],
    all_or_nothing: bool,
    refuse: impl Fn(&[(usize, String)]) -> ResponseTemplate + Send + Sync + 'static,
) -> (usize, Vec<(i64, String)>) {
    let stored = Arc::new(Mutex::new(Vec::new()));
    let server = MockServer::start().await;
    let plays = Server { bad: &[0, 17, 39], stored: stored.clone(), refuse, all_or_nothing };
    Mock::given(any()).respond_with(plays).mount(&server).await;
    let all: Vec<_> = [("influxdb.batch.lines", "16")].into_iter().chain(settings.iter().copied()).collect();
    let (mut task, host) = start(&self::settings(&server.uri(), &all)).await;
    deliver(&mut *task, &records(40), &host).await.unwrap();
    let mut stored = stored.lock().unwrap().clone();
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), 37, "{stored:?}");
    let mut reported: Vec<_> = host.reported().into_iter().map(|(at, e)| (at.unwrap(), e.one_line())).collect();
    reported.sort();
    (server.received_requests().await.unwrap().len(), reported)
}

#[tokio::test]
async fn mocked_version_2_tells_conflicts_by_422_and_bad_lines_by_400_and_each_is_isolated() {
    let why = "failure writing points to database: partial write: field type conflict: input field \"v\" on \
               measurement \"t\" is type integer, already exists as type string dropped=1";
    let conflict =
        move |_: &[(usize, String)]| ResponseTemplate::new(422).set_body_json(json!({ "code": "x", "message": why }));
    let (_, reported) = isolated(&V2, false, conflict).await;
    assert_eq!(reported.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 17, 39]);
    assert!(
        reported[1].1.contains("the server answered 422") && reported[1].1.contains("already exists as type string")
    );

    let unreadable = |bad: &[(usize, String)]| {
        let text = format!("unable to parse '{}': bad timestamp", bad[0].1);
        ResponseTemplate::new(400).set_body_json(json!({ "code": "invalid", "message": text }))
    };
    let (_, reported) = isolated(&V2, true, unreadable).await;
    assert_eq!(reported.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 17, 39]);
    assert!(reported[1].1.contains("unable to parse 't v=17i 17000'"), "the answer for that line: {}", reported[1].1);
}

/// How version 3 tells bad lines.
fn partial(bad: &[(usize, String)]) -> ResponseTemplate {
    let data: Vec<_> = bad
        .iter()
        .map(|(number, line)| {
            json!({ "original_line": line, "line_number": number, "error_message": format!("no good: line {number}") })
        })
        .collect();
    let body = json!({ "error": "partial write of line protocol occurred", "data": data });
    ResponseTemplate::new(400).set_body_json(body)
}

#[tokio::test]
async fn mocked_version_3_names_bad_lines_and_the_others_are_sent_until_none_is_refused() {
    let (requests, reported) = isolated(&V3, false, partial).await;
    assert_eq!(requests, 6, "16, 16 and 8 lines, and each without the bad one");
    assert_eq!(reported.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 17, 39]);
    assert!(reported[1].1.ends_with("the server answered 400 Bad Request: no good: line 2"), "{}", reported[1].1);
    assert!(reported[1].1.starts_with("writing 1 points to database d at http://"), "{}", reported[1].1);
    // The server tells of some only.
    let more = [&V3[..], &[("influxdb.batch.lines", "100")]].concat();
    let (requests, reported) = isolated(&more, false, |bad| partial(&bad[..1])).await;
    assert_eq!((requests, reported.len()), (4, 3));
}

#[tokio::test]
async fn mocked_version_3_without_partial_writes_or_with_an_answer_that_tells_too_little_is_bisected() {
    let all_refused = |bad: &[(usize, String)]| {
        let first = json!({ "original_line": bad[0].1, "line_number": bad[0].0, "error_message": "no good" });
        let body = json!({ "error": "parsing failed for write_lp endpoint", "data": first });
        ResponseTemplate::new(400).set_body_json(body)
    };
    let whole: Vec<_> = V3.into_iter().chain([("influxdb.accept.partial", "false")]).collect();
    let (requests, reported) = isolated(&whole, true, all_refused).await;
    assert!(requests > 3);
    assert_eq!(reported.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 17, 39]);

    let untold = |_: &[(usize, String)]| {
        ResponseTemplate::new(400).set_body_json(
            json!({ "error": "partial write of line protocol occurred", "data": [{ "line_number": 99 }] }),
        )
    };
    let (_, reported) = isolated(&V3, false, untold).await;
    assert_eq!(reported.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 17, 39]);
}

#[tokio::test]
async fn mocked_versions_are_written_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v2/write"))
        .and(query_param("bucket", "b"))
        .and(query_param("org", "o"))
        .and(query_param("precision", "ms"))
        .and(header("authorization", "Token s3cret"))
        .and(header("content-encoding", "gzip"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/api/v3/write_lp"))
        .and(query_param("db", "d"))
        .and(query_param("precision", "nanosecond"))
        .and(query_param("accept_partial", "true"))
        .and(query_param("no_sync", "true"))
        .and(header("authorization", "Bearer s3cret"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let v3: Vec<_> = V3
        .into_iter()
        .chain([("influxdb.no.sync", "true"), ("influxdb.time.field", "v"), ("influxdb.fields.include", "v,w")])
        .collect();
    let timed = [record("t", 1, "k", Value::map([("v", Value::Int64(5)), ("w", Value::Int64(6))]))];
    for (more, records) in [(&V2[..], &records(3)[..]), (&v3, &timed)] {
        let (mut task, host) = start(&settings(&server.uri(), more)).await;
        assert_eq!(deliver(&mut *task, records, &host).await.unwrap(), 0);
    }
    let sent = server.received_requests().await.unwrap();
    assert_eq!(lines(&sent[1]), ["t w=6i 5000000"], "the time's member is no field even if it is chosen");
}

#[tokio::test]
async fn mocked_refusals_that_are_no_records_fault_are_fatal_or_retried() {
    let classes = [
        (401, ErrorClass::Fatal, "correct influxdb.token"),
        (403, ErrorClass::Fatal, "allow it to whom influxdb.token stands for"),
        (404, ErrorClass::Fatal, "create it, or correct influxdb.url or influxdb."),
        (413, ErrorClass::Data, "writing 3 points"),
        (429, ErrorClass::Retriable, "writing 3 points"),
        (503, ErrorClass::Retriable, "writing 3 points"),
    ];
    for version in [&V2[..], &V3] {
        for (status, class, text) in classes {
            let server = MockServer::start().await;
            let echo = ResponseTemplate::new(status).insert_header("retry-after", "7").set_body_string("not s3cret");
            Mock::given(any()).respond_with(echo).mount(&server).await;
            let e = start(&settings(&server.uri(), version)).await.0.put(&records(3)).await.unwrap_err();
            assert_eq!(e.class(), class, "{e:?}");
            assert!(e.message().contains(text) && !e.report().contains("s3cret"), "{status}: {}", e.report());
            assert_eq!(e.delay(), (class == ErrorClass::Retriable).then_some(Duration::from_secs(7)));
        }
    }
}

/// Fails each request when it comes for the first time, but the first, and stores those that come again.
struct Forgetful {
    seen: Mutex<Vec<Vec<String>>>,
    stored: Arc<Mutex<Vec<String>>>,
}

impl Respond for Forgetful {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (lines, mut seen) = (lines(request), self.seen.lock().unwrap());
        if !seen.is_empty() && !seen.contains(&lines) {
            seen.push(lines);
            return ResponseTemplate::new(503);
        }
        seen.push(lines.clone());
        self.stored.lock().unwrap().extend(lines);
        ResponseTemplate::new(204)
    }
}

#[tokio::test]
async fn mocked_failures_within_a_slice_repeat_neither_what_was_stored_nor_what_was_reported() {
    let (server, stored) = (MockServer::start().await, Arc::<Mutex<Vec<String>>>::default());
    let plays = Forgetful { seen: Mutex::default(), stored: stored.clone() };
    Mock::given(any()).respond_with(plays).mount(&server).await;
    let more = [&V2[..], &[("influxdb.batch.lines", "10"), ("influxdb.tags", "tag")]].concat();
    let (mut task, host) = start(&settings(&server.uri(), &more)).await;
    let mut records = records(45);
    for bad in [3, 44] {
        records[bad].value = Value::map([("v", Value::Int64(0)), ("tag", Value::array(vec![]))]);
    }
    assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 4, "each but the first request failed once");
    let expected = (0..45).filter(|i| ![3, 44].contains(i)).map(|i| format!("t v={i}i {}", i * 1000));
    assert_eq!(*stored.lock().unwrap(), expected.collect::<Vec<_>>(), "in order, and nothing twice");
    assert_eq!(host.reported().iter().map(|(at, _)| at.unwrap()).collect::<Vec<_>>(), [3, 44]);
    // Nothing is remembered of it: what comes again later is another record.
    deliver(&mut *task, &records[..2], &host).await.unwrap();
    assert_eq!(stored.lock().unwrap().len(), 45);
}

/// Takes no more than so many lines.
struct Narrow(usize);

impl Respond for Narrow {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        ResponseTemplate::new(if lines(request).len() > self.0 { 413 } else { 204 })
    }
}

#[tokio::test]
async fn mocked_limits_of_a_request_are_kept_by_halving_and_a_record_that_is_too_large_is_reported() {
    for (limit, reported) in [(5, 0), (0, 40)] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(Narrow(limit)).mount(&server).await;
        let (mut task, host) = start(&settings(&server.uri(), &V2)).await;
        deliver(&mut *task, &records(40), &host).await.unwrap();
        assert_eq!(host.reported().len(), reported);
    }
}

#[tokio::test]
async fn mocked_version_3_tells_whether_the_database_is_there() {
    let ask = async |answer: ResponseTemplate| {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/api/v3/configure/database"))
            .and(header("authorization", "Bearer s3cret"))
            .respond_with(answer)
            .expect(1)
            .mount(&server)
            .await;
        let settings = settings(&server.uri(), &V3);
        let (context, _) = Host::new().sink(&settings);
        let trial = InfluxSink::start_trial(InfluxConfig::parse(&settings).unwrap(), context).await.unwrap();
        trial.unwrap().check().await
    };
    let databases = |names: &[&str]| {
        let all: Vec<_> = names.iter().map(|name| json!({ "iox::database": name })).collect();
        ResponseTemplate::new(200).set_body_json(all)
    };
    assert!(matches!(ask(databases(&["c", "d"])).await.unwrap(), Check::Passed(text) if text.contains("database d")));
    assert!(
        matches!(ask(databases(&["c"])).await.unwrap(), Check::Partly(text) if text.contains("the first points make it"))
    );
    assert!(matches!(ask(ResponseTemplate::new(403)).await.unwrap(), Check::Partly(_)));
    let e = ask(ResponseTemplate::new(401)).await.unwrap_err();
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("correct influxdb.token"), "{e:?}");
}

#[tokio::test]
async fn several_requests_at_once_keep_the_order_of_each_key_and_lose_nothing_when_some_fail() {
    let (stored, requests) = (Arc::new(Mutex::new(Vec::<String>::new())), Arc::new(Mutex::new(0)));
    let server = MockServer::start().await;
    let keep = stored.clone();
    // One request in four fails, each in another way.
    let answer = move |request: &Request| {
        let mut number = requests.lock().unwrap();
        *number += 1;
        match *number % 8 {
            3 => ResponseTemplate::new(503),
            7 => ResponseTemplate::new(429).insert_header("retry-after", "0"),
            _ => {
                keep.lock().unwrap().extend(lines(request));
                ResponseTemplate::new(204).set_delay(Duration::from_millis(5))
            }
        }
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let more = [
        ("influxdb.database", "d"),
        ("influxdb.batch.lines", "5"),
        ("influxdb.tags", "_key as k"),
        ("http.max.in.flight", "4"),
    ];
    let (mut task, host) = start(&settings(&server.uri(), &more)).await;
    let mut records: Vec<SinkRecord> =
        (0..400).map(|i| record("t", i, format!("k{}", i % 11), Value::map([("v", Value::Int64(i))]))).collect();
    records[100].record.value = Value::map([("nothing", Value::Null)]);
    records[200].record.value = Value::Null;
    for slice in records.chunks(150) {
        assert!(deliver(&mut *task, slice, &host).await.unwrap() > 0, "some fail");
    }
    assert!(host.reported().is_empty(), "{:?}", host.reported());
    assert_eq!(host.counted("tocsin_influxdb_records_without_fields_total"), 1);
    let stored = stored.lock().unwrap();
    for key in 0..11 {
        let of_key = stored.iter().filter(|line| line.starts_with(&format!("t,k=k{key} ")));
        let found: Vec<i64> =
            of_key.map(|line| line.split(" v=").nth(1).unwrap().split('i').next().unwrap().parse().unwrap()).collect();
        let expected: Vec<i64> = (0..400).filter(|n| n % 11 == key && *n != 100 && *n != 200).collect();
        assert_eq!(found, expected, "each once, in order");
    }
}
