//! Every sink that sends over HTTP against a server that fails in every way: each record is taken, or reported with what
//! the server said; nothing is passed over, and a pause that the server asks for is kept. The server is a bare socket, as
//! most of this cannot be had of real receivers at will.

mod rotation;
mod server;
mod sinks;

use std::time::{Duration, SystemTime};

use connect_api::{ErrorClass, Result, SinkRecord};
use futures_util::future::join_all;
use server::{Fault, Server};
use sinks::{Page, Running, SECRET, SINKS, Sink, Told, records, token};

/// What a case looks at when the sink is done.
struct Case {
    sink: &'static Sink,
    server: Server,
    running: Running,
    records: Vec<SinkRecord>,
    outcome: Result<()>,
}

/// Delivers so many records through every sink to a server with these faults.
async fn each(count: i64, faults: impl Fn(&Sink) -> Vec<Fault>) -> Vec<Case> {
    static ALL: [Sink; SINKS.len()] = SINKS;
    let one = async |sink: &'static Sink| {
        let server = Server::start(sink.success, faults(sink)).await;
        let mut running = sink.run(&server).await;
        let records = records(count);
        let all: Vec<String> = (0..count).map(token).collect();
        let done = |host: &connect_testkit::Host| {
            let taken = server.taken();
            let reported = |offset: usize| host.reported().iter().any(|(at, _)| *at == i64::try_from(offset).ok());
            all.iter().enumerate().all(|(offset, one)| taken.contains(one) || reported(offset))
        };
        let outcome = running.deliver(&records, done).await;
        Case { sink, server, running, records, outcome }
    };
    join_all(ALL.iter().map(one)).await
}

impl Case {
    fn name(&self) -> &'static str {
        self.sink.name
    }

    /// Every record was taken, by those whose requests are about some records only once.
    fn all_taken_once(&self) {
        let name = self.name();
        assert!(self.outcome.is_ok(), "{name}: {:?}", self.outcome);
        assert!(self.running.host.reported().is_empty(), "{name}: {:?}", self.running.host.reported());
        let mut taken = self.server.taken();
        taken.sort();
        if self.sink.repeats() {
            taken.dedup();
        }
        let mut expected: Vec<String> = (0..self.records.len()).map(|n| format!("rec{n}x")).collect();
        expected.sort();
        assert_eq!(taken, expected, "{name}");
    }

    /// The task has failed, and holds nothing for stored.
    async fn failed(&mut self) -> connect_api::Error {
        let name = self.name();
        let e = self.outcome.clone().expect_err(name);
        assert_eq!(e.class(), ErrorClass::Fatal, "{name}: {e:?}");
        assert!(!e.report().contains(SECRET), "{name}: {e:?}");
        e
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bursts_of_failures_lose_and_double_nothing() {
    let burst = |sink: &Sink| {
        let texts = [Fault::later(503, "0"), Fault::CutBody(503), Fault::Dripping(503)];
        let all = texts.into_iter().chain([503, 500, 502, 408, 504].map(Fault::status));
        // Slack's channels pause for longer each time.
        all.take(if sink.name.starts_with("slack") { 5 } else { 8 }).collect()
    };
    for case in each(9, burst).await {
        case.all_taken_once();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fail_lose_and_double_nothing() {
    let rude = |_: &Sink| vec![Fault::Silent, Fault::HalfClosed, Fault::HalfAHead, Fault::NoHttp, Fault::EndlessHead];
    for case in each(9, rude).await {
        case.all_taken_once();
        assert!(case.server.poured() < 16 << 20, "{}: {} bytes were read", case.name(), case.server.poured());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_that_are_asked_for_are_kept() {
    let until = SystemTime::now() + Duration::from_secs(5);
    let date = httpdate::fmt_http_date(until);
    let until = httpdate::parse_http_date(&date).expect("a date");
    for (fault, status) in [("seconds", 429), ("seconds", 503), ("date", 429), ("date", 503)] {
        // A date that has passed would ask for nothing.
        if fault == "date" && SystemTime::now() >= until {
            continue;
        }
        let after = if fault == "date" { date.clone() } else { "1".to_owned() };
        for case in each(5, |_| vec![Fault::later(status, after.as_str())]).await {
            case.all_taken_once();
            let seen = case.server.seen();
            let (first, second) = (seen[0].at, seen[1].at);
            let name = case.name();
            if fault == "date" {
                assert!(second.1 >= until, "{name}: {:?} early", until.duration_since(second.1));
            } else {
                assert!(second.0 - first.0 >= Duration::from_secs(1), "{name}: after {:?}", second.0 - first.0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_refused_and_credentials_stay_with_the_server() {
    for status in [301, 302, 307, 308] {
        let elsewhere = Server::start((200, "ok"), []).await;
        let location = format!("Location: {}/x?token=s3cret-of-the-receiver", elsewhere.url());
        let redirect = |_: &Sink| vec![Fault::Answer(status, vec![location.clone()], String::new()); 20];
        for mut case in each(3, redirect).await {
            let e = case.failed().await;
            let expected = format!("a redirect to {}/x; redirects are not followed", elsewhere.url());
            assert!(e.report().contains(&expected), "{}: {}", case.name(), e.report());
            let seen = case.server.seen();
            assert!(seen[0].text.contains(&(case.sink.shows)(SECRET)), "{}: {}", case.name(), seen[0].text);
        }
        assert_eq!(elsewhere.connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_with_a_text_that_is_none_of_the_receivers_loses_nothing() {
    let faults = [Fault::EndlessBody(200), Fault::Dripping(200), Fault::CutBody(200)];
    for (n, fault) in faults.into_iter().enumerate() {
        for case in each(3, |_| vec![fault.clone()]).await {
            let name = case.name();
            let poured = case.server.poured();
            assert!(poured < 32 << 20, "{name}: {poured} bytes were read");
            match case.sink.texts[n] {
                Told::Stored => case.all_taken_once(),
                Told::Again => {
                    assert!(case.outcome.is_ok(), "{name} {fault:?}: {:?}", case.outcome);
                    let mut taken = case.server.taken();
                    assert_eq!(taken.iter().filter(|one| *one == "rec0x").count(), 2, "{name} {fault:?}: {taken:?}");
                    taken.sort();
                    taken.dedup();
                    assert_eq!(taken, ["rec0x", "rec1x", "rec2x"], "{name} {fault:?}");
                }
                Told::Fails => {
                    let e = case.outcome.as_ref().expect_err(name);
                    assert_eq!(e.class(), ErrorClass::Fatal, "{name} {fault:?}: {e:?}");
                    assert!(e.message().contains("correct ") && e.report().chars().count() < 1000, "{name}: {e:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_people_is_no_success_where_none_belongs() {
    let page = "\r\n<!DOCTYPE html>\n<html><title>Log in</title></html>";
    let kind = "Content-Type: text/html; charset=utf-8";
    for mut case in each(3, |_| vec![Fault::Answer(200, vec![kind.to_owned()], page.to_owned())]).await {
        match case.sink.page {
            Page::Taken => case.all_taken_once(),
            Page::Refused => {
                let name = case.name();
                let e = case.outcome.clone().expect_err(name);
                assert_eq!(e.class(), ErrorClass::Fatal, "{name}: {e:?}");
                assert!(e.message().contains("correct ") && e.message().contains("url"), "{name}: {}", e.message());
                assert!(e.report().contains("Log in"), "{name}: {}", e.report());
                // Slack's messages wait for their turn.
                if name.starts_with("slack") {
                    let records = case.records.clone();
                    assert_eq!(case.running.safe(&records[..1]).await, 0, "{name}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_end_is_told_in_bounds_and_of_the_record_alone() {
    // Prometheus leaves a write out that is refused, as the next one has the same totals.
    for case in each(1, |_| vec![Fault::EndlessBody(400)]).await {
        let (name, reported) = (case.name(), case.running.host.reported());
        assert!(case.outcome.is_ok(), "{name}: {:?}", case.outcome);
        let text = if name == "prometheus" {
            assert!(reported.is_empty() && case.server.taken() == ["rec0x"], "{reported:?}");
            assert_eq!(case.running.host.counted("tocsin_prometheus_refused_writes_total"), 1);
            continue;
        } else {
            assert_eq!((reported.len(), reported[0].0), (1, Some(0)), "{name}: {reported:?}");
            reported[0].1.report()
        };
        assert!(text.contains("400") && text.contains("xxx") && text.chars().count() < 1000, "{name}: {text}");
        assert!(case.server.poured() < 16 << 20, "{name}: {} bytes were read", case.server.poured());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_denies_is_a_matter_of_credentials() {
    let denials = |sink: &Sink| {
        let (status, why) = sink.denial;
        let why = if status == 401 { format!("no {SECRET} here") } else { why.to_owned() };
        vec![Fault::Answer(status, Vec::new(), why); 20]
    };
    for mut case in each(3, denials).await {
        let e = case.failed().await;
        assert!(e.is_denied(), "{}: {e:?}", case.name());
        let says = ["correct ", "set slack.webhook.url"].iter().any(|way_out| e.message().contains(way_out));
        assert!(says, "{}: {}", case.name(), e.message());
    }
}
