//! How times, endpoints, names and other people's words are said.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::evidence::ImapReply;
use parallax_model::millis;
use parallax_model::text::escape_str;
use parallax_model::vantage::Labels;

/// Longest piece of a server's text, in characters.
const QUOTE: usize = 200;

/// "0.3 ms", "21 ms", "3.08 s".
pub(crate) fn time(duration: Duration) -> String {
    let millis = millis::of(duration);
    if millis > 0.0 && millis < 0.05 {
        "<0.1 ms".to_owned()
    } else if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.2} s", millis / 1e3)
    }
}

/// A number of milliseconds with its sign: "+0.3 ms", "-2.10 s".
pub(crate) fn offset(millis: f64) -> String {
    if millis.abs() < 0.05 {
        return "0.0 ms".to_owned();
    }
    let sign = if millis < 0.0 { '-' } else { '+' };
    format!("{sign}{}", time(millis::to_duration(millis.abs())))
}

/// "1 vantage point", "3 vantage points".
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `10.9.0.10:993`, `[fd00:9::10]:993`.
pub(crate) fn endpoint(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

/// "site=ams region=eu"; safe to show.
pub(crate) fn labels(labels: &Labels) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{}={}", quote(key), quote(value)))
        .collect();
    pairs.join(" ")
}

/// "2026-07-28 10:31:07 UTC".
pub(crate) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// "2026-07-28".
pub(crate) fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// How long ago, or how far ahead, in its largest unit: "12 s", "3 min", "5 h", "64 days".
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// "90%".
pub(crate) fn percent(confidence: f64) -> String {
    format!("{:.0}%", confidence.clamp(0.0, 1.0) * 100.0)
}

/// "certain", "90% sure".
pub(crate) fn sure(confidence: f64) -> String {
    if confidence >= 0.995 {
        "certain".to_owned()
    } else {
        format!("{} sure", percent(confidence))
    }
}

/// A server's own words, safe to show and not too long.
pub(crate) fn quote(text: &str) -> String {
    escape_str(text, QUOTE)
}

/// `NO [AUTHENTICATIONFAILED] text`, safe to show.
pub(crate) fn reply(reply: &ImapReply) -> String {
    let mut said = quote(&reply.status);
    if let Some(code) = &reply.code {
        said.push_str(&format!(" [{}]", quote(code)));
    }
    if !reply.text.is_empty() {
        said.push(' ');
        said.push_str(&quote(&reply.text));
    }
    said
}

/// A line that Parallax wrote and in which quotations are escaped already: backslashes stay as they are, and
/// nothing else can reach the terminal as a command, whoever the collector is.
pub(crate) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive('\\') {
        match piece.strip_suffix('\\') {
            Some(before) => {
                shown.push_str(&escape_str(before, usize::MAX));
                shown.push('\\');
            }
            None => shown.push_str(&escape_str(piece, usize::MAX)),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_precision_that_matters() {
        let said = |micros| time(Duration::from_micros(micros));
        assert_eq!(
            [0, 20, 300, 9_960, 21_000, 999_700, 3_080_000].map(said),
            [
                "0.0 ms", "<0.1 ms", "0.3 ms", "10 ms", "21 ms", "1.00 s", "3.08 s"
            ]
        );
        assert_eq!([-0.31, 0.02, 12.0].map(offset), ["-0.3 ms", "0.0 ms", "+12 ms"]);
    }

    #[test]
    fn a_line_is_escaped_once_and_never_twice() {
        assert_eq!(safe("said BYE \\x1b[2Jred"), "said BYE \\x1b[2Jred");
        assert_eq!(safe("a\x1b[2Jb\\"), "a\\x1b[2Jb\\");
        assert_eq!(safe("two\nlines"), "two\\x0alines");
    }
}
