//! Words of which rules of alerts are made. A file with checks is written in the same ones.

use std::time::Duration;

use jiff::Timestamp;
use parallax_model::stage::StageName;

use super::read;

const STAGE_TOTAL: &str = "total";

/// From how many vantage points a round must be bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum HowMany {
    /// So many.
    Vantages(u32),
    /// This part of those that answered, over 0 and up to 1.
    Share(f64),
}

/// What takes too long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slow {
    /// A stage, or `total`.
    pub(crate) stage: String,
    /// From when on.
    pub(crate) bound: Bound,
}

/// From when on something takes too long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// Longer than this.
    Above(Duration),
    /// Longer than so many times what is usual.
    TimesUsual(f64),
}

/// `2`, `50%`.
pub(crate) fn how_many(text: &str) -> Result<HowMany, String> {
    if text.ends_with('%') {
        return share(text).map(HowMany::Share);
    }
    match text.parse() {
        Ok(vantages) if vantages > 0 => Ok(HowMany::Vantages(vantages)),
        _ => Err("give a number of vantage points, or a part of them such as 50%".to_owned()),
    }
}

/// `10%`: over 0 and up to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|digits| digits.parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("give a part such as 10%, over 0% and up to 100%".to_owned()),
    }
}

/// `connect:500ms`, `total:3x`.
pub(crate) fn slow(text: &str) -> Result<Slow, String> {
    let (name, bound) = text
        .split_once(':')
        .ok_or("give a stage and a bound, such as connect:500ms or total:3x")?;
    Ok(Slow {
        stage: stage(name)?,
        bound: match bound.strip_suffix('x') {
            Some(times) => Bound::TimesUsual(times_usual(times.parse().ok())?),
            None => Bound::Above(above(bound)?),
        },
    })
}

/// A stage, or `total`.
pub(crate) fn stage(name: &str) -> Result<String, String> {
    if name == STAGE_TOTAL || StageName::known(name).is_some() {
        return Ok(name.to_owned());
    }
    let stages: Vec<_> = StageName::ALL.iter().map(|stage| stage.as_str()).collect();
    Err(format!(
        "{name:?} is neither total nor one of {}",
        stages.join(", ")
    ))
}

/// A time that something may take at most: 1ms to 24h.
pub(crate) fn above(text: &str) -> Result<Duration, String> {
    let time = read::duration(text)?;
    if (Duration::from_millis(1)..=read::LONGEST_INTERVAL).contains(&time) {
        Ok(time)
    } else {
        Err("give a time from 1ms to 24h".to_owned())
    }
}

/// How many times what is usual: more than once.
pub(crate) fn times_usual(times: Option<f64>) -> Result<f64, String> {
    match times {
        Some(times) if times > 1.0 && times <= 1000.0 => Ok(times),
        _ => Err("give how many times what is usual, such as 3x, from over 1 to 1000".to_owned()),
    }
}

/// `KEY=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a label as KEY=VALUE".to_owned()),
    }
}

/// A time as RFC 3339 has it, or so long ago: `2026-12-05T22:00:00Z`, `24h`.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = read::duration(text)
        .map_err(|_| "give a time such as 2026-12-05T22:00:00Z, or so long ago, such as 24h".to_owned())?;
    Timestamp::now()
        .checked_sub(ago)
        .map_err(|_| "that is longer ago than time is counted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_vantage_points_or_a_part_of_them() {
        assert_eq!(how_many("2"), Ok(HowMany::Vantages(2)));
        assert_eq!(how_many("50%"), Ok(HowMany::Share(0.5)));
        for bad in ["0", "", "-1", "0%", "101%", "half", "%", "NaN%"] {
            assert!(how_many(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stage_is_slow_by_time_or_by_what_is_usual() {
        let read = |text| slow(text).map(|slow| (slow.stage, slow.bound));
        assert_eq!(
            read("connect:500ms"),
            Ok(("connect".to_owned(), Bound::Above(Duration::from_millis(500))))
        );
        assert_eq!(read("total:3x"), Ok(("total".to_owned(), Bound::TimesUsual(3.0))));
        for bad in [
            "connect",
            "conect:1s",
            "total:1x",
            "total:x",
            "total:0ms",
            "total:NaNx",
        ] {
            assert!(slow(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Ok(Timestamp::UNIX_EPOCH));
        let day = moment("24h").expect("reads");
        let ago = Timestamp::now().as_second() - day.as_second();
        assert!((86_399..86_460).contains(&ago), "{ago}");
        assert!(moment("yesterday").is_err());
    }
}
