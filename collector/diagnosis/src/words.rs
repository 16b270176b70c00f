//! How findings say names, times and other people's words.

use std::time::Duration;

use parallax_model::evidence::ImapReply;
use parallax_model::fault::Fault;
use parallax_model::millis;
use parallax_model::observation::Family;
use parallax_model::text::escape_str;

/// Longest piece of a server's text in a finding, in characters.
const QUOTE: usize = 160;

/// How many names a line spells out before it counts the rest.
const SPELLED_OUT: usize = 4;

/// "a", "a and b", "a, b and c", "a, b, c, d and 3 more".
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        many if many.len() > SPELLED_OUT + 1 => {
            format!(
                "{} and {} more",
                many[..SPELLED_OUT].join(", "),
                many.len() - SPELLED_OUT
            )
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// "a", "a or b", "a, b or c".
pub(crate) fn either(items: &[&str]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// "1 vantage point", "3 vantage points".
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// "0.3 ms", "21 ms", "3.08 s".
pub(crate) fn time(duration: Duration) -> String {
    let millis = millis::of(duration);
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.2} s", millis / 1e3)
    }
}

/// "6 hours", "12 days"; the sign is left out.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let (number, noun) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// Somebody else's text, safe to show and not too long.
pub(crate) fn quote(text: &str) -> String {
    escape_str(text, QUOTE)
}

/// A fault's own line, safe to show.
pub(crate) fn message(fault: &Fault) -> String {
    quote(&fault.message)
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

/// "IPv4" or "IPv6".
pub(crate) const fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_a_person_would_say_them() {
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(
            list(&["a", "b", "c", "d", "e", "f", "g"]),
            "a, b, c, d and 3 more"
        );
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c, d and e");
    }

    #[test]
    fn times_have_the_precision_that_matters() {
        assert_eq!(time(Duration::from_micros(300)), "0.3 ms");
        assert_eq!(time(Duration::from_millis(21)), "21 ms");
        assert_eq!(time(Duration::from_millis(3080)), "3.08 s");
        assert_eq!(span(-90), "90 seconds");
        assert_eq!(span(86_400 * 12), "12 days");
    }

    #[test]
    fn what_a_server_says_is_escaped() {
        let said = ImapReply {
            status: "NO".into(),
            code: Some("ALERT".into()),
            text: "\x1b[31mred".into(),
            ..ImapReply::default()
        };
        assert_eq!(reply(&said), "NO [ALERT] \\x1b[31mred");
    }
}
