//! One line of shorthand, in words and options.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_model::evidence::{ImapReply, QuotaFacts};

/// The words of a line: the outcome, its arguments, `key=value` options; `text=` takes the rest.
pub struct Line<'a> {
    pub words: Vec<&'a str>,
    pub options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    pub fn read(text: &'a str) -> Self {
        let (head, tail) = text
            .split_once("text=")
            .map_or((text, None), |(head, tail)| (head, Some(tail)));
        let mut line = Self {
            words: Vec::new(),
            options: BTreeMap::new(),
        };
        for word in head.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => drop(line.options.insert(key, value)),
                None => line.words.push(word),
            }
        }
        if let Some(tail) = tail {
            line.options.insert("text", tail);
        }
        line
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.options.get(key).map(|value| value.parse().expect(key))
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.options.get(key).map(|value| (*value).to_owned())
    }

    /// The words of a list, or those of another where the line does not say; `none` is an empty one.
    pub fn words_of(&self, key: &str, otherwise: &str) -> Vec<String> {
        let text = self.options.get(key).copied().unwrap_or(otherwise);
        text.split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty() && *word != "none")
            .map(str::to_owned)
            .collect()
    }

    /// `quota=95/100`
    pub fn quota(&self) -> Option<QuotaFacts> {
        let (usage, limit) = self.options.get("quota")?.split_once('/').expect("usage/limit");
        Some(QuotaFacts {
            root: "User quota".to_owned(),
            resource: "STORAGE".to_owned(),
            usage: usage.parse().expect(usage),
            limit: limit.parse().expect(limit),
        })
    }

    pub fn duration(&self, fallback: &str) -> Duration {
        let text = self.options.get("in").copied().unwrap_or(fallback);
        if let Some(millis) = text.strip_suffix("ms") {
            Duration::try_from_secs_f64(millis.parse::<f64>().expect(text) / 1e3).expect(text)
        } else {
            Duration::try_from_secs_f64(text.strip_suffix('s').expect(text).parse().expect(text)).expect(text)
        }
    }

    /// The greeting of a server that says what it is.
    pub fn banner(&self) -> Option<ImapReply> {
        self.options.get("banner").map(|banner| ImapReply {
            status: "OK".to_owned(),
            text: banner.replace('_', " "),
            ..ImapReply::default()
        })
    }

    pub fn reply(&self, status: &str) -> Option<ImapReply> {
        (self.options.contains_key("code") || self.options.contains_key("text")).then(|| ImapReply {
            source: None,
            status: status.to_owned(),
            code: self.options.get("code").map(|code| (*code).to_owned()),
            text: self
                .options
                .get("text")
                .map(|text| (*text).to_owned())
                .unwrap_or_default(),
            cause: self.options.get("code").map(|code| format!("what {code} means")),
            next_step: self
                .options
                .get("code")
                .map(|code| format!("what to do about {code}")),
        })
    }
}
