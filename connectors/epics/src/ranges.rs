//! Names with ranges: `SR{01..24}:T{1..3}` stands for 72 names.

/// More names than this are a slip of the pen.
const MOST: usize = 1_000_000;

/// All names that a pattern stands for, the last range running fastest. A range is `{first..last}` with whole numbers; a
/// first number that begins with 0 fills all with zeros to its length. Other braces stay as they are.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, range, after)) = next_range(rest) {
        let Range { first, last, width } = range?;
        let count = usize::try_from(last - first).ok().and_then(|n| n.checked_add(1));
        if count.and_then(|count| count.checked_mul(names.len())).is_none_or(|all| all > MOST) {
            return Err(format!("{pattern} stands for more than {MOST} names"));
        }
        let of_name = |name: String| (first..=last).map(move |n| format!("{name}{before}{n:0width$}"));
        names = names.into_iter().flat_map(of_name).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

struct Range {
    first: u64,
    last: u64,
    width: usize,
}

/// What is before the first range, the range, and what is behind it.
fn next_range(text: &str) -> Option<(&str, Result<Range, String>, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (inside, after) = text[at + 1..].split_once('}')?;
        let (first, last) = inside.split_once("..")?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return None;
        }
        let range = match (first.parse(), last.parse()) {
            (Ok(lower), Ok(upper)) if lower <= upper => {
                let width = if first.starts_with('0') { first.len() } else { 0 };
                Ok(Range { first: lower, last: upper, width })
            }
            (Ok(_), Ok(_)) => Err(format!("the range {{{inside}}} runs backwards")),
            _ => Err(format!("the range {{{inside}}} has numbers that are too large")),
        };
        Some((&text[..at], range, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stand_for_names() {
        assert_eq!(expand("T:ai0"), Ok(vec!["T:ai0".to_owned()]));
        assert_eq!(
            expand("T:ai{8..11}.VAL"),
            Ok(["T:ai8.VAL", "T:ai9.VAL", "T:ai10.VAL", "T:ai11.VAL"].map(Into::into).to_vec())
        );
        assert_eq!(expand("S{09..10}:T{1..2}"), Ok(["S09:T1", "S09:T2", "S10:T1", "S10:T2"].map(Into::into).to_vec()));
        assert_eq!(expand("{0..0}"), Ok(vec!["0".to_owned()]));
    }

    #[test]
    fn other_braces_are_part_of_the_name() {
        for name in [r#"T:a.VAL{"arr":{"s":1}}"#, "T:a{1..}", "T:a{x..y}", "T:a{1.2}", "T:{", "T:}{"] {
            assert_eq!(expand(name), Ok(vec![name.to_owned()]));
        }
        assert_eq!(expand(r#"T:{1..2}.VAL{"ts":{}}"#).map(|names| names.len()), Ok(2));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(expand("T:{5..1}"), Err("the range {5..1} runs backwards".into()));
        assert_eq!(
            expand("T:{1..99999999999999999999}"),
            Err("the range {1..99999999999999999999} has numbers that are too large".into())
        );
        assert_eq!(expand("{1..1000}{1..1001}"), Err("{1..1000}{1..1001} stands for more than 1000000 names".into()));
        assert!(expand("{0..18446744073709551615}").is_err());
    }
}
