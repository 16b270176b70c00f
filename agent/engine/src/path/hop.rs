//! What came from one distance, as it is told.

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::path::{Hop, HopReply};

use crate::path::{Answer, IcmpAnswer};

/// What came from one distance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The best answer: any outweighs silence.
    pub(super) answer: Answer,
    /// How often it was asked.
    pub(super) times: u8,
    /// When it was asked first.
    pub(super) first: Duration,
}

impl Asked {
    /// Of the first packet to a distance, before anything came back.
    pub(super) const fn at(first: Duration) -> Self {
        Self {
            answer: Answer::Silence,
            times: 0,
            first,
        }
    }

    /// Takes what came of one packet.
    pub(super) fn note(&mut self, answer: Answer) {
        self.times += 1;
        if self.answer == Answer::Silence {
            self.answer = answer;
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.answer == Answer::Silence
    }

    /// The router that said that the packet's time to live was over.
    pub(super) fn router(&self) -> Option<IpAddr> {
        match &self.answer {
            Answer::Icmp(icmp) if icmp.is_time_exceeded() => Some(icmp.error.from),
            _ => None,
        }
    }

    /// The hop at this distance of a path to `target`.
    pub(super) fn hop(&self, ttl: u8, target: IpAddr) -> Hop {
        let hop = Hop {
            ttl,
            addresses: Vec::new(),
            rtt: self.answer.rtt(),
            reply: self.answer.reply(),
            reply_ttl: None,
            asked: (self.times > 1).then_some(self.times.into()),
            mss: None,
            mtu: None,
        };
        match &self.answer {
            Answer::Silence | Answer::NotSent(_) | Answer::Expired { .. } => hop,
            Answer::SynAck { .. } | Answer::Reset { .. } | Answer::Answered { .. } => Hop {
                addresses: vec![target],
                ..hop
            },
            Answer::Icmp(icmp) => Hop {
                addresses: vec![icmp.error.from],
                reply_ttl: icmp.reply_ttl,
                mss: icmp.mss,
                mtu: icmp.mtu,
                ..hop
            },
        }
    }
}

impl Answer {
    /// The answer as it is told.
    pub fn reply(&self) -> HopReply {
        match self {
            Self::Silence => HopReply::None,
            Self::NotSent(errno) => HopReply::NotSent(errno.clone()),
            Self::SynAck { .. } => HopReply::SynAck,
            Self::Reset { .. } => HopReply::Rst,
            Self::Answered { .. } => HopReply::Answered,
            Self::Expired { .. } => HopReply::TimeExceeded,
            Self::Icmp(icmp) if icmp.is_time_exceeded() => HopReply::TimeExceeded,
            Self::Icmp(icmp) if icmp.is_too_big() => HopReply::PacketTooBig,
            Self::Icmp(icmp) => HopReply::Unreachable(icmp.error.name.clone()),
        }
    }

    /// How long it took, where something came.
    pub const fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Icmp(IcmpAnswer { rtt, .. })
            | Self::SynAck { rtt }
            | Self::Reset { rtt }
            | Self::Expired { rtt }
            | Self::Answered { rtt } => Some(*rtt),
            Self::Silence | Self::NotSent(_) => None,
        }
    }

    /// Whether the target itself answered. An error in the target's name that says that the time to live was over
    /// does not count: somebody in front of the target wrote it.
    pub(super) fn is_of(&self, target: IpAddr) -> bool {
        match self {
            Self::SynAck { .. } | Self::Reset { .. } | Self::Answered { .. } => true,
            Self::Icmp(icmp) => icmp.error.from == target.to_canonical() && !icmp.is_time_exceeded(),
            Self::Expired { .. } | Self::Silence | Self::NotSent(_) => false,
        }
    }
}
