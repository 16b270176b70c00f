//! What is read behind the login.

use parallax_model::evidence::{
    FetchEvidence, ListEvidence, NamespaceEntry, NamespaceEvidence, QuotaFacts, SelectEvidence, StatusFacts,
};

use super::Told;
use crate::render::words;

pub(super) fn namespaces(facts: &NamespaceEvidence, told: &mut Told) {
    told.beside(format!(
        "{} personal, {} of others, {} shared",
        facts.personal.len(),
        facts.other_users.len(),
        facts.shared.len()
    ));
    if let Some(entry) = facts.personal.first() {
        told.beside(own(entry));
    }
}

pub(super) fn listed(facts: &ListEvidence, told: &mut Told) {
    let mut said = words::mailboxes(facts.mailboxes);
    if let Some(delimiter) = &facts.delimiter {
        said.push_str(&format!(", delimiter {}", words::quote(delimiter)));
    }
    let roles: Vec<_> = facts.roles.keys().map(|role| words::quote(role)).collect();
    if !roles.is_empty() {
        said.push_str(&format!(", roles {}", roles.join(" ")));
    }
    told.beside(said);
    if !facts.missing_roles.is_empty() {
        told.below(format!(
            "no mailbox for: {}",
            words::quote(&facts.missing_roles.join(", "))
        ));
    }
    if !facts.doubled_roles.is_empty() {
        let roles = facts.doubled_roles.join(", ");
        told.below(format!("more than one mailbox for: {}", words::quote(&roles)));
    }
    for (number, what) in [
        (facts.outside_prefix, "outside the personal namespace"),
        (
            facts.undecodable,
            "with a name in neither modified UTF-7 nor UTF-8",
        ),
    ] {
        if number > 0 {
            told.below(format!("{} {what}", words::mailboxes(number)));
        }
    }
    if facts.unparsed > 0 {
        told.below(format!(
            "{} of the answer could not be read",
            words::count(facts.unparsed as usize, "line")
        ));
    }
}

pub(super) fn opened(facts: &SelectEvidence, told: &mut Told) {
    let numbers = [
        ("messages", facts.exists),
        ("uidvalidity", facts.uid_validity),
        ("uidnext", facts.uid_next),
        ("highestmodseq", facts.highest_modseq),
    ];
    let mut said = numbered(&numbers);
    if facts.read_only == Some(true) {
        said.push("read-only".to_owned());
    }
    if facts.uid_not_sticky {
        said.push("UIDs that do not last".to_owned());
    }
    if facts.no_modseq {
        said.push("no modification sequences".to_owned());
    }
    told.beside(said.join(", "));
    if let Some(id) = &facts.mailbox_id {
        told.beside(format!("id {}", words::quote(id)));
    }
    if !facts.permanent_flags.is_empty() {
        told.below(format!("flags kept: {}", words::flags(&facts.permanent_flags)));
    }
    if let Some(status) = &facts.status {
        told.below(counted(status));
    }
    facts.quota.iter().for_each(|quota| told.below(used(quota)));
}

pub(super) fn fetched(facts: &FetchEvidence, told: &mut Told) {
    let Some(uid) = facts.uid else {
        told.beside(match facts.declared_bytes {
            Some(declared) => format!("{} bytes of {declared} came", facts.literal_bytes),
            None => "no message to read".to_owned(),
        });
        return;
    };
    let mut said = vec![format!("uid {uid}")];
    if let Some(size) = facts.size {
        said.push(format!("a message of {}", words::bytes(size)));
    }
    said.push(match facts.declared_bytes {
        Some(declared) if declared != facts.literal_bytes => {
            format!(
                "{} bytes of headers where {declared} were announced",
                facts.literal_bytes
            )
        }
        _ => format!("{} bytes of headers", facts.literal_bytes),
    });
    if let Some(first) = facts.first_byte_ms {
        said.push(format!("the first after {}", words::millis(first)));
    }
    if let Some(end) = facts.end_ms {
        said.push(format!("the last after {}", words::millis(end)));
    }
    told.beside(said.join(", "));
}

fn own(entry: &NamespaceEntry) -> String {
    let delimiter = entry.delimiter.as_deref().map_or_else(
        || "flat".to_owned(),
        |delimiter| format!("delimiter {}", words::quote(delimiter)),
    );
    if entry.prefix.is_empty() {
        format!("own without a prefix, {delimiter}")
    } else {
        format!("own below {}, {delimiter}", words::quote(&entry.prefix))
    }
}

fn counted(facts: &StatusFacts) -> String {
    let mut said = numbered(&[
        ("messages", facts.messages),
        ("unseen", facts.unseen),
        ("uidvalidity", facts.uid_validity),
        ("uidnext", facts.uid_next),
        ("highestmodseq", facts.highest_modseq),
    ]);
    said.extend(facts.size.map(words::bytes));
    format!("STATUS: {}", said.join(", "))
}

/// RFC 9208 section 5.1: STORAGE counts units of 1024 bytes.
fn used(facts: &QuotaFacts) -> String {
    let say = |number: u64| {
        if facts.resource.eq_ignore_ascii_case("STORAGE") {
            words::bytes(number.saturating_mul(1024))
        } else {
            number.to_string()
        }
    };
    let part = if facts.limit == 0 {
        String::new()
    } else {
        format!(" ({})", words::percent_of(facts.usage, facts.limit))
    };
    let root = words::quote(&facts.root);
    let space = if root.is_empty() { "" } else { " " };
    format!(
        "quota {root}{space}{}: {} of {}{part}",
        words::quote(&facts.resource),
        say(facts.usage),
        say(facts.limit)
    )
}

fn numbered(numbers: &[(&str, Option<u64>)]) -> Vec<String> {
    numbers
        .iter()
        .filter_map(|(name, number)| number.map(|number| format!("{name} {number}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(facts: &FetchEvidence) -> String {
        let mut told = Told::default();
        fetched(facts, &mut told);
        told.beside.join(", ")
    }

    #[test]
    fn headers_that_were_cut_short_are_told_with_both_lengths() {
        let cut = FetchEvidence {
            literal_bytes: 12,
            declared_bytes: Some(100),
            ..FetchEvidence::default()
        };
        assert_eq!(said(&cut), "12 bytes of 100 came");
        assert_eq!(said(&FetchEvidence::default()), "no message to read");
    }
}
