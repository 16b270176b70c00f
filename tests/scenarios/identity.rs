//! Who may join, and who may call whom.

use std::path::Path;
use std::time::Duration;

use parallax_tests::answer::Answer;
use parallax_tests::host;
use parallax_tests::wait;
use parallax_tests::world::{World, collector_address};
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_prost::ProstCodec;

/// A call of the operators' service that needs the least role.
const LIST_AGENTS: &str = "/parallax.v1.Control/ListAgents";
/// For one line in a log.
const SOON: Duration = Duration::from_secs(10);

/// The call of the agents' service.
const OPEN_LINK: &str = "/parallax.v1.AgentLink/Open";

fn small_world() -> Option<World> {
    host::lab_can_run().then(|| World::new(&["edge-one"]).unwrap())
}

#[test]
fn a_token_lets_one_agent_in() {
    let Some(mut world) = small_world() else { return };
    world.kill_agent("edge-one").unwrap();
    let token = world.create_token("agent", &[]).unwrap();
    let _first = start(&world, "first", &token);
    world.wait_for_agents(&["first"]).unwrap();
    let answer = start(&world, "second", &token).answer().unwrap();
    assert_refused(&answer);
}

#[test]
fn an_expired_token_lets_nobody_in() {
    let Some(world) = small_world() else { return };
    let token = world.create_token("agent", &["--ttl", "1s"]).unwrap();
    // Nothing shows that the second is over but the clock.
    std::thread::sleep(Duration::from_millis(1500));
    assert_refused(&start(&world, "late", &token).answer().unwrap());
}

#[test]
fn a_token_for_one_name_lets_no_other_in() {
    let Some(world) = small_world() else { return };
    let token = world.create_token("agent", &["--name", "expected"]).unwrap();
    assert_refused(&start(&world, "another", &token).answer().unwrap());
}

#[test]
fn a_login_with_a_token_for_another_name_says_which_and_what_to_add() {
    let Some(world) = small_world() else { return };
    for (flag, names) in [("--name", "ada"), ("--name-pattern", "ops-*")] {
        let token = world.create_token("operator", &[flag, names]).unwrap();
        let mut login = world.programs().ctl();
        login.env("PARALLAX_HOME", world.home().with_extension("other"));
        login.env("USER", "grace");
        login.args(["login", "--collector", &collector_address(), "--token", &token]);
        let answer = world.run(&world.site.lab.control, &login).unwrap();
        let said = [
            format!("this token is for {names} only"),
            "you asked as grace: add --name".to_owned(),
        ];
        assert!(said.iter().all(|part| answer.stderr.contains(part)), "{answer}");
        assert_eq!(answer.status, Some(3), "{answer}");
    }
}

#[test]
fn an_invented_token_lets_nobody_in() {
    let Some(world) = small_world() else { return };
    let token = world.create_token("agent", &[]).unwrap();
    let (start_of_token, fingerprint) = token.rsplit_once('.').unwrap();
    let (kind, secret) = start_of_token.split_once('.').unwrap();
    let invented = format!("{kind}.{}.{fingerprint}", "A".repeat(secret.len()));
    assert_refused(&start(&world, "invented", &invented).answer().unwrap());
}

#[test]
fn an_agent_can_not_join_a_collector_with_another_fingerprint() {
    let Some(world) = small_world() else { return };
    let other = World::new(&["edge-one"]).unwrap();
    let token = other.create_token("agent", &[]).unwrap();
    assert_refused(&start(&world, "astray", &token).answer().unwrap());
}

#[test]
fn an_agent_can_not_call_the_operators_service() {
    let Some(world) = small_world() else { return };
    assert_eq!(call(&world, &world.home(), LIST_AGENTS), Code::Ok);
    let code = call(&world, &world.state_of("edge-one"), LIST_AGENTS);
    assert_eq!(code, Code::PermissionDenied);
}

#[test]
fn an_operator_can_not_call_the_agents_service() {
    let Some(world) = small_world() else { return };
    assert_eq!(call(&world, &world.home(), OPEN_LINK), Code::PermissionDenied);
}

#[test]
fn a_removed_agent_stays_out() {
    let Some(world) = small_world() else { return };
    world
        .ctl(&["agents", "remove", "edge-one"])
        .unwrap()
        .expect_status(0);
    world.wait_for_agents(&[]).unwrap();
    assert_ne!(call(&world, &world.state_of("edge-one"), OPEN_LINK), Code::Ok);
}

#[test]
fn a_removed_agent_comes_back_with_a_new_token_and_what_it_kept() {
    let Some(mut world) = small_world() else { return };
    let key = shown(&world)["sealing_key"].clone();
    world
        .ctl(&["agents", "remove", "edge-one"])
        .unwrap()
        .expect_status(0);
    wait::until("the agent to say what it needs", SOON, || {
        let said = world.log_of("agent-edge-one");
        let named =
            "`ctl token create --role agent --name edge-one` and start this agent with it (--token-file)";
        Ok(said.contains(named).then_some(()))
    })
    .unwrap();
    world.kill_agent("edge-one").unwrap();
    let token = world.create_token("agent", &["--name", "edge-one"]).unwrap();
    let again = start(&world, "edge-one", &token);
    world.wait_for_agents(&["edge-one"]).unwrap();
    assert_eq!(shown(&world)["sealing_key"], key, "what it had is what it has");
    let said = again.complaints().unwrap();
    let lines = said
        .lines()
        .filter(|line| line.contains("joined the collector again"));
    assert_eq!(lines.count(), 1, "{said}");
    let tokens = world.ctl(&["token", "list", "-o", "json"]).unwrap().json();
    assert_eq!(tokens[0]["used"], 1, "{tokens}");
}

#[test]
fn a_second_agent_on_the_same_state_directory_ends_before_it_connects() {
    let Some(world) = small_world() else { return };
    let host = &world.site.vantage("edge-one").unwrap().host;
    let answer = world.run(host, &world.agent_command("edge-one")).unwrap();
    assert_eq!(answer.status, Some(3), "{answer}");
    let state = world.state_of("edge-one").display().to_string();
    let said = format!("parallax-agent: {state} is in use by another agent (process ");
    assert!(
        answer.stderr.lines().count() == 1 && answer.stderr.starts_with(&said),
        "{answer}"
    );
    assert_eq!(shown(&world)["state"], "connected");
    assert!(
        !world.logs().contains("replaces the older one"),
        "{}",
        world.logs()
    );
}

#[test]
fn a_token_of_the_wrong_kind_is_refused_and_not_spent() {
    let Some(world) = small_world() else { return };
    let for_viewers = world.create_token("viewer", &[]).unwrap();
    let refused = start(&world, "second", &for_viewers).answer().unwrap();
    assert_eq!(refused.status, Some(3), "{refused}");
    let said = "this token is for the role viewer: an agent needs one made with --role agent";
    assert!(refused.stderr.contains(said), "{refused}");
    let left = std::fs::read_dir(world.state_of("second")).unwrap();
    assert_eq!(left.count(), 0, "nothing is written");

    let for_agents = world.create_token("agent", &[]).unwrap();
    let login = |token: &str| {
        let mut login = world.programs().ctl();
        login.env("PARALLAX_HOME", world.home().with_extension("other"));
        login.args(["login", "--collector", &collector_address(), "--name", "eve"]);
        login.args(["--token", token]);
        world.run(&world.site.lab.control, &login).unwrap()
    };
    let refused = login(&for_agents);
    assert_eq!(refused.status, Some(3), "{refused}");
    let said = "this token is for the role agent: `ctl login` needs one";
    assert!(refused.stderr.contains(said), "{refused}");
    let log = world.log_of("collector");
    assert!(
        log.contains("join refused: this token is for the role agent"),
        "{log}"
    );

    login(&for_viewers).expect_status(0);
    let _second = start(&world, "second", &for_agents);
    world.wait_for_agents(&["edge-one", "second"]).unwrap();
}

#[test]
fn without_an_identity_and_a_token_an_agent_ends_as_for_any_bad_input() {
    let Some(world) = small_world() else { return };
    let host = &world.site.vantage("edge-one").unwrap().host;
    let answer = world.run(host, &world.agent_command("second")).unwrap();
    assert_eq!(answer.status, Some(3), "{answer}");
    assert!(answer.stderr.contains("--token-file"), "{answer}");
}

fn shown(world: &World) -> serde_json::Value {
    let answer = world.ctl(&["agents", "show", "edge-one", "-o", "json"]).unwrap();
    answer.expect_status(0).json()
}

/// One error, in one line, about the token or the collector.
fn assert_refused(answer: &Answer) {
    assert!(answer.status.is_some_and(|status| status != 0), "{answer}");
    let errors = answer
        .stderr
        .lines()
        .filter(|line| line.to_lowercase().contains("error"))
        .count();
    assert!(errors <= 1, "{answer}");
    assert!(answer.stderr.to_lowercase().contains("token"), "{answer}");
    assert!(answer.took < Duration::from_secs(10), "{answer}");
}

fn start(world: &World, name: &str, token: &str) -> parallax_tests::running::Running {
    let mut command = world.agent_command(name);
    command.args(["--token", token]);
    let host = &world.site.vantage("edge-one").unwrap().host;
    world.start(host, &command).unwrap()
}

/// Calls a method with an empty message and the identity kept in `identity`; the code of the answer.
fn call(world: &World, identity: &Path, method: &'static str) -> Code {
    let pem = Pem::below(identity);
    world.site.lab.control.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(call_with(pem, method))
    })
}

async fn call_with(pem: Pem, method: &'static str) -> Code {
    let tls = ClientTlsConfig::new()
        .identity(Identity::from_pem(&pem.chain, &pem.key))
        .ca_certificate(Certificate::from_pem(&pem.chain));
    let endpoint = Endpoint::from_shared(format!("https://{}", collector_address())).unwrap();
    let channel = match endpoint.tls_config(tls).unwrap().connect().await {
        Ok(channel) => channel,
        Err(error) => panic!("no connection: {error:?}"),
    };
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(method);
    let answer = client
        .unary(tonic::Request::new(()), path, ProstCodec::<(), ()>::default())
        .await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// A key and every certificate that is kept beside it.
struct Pem {
    key: String,
    chain: String,
}

impl Pem {
    fn below(directory: &Path) -> Self {
        let mut pem = Self {
            key: String::new(),
            chain: String::new(),
        };
        for entry in std::fs::read_dir(directory).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            if text.contains("PRIVATE KEY") {
                pem.key += &text;
            } else if text.contains("BEGIN CERTIFICATE") {
                pem.chain += &text;
            }
        }
        assert!(
            !pem.key.is_empty() && !pem.chain.is_empty(),
            "no identity in {}",
            directory.display()
        );
        pem
    }
}
