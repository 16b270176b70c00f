use parallax_model::target::Security;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::policy::Policy;
use crate::runner::tests::{mail_server, runner};

/// An agent's port with one module for servers in clear.
async fn served(policy: Policy, token_file: Option<PathBuf>) -> SocketAddr {
    let plain = Module {
        security: Some(Security::Plaintext),
        timeout: Duration::from_secs(5),
        ..Module::default()
    };
    let options = WebOptions {
        address: "127.0.0.1:0".parse().unwrap(),
        token_file,
        modules: BTreeMap::from([("plain".to_owned(), plain)]),
    };
    let web = Web::open(options).await.unwrap();
    let address = web.listener.local_addr().unwrap();
    let means = Means {
        exports: Exports::default(),
        runner: Arc::new(runner(policy)),
        routine: None,
        spool: None,
    };
    tokio::spawn(web.serve(means));
    address
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|one| one == line)
}

#[tokio::test]
async fn a_scrape_is_a_probe_and_a_target_that_fails_is_an_answer() {
    let address = served(Policy::allow_all(), None).await;
    let server = mail_server(Arc::default()).await;
    let (status, page) = get(address, &format!("/probe?target={server}&module=plain"), "").await;
    assert_eq!(status, 200, "{page}");
    assert!(has(&page, "probe_success 1"), "{page}");
    assert!(
        has(&page, "probe_imap_ssl 0") && has(&page, "probe_ip_protocol 4"),
        "{page}"
    );
    assert!(
        page.contains("probe_imap_duration_seconds{phase=\"greeting\"} "),
        "{page}"
    );
    let (status, page) = get(address, "/probe?target=127.0.0.1%3A9&module=plain", "").await;
    assert_eq!(status, 200, "{page}");
    assert!(has(&page, "probe_success 0"), "{page}");
    let why = "parallax_probe_failure_info{stage=\"connect\",reason=\"connection_refused\"} 1";
    assert!(has(&page, why), "{page}");
    assert!(!page.contains("127.0.0.1"), "no address is in a label: {page}");
}

#[tokio::test]
async fn a_forbidden_target_is_refused_by_policy() {
    let address = served(Policy::default(), None).await;
    let (status, text) = get(address, "/probe?target=127.0.0.1:993", "").await;
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("127.0.0.0/8"), "{text}");
}

#[tokio::test]
async fn the_probe_ends_before_the_scrape() {
    let address = served(Policy::allow_all(), None).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = format!("/probe?target={}&module=plain", silent.local_addr().unwrap());
    let began = std::time::Instant::now();
    let headers = "X-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n";
    let (status, page) = get(address, &path, headers).await;
    assert_eq!(status, 200, "{page}");
    assert!(
        has(&page, "probe_success 0") && has(&page, "probe_timeout_seconds 1"),
        "{page}"
    );
    let why = "parallax_probe_failure_info{stage=\"greeting\"";
    assert!(page.contains(why), "the time of a silent target is over: {page}");
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn without_the_token_there_is_no_page_and_no_probe() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let address = served(Policy::allow_all(), Some(file)).await;
    let right = "Authorization: Bearer 0123456789abcdef\r\n";
    let wrong = "Authorization: Bearer 0123456789abcdeF\r\n";
    for path in ["/metrics", "/probe?target=127.0.0.1:9&module=plain", "/"] {
        assert_eq!(get(address, path, "").await.0, 401, "{path}");
        assert_eq!(get(address, path, wrong).await.0, 401, "{path}");
        assert_eq!(get(address, path, right).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_port_that_others_reach_needs_a_token() {
    let options = |token_file| WebOptions {
        address: "0.0.0.0:0".parse().unwrap(),
        token_file,
        modules: BTreeMap::new(),
    };
    let error = Web::open(options(None)).await.err().unwrap().to_string();
    assert!(error.contains("--http-token-file"), "{error}");
    let none = Web::open(options(Some("/nonexistent".into()))).await;
    assert!(matches!(none.err().unwrap(), WebError::Token(_)));
}

#[tokio::test]
async fn a_page_that_was_made_to_point_here_gets_nothing() {
    let address = served(Policy::allow_all(), None).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

#[tokio::test]
async fn what_makes_no_sense_is_said() {
    let address = served(Policy::allow_all(), None).await;
    for (path, status, word) in [
        ("/probe", 400, "target is missing"),
        ("/probe?target=a..b", 400, "a..b"),
        (
            "/probe?target=127.0.0.1:9&module=other",
            400,
            "add [modules.other]",
        ),
        ("/nothing", 404, "/probe"),
    ] {
        let (said, text) = get(address, path, "").await;
        assert_eq!(said, status, "{path}: {text}");
        assert!(text.contains(word), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_fifth_scrape_at_a_time_is_told_to_come_later() {
    let address = served(Policy::allow_all(), None).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = silent.local_addr().unwrap();
    let scrape = || async move {
        get(address, &format!("/probe?target={target}&module=plain"), "")
            .await
            .0
    };
    let answers = tokio::join!(scrape(), scrape(), scrape(), scrape(), scrape());
    let mut answers = [answers.0, answers.1, answers.2, answers.3, answers.4];
    answers.sort_unstable();
    // The runner of the tests has room for two.
    assert_eq!(answers, [200, 200, 503, 503, 503]);
}

#[tokio::test]
async fn metrics_are_of_this_agent() {
    let address = served(Policy::allow_all(), None).await;
    let (status, page) = get(address, "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(
        has(&page, "parallax_agent_probes_in_flight{probe=\"fra-1\"} 0"),
        "{page}"
    );
    assert!(page.contains("# TYPE parallax_build_info gauge"), "{page}");
}
