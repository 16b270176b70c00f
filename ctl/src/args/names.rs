//! Values that are one of a few names.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use parallax_model::credential::Mechanism;
use parallax_model::finding::Verdict;
use parallax_model::identity::Role;
use parallax_model::spec::{CaptureChoice, Depth, Examination, PathChoice};
use parallax_model::target::Security;
use parallax_telemetry::logs::LogFormat;

use super::{DiffFormat, Examine, HistoryFormat, ListFormat, RunFormat};

type Named<T> = [(&'static str, T)];

pub(super) fn run_formats() -> impl TypedValueParser<Value = RunFormat> {
    one_of(&RunFormat::NAMES)
}

pub(super) fn list_formats() -> impl TypedValueParser<Value = ListFormat> {
    one_of(&[("table", ListFormat::Table), ("json", ListFormat::Json)])
}

pub(super) fn history_formats() -> impl TypedValueParser<Value = HistoryFormat> {
    one_of(&[
        ("table", HistoryFormat::Table),
        ("json", HistoryFormat::Json),
        ("jsonl", HistoryFormat::Jsonl),
    ])
}

pub(super) fn steps() -> impl TypedValueParser<Value = &'static str> {
    one_of(&[
        ("auto", "auto"),
        ("round", "round"),
        ("hour", "hour"),
        ("day", "day"),
    ])
}

pub(super) fn diff_formats() -> impl TypedValueParser<Value = DiffFormat> {
    one_of(&[
        ("table", DiffFormat::Table),
        ("json", DiffFormat::Json),
        ("markdown", DiffFormat::Markdown),
    ])
}

pub(super) fn path_choices() -> impl TypedValueParser<Value = PathChoice> {
    one_of(&[
        ("always", PathChoice::Always),
        ("auto", PathChoice::Auto),
        ("never", PathChoice::Never),
    ])
}

pub(super) fn capture_choices() -> impl TypedValueParser<Value = CaptureChoice> {
    one_of(&[
        ("always", CaptureChoice::Always),
        ("auto", CaptureChoice::Auto),
        ("never", CaptureChoice::Never),
    ])
}

pub(super) fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub(super) fn securities() -> impl TypedValueParser<Value = Security> {
    one_of(&[
        ("tls", Security::Tls),
        ("starttls", Security::Starttls),
        ("plaintext", Security::Plaintext),
    ])
}

pub(super) fn depths() -> impl TypedValueParser<Value = Depth> {
    one_of(&[
        ("connect", Depth::Connect),
        ("tls", Depth::Tls),
        ("greeting", Depth::Greeting),
        ("login", Depth::Login),
        ("mailbox", Depth::Mailbox),
        ("sync", Depth::Sync),
    ])
}

pub(super) fn mechanisms() -> impl TypedValueParser<Value = Mechanism> {
    let names = Mechanism::ALL.iter().map(|mechanism| mechanism.as_str());
    PossibleValuesParser::new(names).try_map(|text| {
        let known = Mechanism::known(&text.to_ascii_uppercase());
        known.ok_or("not one of the mechanisms")
    })
}

/// The examinations with a hyphen, as flags are written; the model's underscore is read too.
pub(super) fn examinations() -> impl TypedValueParser<Value = Examine> {
    let values = Examination::ALL
        .iter()
        .map(|what| PossibleValue::new(Examine::flag(*what)).alias(what.as_str()));
    let all = PossibleValue::new("all");
    PossibleValuesParser::new(values.chain([all])).try_map(|text| {
        let name = text.to_ascii_lowercase().replace('-', "_");
        if name == "all" {
            return Ok(Examine::All);
        }
        let known = Examination::known(&name);
        known.map(Examine::One).ok_or("not one of the examinations")
    })
}

pub(super) fn verdicts() -> impl TypedValueParser<Value = Verdict> {
    let names = Verdict::ALL.iter().map(|verdict| verdict.as_str());
    PossibleValuesParser::new(names).try_map(|text| {
        let known = Verdict::known(&text.to_ascii_lowercase());
        known.ok_or("not one of the verdicts")
    })
}

pub(super) fn roles() -> impl TypedValueParser<Value = Role> {
    one_of(&[
        ("agent", Role::Agent),
        ("viewer", Role::Viewer),
        ("operator", Role::Operator),
        ("admin", Role::Admin),
    ])
}

fn one_of<T: Copy + Send + Sync + 'static>(names: &'static Named<T>) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name)).try_map(move |text| {
        names
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&text))
            .map(|(_, value)| *value)
            .ok_or("not one of the names")
    })
}
