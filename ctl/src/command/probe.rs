//! `ctl probe TARGET`

use std::path::Path;
use std::time::Duration;

use parallax_model::run::RunDocument;
use parallax_model::spec::CaptureChoice;
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tonic::{Request, Streaming};

use crate::args::{ProbeArgs, RunFormat};
use crate::client::Client;
use crate::config::Config;
use crate::exit::{Trouble, UNKNOWN};
use crate::interrupt;
use crate::live::Live;
use crate::local::Local;
use crate::question::Question;
use crate::trace::ProbeTrace;
use crate::view::{News, RunView, Started};
use crate::{bundle, console, render};

/// Time for the collector to take the question.
const TO_BEGIN: Duration = Duration::from_secs(10);
/// What the collector gets beyond the deadline it gave itself.
const GRACE: Duration = Duration::from_secs(5);
const BETWEEN_FRAMES: Duration = Duration::from_millis(100);

pub(super) async fn run(args: &ProbeArgs, config: &Config) -> Result<u8, Trouble> {
    if args.bundle.as_deref() == Some(Path::new("-")) {
        return Err(Trouble::new("--bundle -: standard output has the answer").hint("name a FILE"));
    }
    if config.collector.is_none() {
        let capture = capture_here(args)?;
        let mut question = Question::read(args, &config.ca_file)?;
        question.spec.options.capture = capture;
        return run_here(args, &question).await;
    }
    let question = Question::read(args, &config.ca_file)?;
    let mut client = interrupt::unless_asked(Client::dial(config)).await?;
    answer(&mut client, &question, args).await
}

/// Without a collector nobody keeps packets: they are recorded for a bundle, or not at all.
fn capture_here(args: &ProbeArgs) -> Result<CaptureChoice, Trouble> {
    match (args.capture, &args.bundle) {
        (choice, Some(_)) => Ok(choice.unwrap_or(CaptureChoice::Auto)),
        (Some(CaptureChoice::Always), None) => Err(Trouble::new(
            "--capture always: no collector is configured, and nobody would keep the packets",
        )
        .hint("add --bundle FILE, or log in first: ctl login --collector HOST:PORT --token TOKEN")),
        (Some(CaptureChoice::Auto | CaptureChoice::Never) | None, None) => Ok(CaptureChoice::Never),
    }
}

/// Without a collector: one of its own, and an agent named `local`, for the time of this question.
async fn run_here(args: &ProbeArgs, question: &Question) -> Result<u8, Trouble> {
    if question.has_credential() {
        return Err(Trouble::new("--credential: no collector is configured, and nobody keeps one")
            .hint("use --user USER --password-stdin, or log in first: ctl login --collector HOST:PORT --token TOKEN"));
    }
    if !question.selector.matches(Local::NAME, &Labels::new()) {
        return Err(Trouble::new(format!(
            "no collector is configured: the only vantage point is {:?}, and --from {} leaves it out",
            Local::NAME,
            question.selector
        ))
        .hint("log in first: ctl login --collector HOST:PORT --token TOKEN"));
    }
    if let Some(watcher) = &question.spec.options.sync_with
        && watcher.as_str() != Local::NAME
    {
        return Err(Trouble::new(format!(
            "no collector is configured: there is no agent {watcher} that --sync-with could ask"
        ))
        .hint("log in first, or leave --sync-with out: a second session of this machine watches then"));
    }
    if !args.from.is_empty() {
        console::complain(&format!(
            "no collector is configured: this is asked from here only, the vantage point {:?}\n",
            Local::NAME
        ));
    }
    let mut local = interrupt::unless_asked(Local::start(args.otlp_endpoint.as_deref())).await?;
    let ended = answer(&mut local.client, question, args).await;
    local.end().await;
    ended
}

/// Asks, says the answer at once, and ends the trace however that ends.
async fn answer(client: &mut Client, question: &Question, args: &ProbeArgs) -> Result<u8, Trouble> {
    let status = interrupt::unless_asked(client.status()).await?;
    if let Some(warning) = question.warning() {
        console::complain(warning);
    }
    let mut trace = ProbeTrace::start(client.spans.clone(), status.telemetry && !question.dry_run)?;
    let answered = interrupt::unless_asked(ask(client, question, args, &mut trace)).await;
    // Nobody waits for spans to see a verdict.
    let mut ended = match &answered {
        Ok(answer) => print(answer, args),
        Err(_) => Ok(UNKNOWN),
    };
    if let (Ok(Answer::Run(document)), Some(file)) = (&answered, &args.bundle) {
        ended = pack(client, document, file).await.and(ended);
    }
    trace.end(&answered).await;
    answered.and(ended)
}

/// Writes the run and its packets into one archive.
async fn pack(client: &mut Client, document: &RunDocument, file: &Path) -> Result<(), Trouble> {
    let captures = if document.captures.is_empty() {
        Vec::new()
    } else {
        client.captures(document.run_id).await?
    };
    bundle::write(file, &bundle::archive(document, &captures)?, &captures)
}

/// What came of the question.
pub(crate) enum Answer {
    /// The run, concluded.
    Run(Box<RunDocument>),
    /// The agents that would be asked.
    Choice(Started),
}

async fn ask(
    client: &mut Client,
    question: &Question,
    args: &ProbeArgs,
    trace: &mut ProbeTrace,
) -> Result<Answer, Trouble> {
    // A program that asks reads it in the document.
    let reads = matches!(
        args.output,
        Some(RunFormat::Json | RunFormat::Jsonl | RunFormat::Nagios)
    );
    if !question.dry_run && !reads {
        client.somebody(&question.selector).await?;
    }
    let agents = if question.has_secret() {
        client
            .agents_for_secrets(|agent| question.may_open(agent))
            .await?
    } else {
        Vec::new()
    };
    let mut request = Request::new(question.request(&agents)?);
    trace.begin_call(request.metadata_mut());
    let begun = timeout_at(Instant::now() + TO_BEGIN, client.control.run_probe(request)).await;
    let begun = begun.map_err(|_| Trouble::new("the collector did not take the question in time"))?;
    let stream = begun.map_err(|status| trace.refused(&status))?.into_inner();
    let format = args.output.unwrap_or_default();
    let view = follow(stream, format, question.dry_run, trace).await?;
    if let Some(note) = view.lost() {
        console::complain(&note);
    }
    conclude(view, question.dry_run)
}

/// Takes the events in as they come, and shows them.
async fn follow(
    mut stream: Streaming<v1::RunEvent>,
    format: RunFormat,
    dry_run: bool,
    trace: &mut ProbeTrace,
) -> Result<RunView, Trouble> {
    let mut view = RunView::default();
    // Lines that come while the run is on would be drawn over.
    let mut live = Live::new(!dry_run && format != RunFormat::Jsonl);
    let mut frames = interval(BETWEEN_FRAMES);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut deadline = Instant::now() + TO_BEGIN;
    loop {
        let event = tokio::select! {
            event = timeout_at(deadline, stream.message()) => event,
            _ = frames.tick() => {
                live.draw(&view);
                continue;
            }
        };
        let event = event
            .map_err(|_| {
                Trouble::new(format!(
                    "the collector did not answer by its own deadline{}",
                    so_far(&view)
                ))
            })?
            .map_err(|status| trace.refused(&status))?;
        let Some(event) = event else { return Ok(view) };
        let Some(news) = News::read(event)? else { continue };
        if let News::Started(started) = &news {
            deadline = Instant::now() + started.deadline + GRACE;
        }
        if format == RunFormat::Jsonl
            && let Some(line) = news.json()?
        {
            console::print(&render::json_line(&line)?)?;
        }
        view.fold(&news);
    }
}

fn conclude(view: RunView, dry_run: bool) -> Result<Answer, Trouble> {
    if dry_run && let Some(started) = view.started() {
        return Ok(Answer::Choice(started.clone()));
    }
    let so_far = so_far(&view);
    let document = view.into_document();
    document
        .map(|document| Answer::Run(Box::new(document)))
        .ok_or_else(|| {
            Trouble::new(format!("the collector ended the run without an answer{so_far}"))
                .hint("try again; see the collector's log")
        })
}

fn so_far(view: &RunView) -> String {
    let (mut done, mut all) = (0, 0);
    for (_, vantage) in view.vantages() {
        all += 1;
        done += usize::from(vantage.done());
    }
    match (view.started().and_then(|started| started.run_id), all) {
        (_, 0) => String::new(),
        (Some(run), _) => format!(" ({done} of {all} vantage points had answered, run {run})"),
        (None, _) => format!(" ({done} of {all} vantage points had answered)"),
    }
}

fn print(answer: &Answer, args: &ProbeArgs) -> Result<u8, Trouble> {
    let format = args.output.unwrap_or_default();
    match answer {
        Answer::Run(document) => {
            console::print(&render::run(document, format, console::canvas())?)?;
            Ok(document.verdict.exit_status())
        }
        Answer::Choice(started) => {
            let text = match format {
                RunFormat::Json => render::json(started)?,
                // The event itself was printed when it came.
                RunFormat::Jsonl => String::new(),
                RunFormat::Table | RunFormat::Wide | RunFormat::Markdown | RunFormat::Nagios => {
                    render::choices::table(started, console::canvas())
                }
            };
            console::print(&text)?;
            let somebody = started.asked.iter().any(|choice| choice.connected);
            Ok(if somebody { 0 } else { UNKNOWN })
        }
    }
}
