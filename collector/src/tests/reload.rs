//! A configuration that is read again beside links that are up.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use parallax_identity::Dialer;
use parallax_model::identity::Role;
use parallax_model::stage::Outcome;
use parallax_proto::v1;
use parallax_proto::v1::alerts_client::AlertsClient;
use parallax_proto::v1::control_client::ControlClient;
use tonic::Code;

use super::fake::{FakeAgent, question, spec};
use super::tls::{address, get, joined, token};
use crate::Collector;
use crate::config::{Args, Command, Config, ServeArgs};

const SUCCESSFUL: &str = "parallax_config_last_reload_successful ";
const SUCCESS_AT: &str = "parallax_config_last_reload_success_timestamp_seconds ";

/// A collector of a file.
struct Bench {
    directory: tempfile::TempDir,
    args: ServeArgs,
    collector: Collector,
}

impl Bench {
    async fn new(file: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        std::fs::write(&path, file).unwrap();
        let data = directory.path().join("data");
        let args = Args::try_parse_from([
            "parallax-collector",
            "serve",
            "--config",
            path.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--advertise",
            "127.0.0.1",
        ]);
        let Command::Serve(args) = args.unwrap().command else {
            panic!("serve")
        };
        let collector = Collector::start(&Config::load(&args).unwrap()).await.unwrap();
        Self {
            directory,
            args: *args,
            collector,
        }
    }

    /// Puts another file in its place and has it read.
    async fn reload(&self, file: &str) {
        std::fs::write(path_in(self.directory.path()), file).unwrap();
        self.collector.reload(&self.args).await;
    }

    async fn metric(&self, name: &str) -> f64 {
        let page = get(&self.collector, "/metrics").await;
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value
            .unwrap_or_else(|| panic!("{name} in {page}"))
            .parse()
            .unwrap()
    }

    async fn channel(&self, role: Role, name: &str) -> tonic::transport::Channel {
        let data = self.directory.path().join("data");
        let identity = joined(&self.collector, &token(&data, role).await, name)
            .await
            .unwrap();
        let dialer = Dialer::new(address(&self.collector), &identity).unwrap();
        dialer.connect().await.unwrap()
    }
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("collector.toml")
}

fn webhooks(names: &[&str]) -> String {
    let each = |name: &&str| {
        format!("[[alerting.receivers]]\nname = \"{name}\"\nwebhook = \"http://127.0.0.1:1/{name}\"\n")
    };
    format!("[alerting]\n{}", names.iter().map(each).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_makes_no_sense_changes_nothing_and_the_page_says_so() {
    let bench = Bench::new(&webhooks(&["a"])).await;
    assert_eq!(bench.metric(SUCCESSFUL).await, 1.0);
    let started = bench.metric(SUCCESS_AT).await;
    assert!(started > 1_600_000_000.0, "{started}");
    let mut alerts = AlertsClient::new(bench.channel(Role::Viewer, "ada").await);
    let mut names = async || {
        let all = alerts
            .list_alerts(v1::ListAlertsRequest::default())
            .await
            .unwrap();
        let receivers = all.into_inner().receivers.into_iter();
        receivers.map(|receiver| receiver.name).collect::<Vec<_>>()
    };
    let secret = bench.directory.path().join("secret");
    let unreadable = format!("{}secret_file = \"{}\"\n", webhooks(&["b"]), secret.display());
    for bad in [
        "[alerting\n",
        "lissten = \"[::]:1\"\n",
        "[limits]\nconnections = 0\n",
        "log_filter = \"parallax=loud\"\n",
        "trace_ratio = 2\n",
        "[retention]\nresults = \"soon\"\n",
        &unreadable,
    ] {
        // Beside what is wrong there is something that could be taken.
        bench.reload(&format!("trace_ratio = 0.5\n{bad}")).await;
        assert_eq!(bench.metric(SUCCESSFUL).await, 0.0, "{bad}");
        assert_eq!(bench.metric(SUCCESS_AT).await, started, "{bad}");
        assert_eq!(names().await, ["a"], "{bad}");
    }
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    bench.reload(&unreadable).await;
    assert_eq!(bench.metric(SUCCESSFUL).await, 1.0);
    assert!(bench.metric(SUCCESS_AT).await > started);
    assert_eq!(names().await, ["b"]);
    bench.collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_limits_hold_at_once_and_no_link_and_no_run_is_cut_for_them() {
    let few = "[limits]\nruns_at_once_per_operator = 1\nper_identity = 1\n";
    let bench = Bench::new(few).await;
    let mut agent = FakeAgent::over(bench.channel(Role::Agent, "fra-1").await, "fra-1").await;
    let channel = bench.channel(Role::Operator, "ada").await;
    let mut control = ControlClient::new(channel.clone());
    let mut first = control.run_probe(question(spec())).await.unwrap().into_inner();
    let order = agent.order().await;
    let refused = control.run_probe(question(spec())).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);

    bench.reload("[limits]\nruns_at_once_per_operator = 2\n").await;
    let mut second = control.run_probe(question(spec())).await.unwrap().into_inner();
    let later = agent.order().await;
    assert_eq!(
        control.run_probe(question(spec())).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    // Fewer again, below what is under way.
    bench.reload(few).await;
    assert_eq!(bench.metric(SUCCESSFUL).await, 1.0);
    for (order, events) in [(&order, &mut first), (&later, &mut second)] {
        agent.done(order, Outcome::Ok).await;
        let mut verdict = String::new();
        while let Some(event) = events.message().await.unwrap() {
            if let Some(v1::run_event::Event::Concluded(run)) = event.event {
                verdict = run.verdict;
            }
        }
        assert_eq!(verdict, "healthy");
    }
    let alerts = AlertsClient::new(channel)
        .list_alerts(v1::ListAlertsRequest::default())
        .await;
    assert!(alerts.is_ok(), "the connection from before is up");
    bench.collector.shutdown().await;
}
