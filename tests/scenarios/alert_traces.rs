//! From a blocked port to a notice, and from the notice to the run and to the whole trace, which OpenTelemetry's own
//! code reads.

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_model::round::sampled;
use parallax_tests::otlp_reader::{self, OtlpReader};
use parallax_tests::prometheus::{self, Door};
use parallax_tests::site::TARGET;
use parallax_tests::webhook::Webhook;
use parallax_tests::world::World;
use parallax_tests::{address, host, wait};
use serde_json::Value;

/// Both begin each round together.
const AGENTS: [&str; 2] = ["edge-ams", "edge-fra"];
const HOOK: u16 = 9098;
/// Longer than two rounds, the diagnosis of the first, and the way of a notice.
const SOON: Duration = Duration::from_secs(120);
/// The share of the rounds in which all is well that are traced whole.
const RATIO: f64 = 0.01;

/// A world that is traced by two receivers and tells a webhook.
struct Watched {
    world: World,
    reader: OtlpReader,
    hook: Webhook,
    page: String,
}

fn watched() -> Option<Watched> {
    if !host::lab_can_run() || !otlp_reader::is_installed() {
        return None;
    }
    let mut world = World::with_sink(&AGENTS).unwrap();
    let directory = world.site.lab.directory().to_owned();
    let control = &world.site.lab.control;
    let reader = OtlpReader::start(control, &directory).unwrap();
    let hook = Webhook::start(control, HOOK).unwrap();
    let page = format!("{}:7180", address::CONTROL.v4);
    let configuration = format!(
        "[alerting]\nexternal_url = \"https://{page}/\"\n\
         trace_url_template = \"{}\"\n\
         [[alerting.receivers]]\nname = \"chat\"\nwebhook = \"http://127.0.0.1:{HOOK}/\"\n",
        OtlpReader::url("{trace_id}")
    );
    std::fs::write(world.configuration_of("collector"), configuration).unwrap();
    world.otlp_endpoint = Some(OtlpReader::endpoint());
    world.kill_collector();
    world.start_collector().unwrap();
    world.wait_for_agents(&AGENTS).unwrap();
    Some(Watched {
        world,
        reader,
        hook,
        page,
    })
}

impl Watched {
    fn add_check(&self) {
        let check = [
            "check",
            "add",
            "imap-lab",
            "--target",
            TARGET,
            "--every",
            "8s",
            "--timeout",
            "6s",
            "--together",
            "--fail-from",
            "1",
            "--for-rounds",
            "2",
            "--recover-rounds",
            "2",
        ];
        self.world.ctl(&check).unwrap().expect_status(0);
    }

    /// The first notice of that status.
    fn notice(&self, status: &str) -> Value {
        wait::until(&format!("a notice that says {status}"), SOON, || {
            let taken = self.hook.taken();
            Ok(taken.into_iter().find(|notice| notice["status"] == status))
        })
        .unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", self.hook.taken(), self.world.logs()))
    }

    /// What the foreign reader has of a trace, once it is what is waited for.
    fn trace(&self, id: &str, whole: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let control = &self.world.site.lab.control;
        let read = || self.reader.spans(control, id);
        wait::until("arrival of the whole trace", SOON, || {
            let spans: Vec<Span> = read()?.into_iter().map(Span).collect();
            let known: BTreeSet<&str> = spans.iter().map(Span::id).collect();
            let hangs = |span: &Span| !span.parent().is_empty() && !known.contains(span.parent());
            let is_whole = whole(&spans) && !spans.iter().any(hangs);
            Ok(is_whole.then_some(spans))
        })
        .unwrap_or_else(|error| panic!("{error}\n{:#?}\n{}", read(), self.world.logs()))
    }

    /// The rounds that were closed so far.
    fn rounds(&self) -> Vec<Value> {
        let answer = self
            .world
            .ctl(&["check", "history", "imap-lab", "--step", "round", "-o", "json"])
            .unwrap()
            .expect_status(0);
        answer.json()["rounds"].as_array().cloned().unwrap_or_default()
    }
}

/// A span as the foreign reader tells it.
#[derive(Debug, Clone)]
struct Span(Value);

impl Span {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.text("span_id")
    }

    fn parent(&self) -> &str {
        self.text("parent_span_id")
    }

    fn is_error(&self) -> bool {
        self.text("status") == "STATUS_CODE_ERROR"
    }

    fn attribute(&self, key: &str) -> &str {
        self.0["attributes"][key].as_str().unwrap_or_default()
    }

    fn service(&self) -> &str {
        self.0["resource"]["service.name"].as_str().unwrap_or_default()
    }

    fn agent(&self) -> &str {
        self.0["resource"]["parallax.agent.id"]
            .as_str()
            .unwrap_or_default()
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.text("name") == name).collect()
}

fn below<'a>(spans: &'a [Span], above: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent() == above.id()).collect()
}

/// The one root of a round, and the span of each agent's part, in their order.
fn parts(spans: &[Span]) -> (&Span, Vec<&Span>) {
    let roots: Vec<_> = spans.iter().filter(|span| span.parent().is_empty()).collect();
    let [root] = roots[..] else {
        panic!("{} roots in {spans:#?}", roots.len())
    };
    assert_eq!(root.text("name"), "scheduled probe");
    assert_eq!(root.service(), "parallax-collector");
    let mut parts = below(spans, root);
    parts.retain(|span| span.text("name") == "IMAP probe");
    parts.sort_unstable_by_key(|span| span.agent());
    let agents: Vec<&str> = parts.iter().map(|part| part.agent()).collect();
    assert_eq!(agents, AGENTS, "{spans:#?}");
    for part in &parts {
        assert_eq!(part.service(), "parallax-agent");
        assert_eq!(
            part.attribute("parallax.run.id"),
            root.attribute("parallax.run.id")
        );
    }
    (root, parts)
}

/// The stages of one agent's part.
fn stages<'a>(spans: &'a [Span], part: &Span) -> Vec<&'a Span> {
    let direct = below(spans, part);
    let attempts: Vec<_> = direct
        .iter()
        .filter(|span| span.text("name") == "IMAP attempt")
        .flat_map(|attempt| below(spans, attempt))
        .collect();
    let all = direct.into_iter().chain(attempts);
    let all: Vec<_> = all
        .filter(|span| !span.attribute("parallax.stage").is_empty())
        .collect();
    assert!(all.iter().all(|stage| stage.agent() == part.agent()), "{all:#?}");
    all
}

#[test]
fn a_notice_leads_to_its_run_and_its_trace_with_every_agent_stage_and_experiment() {
    let Some(mut watched) = watched() else { return };
    watched.add_check();
    wait::until("a round in which all is well", SOON, || {
        let rounds = watched.rounds();
        Ok(rounds
            .iter()
            .any(|round| round["verdict"] == "healthy")
            .then_some(()))
    })
    .unwrap();
    watched.world.inject("firewall_drop@edge-ams").unwrap();

    let notice = watched.notice("firing");
    let said = &notice["alerts"][0]["annotations"];
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    let run = text("run_id");
    let run_url = text("run_url");
    assert_eq!(
        run_url,
        format!("https://{}/runs/{run}", watched.page),
        "{notice}"
    );
    let control = &watched.world.site.lab.control;
    let door = Door {
        address: watched.page.clone(),
        data: watched.world.collector_data(),
    };
    let path = run_url
        .strip_prefix(&format!("https://{}", watched.page))
        .unwrap();
    let page = prometheus::visit(control, &door, path).unwrap();
    let trace_url = text("trace_url");
    assert!(
        page.contains(&run) && page.contains(&format!("href=\"{trace_url}\"")),
        "{page}"
    );
    assert!(
        page.contains("<td>edge-ams</td><td>failed</td><td>connect</td>"),
        "{page}"
    );

    let trace = trace_url.rsplit('/').next().unwrap();
    assert_eq!(trace_url, OtlpReader::url(trace));
    let spans = watched.trace(trace, |spans| {
        let experiments = spans
            .iter()
            .filter(|span| !span.attribute("parallax.experiment").is_empty());
        !named(spans, "scheduled probe").is_empty() && experiments.count() > 0
    });
    let (root, parts) = parts(&spans);
    assert_eq!(root.attribute("parallax.run.id"), run);
    assert_eq!(root.attribute("parallax.trigger"), "schedule");
    let [ams, fra] = parts[..] else {
        panic!("{parts:#?}")
    };
    assert!(ams.is_error() && !fra.is_error());
    let failed = stages(&spans, ams);
    let failed: Vec<_> = failed.iter().filter(|stage| stage.is_error()).collect();
    assert!(!failed.is_empty(), "{spans:#?}");
    for stage in failed {
        assert_eq!(stage.text("name"), "TCP connect", "{stage:#?}");
        assert_eq!(stage.attribute("error.type"), "timed_out", "{stage:#?}");
    }
    let well: BTreeSet<&str> = stages(&spans, fra)
        .iter()
        .map(|stage| stage.text("name"))
        .collect();
    for stage in ["DNS lookup", "TCP connect", "TLS handshake", "IMAP greeting"] {
        assert!(well.contains(stage), "{stage}: {well:?}");
    }
    assert!(stages(&spans, fra).iter().all(|stage| !stage.is_error()));

    let experiments = spans
        .iter()
        .filter(|span| !span.attribute("parallax.experiment").is_empty());
    for experiment in experiments {
        let above = |span: &Span| spans.iter().find(|other| other.id() == span.parent()).unwrap();
        let probe = above(experiment);
        let (taken, sent) = (above(probe), above(above(probe)));
        let names = [probe, taken, sent].map(|span| span.text("name"));
        let order = "parallax.v1.AgentLink/Order";
        assert_eq!(names, ["IMAP probe", order, order], "{experiment:#?}");
        assert_eq!(
            (taken.agent(), experiment.agent()),
            (probe.agent(), probe.agent())
        );
        assert!(AGENTS.contains(&probe.agent()), "{experiment:#?}");
        assert_eq!((sent.service(), sent.parent()), ("parallax-collector", root.id()));
        assert!(
            sent.0["end"].as_u64() <= root.0["end"].as_u64(),
            "{sent:#?} {root:#?}"
        );
    }

    let ours = watched.world.sink.as_ref().unwrap().spans();
    let ours: BTreeSet<_> = ours
        .into_iter()
        .filter(|span| span.trace_id == trace)
        .map(|span| (span.span_id, span.parent_id, span.name, span.is_error))
        .collect();
    let theirs: BTreeSet<_> = watched
        .trace(trace, |_| true)
        .iter()
        .map(|span| {
            let [id, parent, name] =
                ["span_id", "parent_span_id", "name"].map(|key| span.text(key).to_owned());
            (id, parent, name, span.is_error())
        })
        .collect();
    assert_eq!(ours, theirs, "two readers read the same");

    watched.world.heal("firewall_drop@edge-ams").unwrap();
    let over = watched.notice("resolved");
    assert_eq!(
        over["alerts"][0]["fingerprint"],
        notice["alerts"][0]["fingerprint"]
    );
    assert_eq!(over["alerts"][0]["annotations"]["trace_id"], trace);
}

#[test]
fn of_rounds_in_which_all_is_well_those_that_are_kept_are_traced_whole_and_others_by_chance() {
    let Some(watched) = watched() else { return };
    watched.add_check();
    let rounds = wait::until("a kept round and two others", SOON, || {
        let rounds = watched.rounds();
        let kept = rounds.iter().filter(|round| round["kept"] == true).count();
        Ok((kept >= 1 && rounds.len() >= kept + 2).then_some(rounds))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", watched.world.logs()));
    let control = &watched.world.site.lab.control;
    let mut traced = 0;
    for round in &rounds {
        let run = round["run_id"].as_str().unwrap();
        assert_eq!(round["verdict"], "healthy", "{round}");
        let trace = run.replace('-', "");
        if round["kept"] == true || sampled(run.parse().unwrap(), RATIO) {
            let spans = watched.trace(&trace, |spans| !named(spans, "scheduled probe").is_empty());
            let (_, parts) = parts(&spans);
            for part in parts {
                assert!(stages(&spans, part).len() >= 4, "{spans:#?}");
            }
            assert!(spans.iter().all(|span| !span.is_error()), "{spans:#?}");
            traced += 1;
        } else {
            let spans = watched.reader.spans(control, &trace).unwrap();
            assert!(spans.is_empty(), "{spans:?}");
        }
    }
    assert!(traced > 0);
}
