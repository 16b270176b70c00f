//! What is said of a probe before what it waits for has failed.

use parallax_model::spec::PathChoice;

use super::*;

/// What was said to be overdue, each time with how long after the beginning.
async fn overdue(runner: &Runner, order: &Order) -> (Observation, Vec<(Duration, Observation)>) {
    let (_partner, heard) = mpsc::channel(1);
    let (outlet, mut news) = outlet();
    let reports = Reports::of_order(order.id.as_str().into(), outlet);
    let began = Instant::now();
    let listening = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some((_, report)) = news.recv().await {
            if let Report::Overdue(so_far) = report {
                told.push((began.elapsed(), *so_far));
            }
        }
        told
    });
    let ran = runner.run(order, order.budget, reports, heard).await.unwrap();
    (ran.observation, listening.await.unwrap())
}

async fn server(says: &'static [u8], then: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::time::sleep(then).await;
            stream.write_all(says).await.unwrap();
            open.push(stream);
        }
    });
    address
}

fn brief(timeout: u64, target: SocketAddr) -> Order {
    let mut order = order(&target.to_string(), Depth::Greeting);
    order.spec.timeout = Duration::from_secs(timeout);
    order.spec.options.path = PathChoice::Auto;
    order
}

#[tokio::test]
async fn a_server_that_says_nothing_is_told_of_once_and_before_the_probe_is_over() {
    let target = server(b"", Duration::ZERO).await;
    let (seen, told) = overdue(&runner(Policy::allow_all()), &brief(4, target)).await;
    let [(after, so_far)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(*after < Duration::from_secs(3), "{after:?}");
    let stopped = |seen: &Observation| {
        let stage = seen.attempts[0].failed_stage().unwrap();
        (stage.name, stage.outcome.fault().unwrap().kind)
    };
    assert_eq!(stopped(so_far), stopped(&seen));
    assert_eq!(so_far.attempts[0].stages.len(), seen.attempts[0].stages.len());
    let acknowledged = so_far.attempts[0].stages[1].tcp.as_ref();
    assert!(acknowledged.is_some(), "{so_far:?}");
    assert!(so_far.resolve.is_some());
    assert!(!so_far.network.paths.is_empty(), "{so_far:?}");
}

#[tokio::test]
async fn a_server_that_takes_a_second_is_not_overdue() {
    let target = server(b"* BYE not today\r\n", Duration::from_millis(1_500)).await;
    let (_, told) = overdue(&runner(Policy::allow_all()), &brief(6, target)).await;
    assert_eq!(told.len(), 0, "{told:?}");
}

#[tokio::test]
async fn experiments_find_room_beside_as_many_probes_as_may_run() {
    let runner = runner(Policy::allow_all());
    let target = "127.0.0.1:993".parse().unwrap();
    let probe = brief(4, target);
    let _probes = [runner.admit(&probe).unwrap(), runner.admit(&probe).unwrap()];
    assert!(runner.admit(&probe).is_err());
    let experiment = Experiment {
        kind: ExperimentKind::Repeat,
        agent: "fra-1".parse().unwrap(),
        address: target.ip(),
        endpoint: probe.spec.target.endpoints[0],
        variation: Default::default(),
    };
    let round = Order {
        experiments: vec![experiment],
        ..probe
    };
    assert!(runner.admit(&round).is_ok());
}
