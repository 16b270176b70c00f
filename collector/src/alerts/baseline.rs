//! What is usual at a vantage point, and what is above it.

use std::time::Duration;

use parallax_model::alert::LatencyRule;
use parallax_model::stage::StageName;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use crate::store::Baselines;

/// Less than this above what is usual is never too long, however short that is: three times a quarter of a
/// millisecond is no trouble.
const AT_LEAST: Duration = Duration::from_millis(20);

/// How long something usually takes at a vantage point.
pub(super) fn usual(
    baselines: &Baselines,
    check: Uuid,
    agent: &AgentName,
    stage: Option<StageName>,
) -> Option<Duration> {
    baselines.get(&(check, agent.clone(), stage)).copied()
}

/// Whether a time breaks a rule. What is usual has to be known for that it is above it.
pub(super) fn is_above(took: Duration, rule: &LatencyRule, usual: Option<Duration>) -> bool {
    let absolute = rule.above.is_some_and(|bound| took > bound);
    let relative = rule.above_baseline.zip(usual).is_some_and(|(times, usual)| {
        took.as_secs_f64() > times * usual.as_secs_f64() && took >= usual + AT_LEAST
    });
    absolute || relative
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_above_a_bound_or_above_a_multiple_of_what_is_usual() {
        let rule = |above: Option<u64>, times: Option<f64>| LatencyRule {
            stage: None,
            above: above.map(Duration::from_millis),
            above_baseline: times,
            rounds: 1,
        };
        let ms = Duration::from_millis;
        assert!(is_above(ms(501), &rule(Some(500), None), None));
        assert!(!is_above(ms(500), &rule(Some(500), None), None));
        assert!(is_above(ms(91), &rule(None, Some(3.0)), Some(ms(30))));
        assert!(!is_above(ms(90), &rule(None, Some(3.0)), Some(ms(30))));
        assert!(
            !is_above(ms(900), &rule(None, Some(3.0)), None),
            "nothing is usual yet"
        );
        assert!(
            !is_above(ms(10), &rule(None, Some(3.0)), Some(ms(1))),
            "next to nothing"
        );
        assert!(
            is_above(ms(91), &rule(Some(500), Some(3.0)), Some(ms(30))),
            "either is enough"
        );
    }
}
