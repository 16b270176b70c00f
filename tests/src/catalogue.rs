//! The catalogue: every fault of the lab with what must be said about it, and what only looks like a fault.

mod far;
mod fresh;
mod rows;
mod unseen;

pub use far::{Case, FAR};
pub use fresh::{FRESH, FRESH_ROWS};
pub use rows::ROWS;
pub use unseen::UNSEEN;

/// A scenario: what is wrong, what is asked, and what must be the answer.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, which is also that of its recording.
    pub id: &'static str,
    /// Where it stands in the table.
    pub group: Group,
    /// The faults, as [`crate::impair::Fault`] reads them.
    pub inject: &'static [&'static str],
    /// What is asked.
    pub ask: Ask,
    /// What must be said; nothing, where nothing is wrong.
    pub says: &'static [Says],
    /// Whether it is so today.
    pub today: Today,
    /// Whether the rules of the diagnosis may not be tuned on it.
    pub held_out: bool,
}

/// What must be said about one fault.
#[derive(Clone, Copy, Debug)]
pub struct Says {
    /// The kinds that are right: more than one where a client can not tell them apart.
    pub kinds: &'static [&'static str],
    /// Whom it concerns.
    pub affected: Affected,
    /// The segments that are right; none where the place can not be known.
    pub segments: &'static [&'static str],
    /// The router that must be named, as the last that forwarded or the first that did not.
    pub hop: Option<Hop>,
}

/// Whom a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Every vantage point.
    Everyone,
    /// This one.
    Only(&'static str),
    /// These, sorted.
    These(&'static [&'static str]),
    /// Any: chance decides.
    Anyone,
}

/// A router of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// That of `edge-ams`.
    Ams,
    /// The router that all paths share.
    Core,
    /// The firewall in front of the mail host.
    SiteFirewall,
    /// Any router of the second lab that has one of these addresses.
    OneOf(&'static [&'static str]),
}

/// Groups of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Firewalls and other filters on the way.
    Filters,
    /// Routes and hosts.
    Routes,
    /// Loss, size, pace.
    Quality,
    /// Limits, bans, balancers.
    Limits,
    /// Somebody in between.
    Tampering,
    /// The server itself.
    Service,
    /// Names.
    Names,
    /// The agent.
    Agents,
    /// Two faults at once.
    Pairs,
    /// Nothing is wrong.
    Healthy,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The usual question: 993, in both families.
    Tls,
    /// 143 with STARTTLS.
    Starttls,
    /// 993 at a name with two addresses per family.
    TwoAddresses,
    /// With a login.
    Login,
    /// With a login, as far as her mailboxes.
    Mailbox,
    /// 143, and whether it takes what came in clear for a command under TLS.
    StarttlsExamined,
    /// A session that is held, quietly.
    Hold,
}

/// Whether kind and scope are right today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Today {
    /// They are.
    Right,
    /// They are not, and why. The catalogue fails when they have become so.
    Wrong(&'static str),
    /// Now and then, and why.
    Sometimes(&'static str),
}

impl Group {
    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filters => "filters",
            Self::Routes => "routes and hosts",
            Self::Quality => "loss, size, pace",
            Self::Limits => "limits and bans",
            Self::Tampering => "tampering",
            Self::Service => "service",
            Self::Names => "names",
            Self::Agents => "agents",
            Self::Pairs => "pairs",
            Self::Healthy => "healthy",
        }
    }
}

impl Row {
    /// One fault.
    const fn new(
        group: Group,
        id: &'static str,
        inject: &'static [&'static str],
        says: &'static [Says],
    ) -> Self {
        Self {
            id,
            group,
            inject,
            ask: Ask::Tls,
            says,
            today: Today::Right,
            held_out: false,
        }
    }

    const fn asked(mut self, ask: Ask) -> Self {
        self.ask = ask;
        self
    }

    const fn held_out(mut self) -> Self {
        self.held_out = true;
        self
    }

    #[allow(dead_code, reason = "no row is known to be wrong today")]
    const fn known_wrong(mut self, why: &'static str) -> Self {
        self.today = Today::Wrong(why);
        self
    }

    const fn wavers(mut self, why: &'static str) -> Self {
        self.today = Today::Sometimes(why);
        self
    }
}

impl Says {
    const fn everyone(kinds: &'static [&'static str]) -> Self {
        Self {
            kinds,
            affected: Affected::Everyone,
            segments: &[],
            hop: None,
        }
    }

    const fn ams(kinds: &'static [&'static str]) -> Self {
        Self {
            affected: Affected::Only("edge-ams"),
            ..Self::everyone(kinds)
        }
    }

    const fn these(kinds: &'static [&'static str], affected: &'static [&'static str]) -> Self {
        Self {
            affected: Affected::These(affected),
            ..Self::everyone(kinds)
        }
    }

    const fn somebody(kinds: &'static [&'static str]) -> Self {
        Self {
            affected: Affected::Anyone,
            ..Self::everyone(kinds)
        }
    }

    const fn within(mut self, segments: &'static [&'static str]) -> Self {
        self.segments = segments;
        self
    }

    const fn near(mut self, hops: &'static [&'static str]) -> Self {
        self.hop = Some(Hop::OneOf(hops));
        self
    }

    const fn at(mut self, hop: Hop) -> Self {
        self.segments = match hop {
            Hop::Ams => &["vantage_edge"],
            Hop::Core => &["transit", "site_edge"],
            Hop::SiteFirewall => &["site_edge"],
            Hop::OneOf(_) => &[],
        };
        self.hop = Some(hop);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::impair::{Fault, Kind};

    #[test]
    fn every_row_has_a_name_of_its_own_and_faults_that_there_are() {
        let mut ids = BTreeSet::new();
        for row in ROWS.iter().chain(FRESH_ROWS) {
            assert!(ids.insert(row.id), "{} twice", row.id);
            for fault in row.inject {
                assert!(fault.parse::<Fault>().is_ok(), "{}: {fault}", row.id);
            }
        }
    }

    #[test]
    fn the_second_labs_rows_have_names_of_their_own_too() {
        let mut ids: BTreeSet<&str> = ROWS.iter().chain(FRESH_ROWS).map(|row| row.id).collect();
        for case in FAR.iter().chain(UNSEEN).chain(FRESH) {
            assert!(ids.insert(case.row.id), "{} twice", case.row.id);
        }
    }

    #[test]
    fn every_kind_of_fault_is_in_the_catalogue() {
        let faults = ROWS.iter().flat_map(|row| row.inject);
        let known: Vec<Kind> = faults
            .filter_map(|fault| fault.parse::<Fault>().ok())
            .map(|fault| fault.kind)
            .collect();
        let missing: Vec<_> = Kind::ALL
            .iter()
            .filter(|kind| !known.contains(kind))
            .map(|kind| kind.name())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
