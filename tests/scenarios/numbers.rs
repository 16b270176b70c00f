//! What collector and agents count, as an OTLP receiver has it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parallax_tests::address;
use parallax_tests::host;
use parallax_tests::otlp::{self, Number, Shape, TraceSink};
use parallax_tests::prometheus::{self, Door};
use parallax_tests::wait;
use parallax_tests::world::World;

/// Some rounds of two seconds, their close, and an export of each second.
const SOON: Duration = Duration::from_secs(60);

const AGENTS: [&str; 2] = ["edge-ams", "edge-fra"];

/// What is held against the page: it stands still when no check runs.
const COUNTED: [&str; 4] = [
    "parallax_results_total",
    "parallax_rounds_total",
    "parallax_probes_total",
    "parallax_stage_duration_seconds_count",
];

#[test]
fn an_otlp_receiver_has_the_numbers_of_the_collector_and_of_agents_that_reach_only_it() {
    if !host::lab_can_run() {
        return;
    }
    let world = World::with_sink(&AGENTS).unwrap();
    close_receiver_to_others(&world);
    repeat(&world);
    let counts = |name: &str, shape: Shape| {
        wait::until(&format!("{name} of {shape:?}"), SOON, || {
            let numbers = latest(&world, "parallax-collector");
            let found = numbers
                .into_iter()
                .find(|number| number.name == name && number.value >= 2.0);
            Ok(found)
        })
        .map(|number| assert_eq!(number.shape, shape, "{number:?}"))
        .unwrap_or_else(|error| panic!("{error}\n{}", world.logs()))
    };
    counts("parallax_results_total", Shape::Counter);
    let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    counts(
        "parallax_stage_duration_seconds",
        Shape::Histogram(buckets.into()),
    );
    wait::until("a target that both reach", SOON, || {
        let numbers = latest(&world, "parallax-collector");
        let reach = numbers
            .iter()
            .filter(|number| number.name == "probe_success" && number.value == 1.0);
        let mut from: Vec<_> = reach
            .inspect(|number| assert_eq!(number.shape, Shape::Gauge, "{number:?}"))
            .filter_map(|number| number.attribute("probe"))
            .collect();
        from.sort_unstable();
        Ok((from == AGENTS).then_some(()))
    })
    .unwrap();
    for agent in AGENTS {
        let of_agent = |name: &str| {
            wait::until(&format!("{name} of {agent}"), SOON, || {
                let mut numbers = latest(&world, "parallax-agent").into_iter();
                Ok(numbers.find(|number| {
                    number.name == name
                        && number.process("parallax.agent.id") == Some(agent)
                        && number.value >= 1.0
                }))
            })
            .unwrap_or_else(|error| panic!("{error}\n{}", world.logs()))
        };
        let rounds = of_agent("parallax_agent_rounds_started_total");
        assert_eq!(rounds.shape, Shape::Counter, "{rounds:?}");
        assert_eq!(rounds.attribute("probe"), Some(agent), "{rounds:?}");
        assert!(rounds.start > 0 && rounds.start <= rounds.time, "{rounds:?}");
        assert_eq!(of_agent("parallax_agent_checks").shape, Shape::Gauge);
        assert_eq!(
            of_agent("parallax_agent_results_made_total").start,
            0,
            "kept on disk"
        );
    }
    let relayed = relayed(&world);
    assert!(relayed.value >= 2.0, "{relayed:?}");
    world
        .ctl(&["check", "pause", "imap-lab"])
        .unwrap()
        .expect_status(0);
    wait::until("the same numbers on the page", SOON, || {
        let (page, sent) = (page(&world), sent(&world));
        Ok((!page.is_empty() && page == sent).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{:#?}\n{:#?}", page(&world), sent(&world)));
}

#[test]
fn an_agent_with_an_endpoint_of_its_own_is_heard_without_the_collector() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::with_sink(&AGENTS).unwrap();
    let own = ("PARALLAX_OTLP_ENDPOINT".to_owned(), TraceSink::endpoint());
    world.give_agent("edge-fra", vec![own]).unwrap();
    world.kill_agent("edge-fra").unwrap();
    world.start_agent("edge-fra").unwrap();
    world.wait_for_agents(&AGENTS).unwrap();
    world.kill_collector();
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let heard = |agent: &str| {
        let numbers = world.sink.as_ref().unwrap().numbers();
        let of_agent = numbers
            .iter()
            .filter(|number| number.process("parallax.agent.id") == Some(agent));
        of_agent.map(|number| u128::from(number.time)).max()
    };
    wait::until("numbers of the one that has its own endpoint", SOON, || {
        // By then the other one has tried as often.
        Ok(heard("edge-fra")
            .is_some_and(|time| time > killed + 3_000_000_000)
            .then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", world.logs()));
    assert!(
        heard("edge-ams").is_none_or(|time| time <= killed),
        "{:?} {killed}",
        heard("edge-ams")
    );
}

/// The receiver is the collector's alone: agents have no way to it.
fn close_receiver_to_others(world: &World) {
    let mut command = Command::new("nft");
    command.env("PATH", host::path()).arg(format!(
        "add table inet receiver; \
         add chain inet receiver in {{ type filter hook input priority 0; }}; \
         add rule inet receiver in iif != lo tcp dport {} drop",
        otlp::PORT
    ));
    let answer = world.run(&world.site.lab.control, &command).unwrap();
    assert_eq!(answer.status, Some(0), "{answer}");
}

fn repeat(world: &World) {
    let check = [
        "check",
        "add",
        "imap-lab",
        "--target",
        "imap.lab.example",
        "--every",
        "2s",
        "--timeout",
        "2s",
        "--together",
    ];
    world.ctl(&check).unwrap().expect_status(0);
}

/// The last value of each series of the processes of this name.
fn latest(world: &World, service: &str) -> Vec<Number> {
    let numbers = world.sink.as_ref().unwrap().numbers().into_iter();
    let of_service = numbers.filter(|number| number.process("service.name") == Some(service));
    let key = |number: &Number| {
        let agent = number.process("parallax.agent.id").map(str::to_owned);
        (number.name.clone(), number.attributes.clone(), agent)
    };
    let series: BTreeMap<_, _> = of_service.map(|number| (key(&number), number)).collect();
    series.into_values().collect()
}

/// How many data points of agents the collector says that it passed on.
fn relayed(world: &World) -> Number {
    let numbers = latest(world, "parallax-collector");
    let found = numbers.iter().find(|number| {
        number.name == "parallax_otlp_metric_points_total" && number.attribute("outcome") == Some("relayed")
    });
    found.unwrap_or_else(|| panic!("{numbers:#?}")).clone()
}

/// What is counted, by name and labels, as it was sent.
fn sent(world: &World) -> BTreeMap<String, f64> {
    let numbers = latest(world, "parallax-collector").into_iter();
    let counted = numbers.filter_map(|number| {
        let name = match number.shape {
            Shape::Histogram(_) => format!("{}_count", number.name),
            Shape::Counter | Shape::Gauge | Shape::Other => number.name,
        };
        let labels: Vec<_> = number
            .attributes
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        COUNTED
            .contains(&name.as_str())
            .then(|| (format!("{name} {}", labels.join(",")), number.value))
    });
    counted.collect()
}

/// The same as the page has it.
fn page(world: &World) -> BTreeMap<String, f64> {
    let door = Door {
        address: format!("{}:7180", address::CONTROL.v4),
        data: world.collector_data(),
    };
    let text = prometheus::page(&world.site.lab.control, &door).unwrap();
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
        labels.sort_unstable();
        COUNTED
            .contains(&name)
            .then(|| Some((format!("{name} {}", labels.join(",")), value.parse().ok()?)))?
    });
    samples.collect()
}
