//! A password goes through everything that the programs do, and is then looked for in every byte that they wrote, kept
//! and sent.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parallax_tests::address;
use parallax_tests::answer::Answer;
use parallax_tests::canary::Canary;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::echo::Echo;
use parallax_tests::host;
use parallax_tests::site::TARGET;
use parallax_tests::sniff::Sniffers;
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::{BRIEF, DOWN, HEALTHY};

const SOON: Duration = Duration::from_secs(10);
/// Where an agent keeps a secret of its own.
const OWN_SECRET: &str = "own-secret";
const VANTAGES: [&str; 2] = ["edge-ams", "edge-fra"];

#[test]
fn a_password_is_nowhere_but_where_it_belongs() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = talkative_world();
    let sniffers = Sniffers::start(&world.site.lab).unwrap();
    let secrets = ["rejected", "unproven", "unavailable", "never-sent"].map(unique);
    let [rejected, unproven, unavailable, never_sent] = &secrets;

    // The one that is right, in every way in which it is sent, or proved.
    let offered = "plain login scram-sha-1 scram-sha-256";
    world.site.dovecot.offer(&world.site.lab.mail, offered).unwrap();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "LOGIN-COMMAND"] {
        let extra = ["--capture", "always", "--mechanism", mechanism, "-o", "jsonl"];
        login(&world, PASSWORD, &extra).expect_status(HEALTHY);
        let log = world.site.dovecot.log();
        let sasl = !mechanism.ends_with("-COMMAND");
        assert!(
            !sasl || log.contains(&format!("method={mechanism},")),
            "{mechanism} in\n{log}"
        );
    }
    let answer = login(&world, PASSWORD, &["--capture", "always", "-o", "json"]).expect_status(HEALTHY);
    bundle(&world, answer.json()["run_id"].as_str().unwrap());
    login(&world, PASSWORD, &["-o", "wide"]).expect_status(HEALTHY);
    in_the_middle_of_a_session(&world);
    kept(&world);
    kept_by_an_agent(&mut world);

    let answer = login(
        &world,
        rejected,
        &["--mechanism", "PLAIN", "--capture", "always", "-o", "wide"],
    );
    assert!(answer.stdout.contains("credentials_rejected"), "{answer}");
    assert_eq!(world.site.dovecot.refused_passwords(), 1, "one try by one agent");
    let again = login(&world, rejected, &["--mechanism", "PLAIN", "-o", "json"]).document();
    assert_eq!(again.first_finding().kind(), "credentials_rejected", "{again}");
    assert_eq!(world.site.dovecot.refused_passwords(), 1, "it is known\n{again}");

    let answer = login(&world, unproven, &["--mechanism", "SCRAM-SHA-256", "-o", "json"]);
    let unproven_run = answer.document();
    assert_eq!(
        unproven_run.first_finding().kind(),
        "credentials_rejected",
        "{unproven_run}"
    );

    world.inject("auth_backend_down@mail").unwrap();
    login(&world, unavailable, &["--mechanism", "PLAIN", "-o", "json"]).expect_status(DOWN);
    world.heal("auth_backend_down@mail").unwrap();
    world.inject("certificate_expired@mail").unwrap();
    login(&world, never_sent, &["-o", "json"]).expect_status(DOWN);

    let files = sniffers.files();
    wait::until("a packet in clear among those recorded", SOON, || {
        control(&world);
        Ok(holds_control(&files).then_some(()))
    })
    .unwrap();
    sniffers.end().unwrap();
    assert_nowhere(
        &world,
        secrets.iter().map(String::as_str).chain([PASSWORD]),
        |_| true,
    );
}

/// Of its three ways to end a login each is tried with a secret of its own, since none is sent again that was refused.
#[test]
fn a_password_that_a_server_repeats_is_nowhere_either() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = talkative_world();
    let mut secrets = Vec::new();
    for (echo, purpose) in [
        (Echo::Refusing, "refused"),
        (Echo::Scolding, "scolded"),
        (Echo::Cutting, "cut"),
    ] {
        let server = world.site.serve_echoes(echo).unwrap();
        let secret = unique(purpose);
        let answer = login(&world, &secret, &["--capture", "always", "-o", "json"]);
        let run = answer.json()["run_id"].as_str().unwrap().to_owned();
        assert!(answer.stdout.contains("authenticate"), "{answer}");
        assert!(server.logins() >= 1, "{echo:?} was sent no secret: {answer}");
        bundle(&world, &run);
        for format in ["wide", "markdown", "table"] {
            world.ctl(&["runs", "show", &run, "-o", format]).unwrap();
        }
        secrets.push(secret);
    }
    // What a server repeats is received like anything else: an agent's memory may hold it until that is used again.
    assert_nowhere(&world, secrets.iter().map(String::as_str), |name| {
        !name.starts_with("agent-")
    });
}

/// In no file that was written, on no command line, and in the memory of those programs no more.
fn assert_nowhere<'s>(world: &World, secrets: impl Iterator<Item = &'s str>, forgets: impl Fn(&str) -> bool) {
    let directory = world.site.lab.directory().to_owned();
    let mut places = BTreeSet::new();
    for secret in secrets {
        let canary = Canary::of(secret);
        places.extend(canary.below(&directory, &has_it_by_right).unwrap());
        for (name, process) in world.processes() {
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(format!("/proc/{process}/{file}")).unwrap();
                places.extend(
                    canary
                        .within(&bytes)
                        .map(|form| format!("{file} of {name}, {form}")),
                );
            }
            let form = forgets(&name)
                .then(|| canary.in_memory_of(process).unwrap())
                .flatten();
            places.extend(form.map(|form| format!("memory of the {name}, {form}")));
        }
    }
    assert!(places.is_empty(), "{places:#?}");
    for (name, process) in world.processes() {
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = core.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{name}: {core:?}");
    }
}

/// Two vantage points that record packets; everything is logged, and everything is traced.
fn talkative_world() -> World {
    let mut world = World::with_sink(&VANTAGES).unwrap();
    for name in VANTAGES {
        world.kill_agent(name).unwrap();
        let configuration = "log_filter = \"trace\"\n[policy]\ncapture = true\n";
        std::fs::write(world.configuration_of(name), configuration).unwrap();
    }
    world.kill_collector();
    std::fs::write(world.configuration_of("collector"), "log_filter = \"trace\"\n").unwrap();
    world.start_collector().unwrap();
    for name in VANTAGES {
        world.start_agent(name).unwrap();
    }
    world.wait_for_agents(&VANTAGES).unwrap();
    assert!(world.logs().contains("TRACE"), "everything is logged");
    world
}

fn unique(purpose: &str) -> String {
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    format!("cnry-{purpose}-{}", random.trim())
}

fn login(world: &World, password: &str, extra: &[&str]) -> Answer {
    let usual = [
        "--log",
        "trace",
        "probe",
        TARGET,
        "--from",
        "all",
        "--user",
        USER,
        "--password-stdin",
    ];
    let args = [&usual[..], &BRIEF, extra].concat();
    world.start_ctl(&args, password).unwrap().answer().unwrap()
}

/// Sealed, kept by the collector, and used.
fn kept(world: &World) {
    world.set_credential(PASSWORD, &[]).unwrap().expect_status(0);
    let probe = [&BRIEF[..], &["--credential", "probe", "--capture", "always"]].concat();
    world.probe(&probe).unwrap().expect_status(HEALTHY);
}

/// Read by the agent from a file of its own, and used.
fn kept_by_an_agent(world: &mut World) {
    let agent = VANTAGES[0];
    let path = world.state_of(agent).join(OWN_SECRET);
    std::fs::write(&path, PASSWORD).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = world.configuration_of(agent);
    let mut text = std::fs::read_to_string(&configuration).unwrap();
    text.push_str(&format!(
        "[[credentials]]\nname = \"own\"\nhost = \"{TARGET}\"\nuser = \"{USER}\"\nfile = {path:?}\n"
    ));
    std::fs::write(&configuration, text).unwrap();
    world.kill_agent(agent).unwrap();
    world.start_agent(agent).unwrap();
    world.wait_for_agents(&VANTAGES).unwrap();
    wait::until("the agent's credential in the list", SOON, || {
        Ok(world
            .ctl(&["credential"])?
            .stdout
            .contains("agent edge-ams")
            .then_some(()))
    })
    .unwrap();
    let probe = [
        "probe",
        TARGET,
        "--credential",
        "own",
        "--from",
        agent,
        "--capture",
        "always",
    ];
    world
        .ctl(&[&probe[..], &BRIEF].concat())
        .unwrap()
        .expect_status(HEALTHY);
}

fn bundle(world: &World, run: &str) {
    let file = world.home().with_extension("tar.gz");
    let file = file.to_str().unwrap();
    world
        .ctl(&["runs", "bundle", run, "--file", file])
        .unwrap()
        .expect_status(0);
}

/// The collector never has it, not even while an agent uses it.
fn in_the_middle_of_a_session(world: &World) {
    let logins = || world.site.dovecot.log().matches("Login: user=").count();
    let before = logins();
    let args = [
        "probe",
        TARGET,
        "--from",
        "all",
        "--user",
        USER,
        "--password-stdin",
        "--hold",
        "2s",
        "-o",
        "json",
    ];
    let held = world.start_ctl(&args, PASSWORD).unwrap();
    wait::until("a session that is held", SOON, || {
        Ok((logins() > before).then_some(()))
    })
    .unwrap();
    assert_eq!(in_the_collector(world, &Canary::of(PASSWORD)), None);
    assert!(
        in_the_collector(world, &Canary::of("imap.lab.example")).is_some(),
        "its memory can be read"
    );
    held.answer().unwrap().expect_status(HEALTHY);
}

fn in_the_collector(world: &World, canary: &Canary) -> Option<String> {
    let (name, process) = world
        .processes()
        .into_iter()
        .find(|(name, _)| name == "collector")
        .unwrap();
    let form = canary.in_memory_of(process).unwrap();
    form.map(|form| format!("memory of the {name}, {form}"))
}

/// What stands in clear on the wire is seen: without this, nothing that is not seen means anything.
fn control(world: &World) {
    let to = SocketAddr::new(address::CONTROL.v4.into(), 9);
    let sent = world.site.vantage(VANTAGES[0]).unwrap().host.run(move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(CONTROL.as_bytes(), to)
    });
    sent.unwrap();
}

const CONTROL: &str = "cnry-control-7b0c2f6e";

fn holds_control(packets: &[PathBuf]) -> bool {
    let canary = Canary::of(CONTROL);
    let seen = packets
        .iter()
        .filter(|file| canary.within(&std::fs::read(file).unwrap()).is_some());
    // Its host, the routers on the way, and the host that it goes to.
    seen.count() >= 3
}

/// The mail server's own files, an agent's own secret, and what was piped into `ctl`.
fn has_it_by_right(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == OWN_SECRET)
        || path.file_name().is_some_and(|name| name == "dovecot")
        || path.extension().is_some_and(|end| end == "in")
}
