//! The packets of a run: recorded where an agent may, kept by the collector, read by other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use parallax_tests::answer::Answer;
use parallax_tests::document::Document;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::host;
use parallax_tests::site::TARGET;
use parallax_tests::world::{World, collector_address};
use serde_json::Value;

use crate::documents::assert_keeps_to_schema;
use crate::{BRIEF, HEALTHY, PARTIAL};

/// The one whose policy allows it.
const MAY: &str = "edge-ams";
const MAY_NOT: &str = "edge-fra";
/// `\0anna\0walnut-7-river` in base64, as PLAIN sends it.
const PASSWORD_AS_SENT: &str = "AGFubmEAd2FsbnV0LTctcml2ZXI=";

fn world() -> Option<World> {
    if !host::lab_can_run() {
        return None;
    }
    let mut world = World::new(&[MAY, MAY_NOT]).unwrap();
    world.kill_agent(MAY).unwrap();
    world.wait_for_agents(&[MAY_NOT]).unwrap();
    std::fs::write(world.configuration_of(MAY), "[policy]\ncapture = true\n").unwrap();
    world.start_agent(MAY).unwrap();
    world.wait_for_agents(&[MAY, MAY_NOT]).unwrap();
    Some(world)
}

#[test]
fn packets_are_in_the_bundle_of_whoever_may_and_tcpdump_reads_them() {
    let Some(world) = world() else { return };
    let always = [&BRIEF[..], &["--capture", "always"]].concat();
    let document = world.probe(&always).unwrap().expect_status(HEALTHY).document();
    let captures = captures(&document);
    assert_eq!(captures.len(), 2, "one for each family\n{document}");
    for capture in captures {
        assert_eq!(capture["agent"], MAY, "{document}");
        assert_eq!(capture["secrets"], "session", "nobody logged in\n{document}");
    }
    assert_keeps_to_schema(&world, &document);
    let note = |name| document.vantage(name).note().map(str::to_owned);
    assert_eq!(
        note(MAY_NOT).as_deref(),
        Some("no capture: this agent's policy has capture = false")
    );
    assert_eq!(note(MAY), None);

    let bundle = Bundle::of(&world, &document, &[]);
    let files = bundle.packets();
    assert_eq!(files.len(), 2, "{files:?}");
    for (file, capture) in files.iter().zip(captures) {
        let read = bundle.tcpdump(&world, file, &["-n"]);
        let lines: Vec<_> = read.stdout.lines().collect();
        assert_eq!(Some(lines.len() as u64), capture["packets"].as_u64(), "{read}");
        assert!(lines[0].contains("Flags [S],"), "{read}");
        assert!(lines[1].contains("Flags [S.],"), "{read}");
        assert!(lines.iter().any(|line| line.contains("Flags [F")), "{read}");
    }
    assert_eq!(
        Bundle::of(&world, &document, &[]).archive,
        bundle.archive,
        "the same run, the same bytes"
    );
    let without = Bundle::of(&world, &document, &["--no-captures"]);
    assert!(without.packets().is_empty());
}

#[test]
fn no_password_is_in_the_packets_of_a_login() {
    let Some(world) = world() else { return };
    for target in [TARGET, "imap://imap.lab.example"] {
        let login = [
            "probe",
            target,
            "-o",
            "json",
            "--no-follow-up",
            "--capture",
            "always",
            "--user",
            USER,
            "--password-stdin",
        ];
        let answer = world.start_ctl(&login, PASSWORD).unwrap().answer().unwrap();
        let document = answer.expect_status(HEALTHY).document();
        assert!(!captures(&document).is_empty(), "{document}");
        for capture in captures(&document) {
            assert_eq!(capture["secrets"], "handshake", "{document}");
        }
        let bundle = Bundle::of(&world, &document, &[]);
        for file in bundle.packets() {
            let bytes = std::fs::read(&file).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                text.contains("SERVER_HANDSHAKE_TRAFFIC_SECRET "),
                "{}",
                file.display()
            );
            for secret in [
                PASSWORD,
                PASSWORD_AS_SENT,
                "CLIENT_TRAFFIC_SECRET_0",
                "SERVER_TRAFFIC_SECRET_0",
            ] {
                assert!(!text.contains(secret), "{secret} in {}", file.display());
            }
        }
    }
}

#[test]
fn unasked_the_packets_of_what_fails_are_recorded_with_the_router_that_says_no() {
    let Some(mut world) = world() else { return };
    world.inject("firewall_reject@edge-ams").unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(PARTIAL).document();
    assert!(!captures(&document).is_empty(), "{document}");
    let bundle = Bundle::of(&world, &document, &[]);
    let file = bundle
        .packets()
        .into_iter()
        .find(|file| file.ends_with("01-10.9.0.10-993.pcapng"));
    let read = bundle.tcpdump(&world, &file.unwrap(), &["-n"]);
    assert!(
        read.stdout.lines().next().unwrap().contains("Flags [S],"),
        "{read}"
    );
    assert!(read.stdout.contains("admin prohibited"), "{read}");
    world.heal("firewall_reject@edge-ams").unwrap();
    let document = world.probe(&BRIEF).unwrap().expect_status(HEALTHY).document();
    assert!(captures(&document).is_empty(), "all was well\n{document}");
}

#[test]
fn a_host_without_the_capability_says_so_and_probes_all_the_same() {
    let Some(world) = world() else { return };
    let host = &world.site.vantage(MAY).unwrap().host;
    let mut doctor = without_raw_sockets(&world.agent_command(MAY));
    let position = doctor.iter().position(|word| word == "run").unwrap();
    doctor[position] = "doctor".into();
    let answer = world.run(host, &command(&doctor)).unwrap();
    assert!(
        answer
            .stdout
            .contains("no: the agent has no CAP_NET_RAW on this host"),
        "{answer}"
    );
    let mut probe = world.ctl_command();
    let bundle = world.home().with_extension("tar.gz");
    probe
        .args(["probe", TARGET, "-o", "json", "--capture", "always", "--bundle"])
        .arg(&bundle);
    probe.arg("--ca-file").arg(world.site.ca_file());
    // Nobody is logged in there: the probe is made from this host.
    let mut words = without_raw_sockets(&probe);
    words.splice(
        0..0,
        [
            "env".into(),
            format!("PARALLAX_HOME={}", world.home().with_extension("none").display()),
        ],
    );
    let document = world
        .run(host, &command(&words))
        .unwrap()
        .expect_status(HEALTHY)
        .document();
    assert_eq!(
        document.vantage("local").note(),
        Some("no capture: the agent has no CAP_NET_RAW on this host")
    );
    assert!(bundle.exists());
}

#[test]
fn who_only_looks_gets_the_run_and_not_its_packets() {
    let Some(world) = world() else { return };
    let document = world.probe(&["--capture", "always"]).unwrap().document();
    let id = document.value()["run_id"].as_str().unwrap();
    let home = world.home().with_extension("viewer");
    let as_viewer = |words: &[&str]| {
        let mut ctl = world.ctl_command();
        ctl.env("PARALLAX_HOME", &home).args(words);
        world.run(&world.site.lab.control, &ctl).unwrap().expect_status(0)
    };
    let token = world.create_token("viewer", &[]).unwrap();
    as_viewer(&["login", "--collector", &collector_address(), "--token", &token]);
    let file = home.with_extension("tar.gz");
    let answer = as_viewer(&["runs", "bundle", id, "--file", file.to_str().unwrap()]);
    assert!(
        answer.stderr.contains("the collector does not allow this"),
        "{answer}"
    );
    assert!(
        answer.stderr.contains("2 of 2 captures are not in the bundle"),
        "{answer}"
    );
    let bundle = Bundle::opened(&world, std::fs::read(&file).unwrap());
    assert!(bundle.packets().is_empty());
}

fn captures(document: &Document) -> &[Value] {
    document.value()["captures"].as_array().map_or(&[], Vec::as_slice)
}

/// The words of a command line that has the same rights but one.
fn without_raw_sockets(command: &Command) -> Vec<String> {
    let mut words: Vec<String> = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
        .map(str::to_owned)
        .into();
    words.push(command.get_program().to_str().unwrap().to_owned());
    words.extend(command.get_args().map(|word| word.to_str().unwrap().to_owned()));
    words
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// A bundle, unpacked.
struct Bundle {
    archive: Vec<u8>,
    directory: tempfile::TempDir,
}

impl Bundle {
    /// The bundle of a run, as the operator gets it.
    fn of(world: &World, document: &Document, extra: &[&str]) -> Self {
        let id = document.value()["run_id"].as_str().unwrap();
        let file = world.home().with_extension("bundle");
        let words = [&["runs", "bundle", id, "--file", file.to_str().unwrap()], extra].concat();
        let answer = world.ctl(&words).unwrap().expect_status(0);
        assert_eq!(answer.stderr, "", "{answer}");
        Self::opened(world, std::fs::read(&file).unwrap())
    }

    fn opened(world: &World, archive: Vec<u8>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("run.tar.gz");
        std::fs::write(&file, &archive).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&file).arg("-C").arg(directory.path());
        world.run(&world.site.lab.control, &tar).unwrap().expect_status(0);
        Self { archive, directory }
    }

    /// Its files with packets, sorted by name.
    fn packets(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.directory.path()).unwrap();
        let run = folder
            .map(|entry| entry.unwrap().path())
            .find(|path| path.is_dir())
            .unwrap();
        let Ok(files) = std::fs::read_dir(run.join("captures").join(MAY)) else {
            return Vec::new();
        };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn tcpdump(&self, world: &World, file: &Path, extra: &[&str]) -> Answer {
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.env("PATH", host::path()).args(extra).arg("-r").arg(file);
        world
            .run(&world.site.lab.control, &tcpdump)
            .unwrap()
            .expect_status(0)
    }
}
