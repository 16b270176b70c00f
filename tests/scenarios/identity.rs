//! Who may join, and who may call whom.

use std::path::Path;
use std::time::Duration;

use parallax_tests::answer::Answer;
use parallax_tests::host;
use parallax_tests::world::{World, collector_address};
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_prost::ProstCodec;

/// A call of the operators' service that needs the least role.
const LIST_AGENTS: &str = "/parallax.v1.Control/ListAgents";
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
