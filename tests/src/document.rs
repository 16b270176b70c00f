//! The run document as a test reads it: by the names of the outside surface, and nothing of our own types.

use std::fmt;

use serde_json::Value;

/// A run document. Whatever is asked of it and not there panics with the whole document.
pub struct Document(Value);

/// A finding of a run document.
#[derive(Clone, Copy)]
pub struct Finding<'a> {
    run: &'a Document,
    value: &'a Value,
}

/// A vantage point of a run document.
#[derive(Clone, Copy)]
pub struct Vantage<'a> {
    run: &'a Document,
    value: &'a Value,
}

impl Document {
    /// Takes what `-o json` printed.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The document itself.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// `healthy`, `partial`, `down` or `inconclusive`.
    pub fn verdict(&self) -> &str {
        self.text(&self.0, "verdict")
    }

    /// The trace of the run.
    pub fn trace_id(&self) -> &str {
        self.text(&self.0, "trace_id")
    }

    /// Every finding, first the one to act on.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        self.list(&self.0, "findings")
            .iter()
            .map(|value| Finding { run: self, value })
    }

    /// The finding to act on first.
    pub fn first_finding(&self) -> Finding<'_> {
        self.findings()
            .next()
            .unwrap_or_else(|| panic!("no finding\n{self}"))
    }

    /// The finding of that kind.
    pub fn finding(&self, kind: &str) -> Finding<'_> {
        self.findings()
            .find(|finding| finding.kind() == kind)
            .unwrap_or_else(|| panic!("no finding {kind}\n{self}"))
    }

    /// Every vantage point that was asked.
    pub fn vantages(&self) -> impl Iterator<Item = Vantage<'_>> {
        self.list(&self.0, "vantages")
            .iter()
            .map(|value| Vantage { run: self, value })
    }

    /// The vantage point of that name.
    pub fn vantage(&self, name: &str) -> Vantage<'_> {
        self.vantages()
            .find(|vantage| vantage.name() == name)
            .unwrap_or_else(|| panic!("no vantage point {name}\n{self}"))
    }

    /// The names of the vantage points with this outcome, sorted.
    pub fn with_outcome(&self, outcome: &str) -> Vec<&str> {
        let with = self.vantages().filter(|vantage| vantage.outcome() == outcome);
        sorted(with.map(|vantage| vantage.name()).collect())
    }

    fn text<'a>(&self, value: &'a Value, key: &str) -> &'a str {
        value[key]
            .as_str()
            .unwrap_or_else(|| panic!("no text {key}\n{self}"))
    }

    fn list<'a>(&self, value: &'a Value, key: &str) -> &'a [Value] {
        value[key]
            .as_array()
            .unwrap_or_else(|| panic!("no list {key}\n{self}"))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl<'a> Finding<'a> {
    /// Its kind.
    pub fn kind(&self) -> &'a str {
        self.run.text(self.value, "kind")
    }

    /// `critical`, `warning` or `info`.
    pub fn severity(&self) -> &'a str {
        self.run.text(self.value, "severity")
    }

    /// How sure it is, from 0 to 1.
    pub fn confidence(&self) -> f64 {
        self.value["confidence"]
            .as_f64()
            .unwrap_or_else(|| panic!("no confidence\n{}", self.run))
    }

    /// The stage it speaks of, if it speaks of one.
    pub fn stage(&self) -> Option<&'a str> {
        self.value["stage"].as_str()
    }

    /// The vantage points it affects, sorted.
    pub fn affected(&self) -> Vec<&'a str> {
        sorted(texts(&self.value["scope"]["affected"]))
    }

    /// The vantage points it spares, sorted.
    pub fn unaffected(&self) -> Vec<&'a str> {
        sorted(texts(&self.value["scope"]["unaffected"]))
    }

    /// A member of `location`, such as `segment` or `before`.
    pub fn location(&self, key: &str) -> Option<&'a str> {
        self.value["location"][key].as_str()
    }

    /// What was seen, one fact a line.
    pub fn because(&self) -> String {
        texts(&self.value["because"]).join("\n")
    }

    /// What to do or ask next, one a line.
    pub fn next_steps(&self) -> String {
        texts(&self.value["next_steps"]).join("\n")
    }

    /// The kinds it could not rule out.
    pub fn alternatives(&self) -> Vec<&'a str> {
        let alternatives = self.value["alternatives"].as_array();
        alternatives
            .into_iter()
            .flatten()
            .filter_map(|alternative| alternative["kind"].as_str())
            .collect()
    }
}

impl<'a> Vantage<'a> {
    /// The agent's name.
    pub fn name(&self) -> &'a str {
        self.run.text(self.value, "agent")
    }

    /// `ok`, `degraded`, `failed`, `missing` or `refused`.
    pub fn outcome(&self) -> &'a str {
        self.run.text(self.value, "outcome")
    }

    /// Why it is missing or refused.
    pub fn reason(&self) -> Option<&'a str> {
        self.value["reason"].as_str()
    }

    /// What it says beside what it saw.
    pub fn note(&self) -> Option<&'a str> {
        self.value["note"].as_str()
    }

    /// The attempts that the operator asked for, as `ADDRESS:PORT` in brackets where the address is IPv6, sorted.
    pub fn endpoints(&self) -> Vec<String> {
        let mut endpoints: Vec<_> = self.requested().map(endpoint).collect();
        endpoints.sort_unstable();
        endpoints
    }

    /// The outcome of `stage` in every attempt that the operator asked for; absent stages are left out.
    pub fn outcomes_of(&self, stage: &str) -> Vec<&'a str> {
        self.stages(stage)
            .filter_map(|found| found["outcome"].as_str())
            .collect()
    }

    /// The evidence of `stage` in every attempt that the operator asked for.
    pub fn evidence_of(&self, stage: &str) -> Vec<&'a Value> {
        self.stages(stage).map(|found| &found["evidence"]).collect()
    }

    fn stages(&self, stage: &str) -> impl Iterator<Item = &'a Value> {
        let stages = self
            .requested()
            .filter_map(|attempt| attempt["stages"].as_array())
            .flatten();
        stages.filter(move |found| found["stage"] == stage)
    }

    fn requested(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let attempts = self.value["attempts"].as_array().into_iter().flatten();
        attempts.filter(|attempt| attempt["purpose"] == "requested")
    }
}

fn endpoint(attempt: &Value) -> String {
    let (address, port) = (attempt["address"].as_str().unwrap_or("?"), &attempt["port"]);
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}
