//! `connectctl alarms shelve` and `unshelve`

use connect_api::{Schema, Value, time};
use connector_alarm::{
    Content, Details, Kind, ShelvedAlarm,
    content::{others, shelved_by},
};

use super::{
    super::{Context, Outcome, Outcomes},
    document::{Shelved, has_all},
    list::span,
    pick::{name, named},
    replay::{Replay, warn_unread_of},
    set::{Told, tell},
    state::{Alarms, Known},
    topics::{Topics, Writes},
    write::{Encoded, Writing},
};
use crate::error::Failure;

/// What `alarms shelve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ShelveArgs {
    /// Names of the alarms; also patterns, of all that are known. A plain name need not be known.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = name)]
    names: Vec<String>,

    #[command(flatten)]
    end: End,

    /// Why; needed where it is for ever. With it and without an end it is for ever, as --forever says.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

/// Until when.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct End {
    /// For so long: 90s, 30m, 2h, 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<i64>,

    /// Until then: 2026-12-01T06:00:00Z, or milliseconds since 1970; 0 is no end.
    #[arg(long, visible_alias = "expiration", value_name = "TIME", value_parser = until)]
    until: Option<i64>,

    /// For so many seconds.
    #[arg(long = "expirationseconds", value_name = "SECONDS", hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,

    /// Until somebody takes it off the shelf.
    #[arg(long)]
    forever: bool,

    /// Take it off the shelf instead.
    #[arg(long)]
    unset: bool,
}

/// What `alarms unshelve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct UnshelveArgs {
    /// Names of the alarms; also patterns, of those that are on the shelf.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), required = true, value_parser = name)]
    names: Vec<String>,

    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

/// Milliseconds of a text such as `2h`.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is no time such as 90s, 30m, 2h or 7d");
    let at = text.char_indices().last().map_or(0, |(at, _)| at);
    let unit = match &text[at..] {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..at].parse().map_err(|_| wrong())?;
    if number == 0 { Err("the time has to be longer than nothing".into()) } else { Ok(i64::from(number) * unit) }
}

fn until(text: &str) -> Result<i64, String> {
    let text = text.trim();
    // JLab's scripts say it of what has no end.
    if text == "0" {
        return Ok(0);
    }
    let wrong = || "expected a time as 2026-12-01T06:00:00Z, or milliseconds since 1970".to_owned();
    let ms = time::parse_rfc3339(text).or_else(|| text.parse().ok()).ok_or_else(wrong)?;
    if ms <= time::now_ms() { Err("the time is over already".into()) } else { Ok(ms) }
}

impl End {
    /// When it is over; none if never.
    fn at(&self, now: i64) -> Option<i64> {
        let later = self.time.or(self.seconds.map(|seconds| i64::from(seconds) * 1000)).map(|ms| now + ms);
        later.or(self.until.filter(|end| *end > 0))
    }
}

/// Puts alarms on the shelf.
pub(super) async fn shelve(args: &ShelveArgs, context: &Context<'_>) -> Result<(), Failure> {
    if args.end.unset {
        return take_off(&args.names, &args.topics, &args.writes, context).await;
    }
    let reason = args.reason.as_deref().map(str::trim).unwrap_or_default();
    if args.end.at(time::now_ms()).is_none() && reason.is_empty() {
        let what = "what is on the shelf for ever needs a reason; say --reason TEXT";
        return Err(Failure::Usage(if args.end.forever {
            what.into()
        } else {
            format!("{what}, or an end: --for <TIME>, --until <TIME>; --forever is as without an end")
        }));
    }
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let names = named(&args.names, &alarms, |_| true).map_err(Failure::Failed)?;
    let mut writing = Writing::new(&replay, &args.writes);
    let mut outcomes = Outcomes::default();
    let shelf = ShelvedAlarm { expiration: args.end.at(time::now_ms()), reason: reason.to_owned() };
    for name in &names {
        let outcome = put(&mut writing, name, &shelf, &alarms).await;
        if !outcomes.add(context, name, outcome.map(|o| tell(o, context))) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread_of(&args.names, &alarms, context)
}

/// Puts one on the shelf, for no longer than it may be there.
pub(super) async fn put(
    writing: &mut Writing<'_, '_>,
    name: &str,
    shelf: &ShelvedAlarm,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    alarms.readable(Kind::Registered, name)?;
    if let Some(most) = alarms.get(name).and_then(longest) {
        let asked = shelf.expiration.map(|end| end.saturating_sub(time::now_ms()) / 1000);
        if most == 0 || asked.is_none_or(|asked| asked > most) {
            let rule = if most == 0 { "never".into() } else { format!("for at most {}", span(most * 1000)) };
            return Err(Failure::Failed(format!("alarm {name} may be on the shelf {rule}, as it is registered")));
        }
    }
    let said = Shelved { shelf: shelf.clone(), ..Shelved::default() };
    let encoded = encode(writing, &said, alarms).await?;
    place(writing, name, &said, encoded, alarms).await
}

/// Puts one on the shelf as a document says it, unless it is there as far as the schema has room for it. For how long it may be
/// there is no matter: JLab's scripts, which may have written it, do not ask either.
pub(super) async fn carry(
    writing: &mut Writing<'_, '_>,
    name: &str,
    said: &Shelved,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    alarms.readable(Kind::Shelved, name)?;
    let unchanged = Outcome { dry_run: writing.dry_run, ..Outcome::new(name, "unchanged") };
    let before = alarms.get(name).and_then(|known| known.shelf.as_ref());
    let user = |value: &Value| said.user.as_ref().and_then(|_| shelved_by(value).map(str::to_owned));
    if let Some((shelf, origin)) = before
        && *shelf == said.shelf
        && user(&origin.value) == said.user
        && has_all(Kind::Shelved, &origin.value, &said.others)
    {
        return Ok((unchanged, None));
    }
    let encoded = encode(writing, said, alarms).await?;
    if let Some((shelf, origin)) = before
        && *shelf == ShelvedAlarm::from_value(&encoded.value)
        && user(&origin.value) == user(&encoded.value)
        && others(Kind::Shelved, &origin.value) == others(Kind::Shelved, &encoded.value)
    {
        return Ok((unchanged, encoded.left_out));
    }
    place(writing, name, said, encoded, alarms).await
}

async fn encode(writing: &mut Writing<'_, '_>, said: &Shelved, alarms: &Alarms) -> Result<Encoded, Failure> {
    let user = said.user.clone().unwrap_or_else(|| writing.user().to_owned());
    let make = |schema: &Schema| {
        let content = Content::shelved(&said.shelf, &user, schema).with_members(&said.others);
        // Where it has no place it is left out, which nobody has to be told who has not said it.
        if said.user.is_some() { content.with_shelved_by(&user) } else { content }
    };
    writing.encode(Kind::Shelved, alarms, None, &make).await
}

async fn place(
    writing: &mut Writing<'_, '_>,
    name: &str,
    said: &Shelved,
    encoded: Encoded,
    alarms: &Alarms,
) -> Result<Told, Failure> {
    let (known, shelf) = (alarms.get(name), &said.shelf);
    let before = known.and_then(|known| known.shelf.as_ref());
    let key = match before.and_then(|(_, origin)| origin.raw.key.clone()) {
        Some(key) => key,
        None => writing.key(name, None).await?,
    };
    writing.send(Kind::Shelved, key, Some(encoded.bytes)).await?;
    let detail = shelf.expiration.map_or_else(|| "for ever".into(), |end| format!("until {}", time::rfc3339(end)));
    let dry_run = writing.dry_run;
    Ok((Outcome { dry_run, detail: Some(detail), ..Outcome::new(name, "shelved") }, encoded.left_out))
}

/// How many seconds it may be on the shelf; 0 is never.
fn longest(known: &Known) -> Option<i64> {
    let (_, origin) = known.registered.as_ref()?;
    Details::from_value(&origin.value).longest_shelved.map(i64::from)
}

/// Takes alarms off the shelf.
pub(super) async fn unshelve(args: &UnshelveArgs, context: &Context<'_>) -> Result<(), Failure> {
    take_off(&args.names, &args.topics, &args.writes, context).await
}

async fn take_off(names: &[String], topics: &Topics, writes: &Writes, context: &Context<'_>) -> Result<(), Failure> {
    let mut replay = Replay::new(context, topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let meant = named(names, &alarms, |known| known.shelf.is_some()).map_err(Failure::Failed)?;
    let mut writing = Writing::new(&replay, writes);
    let mut outcomes = Outcomes::default();
    for name in &meant {
        let outcome = off(&mut writing, name, &alarms).await;
        if !outcomes.add(context, name, outcome) {
            break;
        }
    }
    outcomes.print(context)?;
    warn_unread_of(names, &alarms, context)
}

/// Takes one off the shelf.
pub(super) async fn off(writing: &mut Writing<'_, '_>, name: &str, alarms: &Alarms) -> Result<Outcome, Failure> {
    let dry_run = writing.dry_run;
    let outcome = |result: &str| Outcome { dry_run, ..Outcome::new(name, result) };
    let Some((_, origin)) = alarms.get(name).and_then(|known| known.shelf.as_ref()) else {
        return Ok(Outcome { detail: Some("it is not on the shelf".into()), ..outcome("unchanged") });
    };
    let key = origin.raw.key.clone().unwrap_or_default();
    writing.send(Kind::Shelved, key, None).await?;
    Ok(outcome("unshelved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_the_shelf_are_in_the_future() {
        assert_eq!((duration("2h"), duration(" 90s ")), (Ok(7_200_000), Ok(90_000)));
        for wrong in ["", "h", "0h", "2", "-2h", "2w", "2ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(until("0"), Ok(0));
        assert!(until("2020-01-01T00:00:00Z").is_err() && until("1").is_err() && until("x").is_err());
        assert!(until("2999-01-01T00:00:00Z").is_ok());
    }
}
