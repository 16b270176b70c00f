//! Identities that others certify: no CA here, no tokens, and removal all the same.

use std::path::Path;
use std::time::Duration;

use parallax_identity::{Authority, Dialer, Identity, LEAF_LIFETIME, LocalKey, OwnFiles};
use parallax_model::identity::{Role, SpiffeId, TrustDomain};
use parallax_proto::v1;
use parallax_proto::v1::access_client::AccessClient;
use parallax_proto::v1::control_client::ControlClient;
use tonic::Code;
use tonic::transport::Channel;

use super::fake::FakeAgent;
use super::tls::{address, config};
use crate::Collector;
use crate::config::{Config, OwnPki};
use crate::token::TokenOptions;

/// For files to be looked at.
const SEEN: Duration = Duration::from_secs(15);

fn domain() -> TrustDomain {
    "corp.example".parse().unwrap()
}

fn id(domain: TrustDomain, role: Role, name: &str) -> SpiffeId {
    let name = name.parse().unwrap();
    SpiffeId { domain, role, name }
}

/// A certificate of the operators' CA.
fn issued(authority: &Authority, id: &SpiffeId) -> Identity {
    let key = LocalKey::generate().unwrap();
    let csr = key.csr(&id.name).unwrap();
    let chain = authority.issue(&csr, id, LEAF_LIFETIME).unwrap();
    Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap()
}

/// The collector's certificate, key and client CA below a directory.
fn put(authority: &Authority, directory: &Path) -> OwnFiles {
    let collector = id(domain(), Role::Collector, "main");
    let own = authority
        .issue_server(&collector, &["127.0.0.1".to_owned()])
        .unwrap();
    own.save(directory).unwrap();
    OwnFiles {
        certificate: directory.join("cert.pem"),
        key: directory.join("key.pem"),
        ca: vec![directory.join("trust/anchors.pem")],
    }
}

fn own(data: &Path, files: OwnFiles) -> Config {
    Config {
        own_pki: Some(OwnPki {
            files,
            trust_domain: domain(),
        }),
        ..config(data)
    }
}

async fn channel(collector: &Collector, identity: &Identity) -> Channel {
    let dialer = Dialer::new(address(collector), identity).unwrap();
    dialer.connect().await.unwrap()
}

async fn listed(collector: &Collector, identity: &Identity) -> Result<Vec<v1::Agent>, Code> {
    let mut control = ControlClient::new(channel(collector, identity).await);
    let listed = control.list_agents(v1::ListAgentsRequest {}).await;
    listed
        .map(|listed| listed.into_inner().agents)
        .map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_ones_own_let_in_whom_they_name_and_no_token_does() {
    parallax_identity::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let (data, pki) = (directory.path().join("data"), directory.path().join("pki"));
    let authority = Authority::ephemeral().unwrap();
    let collector = Collector::start(&own(&data, put(&authority, &pki)))
        .await
        .unwrap();
    assert!(!data.join("ca-key.pem").exists());

    let agent = issued(&authority, &id(domain(), Role::Agent, "fra-1"));
    let _link = FakeAgent::over(channel(&collector, &agent).await, "fra-1").await;
    let admin = issued(&authority, &id(domain(), Role::Admin, "ada"));
    let agents = listed(&collector, &admin).await.unwrap();
    assert_eq!((agents[0].name.as_str(), agents[0].connected), ("fra-1", true));
    assert_eq!(
        listed(&collector, &agent).await.unwrap_err(),
        Code::PermissionDenied
    );
    let of_the_built_in = issued(&authority, &id(TrustDomain::BUILT_IN, Role::Admin, "eve"));
    assert!(
        listed(&collector, &of_the_built_in).await.is_err(),
        "its domain is not this one's"
    );
    let of_another_ca = Authority::ephemeral().unwrap();
    let stranger = issued(&of_another_ca, &id(domain(), Role::Admin, "eve"));
    let dialer = Dialer::new(address(&collector), &stranger).unwrap();
    assert!(dialer.connect().await.is_err());

    let mut control = ControlClient::new(channel(&collector, &admin).await);
    let request = v1::CreateTokenRequest {
        role: "agent".into(),
        ..v1::CreateTokenRequest::default()
    };
    let refused = control.create_token(request).await.unwrap_err();
    assert!(
        refused.message().contains("spiffe://corp.example/ROLE/NAME"),
        "{refused}"
    );
    let options = TokenOptions {
        role: Role::Agent,
        names: Default::default(),
        labels: Default::default(),
        takes_over: false,
        ttl: Duration::from_secs(60),
        uses: 1,
    };
    let refused = crate::token::create(&data, options)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("has no CA of its own"), "{refused}");
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_stays_out_with_any_certificate_until_it_is_restored_and_has_a_new_one() {
    parallax_identity::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::ephemeral().unwrap();
    let files = put(&authority, &directory.path().join("pki"));
    let collector = Collector::start(&own(directory.path(), files)).await.unwrap();
    let fra = id(domain(), Role::Agent, "fra-1");
    let agent = issued(&authority, &fra);
    let mut link = FakeAgent::over(channel(&collector, &agent).await, "fra-1").await;
    let admin = issued(&authority, &id(domain(), Role::Admin, "ada"));
    let way = channel(&collector, &admin).await;
    let request = v1::RemoveAgentRequest { name: "fra-1".into() };
    ControlClient::new(way.clone())
        .remove_agent(request)
        .await
        .unwrap();
    while let Ok(Some(_)) = link.next().await {}

    let opens = async |identity: &Identity| {
        let way = channel(&collector, identity).await;
        let mut client = v1::agent_link_client::AgentLinkClient::new(way);
        client.open(tokio_stream::empty()).await.map(|_| ())
    };
    let newer = issued(&authority, &fra);
    for certificate in [&agent, &newer] {
        let refused = opens(certificate).await.unwrap_err();
        assert!(refused.message().contains("ctl access restore"), "{refused}");
    }
    let mut access = AccessClient::new(way);
    // As `ctl` says it, which does not know the trust domain.
    let spiffe_id = SpiffeId::built_in(Role::Agent, fra.name.clone()).to_string();
    let restore = v1::RestoreIdentityRequest { spiffe_id };
    access.restore_identity(restore.clone()).await.unwrap();
    assert!(opens(&agent).await.is_err(), "this one was seen before");
    opens(&newer).await.unwrap();
    let again = access.restore_identity(restore).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    let known = access
        .list_identities(v1::ListIdentitiesRequest {})
        .await
        .unwrap();
    let names: Vec<_> = known
        .into_inner()
        .identities
        .into_iter()
        .map(|known| known.spiffe_id)
        .collect();
    assert_eq!(
        names,
        [
            "spiffe://corp.example/admin/ada",
            "spiffe://corp.example/agent/fra-1"
        ]
    );
    collector.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_are_read_again_and_whom_they_no_longer_vouch_for_is_cut_off() {
    parallax_identity::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let pki = directory.path().join("pki");
    let (first, second) = (Authority::ephemeral().unwrap(), Authority::ephemeral().unwrap());
    let files = put(&first, &pki);
    let collector = Collector::start(&own(directory.path(), files.clone()))
        .await
        .unwrap();
    let fra = id(domain(), Role::Agent, "fra-1");
    let agent = issued(&first, &fra);
    let mut link = FakeAgent::over(channel(&collector, &agent).await, "fra-1").await;

    std::fs::write(&files.certificate, "nothing").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    link.beat().await;
    put(&second, &pki);
    let cut = async { while let Ok(Some(_)) = link.next().await {} };
    tokio::time::timeout(SEEN, cut).await.unwrap();
    let newer = issued(&second, &fra);
    FakeAgent::over(channel(&collector, &newer).await, "fra-1").await;
    collector.shutdown().await;
}
