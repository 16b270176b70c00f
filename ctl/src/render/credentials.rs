//! Credentials, one a line.

use jiff::Timestamp;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// A credential; its secret is nowhere but at the agents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Credential {
    name: String,
    host: String,
    user: String,
    /// `collector`, or `agent NAME` that keeps it by itself; then nothing is known of who set it.
    source: String,
    mechanism: Option<String>,
    generation: Option<String>,
    set_by: Option<String>,
    set_at: Option<Timestamp>,
    sealed_to: Vec<String>,
    unable: Vec<Unable>,
    circuit: Option<Circuit>,
    /// `untried`, `taken`, `rejected` or `retry`; an older collector says nothing of it.
    state: Option<String>,
}

/// An agent that can't use it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Unable {
    agent: String,
    why: String,
}

/// That a server rejected it, and that it is not tried any more.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Circuit {
    opened_at: Timestamp,
    agent: String,
    run_id: String,
    fault: String,
}

impl TryFrom<v1::CredentialInfo> for Credential {
    type Error = jiff::Error;

    fn try_from(wire: v1::CredentialInfo) -> Result<Self, jiff::Error> {
        let circuit = wire.circuit.map(|circuit| {
            Ok::<_, jiff::Error>(Circuit {
                opened_at: Timestamp::from_microsecond(circuit.opened_at_us)?,
                agent: circuit.agent,
                run_id: circuit.run_id,
                fault: circuit.words,
            })
        });
        let unable = wire.unable.into_iter().map(|unable| Unable {
            agent: unable.agent,
            why: unable.why,
        });
        let some = |text: String| (!text.is_empty()).then_some(text);
        let kept_here = wire.agent.is_empty();
        Ok(Self {
            name: wire.name,
            host: wire.host,
            user: wire.user,
            source: if kept_here {
                "collector".to_owned()
            } else {
                format!("agent {}", wire.agent)
            },
            mechanism: some(wire.mechanism),
            generation: some(wire.generation),
            set_by: some(wire.set_by),
            set_at: kept_here
                .then(|| Timestamp::from_microsecond(wire.set_at_us))
                .transpose()?,
            sealed_to: wire.sealed_to,
            unable: unable.collect(),
            circuit: circuit.transpose()?,
            state: some(wire.state),
        })
    }
}

/// Every credential, and who can use it.
pub(crate) fn table(credentials: &[Credential], now: Timestamp, canvas: Canvas) -> String {
    if credentials.is_empty() {
        return "no credential is kept; see `ctl credential set --help`\n".to_owned();
    }
    let mut grid = Grid::headed(&[
        "NAME",
        "TARGET",
        "USER",
        "SOURCE",
        "SET",
        "SEALED TO",
        "CAN'T USE IT",
        "STATE",
    ]);
    for credential in credentials {
        let unable: Vec<_> = credential
            .unable
            .iter()
            .map(|unable| format!("{} ({})", unable.agent, unable.why))
            .collect();
        let (state, tone) = state(credential);
        grid.push(Row::Cells(vec![
            Cell::left(words::safe(&credential.name), Tone::Strong),
            Cell::prose(words::safe(&credential.host), Tone::Plain),
            Cell::prose(words::safe(&credential.user), Tone::Plain),
            Cell::left(words::safe(&credential.source), Tone::Plain),
            Cell::prose(set(credential, now), Tone::Plain),
            Cell::prose(list(&credential.sealed_to), Tone::Plain),
            Cell::prose(list(&unable), Tone::Plain),
            Cell::prose(state, tone),
        ]));
    }
    text(&grid.lines(canvas))
}

fn state(credential: &Credential) -> (String, Tone) {
    match &credential.circuit {
        None => match credential.state.as_deref() {
            None | Some("taken") => ("good".to_owned(), Tone::Good),
            Some("untried") => ("not tried yet".to_owned(), Tone::Plain),
            Some("retry") => ("to be tried once".to_owned(), Tone::Warning),
            Some(other) => (words::safe(other), Tone::Plain),
        },
        Some(circuit) => (
            format!(
                "rejected: {} for {} on {}, and not sent again; to try it once: ctl credential retry {}",
                words::safe(&circuit.fault),
                words::safe(&circuit.agent),
                words::moment(circuit.opened_at),
                words::safe(&credential.name)
            ),
            Tone::Bad,
        ),
    }
}

fn set(credential: &Credential, now: Timestamp) -> String {
    let Some(at) = credential.set_at else {
        return "-".to_owned();
    };
    let ago = words::span(now.as_second() - at.as_second());
    let by = credential.set_by.as_deref().and_then(|by| by.rsplit_once('/'));
    match by {
        Some((_, name)) => format!("{ago} ago by {}", words::safe(name)),
        None => format!("{ago} ago"),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "-".to_owned(),
        names => words::safe(&names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_use_it_and_what_keeps_it_from_being_tried_is_in_its_line() {
        let wire = v1::CredentialInfo {
            name: "probe".into(),
            host: "imap.example.org".into(),
            user: "anna".into(),
            set_by: "spiffe://parallax.internal/operator/ada".into(),
            sealed_to: vec!["fra-1".into()],
            unable: vec![v1::UnableAgent {
                agent: "nyc-2".into(),
                why: "not sealed to it".into(),
            }],
            circuit: Some(v1::Circuit {
                agent: "fra-1".into(),
                words: "credentials_rejected".into(),
                ..v1::Circuit::default()
            }),
            ..v1::CredentialInfo::default()
        };
        let credential = Credential::try_from(wire).expect("reads");
        let now = Timestamp::from_second(3600).expect("a time");
        let shown = table(&[credential], now, Canvas::PLAIN);
        for part in [
            "fra-1",
            "nyc-2 (not sealed to it)",
            "rejected: credentials_rejected",
            "ctl credential retry probe",
            "by ada",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
    }

    #[test]
    fn what_no_server_took_is_not_called_good() {
        for (state, shown) in [
            ("untried", "not tried yet"),
            ("retry", "to be tried once"),
            ("taken", "good"),
            ("", "good"),
        ] {
            let wire = v1::CredentialInfo {
                name: "probe".into(),
                state: state.into(),
                ..v1::CredentialInfo::default()
            };
            let credential = Credential::try_from(wire).expect("reads");
            let table = table(&[credential], Timestamp::UNIX_EPOCH, Canvas::PLAIN);
            let line = table.lines().last().expect("a line");
            assert!(line.ends_with(shown), "{state}: {table}");
        }
    }

    #[test]
    fn one_that_an_agent_keeps_by_itself_has_the_agent_for_its_source() {
        let wire = v1::CredentialInfo {
            name: "probe".into(),
            agent: "fra-1".into(),
            ..v1::CredentialInfo::default()
        };
        let credential = Credential::try_from(wire).expect("reads");
        assert_eq!((&credential.set_at, &credential.set_by), (&None, &None));
        let shown = table(&[credential], Timestamp::UNIX_EPOCH, Canvas::PLAIN);
        assert!(shown.contains("agent fra-1"), "{shown}");
        assert!(!shown.contains("ago"), "{shown}");
    }
}
