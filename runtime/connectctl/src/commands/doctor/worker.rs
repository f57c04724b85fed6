//! The worker: whether it answers, what it is, its clock, its disk.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connect_api::time;
use connect_rest_model::{Disk, Health, ServerInfo, WorkerInfo};

use super::finding::{Check, Finding, Found, Level, Number};
use crate::{client::Client, error::Failure};

/// What the worker said.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) server: Option<ServerInfo>,
    /// None of a worker of Kafka Connect.
    pub(super) worker: Option<WorkerInfo>,
    /// Whether it is worth asking for more.
    pub(super) ready: bool,
}

/// Asks the worker; all that is found out without anybody else.
pub(super) async fn look(client: &Client) -> (Told, Found) {
    let mut found = Found::default();
    let before = time::now_ms();
    let (server, date) = match client.server_and_date().await {
        Ok(answer) => answer,
        Err(e) => {
            found.add(unreachable(&e));
            return (Told::default(), found);
        }
    };
    let after = time::now_ms();
    let worker = client.worker().await.ok();
    let health = client.health().await;
    let address = client.address();
    let what = match &worker {
        Some(worker) => format!("connectd {} at {address}, {}", worker.version, worker.mode),
        None => format!("Kafka Connect {} at {address}", server.version),
    };
    let health = match health {
        Ok(health) => Some(health),
        // Workers before Kafka 3.9 do not say.
        Err(Failure::Refused { status: 404, .. }) => None,
        Err(e) => {
            found.add(Finding::new(Check::Worker, Level::Fail, format!("{what}, does not say how it is: {e}")));
            None
        }
    };
    if found.findings.is_empty() {
        found.add(of_health(&what, health.as_ref()));
    }
    clock(date, before, after, &mut found);
    match &worker {
        Some(worker) => disk(worker, &mut found),
        None => found.add(Finding::skipped(Check::Disk, "workers of Kafka Connect do not tell of their disks")),
    }
    let ready = health.is_none_or(|h| h.status != "starting");
    (Told { server: Some(server), worker, ready }, found)
}

fn unreachable(e: &Failure) -> Finding {
    // Behind the last semicolon the failure says what to do.
    let text = e.to_string();
    match (e, text.rsplit_once("; ")) {
        (Failure::Unreachable(_), Some((what, hint))) => Finding::new(Check::Worker, Level::Fail, what).remedy(hint),
        _ => Finding::new(Check::Worker, Level::Fail, text),
    }
}

fn of_health(what: &str, health: Option<&Health>) -> Finding {
    match health {
        Some(h) if h.status == "starting" => {
            Finding::new(Check::Worker, Level::Warn, format!("{what}, is starting: {}", h.message))
                .remedy("try again in a moment; if it stays so, its log says what it waits for")
        }
        Some(h) if h.status != "healthy" => {
            Finding::new(Check::Worker, Level::Fail, format!("{what}, is {}: {}", h.status, h.message))
                .remedy("the worker's log says more")
        }
        _ => Finding::ok(Check::Worker, what),
    }
}

/// From where on clocks differ, in milliseconds: time stamps, certificates and tokens begin to be wrong.
const CLOCK_WARN: i64 = 2_000;
const CLOCK_FAIL: i64 = 60_000;

fn clock(date: Option<SystemTime>, before: i64, after: i64, found: &mut Found) {
    let date = date.and_then(|d| d.duration_since(UNIX_EPOCH).ok()).and_then(|d| i64::try_from(d.as_millis()).ok());
    let Some(date) = date else {
        found.add(Finding::skipped(Check::Clock, "the worker's answers have no date"));
        return;
    };
    let ahead = ahead(date, before, after);
    #[expect(clippy::cast_precision_loss, reason = "seconds are shown")]
    let seconds = ahead as f64 / 1000.0;
    let number = Number { value: seconds, unit: "s", warn: Some(2.0) };
    found.number(Check::Clock, "clock", number);
    found.add(of_clock("the worker's clock", ahead));
}

/// How a clock is that is so many milliseconds ahead of this one.
pub(super) fn of_clock(whose: &str, ahead: i64) -> Finding {
    let level = match ahead.abs() {
        n if n > CLOCK_FAIL => Level::Fail,
        n if n > CLOCK_WARN => Level::Warn,
        _ => return Finding::ok(Check::Clock, format!("{whose} agrees with this one")),
    };
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let much = crate::commands::status::span(ahead.abs());
    Finding::new(Check::Clock, level, format!("{whose} is at least {much} {way} this one"))
        .remedy("compare both with a time server (chronyc tracking, timedatectl)")
}

/// By how many milliseconds a clock is ahead at least that showed this date between two times of ours; 0 where it may be
/// right. Dates are whole seconds, and servers make them once a second.
fn ahead(date: i64, before: i64, after: i64) -> i64 {
    const RESOLUTION: i64 = 2_000;
    let (least, most) = (date - after, date + RESOLUTION - before);
    if least > 0 { least } else { most.min(0) }
}

const MEBIBYTE: u64 = 1024 * 1024;
const DISK_WARN: u64 = 512 * MEBIBYTE;
const DISK_FAIL: u64 = 32 * MEBIBYTE;

fn disk(worker: &WorkerInfo, found: &mut Found) {
    let Some(disk) = worker.offset_disk else {
        let text = match worker.mode.as_str() {
            "standalone" => "the worker cannot say how much room its disk has",
            "distributed" => "the worker keeps nothing on disks: its state is in Kafka",
            _ => "the worker keeps nothing on disks",
        };
        found.add(Finding::skipped(Check::Disk, text));
        return;
    };
    #[expect(clippy::cast_precision_loss, reason = "a graph is drawn")]
    let number = Number { value: disk.free_bytes as f64, unit: "B", warn: None };
    found.number(Check::Disk, "disk_free", number);
    found.add(of_disk(disk, worker.offset_file.as_deref().unwrap_or_default()));
}

fn of_disk(disk: Disk, file: &str) -> Finding {
    let text = format!(
        "{} MiB of {} MiB are free where the worker keeps its offsets, {file}",
        disk.free_bytes / MEBIBYTE,
        disk.total_bytes / MEBIBYTE
    );
    let level = match disk.free_bytes {
        n if n < DISK_FAIL => Level::Fail,
        n if n < DISK_WARN => Level::Warn,
        _ => return Finding::ok(Check::Disk, text),
    };
    Finding::new(Check::Disk, level, text)
        .remedy("make room: offsets that cannot be stored are read again after a restart")
}

/// The check did not end in time.
pub(super) fn late(check: Check, limit: Duration) -> Found {
    let text = format!("took longer than {} s", limit.as_secs_f64());
    Finding::new(check, Level::Fail, text).remedy("is the machine or the network overloaded? raise --timeout").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_only_blamed_for_what_is_certain() {
        // Asked from 10.000 s to 10.100 s.
        assert_eq!(ahead(10_000, 10_000, 10_100), 0);
        assert_eq!(ahead(9_000, 10_000, 10_100), 0);
        assert_eq!(ahead(8_000, 10_100, 10_200), -100);
        assert_eq!(ahead(12_000, 10_000, 10_100), 1_900);
        // It took so long that nothing is certain.
        assert_eq!(ahead(12_000, 10_000, 40_000), 0);
        assert_eq!(of_clock("its clock", 1_900).level, Level::Ok);
        let warn = of_clock("its clock", -3_000);
        assert_eq!((warn.level, warn.text.as_str()), (Level::Warn, "its clock is at least 3s behind this one"));
        assert_eq!(of_clock("its clock", 61_000).level, Level::Fail);
    }

    #[test]
    fn a_disk_that_fills_is_told_in_time() {
        let of = |free_mib: u64| {
            of_disk(Disk { free_bytes: free_mib * MEBIBYTE, total_bytes: 4096 * MEBIBYTE }, "/var/offsets").level
        };
        assert_eq!([of(600), of(500), of(31)], [Level::Ok, Level::Warn, Level::Fail]);
    }

    #[test]
    fn a_worker_that_is_not_well_says_so() {
        let health = |status: &str| Health { status: status.into(), message: "m".into() };
        assert_eq!(of_health("w", Some(&health("healthy"))).level, Level::Ok);
        assert_eq!(of_health("w", Some(&health("starting"))).level, Level::Warn);
        assert_eq!(of_health("w", Some(&health("unhealthy"))).level, Level::Fail);
        assert_eq!(of_health("w", None).level, Level::Ok);
        let gone = unreachable(&Failure::Unreachable("cannot reach it: refused; is it running? set --url".into()));
        assert_eq!(gone.remedy.as_deref(), Some("is it running? set --url"));
    }
}
