//! Alerts, silences, and those who are told.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::Silence;
use parallax_model::text::escape_str;
use parallax_proto::v1;
use parallax_proto::v1::alerts_server::Alerts;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Shared, peer};

/// Characters of a pattern, and of a comment.
const PATTERN_AT_MOST: usize = 253;
const COMMENT_AT_MOST: usize = 300;

/// Labels of one silence.
const MATCHERS_AT_MOST: usize = 32;

/// Silences that are not over.
const SILENCES_AT_MOST: usize = 1000;

/// A silence that nobody sees the end of is forgotten.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// How long all receivers together may take for a test; `ctl` waits a little longer.
const TEST: Duration = Duration::from_secs(8);

/// The service.
pub(crate) struct AlertsService(pub(crate) Shared);

#[tonic::async_trait]
impl Alerts for AlertsService {
    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let alerts = self.0.hub.alerts(request.into_inner().all).await?;
        let alerts = alerts
            .into_iter()
            .map(|alert| self.0.delivery.linked(alert).into());
        Ok(Response::new(v1::ListAlertsResponse {
            alerts: alerts.collect(),
            receivers: self.receivers().await?,
        }))
    }

    async fn add_silence(&self, request: Request<v1::Silence>) -> Result<Response<v1::Silence>, Status> {
        let peer = peer(&request);
        let now = Timestamp::now();
        let by = peer.spiffe.as_ref().map(ToString::to_string).unwrap_or_default();
        let silence = read(request.into_inner(), by, now)?;
        let known = self.silences(now).await?;
        if known.len() >= SILENCES_AT_MOST {
            let problem = format!("{SILENCES_AT_MOST} silences are not over: end one first");
            return Err(Status::resource_exhausted(problem));
        }
        let subject = said(&silence);
        let entry = self.0.audit.begin(&peer, "AddSilence", &subject).await?;
        self.0.alerts.put_silence(silence.clone(), now).await?;
        self.changed().await?;
        entry
            .end("done", &format!("{} until {:.0}", silence.id, silence.ends_at))
            .await;
        Ok(Response::new(silence.into()))
    }

    async fn list_silences(
        &self,
        _: Request<v1::ListSilencesRequest>,
    ) -> Result<Response<v1::ListSilencesResponse>, Status> {
        let silences = self.silences(Timestamp::now()).await?;
        Ok(Response::new(v1::ListSilencesResponse {
            silences: silences.into_iter().map(Into::into).collect(),
        }))
    }

    async fn end_silence(
        &self,
        request: Request<v1::EndSilenceRequest>,
    ) -> Result<Response<v1::EndSilenceResponse>, Status> {
        let peer = peer(&request);
        let now = Timestamp::now();
        let id = request.into_inner().id;
        let known = self.silences(now).await?;
        let silence = known.into_iter().find(|silence| silence.id.to_string() == id);
        let Some(silence) = silence else {
            let id = escape_str(&id, PATTERN_AT_MOST);
            return Err(Status::not_found(format!(
                "there is no silence {id}; see `ctl alerts silences`"
            )));
        };
        let entry = self.0.audit.begin(&peer, "EndSilence", &id).await?;
        let ended = Silence {
            starts_at: silence.starts_at.min(now),
            ends_at: now,
            ..silence
        };
        self.0.alerts.put_silence(ended, now).await?;
        self.changed().await?;
        entry.end("done", "").await;
        Ok(Response::new(v1::EndSilenceResponse {}))
    }

    async fn test_receivers(
        &self,
        request: Request<v1::TestReceiversRequest>,
    ) -> Result<Response<v1::TestReceiversResponse>, Status> {
        let peer = peer(&request);
        let entry = self.0.audit.begin(&peer, "TestReceivers", "").await?;
        let tests = self.0.delivery.test(Timestamp::now());
        let answers = tokio::time::timeout(TEST, tests).await.unwrap_or_default();
        let mut receivers = self.receivers().await?;
        for receiver in &mut receivers {
            receiver.problem = match answers.get(&receiver.name) {
                Some(problem) => problem.clone(),
                None => format!("no answer within {} s", TEST.as_secs()),
            };
        }
        let failed = receivers
            .iter()
            .filter(|receiver| !receiver.problem.is_empty())
            .count();
        entry
            .end(
                "done",
                &format!("{} receivers, {failed} not told", receivers.len()),
            )
            .await;
        Ok(Response::new(v1::TestReceiversResponse { receivers }))
    }
}

impl AlertsService {
    /// Silences that are not over.
    async fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, Status> {
        let mut silences = self.0.alerts.kept().await?.silences;
        silences.retain(|silence| silence.ends_at > now);
        silences.sort_by_key(|silence| (silence.ends_at, silence.id));
        Ok(silences)
    }

    async fn changed(&self) -> Result<(), Status> {
        let silences = self.silences(Timestamp::now()).await?;
        Ok(self.0.hub.silences_changed(silences).await?)
    }

    async fn receivers(&self) -> Result<Vec<v1::ReceiverState>, Status> {
        let waiting = self.0.alerts.waiting().await?;
        let states = self.0.delivery.progress().into_iter().map(|(name, progress)| {
            let outbox = waiting.get(&name).copied().unwrap_or_default();
            v1::ReceiverState {
                kind: progress.kind.to_owned(),
                sent: progress.sent,
                failed: progress.failed + outbox.dropped,
                waiting: outbox.notices,
                problem: progress.problem,
                name,
            }
        });
        Ok(states.collect())
    }
}

/// What was asked for, if it can be.
fn read(wire: v1::Silence, by: String, now: Timestamp) -> Result<Silence, Status> {
    let invalid = |field: &str, problem: &str| Status::invalid_argument(format!("{field}: {problem}"));
    if wire.matchers.is_empty() || wire.matchers.len() > MATCHERS_AT_MOST {
        return Err(invalid("matchers", "from 1 to 32 labels"));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    for (label, pattern) in &wire.matchers {
        if label.is_empty() || label.len() > PATTERN_AT_MOST || !label.bytes().all(is_name) {
            return Err(invalid("matchers", "a label is letters, digits and _"));
        }
        if pattern.is_empty() || pattern.len() > PATTERN_AT_MOST || pattern.chars().any(char::is_control) {
            return Err(invalid(
                "matchers",
                "a pattern is 1 to 253 characters that can be printed",
            ));
        }
    }
    let comment = wire.comment.trim();
    if comment.is_empty() || comment.chars().count() > COMMENT_AT_MOST {
        return Err(invalid("comment", "say why, in 1 to 300 characters"));
    }
    let time =
        |field: &str, at: i64| Timestamp::from_microsecond(at).map_err(|_| invalid(field, "not a time"));
    let starts_at = match wire.starts_at_us {
        0 => now,
        at => time("starts_at_us", at)?,
    };
    let ends_at = time("ends_at_us", wire.ends_at_us)?;
    if ends_at <= now || ends_at <= starts_at || ends_at.duration_since(now) > LONGEST {
        return Err(invalid(
            "ends_at_us",
            "after its start, later than now, within a year",
        ));
    }
    Ok(Silence {
        id: Uuid::now_v7(),
        matchers: wire.matchers.into_iter().collect::<BTreeMap<_, _>>(),
        starts_at,
        ends_at,
        comment: comment.to_owned(),
        created_by: by,
    })
}

/// `check=imap-* severity=warning: why`
fn said(silence: &Silence) -> String {
    let matchers = silence
        .matchers
        .iter()
        .map(|(label, pattern)| format!("{label}={pattern}"));
    let matchers: Vec<String> = matchers.collect();
    format!("{}: {}", matchers.join(" "), silence.comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_has_a_label_an_end_and_a_reason() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let good = v1::Silence {
            matchers: [("check".to_owned(), "imap-*".to_owned())].into(),
            ends_at_us: now.as_microsecond() + 1,
            comment: "why".into(),
            ..v1::Silence::default()
        };
        let silence = read(good.clone(), "ada".into(), now).unwrap();
        assert_eq!((silence.starts_at, silence.created_by.as_str()), (now, "ada"));
        let broken: [fn(&mut v1::Silence); 6] = [
            |silence| silence.matchers.clear(),
            |silence| drop(silence.matchers.insert("team.name".into(), "x".into())),
            |silence| drop(silence.matchers.insert("team".into(), "\n".into())),
            |silence| silence.comment.clear(),
            |silence| silence.ends_at_us -= 1,
            |silence| silence.ends_at_us += 400 * 86_400_000_000,
        ];
        for change in broken {
            let mut wire = good.clone();
            change(&mut wire);
            let status = read(wire.clone(), String::new(), now).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{wire:?}");
        }
    }
}
