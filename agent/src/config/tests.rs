use clap::Parser as _;

use super::*;

fn args(words: &[&str]) -> RunArgs {
    let all = ["parallax-agent", "run"].iter().chain(words);
    match Args::try_parse_from(all).unwrap().command {
        Command::Run(args) => args,
        Command::Doctor(_) | Command::Fingerprint(_) => panic!("run"),
    }
}

fn load(words: &[&str]) -> Result<Config, ConfigError> {
    Config::load(&args(words))
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

const WHOLE: &str = r#"
collector = "collector.example:7143"
name = "fra-1"
state_dir = "/var/lib/parallax-agent"
ca_files = ["/etc/parallax/ca.pem"]
max_probes = 4
otlp_endpoint = "http://otel.example:4317"
log_format = "json"

[labels]
site = "fra"
tier = "prod"

[policy]
allow = ["*.example.org:143,993"]
deny = ["10.0.0.0/8"]
experiments = false

[network]
source_addresses = ["10.1.0.3", "fd00:1::3"]
control_target = "gateway.example:7144"

[spool]
max_bytes = "256MiB"
max_age = "36h"

[[credentials]]
name = "probe"
host = "imap.example.org"
user = "probe@example.org"
file = "/etc/parallax/probe-secret"

[[credentials]]
name = "token"
host = "imap.example.com"
user = "probe@example.com"
systemd = "imap-token"
"#;

#[test]
fn what_is_printed_says_the_same_when_it_is_read_again() {
    let (_directory, path) = file(WHOLE);
    let config = load(&["--config", &path]).unwrap();
    let (_directory, printed) = file(&config.to_toml().unwrap());
    let again = load(&["--config", &printed]).unwrap();
    assert_eq!(again.policy.policy, config.policy.policy);
    let policy = again.policy.clone();
    assert_eq!(
        again,
        Config {
            policy,
            ..config.clone()
        }
    );
    assert_eq!(config.labels["site"], "fra");
    assert!(!config.policy.policy.experiments);
    assert_eq!(config.otlp_endpoint.as_deref(), Some("http://otel.example:4317"));
    assert_eq!(config.network.source_addresses.len(), 2);
    assert_eq!(config.credentials.told().count(), 2);
    assert_eq!(
        config.network.control_target.unwrap().to_string(),
        "gateway.example:7144"
    );
}

#[test]
fn a_flag_outweighs_the_file_and_labels_add_up() {
    let (_directory, path) = file(WHOLE);
    let config = load(&["--config", &path, "--name", "ams-1", "--label", "site=ams"]).unwrap();
    assert_eq!(config.name.unwrap().as_str(), "ams-1");
    assert_eq!(
        (config.labels["site"].as_str(), config.labels["tier"].as_str()),
        ("ams", "prod")
    );
}

#[test]
fn the_policy_is_the_default_when_nothing_is_said() {
    let config = load(&["--collector", "collector.example"]).unwrap();
    assert_eq!(config.policy, StatedPolicy::default());
    assert_eq!(config.collector.port(), 7143);
}

#[test]
fn a_policy_in_a_file_of_its_own_is_used_and_named_when_it_is_printed() {
    let (_directory, policy) = file("allow = [\"192.0.2.0/24:993\"]\nexperiments = false\n");
    let (_directory, path) = file(&format!("collector = \"x\"\npolicy_file = {policy:?}\n"));
    let by_key = load(&["--config", &path]).unwrap();
    let by_flag = load(&["--collector", "x", "--policy", &policy]).unwrap();
    assert_eq!(by_key.policy, by_flag.policy);
    assert_eq!(by_key.policy.place, Place::File(policy.clone().into()));
    assert_eq!(by_key.policy.policy.allow[0].to_string(), "192.0.2.0/24:993");
    let printed = by_key.to_toml().unwrap();
    assert!(printed.contains("# allow = [\"192.0.2.0/24:993\"]"), "{printed}");
    let (_directory, printed) = file(&printed);
    assert_eq!(load(&["--config", &printed]).unwrap(), by_key);
}

#[test]
fn two_policies_at_once_are_one_error_and_so_is_one_that_can_not_be_read() {
    let (_directory, policy) = file("allow = [\"*:993\"]\n");
    let both = format!("collector = \"x\"\npolicy_file = {policy:?}\n[policy]\n");
    let (_directory, both) = file(&both);
    let (_directory, table) = file("collector = \"x\"\n[policy]\n");
    let (_directory, headed) = file("[policy]\nallow = []\n");
    for (words, place) in [
        (vec!["--config", &both], "policy: "),
        (vec!["--config", &table, "--policy", &policy], "policy: "),
        (vec!["--collector", "x", "--policy", &headed], "without [policy]"),
        (
            vec!["--collector", "x", "--policy", "/nowhere/policy"],
            "/nowhere/policy",
        ),
    ] {
        let error = load(&words).unwrap_err().to_string();
        assert!(error.contains(place) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn whoever_reaches_the_collector_has_a_network_unless_something_else_is_to_say_so() {
    let config = load(&["--collector", "collector.example"]).unwrap();
    assert_eq!(config.network.control_target.as_ref(), Some(&config.collector));
    let words = [
        "--collector",
        "x",
        "--control-target",
        "10.0.0.1:53",
        "--source-address",
        "10.1.0.3",
    ];
    let network = load(&words).unwrap().network;
    assert_eq!(network.control_target.unwrap().to_string(), "10.0.0.1:53");
    assert_eq!(
        network.source_addresses,
        ["10.1.0.3".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn nonsense_is_one_line_that_names_its_place() {
    let cases = [
        ("collecter = \"x\"\n", "line 1"),
        ("collector = \"x\"\n[policy]\nallow = [\"*\"]\n", "line 3"),
        (
            "collector = \"x\"\n[policy]\ndeny = [\"10.0.0.0/40\"]\n",
            "line 3",
        ),
        ("collector = \"a b\"\n", "collector"),
        ("collector = \"x\"\nname = \"a b\"\n", "name"),
        ("collector = \"x\"\nmax_probes = 0\n", "max-probes"),
        (
            "collector = \"x\"\notlp_endpoint = \"otel:4317\"\n",
            "otlp-endpoint",
        ),
        (
            "collector = \"x\"\n[network]\ncontrol_target = \"a b\"\n",
            "control-target",
        ),
        (
            "collector = \"x\"\n[network]\nsource_addresses = [\"0.0.0.0\"]\n",
            "source-address",
        ),
        ("collector = \"x\"\nhttp = \"7181\"\n", "ADDR:PORT"),
        (
            "collector = \"x\"\nhttp = \"0.0.0.0:7181\"\n",
            "--http-token-file",
        ),
        ("collector = \"x\"\n[modules.a]\ndepth = \"abyss\"\n", "abyss"),
        (
            "collector = \"x\"\n[modules.a]\ncredential = \"b\"\n",
            "[[credentials]]",
        ),
        ("", "--collector"),
    ];
    for (text, place) in cases {
        let (_directory, path) = file(text);
        let error = load(&["--config", &path]).unwrap_err().to_string();
        assert!(error.contains(place) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_token_is_read_and_never_repeated() {
    let token = JoinToken::new([7; 24], [9; 32]).to_string();
    let given = args(&["--collector", "x", "--token", &token]);
    let config = Config::load(&given).unwrap();
    assert!(!config.to_toml().unwrap().contains(&token));
    assert!(config.into_options(&given).unwrap().token.is_some());
    let wrong = args(&["--collector", "x", "--token", "plx1.nonsense"]);
    let error = Config::load(&wrong)
        .unwrap()
        .into_options(&wrong)
        .unwrap_err()
        .to_string();
    assert!(!error.contains("nonsense"), "{error}");
}
