//! How times, endpoints, names and other people's words are said.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::evidence::ImapReply;
use parallax_model::millis;
use parallax_model::target::Target;
use parallax_model::text::escape_str;
use parallax_model::vantage::Labels;

use super::canvas::cut;

/// Longest piece of a server's text, in characters.
const QUOTE: usize = 200;

/// From here on minutes say it better.
const MINUTES_FROM: f64 = 120e3;

/// "0.3 ms", "21 ms", "3.08 s", "10.0 min".
pub(crate) fn time(duration: Duration) -> String {
    let millis = millis::of(duration);
    if millis > 0.0 && millis < 0.05 {
        "<0.1 ms".to_owned()
    } else if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if millis < 9_995.0 {
        format!("{:.2} s", millis / 1e3)
    } else if millis < MINUTES_FROM {
        format!("{:.1} s", millis / 1e3)
    } else {
        format!("{:.1} min", millis / 60e3)
    }
}

/// [`time`] of a number of milliseconds.
pub(crate) fn millis(millis: f64) -> String {
    time(millis::to_duration(millis))
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

/// "once", "twice", "5 times".
pub(crate) fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{number} times"),
    }
}

/// "1 mailbox", "3 mailboxes".
pub(crate) fn mailboxes(number: u32) -> String {
    format!("{number} mailbox{}", if number == 1 { "" } else { "es" })
}

/// "812 bytes", "3.4 KiB", "1.2 GiB".
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return count(usize::try_from(number).unwrap_or_default(), "byte");
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
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

/// "2026-07-28 10:00 UTC".
pub(crate) fn hour(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
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

/// "93%" of a limit; what is over it is seen to be.
pub(crate) fn percent_of(part: u64, whole: u64) -> String {
    format!("{:.0}%", part as f64 / whole as f64 * 100.0)
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

/// The first characters of a digest; enough to compare by eye.
pub(crate) fn beginning(digits: &str, length: usize) -> String {
    let mut shown = quote(&digits.chars().take(length).collect::<String>());
    if digits.chars().nth(length).is_some() {
        shown.push('…');
    }
    shown
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

/// Flags as they are spelled, `\Seen` with one backslash; safe to show and not too long.
pub(crate) fn flags(names: &[String]) -> String {
    cut(&safe(&names.join(" ")), QUOTE)
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

/// A summary beside its target, which it need not say once more; safe to show.
pub(crate) fn beside_target(summary: &str, target: &str) -> String {
    let host =
        Target::parse(target, None).map_or_else(|_| target.to_owned(), |target| target.host.to_string());
    let summary = summary.replacen(
        &format!("could not tell whether {host} works: "),
        "could not tell: ",
        1,
    );
    safe(summary.strip_prefix(&format!("{host} ")).unwrap_or(&summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_precision_that_matters() {
        let said = |micros| time(Duration::from_micros(micros));
        assert_eq!(
            [
                0,
                20,
                300,
                9_960,
                21_000,
                999_700,
                3_080_000,
                60_000_000,
                600_000_000
            ]
            .map(said),
            [
                "0.0 ms", "<0.1 ms", "0.3 ms", "10 ms", "21 ms", "1.00 s", "3.08 s", "60.0 s", "10.0 min"
            ]
        );
        assert_eq!([-0.31, 0.02, 12.0].map(offset), ["-0.3 ms", "0.0 ms", "+12 ms"]);
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(
            [1, 812, 3_500, 2_621_440].map(bytes),
            ["1 byte", "812 bytes", "3.4 KiB", "2.5 MiB"]
        );
        assert_eq!(
            (percent_of(93, 100), percent_of(3, 2)),
            ("93%".to_owned(), "150%".to_owned())
        );
        assert_eq!(
            (beginning("abcdef", 4), beginning("abcd", 4)),
            ("abcd…".to_owned(), "abcd".to_owned())
        );
    }

    #[test]
    fn no_part_of_a_reply_reaches_the_terminal_as_a_command() {
        let vile = ImapReply {
            status: "NO\x1b[2J".into(),
            code: Some("X\r\n".into()),
            text: "\u{202e}gone".into(),
            ..ImapReply::default()
        };
        assert_eq!(reply(&vile), "NO\\x1b[2J [X\\x0d\\x0a] \\u{202e}gone");
    }

    #[test]
    fn a_line_is_escaped_once_and_never_twice() {
        assert_eq!(safe("said BYE \\x1b[2Jred"), "said BYE \\x1b[2Jred");
        assert_eq!(safe("a\x1b[2Jb\\"), "a\\x1b[2Jb\\");
        assert_eq!(safe("two\nlines"), "two\\x0alines");
    }

    #[test]
    fn a_summary_beside_its_target_does_not_name_it_again() {
        let target = "imaps://imap.example.org:1993";
        assert_eq!(
            beside_target("imap.example.org is healthy from fra-1", target),
            "is healthy from fra-1"
        );
        assert_eq!(
            beside_target(
                "could not tell whether imap.example.org works: nothing was seen",
                target
            ),
            "could not tell: nothing was seen"
        );
        assert_eq!(
            beside_target("fra-1 cannot reach imap.example.org\x1b:\x1b[2J", target),
            "fra-1 cannot reach imap.example.org\\x1b:\\x1b[2J"
        );
    }
}
