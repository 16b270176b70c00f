//! Certificates that openssl makes, over the real programs: no CA of the collector's, no token.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use parallax_tests::host;
use parallax_tests::running::Running;
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::{World, collector_address};

const DOMAIN: &str = "corp.example";
/// Files are looked at every few seconds.
const SEEN: Duration = Duration::from_secs(20);

#[test]
fn agents_and_operators_come_in_with_certificates_of_openssl_and_are_taken_out() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&["edge-one"]).unwrap();
    world.kill_agent("edge-one").unwrap();
    world.kill_collector();
    let directory = tempfile::tempdir().unwrap();
    let pki = Pki::new(directory.path());
    let address = collector_address();
    let (host, _) = address.rsplit_once(':').unwrap();
    pki.issue("collector", &format!("IP:{host}"));
    pki.issue("edge", &uri("agent/edge-own"));
    pki.issue("ada", &uri("admin/ada"));
    std::fs::write(world.configuration_of("collector"), pki.table("collector")).unwrap();
    world.start_collector().unwrap();

    let login = ["login", "--collector", &address];
    let files = pki.flags("ada", "--ca");
    let said = ctl(&world, &[&login[..], &texts(&files)].concat());
    assert!(said.contains("as ada (admin)"), "{said}");
    let agent = start(&world, &pki.flags("edge", "--collector-ca"));
    world.wait_for_agents(&["edge-own"]).unwrap();
    ctl(&world, &["probe", TARGET, "--from", "edge-own"]);

    let refused = world.ctl(&["token", "create", "--role", "agent"]).unwrap();
    assert!(
        refused.stderr.contains("spiffe://corp.example/ROLE/NAME"),
        "{refused}"
    );
    assert!(world.create_token("agent", &[]).is_err());

    // A file that is not right changes nothing; a new certificate is used from then on.
    let certificate = pki.path("edge.pem");
    std::fs::write(&certificate, "nothing").unwrap();
    log_says(&agent, "keeps its old certificate");
    world.wait_for_agents(&["edge-own"]).unwrap();
    pki.issue("edge", &uri("agent/edge-own"));
    log_says(&agent, "linked to the collector with the new certificate");

    ctl(&world, &["agents", "remove", "edge-own"]);
    world.wait_for_agents(&[]).unwrap();
    pki.issue("edge", &uri("agent/edge-own"));
    log_says(&agent, "ctl access restore");
    ctl(&world, &["access", "restore", "agent/edge-own"]);
    pki.issue("edge", &uri("agent/edge-own"));
    wait::until("the agent to be back", SEEN * 4, || {
        let agents = world.ctl(&["agents", "-o", "json"])?.json();
        let mut agents = agents.as_array().into_iter().flatten();
        let is_back = agents.any(|agent| agent["name"] == "edge-own" && agent["connected"] == true);
        Ok(is_back.then_some(()))
    })
    .unwrap();
}

fn ctl(world: &World, words: &[&str]) -> String {
    world.ctl(words).unwrap().expect_status(0).stdout
}

fn start(world: &World, files: &[String]) -> Running {
    let mut command = world.agent_command("edge-own");
    command.args(files);
    let host = &world.site.vantage("edge-one").unwrap().host;
    world.start(host, &command).unwrap()
}

fn log_says(agent: &Running, words: &str) {
    wait::until(words, SEEN, || {
        Ok(agent.complaints()?.contains(words).then_some(()))
    })
    .unwrap();
}

fn uri(path: &str) -> String {
    format!("URI:spiffe://{DOMAIN}/{path}")
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A CA and what it certified, as files.
struct Pki {
    directory: PathBuf,
}

impl Pki {
    fn new(directory: &Path) -> Self {
        let pki = Self {
            directory: directory.to_owned(),
        };
        let subject = "/CN=Corporate CA";
        pki.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 30 -subj|{subject}"
        ));
        pki
    }

    /// A new key and certificate for the name; the certificate is in place last.
    fn issue(&self, file: &str, name: &str) {
        let extensions = format!("subjectAltName={name}\nextendedKeyUsage=serverAuth,clientAuth\n");
        std::fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout {file}-key.pem -out request.pem \
             -subj|/CN={file}"
        ));
        self.openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1 -extfile extensions \
             -out new.pem",
        );
        std::fs::rename(self.path("new.pem"), self.path(&format!("{file}.pem"))).unwrap();
    }

    /// What stands behind `|` is one word.
    fn openssl(&self, line: &str) {
        let (words, last) = line.split_once('|').unzip();
        let mut command = Command::new("openssl");
        command.current_dir(&self.directory);
        command.args(words.unwrap_or(line).split_whitespace()).args(last);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    fn text(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    fn flags(&self, file: &str, ca: &str) -> Vec<String> {
        vec![
            "--certificate".into(),
            self.text(&format!("{file}.pem")),
            "--key".into(),
            self.text(&format!("{file}-key.pem")),
            ca.into(),
            self.text("ca.pem"),
        ]
    }

    fn table(&self, file: &str) -> String {
        format!(
            "[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\ntrust_domain = {DOMAIN:?}\n",
            self.text(&format!("{file}.pem")),
            self.text(&format!("{file}-key.pem")),
            self.text("ca.pem"),
        )
    }
}
