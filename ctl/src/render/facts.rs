//! What was seen, said once for all who saw the same.

use std::collections::BTreeSet;

/// Facts that differ in nothing but who saw it and how long it took become one, with every name and the range of the
/// times: "fra-1, nyc-1: 192.0.2.1:993 answered with a reset after 0.2 to 2.7 ms". The first of them keeps its place.
pub(super) fn together(facts: &[String], agents: &BTreeSet<&str>) -> Vec<String> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for fact in facts {
        let seen = fact
            .split_once(": ")
            .filter(|(name, _)| agents.contains(name))
            .map_or((None, fact.as_str()), |(name, what)| (Some(name), what));
        let (name, what) = seen;
        let words: Vec<&str> = what.split(' ').collect();
        let like = groups
            .iter_mut()
            .find(|group| name.is_some() && !group.names.is_empty() && alike(&group.seen[0], &words));
        match like {
            Some(group) => {
                group
                    .names
                    .extend(name.filter(|name| !group.names.contains(name)));
                group.seen.push(words);
            }
            None => groups.push(Group {
                names: name.into_iter().collect(),
                seen: vec![words],
            }),
        }
    }
    groups.iter().map(Group::said).collect()
}

/// The same fact, word by word, from several vantage points.
struct Group<'a> {
    names: Vec<&'a str>,
    seen: Vec<Vec<&'a str>>,
}

impl Group<'_> {
    fn said(&self) -> String {
        let words: Vec<String> = (0..self.seen[0].len()).map(|at| self.word(at)).collect();
        let what = words.join(" ");
        if self.names.is_empty() {
            what
        } else {
            format!("{}: {what}", self.names.join(", "))
        }
    }

    fn word(&self, at: usize) -> String {
        let mut all: Vec<&str> = self.seen.iter().map(|words| words[at]).collect();
        all.sort_by(|one, other| {
            let number = |word: &str| word.parse::<f64>().unwrap_or_default();
            number(one).total_cmp(&number(other))
        });
        match (all.first(), all.last()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            _ => self.seen[0][at].to_owned(),
        }
    }
}

fn alike(one: &[&str], other: &[&str]) -> bool {
    one.len() == other.len()
        && (0..one.len()).all(|at| one[at] == other[at] || (is_time(one, at) && is_time(other, at)))
}

/// A number in front of a unit of time.
fn is_time(words: &[&str], at: usize) -> bool {
    let unit = words
        .get(at + 1)
        .map(|word| word.trim_end_matches([';', ':', ',', '.', ')']));
    words[at].parse::<f64>().is_ok() && matches!(unit, Some("ms" | "s" | "min"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(facts: &[&str]) -> Vec<String> {
        let facts: Vec<String> = facts.iter().map(|fact| (*fact).to_owned()).collect();
        together(&facts, &BTreeSet::from(["fra-1", "nyc-1", "sin-1"]))
    }

    #[test]
    fn the_same_seen_from_several_places_is_said_once_with_the_range_of_times() {
        assert_eq!(
            said(&[
                "fra-1: 192.0.2.1:993 answered with a reset after 2.7 ms",
                "nyc-1: no answer from 192.0.2.1:993 in 5.00 s (5 SYNs sent)",
                "sin-1: 192.0.2.1:993 answered with a reset after 0.2 ms",
                "fra-1: no answer from 192.0.2.1:993 in 5.00 s (5 SYNs sent)",
            ]),
            [
                "fra-1, sin-1: 192.0.2.1:993 answered with a reset after 0.2 to 2.7 ms",
                "nyc-1, fra-1: no answer from 192.0.2.1:993 in 5.00 s (5 SYNs sent)",
            ]
        );
    }

    #[test]
    fn what_differs_in_more_than_a_time_stays_apart() {
        let facts = [
            "fra-1: no answer in 5.00 s (5 SYNs sent)",
            "nyc-1: no answer in 5.00 s (4 SYNs sent)",
            "after 10.0.0.1: it answers for port 993",
            "after 10.0.0.1: it answers for port 993",
            "fra-1: answered after 3 ms",
            "nyc-1: answered after 3 s",
        ];
        assert_eq!(said(&facts), facts);
    }
}
