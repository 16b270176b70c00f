//! What a round says about each rule of its check.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{CertificateRule, FailRule, LatencyRule, Threshold};
use parallax_model::fault::{FaultKind, TlsFault};
use parallax_model::finding::{FindingKind, Severity};
use parallax_model::observation::VantageOutcome;
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;

use super::baseline;
use super::machine::{Judgement, Patience};
use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::Baselines;

/// Good rounds until something is over whose rule does not say how many.
const RECOVER: u32 = 2;

/// A certificate that lives less than so many times the days of the rule is judged by the part of its life alone: one
/// of six days would always end within fourteen.
const SHORT_LIVED: i32 = 3;

/// How much less of its life is left when the end of a certificate is critical.
const CRITICAL_PART: f64 = 3.0;

/// Vantage points that a sentence names.
const NAMED: usize = 5;

/// What can be wrong with what a check watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    Failing,
    Degraded,
    /// Of a stage, or of all of it.
    Latency(Option<StageName>),
    CertificateEnds,
    CertificateEndsNow,
}

impl Rule {
    /// The name of its alert.
    pub(super) const fn alert(self) -> &'static str {
        match self {
            Self::Failing => "ImapTargetFailing",
            Self::Degraded => "ImapTargetDegraded",
            Self::Latency(_) => "ImapLatencyHigh",
            Self::CertificateEnds | Self::CertificateEndsNow => "ImapCertificateExpiring",
        }
    }

    pub(super) const fn severity(self) -> Severity {
        match self {
            Self::Failing | Self::CertificateEndsNow => Severity::Critical,
            Self::Degraded | Self::Latency(_) | Self::CertificateEnds => Severity::Warning,
        }
    }

    /// The label `stage`, empty where there is none.
    pub(super) fn stage(self) -> &'static str {
        match self {
            Self::Latency(stage) => stage.map_or("total", |stage| stage.as_str()),
            Self::Failing | Self::Degraded | Self::CertificateEnds | Self::CertificateEndsNow => "",
        }
    }

    /// What says the same and more: while that is wrong, this is not told.
    pub(super) const fn said_by(self) -> Option<Self> {
        match self {
            Self::Degraded | Self::Latency(_) => Some(Self::Failing),
            Self::CertificateEnds => Some(Self::CertificateEndsNow),
            Self::Failing | Self::CertificateEndsNow => None,
        }
    }
}

/// As it is kept.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing => f.write_str("failing"),
            Self::Degraded => f.write_str("degraded"),
            Self::Latency(_) => write!(f, "latency:{}", self.stage()),
            Self::CertificateEnds => f.write_str("certificate"),
            Self::CertificateEndsNow => f.write_str("certificate_now"),
        }
    }
}

impl Rule {
    /// Reads what was kept.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "failing" => Some(Self::Failing),
            "degraded" => Some(Self::Degraded),
            "certificate" => Some(Self::CertificateEnds),
            "certificate_now" => Some(Self::CertificateEndsNow),
            "latency:total" => Some(Self::Latency(None)),
            _ => Some(Self::Latency(Some(StageName::known(
                text.strip_prefix("latency:")?,
            )?))),
        }
    }
}

/// What a round says about one rule.
pub(super) struct Judged {
    pub(super) rule: Rule,
    pub(super) judgement: Judgement,
    pub(super) patience: Patience,
    /// One line, and the vantage points where it is so; only worth something when it is bad.
    pub(super) summary: String,
    pub(super) vantages: Vec<AgentName>,
}

/// What a round says about every rule of its check. `lost` are the agents that have another alert to themselves.
pub(super) fn judge(
    outcome: &RoundOutcome,
    baselines: &Baselines,
    lost: &BTreeSet<AgentName>,
) -> Vec<Judged> {
    let rules = &outcome.check.definition.rules;
    let heard = Heard::of(outcome, lost);
    let mut all = Vec::new();
    if let Some(rule) = rules.failing {
        all.push(heard.fail(Rule::Failing, rule, |seen| seen == VantageOutcome::Failed));
    }
    if let Some(rule) = rules.degraded {
        let not_ok = |seen| matches!(seen, VantageOutcome::Failed | VantageOutcome::Degraded);
        all.push(heard.fail(Rule::Degraded, rule, not_ok));
    }
    let stages: BTreeSet<Option<StageName>> = rules.latency.iter().map(|rule| rule.stage).collect();
    for stage in stages {
        let of_it = rules.latency.iter().filter(|rule| rule.stage == stage);
        all.push(heard.latency(stage, &of_it.copied().collect::<Vec<_>>(), baselines));
    }
    if let Some(rule) = rules.certificate {
        all.extend(heard.certificate(rule));
    }
    all
}

/// The vantage points of a round that have something to say about the target.
struct Heard<'a> {
    outcome: &'a RoundOutcome,
    parts: Vec<&'a VantagePart>,
    /// How many left the round out: a probe that waits in vain often is still at it when the next round begins.
    skipped: usize,
    /// How many should have had something to say: all but those that are lost, that have trouble of their own, or whose
    /// own policy does not let them look.
    expected: usize,
}

impl<'a> Heard<'a> {
    /// Those that answered, without those whose trouble is their own. What fails is told also where nobody can say why.
    fn of(outcome: &'a RoundOutcome, lost: &BTreeSet<AgentName>) -> Self {
        let own_trouble: BTreeSet<&AgentName> = outcome
            .findings
            .iter()
            // A clock that is off and does no harm explains no failure: it may be the collector's.
            .filter(|finding| is_agents_own(finding.kind) && finding.severity != Severity::Info)
            .flat_map(|finding| &finding.scope.affected)
            .collect();
        let expected = outcome.vantages.iter().filter(|part| {
            let is_lost = part.outcome == VantageOutcome::Missing && lost.contains(&part.agent);
            is_expected(part) && !is_lost && !own_trouble.contains(&part.agent)
        });
        let parts = outcome.vantages.iter().filter(|part| {
            let answered = match part.outcome {
                VantageOutcome::Ok | VantageOutcome::Degraded | VantageOutcome::Failed => true,
                VantageOutcome::Missing | VantageOutcome::Refused => false,
            };
            !outcome.late && answered && !own_trouble.contains(&part.agent)
        });
        Self {
            outcome,
            parts: parts.collect(),
            skipped: outcome.vantages.iter().filter(|part| part.skipped).count(),
            expected: expected.count(),
        }
    }

    fn fail(&self, rule: Rule, bound: FailRule, is_bad: impl Fn(VantageOutcome) -> bool) -> Judged {
        let bad: Vec<&VantagePart> = self
            .parts
            .iter()
            .copied()
            .filter(|part| is_bad(part.outcome))
            .collect();
        let judgement = match self.parts.len() {
            0 => Judgement::Unknown,
            answered if self.reached(bound, bad.len(), answered) => Judgement::Bad,
            answered if self.might_be_bad(bad.len(), answered, bound) => Judgement::Unknown,
            _ => Judgement::Good,
        };
        Judged {
            rule,
            judgement,
            patience: Patience {
                rounds: bound.rounds,
                recover: bound.recover_rounds,
            },
            summary: self.outcome.summary.clone(),
            vantages: names(&bad),
        }
    }

    fn reached(&self, bound: FailRule, bad: usize, answered: usize) -> bool {
        bound
            .from
            .reached(number(bad), number(answered), number(self.expected))
    }

    /// Whether it would be bad, were those bad that left the round out; or, where somebody saw it, those that say
    /// nothing.
    fn might_be_bad(&self, bad: usize, answered: usize, bound: FailRule) -> bool {
        let silent = self.expected.saturating_sub(answered);
        let would_be = |more: usize| self.reached(bound, bad + more, answered + more);
        (self.skipped > 0 && would_be(self.skipped))
            || (bad > 0 && silent > 0 && matches!(bound.from, Threshold::Vantages(_)) && would_be(silent))
    }

    /// Slow is what is slow from two vantage points, or from all that there are.
    fn latency(&self, stage: Option<StageName>, bounds: &[LatencyRule], baselines: &Baselines) -> Judged {
        let check = self.outcome.check.id;
        let timed: Vec<(&VantagePart, Duration)> = self
            .parts
            .iter()
            .filter_map(|part| Some((*part, took(part, stage)?)))
            .collect();
        let slow: Vec<(&VantagePart, Duration)> = timed
            .iter()
            .copied()
            .filter(|(part, took)| {
                let usual = baseline::usual(baselines, check, &part.agent, stage);
                bounds.iter().any(|bound| baseline::is_above(*took, bound, usual))
            })
            .collect();
        let judgement = match timed.len() {
            0 => Judgement::Unknown,
            timed if !slow.is_empty() && slow.len() >= timed.min(2) => Judgement::Bad,
            _ => Judgement::Good,
        };
        let parts: Vec<&VantagePart> = slow.iter().map(|(part, _)| *part).collect();
        Judged {
            rule: Rule::Latency(stage),
            judgement,
            patience: Patience {
                rounds: bounds.iter().map(|bound| bound.rounds).min().unwrap_or(1),
                recover: RECOVER,
            },
            summary: self.slow_words(stage, &slow),
            vantages: names(&parts),
        }
    }

    fn slow_words(&self, stage: Option<StageName>, slow: &[(&VantagePart, Duration)]) -> String {
        let named = slow.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(part, took)| format!("{} {} ms", part.agent, took.as_millis()))
            .collect();
        let what = stage.map_or("the whole probe", |stage| stage.as_str());
        let rest = more(slow.len());
        format!(
            "{what} of {} takes long: {}{rest}",
            self.target(),
            named.join(", ")
        )
    }

    /// The first certificate to end counts. One that nobody vouches for is another trouble, unless it is over.
    fn certificate(&self, rule: CertificateRule) -> [Judged; 2] {
        let ends = |part: &&VantagePart| {
            let over = matches!(
                part.failed,
                Some((_, FaultKind::Tls(TlsFault::CertificateExpired)))
            );
            let leaf = part.certificate.as_ref().filter(|_| part.verified || over)?;
            Some((leaf.not_before, leaf.not_after))
        };
        let first = self.parts.iter().filter_map(ends).min_by_key(|(_, end)| *end);
        let shown =
            |part: &&&VantagePart| ends(part).is_some_and(|own| Some(own.1) == first.map(|(_, end)| end));
        let vantages: Vec<&VantagePart> = self.parts.iter().filter(shown).copied().collect();
        let now = self.outcome.closed_at;
        let part = rule.lifetime_left;
        let [warning, critical] = match first {
            None => [Judgement::Unknown; 2],
            Some((begin, end)) => {
                let (left, life) = (end.duration_since(now), end.duration_since(begin));
                let critical = is_ending(left, life, rule.critical_days, part / CRITICAL_PART);
                [critical || is_ending(left, life, rule.days, part), critical].map(bad_if)
            }
        };
        let summary = first
            .map(|(_, end)| self.ends_words(end, now))
            .unwrap_or_default();
        [
            (Rule::CertificateEnds, warning),
            (Rule::CertificateEndsNow, critical),
        ]
        .map(|(rule, judgement)| Judged {
            rule,
            judgement,
            patience: Patience {
                rounds: 1,
                recover: RECOVER,
            },
            summary: summary.clone(),
            vantages: names(&vantages),
        })
    }

    fn ends_words(&self, end: Timestamp, now: Timestamp) -> String {
        let left = end.duration_since(now);
        let target = self.target();
        if left.is_negative() || left.is_zero() {
            return format!("the certificate of {target} has ended: {end:.0}");
        }
        let left = match left.as_hours() {
            hours @ 0..48 => format!("{hours} hours"),
            hours => format!("{} days", hours / 24),
        };
        format!("the certificate of {target} ends in {left}: {end:.0}")
    }

    fn target(&self) -> String {
        let target = &self.outcome.check.definition.spec.target;
        match target.endpoints.first() {
            Some(endpoint) => format!("{}:{}", target.host, endpoint.port),
            None => target.host.to_string(),
        }
    }
}

/// Who left the round out would look, but for the one before it.
const fn is_expected(part: &VantagePart) -> bool {
    match part.outcome {
        VantageOutcome::Ok | VantageOutcome::Degraded | VantageOutcome::Failed | VantageOutcome::Missing => {
            true
        }
        VantageOutcome::Refused => part.skipped,
    }
}

/// Whether it is the agent's own host or network that does not work.
const fn is_agents_own(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::AgentNoRoute
            | FindingKind::AgentLocalFirewall
            | FindingKind::AgentNetworkDown
            | FindingKind::AgentClockSkew
            | FindingKind::AgentResolverDown
    )
}

fn is_ending(left: SignedDuration, life: SignedDuration, days: u32, part: f64) -> bool {
    let bound = SignedDuration::from_hours(24 * i64::from(days));
    let lives_long = part <= 0.0 || life >= bound * SHORT_LIVED;
    (days > 0 && lives_long && left < bound) || (part > 0.0 && left.as_secs_f64() < part * life.as_secs_f64())
}

const fn bad_if(is_bad: bool) -> Judgement {
    if is_bad { Judgement::Bad } else { Judgement::Good }
}

fn took(part: &VantagePart, stage: Option<StageName>) -> Option<Duration> {
    match stage {
        // What ended early was not fast.
        None => (part.outcome != VantageOutcome::Failed).then_some(part.total),
        Some(stage) => part
            .stages
            .iter()
            .find(|(name, _)| *name == stage)
            .map(|(_, took)| *took),
    }
}

fn names(parts: &[&VantagePart]) -> Vec<AgentName> {
    parts.iter().map(|part| part.agent.clone()).collect()
}

fn more(all: usize) -> String {
    match all.saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
