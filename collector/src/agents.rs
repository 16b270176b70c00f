//! Who is there: every agent ever seen and not removed, and the link of those that are connected.

mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parallax_model::check::{ScheduleState, SpoolState};
use parallax_model::credential::{LocalCredential, SealingProof};
use parallax_model::run::{AgentState, AgentSummary, Rejected};
use parallax_model::vantage::{AgentName, Labels};

pub(crate) use selection::{Choice, Selection};

use uuid::Uuid;

use crate::source::Source;

/// How often either side of a link gives a sign of life.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How long without one until a link counts as lost.
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(45);

/// How long after another process took its link a name counts as fought over.
const CONFLICT: SignedDuration = SignedDuration::from_mins(5);

/// One connection of one agent; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// What an agent says of itself when it connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Version of its program, for people.
    pub(crate) version: String,
    /// What it can do.
    pub(crate) capabilities: BTreeSet<String>,
    /// Labels of the vantage point.
    pub(crate) labels: Labels,
    /// Key to which secrets are sealed; empty without one.
    pub(crate) sealing_key: Vec<u8>,
    /// That the key is the agent's, for whoever seals; it is passed on unread, and lasts as long as this process.
    pub(crate) sealing_proof: Option<Arc<SealingProof>>,
    /// Tells a reconnect from a second process of the same name.
    pub(crate) instance: String,
    /// Credentials that it keeps by itself.
    pub(crate) local_credentials: Vec<LocalCredential>,
    /// The checks that it repeats, each in the form with this digest.
    pub(crate) checks: Vec<(Uuid, u64)>,
    /// Its spool; without one it repeats nothing.
    pub(crate) spool: Option<Uuid>,
    /// The orders of its older link go on over this one.
    pub(crate) continues: bool,
}

/// What an agent measured of its link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Round trip, microseconds.
    pub(crate) rtt_us: Option<u64>,
    /// Its wall clock minus the collector's, microseconds.
    pub(crate) wall_offset_us: Option<i64>,
    /// Probes it runs now.
    pub(crate) probes_in_flight: u32,
    /// The results that wait at it.
    pub(crate) spool: Option<SpoolState>,
    /// How it keeps up with its checks.
    pub(crate) schedule: Option<ScheduleState>,
}

/// One agent, as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// What it last said of itself.
    pub(crate) introduction: Introduction,
    /// Labels that count whatever it says.
    pub(crate) pinned: Labels,
    /// When its last certificate ends, as far as that is known.
    pub(crate) certificate_ends: Option<Timestamp>,
    /// Who came last under its name and was turned away.
    pub(crate) rejected: Option<Rejected>,
    /// When another process with its identity last took its link, or lost it.
    pub(crate) fought_at: Option<Timestamp>,
    /// When it was last heard of.
    pub(crate) last_seen: Option<Timestamp>,
    /// Its connection, while there is one.
    pub(crate) link: Option<Link>,
}

/// The connection of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    id: LinkId,
    peer: String,
    heard_at: Instant,
    pulse: Pulse,
}

/// A link that a newer one of the same identity took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superseded {
    /// The link to cut.
    pub(crate) link: LinkId,
    /// Where it comes from.
    pub(crate) peer: String,
    /// Whether the newer one is the same process again.
    pub(crate) same_process: bool,
    /// Whether its orders go on over the newer one.
    pub(crate) continues: bool,
}

/// Every agent by name, and every link by its number.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    known: BTreeMap<AgentName, Agent>,
    links: BTreeMap<LinkId, AgentName>,
    papers: BTreeMap<AgentName, Papers>,
}

/// What others say of an agent, whether or not it was ever here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Papers {
    /// Labels that count whatever it says.
    pub(crate) pinned: Labels,
    /// When its last certificate ends.
    pub(crate) certificate_ends: Option<Timestamp>,
}

impl Agents {
    /// Begins with those that the store remembers; none of them is connected.
    pub(crate) fn remembered(
        agents: impl IntoIterator<Item = (AgentName, Agent)>,
        papers: BTreeMap<AgentName, Papers>,
    ) -> Self {
        let mut known: BTreeMap<AgentName, Agent> = agents.into_iter().collect();
        for (name, agent) in &mut known {
            if let Some(papers) = papers.get(name) {
                agent.carry(papers);
            }
        }
        Self {
            known,
            links: BTreeMap::new(),
            papers,
        }
    }

    /// Labels of an agent are pinned.
    pub(crate) fn pinned(&mut self, name: AgentName, labels: Labels) {
        self.change_papers(name, |papers| papers.pinned = labels);
    }

    /// An agent has a new certificate.
    pub(crate) fn certified(&mut self, name: AgentName, ends: Timestamp) {
        self.change_papers(name, |papers| papers.certificate_ends = Some(ends));
    }

    /// Somebody came under the name of an agent and was turned away.
    pub(crate) fn turned_away(&mut self, name: &AgentName, peer: String, why: String, wall: Timestamp) {
        let Some(agent) = self.known.get_mut(name) else {
            return;
        };
        let count = agent.rejected.as_ref().map_or(0, |rejected| rejected.count);
        agent.rejected = Some(Rejected {
            peer,
            at: wall,
            count: count + 1,
            why,
        });
    }

    /// Two processes with the identity of an agent take the link from each other.
    pub(crate) fn fought(&mut self, name: &AgentName, peer: String, why: String, wall: Timestamp) {
        self.turned_away(name, peer, why, wall);
        if let Some(agent) = self.known.get_mut(name) {
            agent.fought_at = Some(wall);
        }
    }

    /// An agent has connected. The newest connection of an identity is the one that counts.
    pub(crate) fn connected(
        &mut self,
        name: AgentName,
        id: LinkId,
        introduction: Introduction,
        peer: String,
        now: Instant,
    ) -> Option<Superseded> {
        let superseded = self.known.get(&name).and_then(|agent| {
            let link = agent.link.as_ref()?;
            let same_process = agent.introduction.instance == introduction.instance;
            Some(Superseded {
                link: link.id,
                peer: link.peer.clone(),
                same_process,
                continues: same_process && introduction.continues,
            })
        });
        if let Some(old) = &superseded {
            self.links.remove(&old.link);
        }
        self.links.insert(id, name.clone());
        let link = Link {
            id,
            peer,
            heard_at: now,
            pulse: Pulse::default(),
        };
        let before = self.known.remove(&name);
        let mut agent = Agent {
            fought_at: before.as_ref().and_then(|agent| agent.fought_at),
            rejected: before.and_then(|agent| agent.rejected),
            link: Some(link),
            ..Agent::remembered(introduction, None)
        };
        if let Some(papers) = self.papers.get(&name) {
            agent.carry(papers);
        }
        self.known.insert(name, agent);
        superseded
    }

    /// Something came over a link. `None` when the link does not count any more.
    pub(crate) fn heard(&mut self, id: LinkId, now: Instant) -> Option<AgentName> {
        let name = self.links.get(&id)?.clone();
        if let Some(link) = self.link_mut(&name) {
            link.heard_at = now;
        }
        Some(name)
    }

    /// An agent says how its link is.
    pub(crate) fn pulse(&mut self, id: LinkId, pulse: Pulse) {
        if let Some(name) = self.links.get(&id).cloned()
            && let Some(link) = self.link_mut(&name)
        {
            link.pulse = pulse;
        }
    }

    /// A link has ended. `None` when it did not count any more.
    pub(crate) fn disconnected(&mut self, id: LinkId, wall: Timestamp) -> Option<AgentName> {
        let name = self.links.remove(&id)?;
        if let Some(agent) = self.known.get_mut(&name) {
            agent.link = None;
            agent.last_seen = Some(wall);
        }
        Some(name)
    }

    /// An agent does not take part any more. The link to cut, if it had one.
    pub(crate) fn remove(&mut self, name: &AgentName) -> Option<LinkId> {
        self.papers.remove(name);
        let link = self.known.remove(name)?.link?;
        self.links.remove(&link.id);
        Some(link.id)
    }

    /// The links from which nothing came for too long.
    pub(crate) fn silent(&self, now: Instant) -> Vec<LinkId> {
        self.connected_agents()
            .filter(|(_, link)| now.saturating_duration_since(link.heard_at) >= HEARTBEAT_TIMEOUT)
            .map(|(_, link)| link.id)
            .collect()
    }

    /// One agent.
    pub(crate) fn get(&self, name: &AgentName) -> Option<&Agent> {
        self.known.get(name)
    }

    /// The link that counts for an agent.
    pub(crate) fn link_of(&self, name: &AgentName) -> Option<LinkId> {
        Some(self.known.get(name)?.link.as_ref()?.id)
    }

    /// Every known agent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AgentName, &Agent)> {
        self.known.iter()
    }

    /// When each that is connected was last heard of.
    pub(crate) fn heard_of(&self, now: Instant, wall: Timestamp) -> Vec<(AgentName, Timestamp)> {
        let ago = |link: &Link| SignedDuration::try_from(now.saturating_duration_since(link.heard_at));
        self.connected_agents()
            .filter_map(|(name, link)| Some((name.clone(), wall.checked_sub(ago(link).ok()?).ok()?)))
            .collect()
    }

    /// The names of those that are connected.
    pub(crate) fn connected_names(&self) -> impl Iterator<Item = &AgentName> {
        self.connected_agents().map(|(name, _)| name)
    }

    fn connected_agents(&self) -> impl Iterator<Item = (&AgentName, &Link)> {
        self.known
            .iter()
            .filter_map(|(name, agent)| Some((name, agent.link.as_ref()?)))
    }

    fn change_papers(&mut self, name: AgentName, change: impl FnOnce(&mut Papers)) {
        let papers = self.papers.entry(name.clone()).or_default();
        change(papers);
        if let Some(agent) = self.known.get_mut(&name) {
            agent.carry(papers);
        }
    }

    fn link_mut(&mut self, name: &AgentName) -> Option<&mut Link> {
        self.known.get_mut(name)?.link.as_mut()
    }
}

impl Agent {
    /// An agent that is known from the store.
    pub(crate) const fn remembered(introduction: Introduction, last_seen: Option<Timestamp>) -> Self {
        Self {
            introduction,
            pinned: Labels::new(),
            certificate_ends: None,
            rejected: None,
            fought_at: None,
            last_seen,
            link: None,
        }
    }

    fn carry(&mut self, papers: &Papers) {
        self.pinned.clone_from(&papers.pinned);
        self.certificate_ends = papers.certificate_ends;
    }

    /// Its labels: those it says, and over them those that others gave it.
    pub(crate) fn labels(&self) -> Labels {
        let mut labels = self.introduction.labels.clone();
        labels.extend(self.pinned.clone());
        labels
    }

    fn state(&self, now: Timestamp) -> AgentState {
        let is_recent = |at| now.duration_since(at) < CONFLICT;
        match &self.link {
            Some(_) if self.fought_at.is_some_and(is_recent) => AgentState::Conflict,
            Some(_) => AgentState::Connected,
            None if self.certificate_ends.is_some_and(|ends| ends <= now) => AgentState::Expired,
            None => AgentState::Lost,
        }
    }

    /// Where its link comes from; nowhere in the same process.
    pub(crate) fn source(&self) -> Option<Source> {
        let peer: SocketAddr = self.link.as_ref()?.peer.parse().ok()?;
        Some(Source::of(peer.ip()))
    }

    /// Round trip of its link, as far as it was measured.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.link.as_ref()?.pulse.rtt_us?))
    }

    /// Its line of `ctl agents`; a connected one was last seen `now`.
    pub(crate) fn summary(&self, name: &AgentName, now: Timestamp) -> AgentSummary {
        let link = self.link.as_ref();
        let pulse = link.map(|link| link.pulse).unwrap_or_default();
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds of a round trip or an offset"
        )]
        AgentSummary {
            name: name.clone(),
            labels: self.labels(),
            connected: link.is_some(),
            version: self.introduction.version.clone(),
            last_seen: link.map_or(self.last_seen, |_| Some(now)),
            peer: link.map(|link| link.peer.clone()),
            rtt_ms: pulse.rtt_us.map(|us| us as f64 / 1e3),
            clock_offset_ms: pulse.wall_offset_us.map(|us| us as f64 / 1e3),
            probes_in_flight: pulse.probes_in_flight,
            sealing_key: (!self.introduction.sealing_key.is_empty())
                .then(|| hex::encode(&self.introduction.sealing_key)),
            state: self.state(now),
            certificate_ends: self.certificate_ends,
            rejected: self.rejected.clone(),
            spool: pulse.spool,
            schedule: pulse.schedule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentName {
        text.parse().unwrap()
    }

    fn introduction(instance: &str) -> Introduction {
        Introduction {
            instance: instance.into(),
            ..Introduction::default()
        }
    }

    fn wall() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn a_newer_connection_supersedes_the_older() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        let first = agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        assert_eq!(first, None);
        let second = agents.connected(name("fra-1"), LinkId(2), introduction("b"), "p".into(), now);
        assert_eq!(
            second,
            Some(Superseded {
                link: LinkId(1),
                peer: "p".into(),
                same_process: false,
                continues: false,
            })
        );
        assert_eq!(
            agents.heard(LinkId(1), now),
            None,
            "the older one is not heard any more"
        );
        assert_eq!(
            agents.disconnected(LinkId(1), wall()),
            None,
            "nor does its end matter"
        );
        assert_eq!(agents.link_of(&name("fra-1")), Some(LinkId(2)));
    }

    #[test]
    fn a_link_without_a_sign_of_life_is_silent() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        agents.connected(name("ams-1"), LinkId(2), introduction("b"), "p".into(), now);
        let later = now + HEARTBEAT_TIMEOUT;
        agents.heard(LinkId(2), later);
        assert_eq!(agents.silent(later), [LinkId(1)]);
    }

    #[test]
    fn a_connected_agent_was_heard_of_when_something_came_from_it() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        agents.connected(name("ams-1"), LinkId(2), introduction("b"), "p".into(), now);
        agents.heard(LinkId(1), now + Duration::from_secs(50));
        agents.disconnected(LinkId(2), wall());
        let heard = agents.heard_of(
            now + Duration::from_secs(60),
            wall() + SignedDuration::from_secs(100),
        );
        assert_eq!(heard, [(name("fra-1"), wall() + SignedDuration::from_secs(90))]);
    }

    #[test]
    fn an_agent_that_went_away_is_still_known() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        assert_eq!(agents.disconnected(LinkId(1), wall()), Some(name("fra-1")));
        let summary = agents
            .get(&name("fra-1"))
            .unwrap()
            .summary(&name("fra-1"), wall());
        assert!(!summary.connected);
        assert_eq!(summary.last_seen, Some(wall()));
    }

    #[test]
    fn an_agent_does_not_talk_itself_out_of_a_label_that_is_pinned() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        let labels = |text: &str| Labels::from([("region".to_owned(), text.to_owned())]);
        let says = |instance| Introduction {
            labels: labels("us"),
            ..introduction(instance)
        };
        agents.pinned(name("fra-1"), labels("eu"));
        agents.connected(name("fra-1"), LinkId(1), says("a"), "p".into(), now);
        assert_eq!(agents.get(&name("fra-1")).unwrap().labels(), labels("eu"));
        agents.connected(name("fra-1"), LinkId(2), says("b"), "p".into(), now);
        assert_eq!(agents.get(&name("fra-1")).unwrap().labels(), labels("eu"));
        agents.pinned(name("fra-1"), Labels::new());
        assert_eq!(agents.get(&name("fra-1")).unwrap().labels(), labels("us"));
    }

    #[test]
    fn an_agent_is_shown_as_what_keeps_it_from_working() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        let later = wall() + SignedDuration::from_hours(1);
        let state = |agents: &Agents, at| {
            let agent = agents.get(&name("fra-1")).unwrap();
            agent.summary(&name("fra-1"), at).state
        };
        agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        agents.certified(name("fra-1"), later);
        assert_eq!(state(&agents, wall()), AgentState::Connected);
        agents.turned_away(&name("fra-1"), "q".into(), "taken".into(), wall());
        assert_eq!(
            state(&agents, wall()),
            AgentState::Connected,
            "who was refused took nothing from it"
        );
        agents.fought(&name("fra-1"), "q".into(), "another process".into(), wall());
        assert_eq!(state(&agents, wall()), AgentState::Conflict);
        assert_eq!(state(&agents, wall() + CONFLICT), AgentState::Connected);
        agents.disconnected(LinkId(1), wall());
        assert_eq!(state(&agents, wall()), AgentState::Lost);
        assert_eq!(state(&agents, later), AgentState::Expired);
    }

    #[test]
    fn a_removed_agent_is_forgotten_and_its_link_is_to_be_cut() {
        let (mut agents, now) = (Agents::default(), Instant::now());
        agents.connected(name("fra-1"), LinkId(1), introduction("a"), "p".into(), now);
        assert_eq!(agents.remove(&name("fra-1")), Some(LinkId(1)));
        assert_eq!(agents.iter().count(), 0);
        assert_eq!(agents.heard(LinkId(1), now), None);
    }
}
