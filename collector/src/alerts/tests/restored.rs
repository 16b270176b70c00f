//! A collector that is killed and started again says what it would have said.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Happens {
    Round(String),
    Minutes(i64),
    Silence(i64),
    Gone,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => "[odfm]{2,3}".prop_map(Happens::Round),
        8 => Just(Happens::Round("ff".to_owned())),
        6 => Just(Happens::Round("oo".to_owned())),
        1 => (1_i64..40).prop_map(Happens::Minutes),
        1 => (1_i64..20).prop_map(Happens::Silence),
        1 => Just(Happens::Gone),
    ]
}

fn rules() -> AlertRules {
    let rule = FailRule {
        from: Threshold::Vantages(2),
        rounds: 2,
        recover_rounds: 2,
    };
    AlertRules {
        failing: Some(rule),
        degraded: Some(FailRule { rounds: 1, ..rule }),
        ..AlertRules::none()
    }
}

fn tell(world: &mut World, what: &Happens) -> Vec<String> {
    match what {
        Happens::Round(seen) => world.round(seen),
        Happens::Minutes(minutes) => world.minutes(*minutes),
        Happens::Silence(minutes) => world.silence("severity", "critical", *minutes),
        Happens::Gone => {
            let gone = AlertEvent::CheckGone(world.check.id);
            world.handle(gone)
        }
    }
}

proptest! {
    #[test]
    fn restored_at_any_point_it_says_what_it_would_have_said(
        story in prop::collection::vec((happens(), any::<bool>()), 1..60)
    ) {
        let (mut steady, mut killed) = (World::new(rules()), World::new(rules()));
        for world in [&mut steady, &mut killed] {
            world.maintenance(20, 10, Some(60));
        }
        for (what, is_killed) in &story {
            if *is_killed {
                killed.restart();
            }
            prop_assert_eq!(tell(&mut steady, what), tell(&mut killed, what));
            prop_assert_eq!(
                steady.alerts.list(true, at(steady.minute)),
                killed.alerts.list(true, at(killed.minute))
            );
            prop_assert_eq!(steady.alerts.next(), killed.alerts.next());
        }
    }
}
