//! The root of the run's trace, and the call under it.

use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;
use parallax_model::observation::VantageOutcome;
use parallax_model::run::RunDocument;
use parallax_telemetry::{Destination, OpenSpan, Service, SpanSpec, Tracing, attribute, context};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::client;
use crate::command::Answer;
use crate::exit::{Trouble, UNKNOWN};

/// How long a command may wait for its last spans.
const FLUSH: Duration = Duration::from_secs(2);
const METHOD: &str = "parallax.v1.Control/RunProbe";

/// The spans of one `ctl probe`. Costs nothing where they would go nowhere.
pub(crate) struct ProbeTrace {
    tracing: Tracing,
    root: Option<OpenSpan>,
    call: Option<OpenSpan>,
    /// How the call ended, where it did not end well.
    refused: Option<Code>,
}

impl ProbeTrace {
    /// Begins the root; the spans go to the collector, if it passes them on.
    pub(crate) fn start(spans: Channel, wanted: bool) -> Result<Self, Trouble> {
        let destination = if wanted {
            Destination::Channel(spans)
        } else {
            Destination::Off
        };
        let service = Service {
            name: "parallax-ctl",
            // One process, one question: no instance is ever seen again.
            instance_id: Uuid::now_v7(),
            attributes: Vec::new(),
        };
        let tracing = Tracing::start(service, destination)?;
        let root = tracing.tracer().map(|tracer| {
            SpanSpec::new("ctl probe", SystemTime::now())
                .with(attribute::PROCESS_EXECUTABLE_NAME, "ctl")
                .with(attribute::PROCESS_PID, i64::from(std::process::id()))
                .child_of(tracer, &Context::new())
        });
        Ok(Self {
            tracing,
            root,
            call: None,
            refused: None,
        })
    }

    /// Begins the call, and writes it into the call's metadata.
    pub(crate) fn begin_call(&mut self, metadata: &mut MetadataMap) {
        let (Some(tracer), Some(root)) = (self.tracing.tracer(), &self.root) else {
            return;
        };
        let call = SpanSpec::new(METHOD, SystemTime::now())
            .kind(SpanKind::Client)
            .with(attribute::RPC_SYSTEM_NAME, "grpc")
            .with(attribute::RPC_METHOD, METHOD)
            .child_of(tracer, root.context());
        context::inject(call.context(), metadata);
        self.call = Some(call);
    }

    /// Notes how the call was refused, and says it in words.
    pub(crate) fn refused(&mut self, status: &Status) -> Trouble {
        self.refused = Some(status.code());
        client::refused(status)
    }

    /// Ends both spans with what came of the question, and sends them.
    pub(crate) async fn end(mut self, answered: &Result<Answer, Trouble>) {
        let now = SystemTime::now();
        if let Some(call) = self.call.take() {
            end_call(call, answered.is_ok(), self.refused, now);
        }
        if let Some(root) = self.root.take() {
            end_root(root, answered, now);
        }
        if let Err(error) = self.tracing.shutdown(FLUSH).await {
            tracing::warn!("the trace is incomplete: {error}");
        }
    }
}

fn end_call(call: OpenSpan, answered: bool, refused: Option<Code>, now: SystemTime) {
    let code = match (answered, refused) {
        (true, _) => "OK",
        (false, Some(code)) => code_name(code),
        // Given up on this side: interrupted, or nothing came in time.
        (false, None) => "CANCELLED",
    };
    call.set(attribute::RPC_STATUS_CODE, code);
    call.conclude(now, (!answered).then(|| code.to_owned()));
}

fn end_root(root: OpenSpan, answered: &Result<Answer, Trouble>, now: SystemTime) {
    let (status, error_type) = match answered {
        Ok(Answer::Run(document)) => {
            describe(&root, document);
            (document.verdict.exit_status(), document.verdict.as_str())
        }
        Ok(Answer::Choice(_)) => (0, ""),
        Err(_) => (UNKNOWN, "_OTHER"),
    };
    root.set(attribute::PROCESS_EXIT_CODE, i64::from(status));
    root.conclude(now, (status != 0).then(|| error_type.to_owned()));
}

fn describe(root: &OpenSpan, document: &RunDocument) {
    let failed = document
        .vantages
        .iter()
        .filter(|vantage| vantage.outcome != VantageOutcome::Ok)
        .count();
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    root.set(attribute::RUN_ID, document.run_id.to_string());
    root.set(attribute::VERDICT, document.verdict.as_str());
    root.set(attribute::AGENTS_SELECTED, number(document.vantages.len()));
    root.set(attribute::AGENTS_FAILED, number(failed));
}

/// The code as gRPC spells it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
