//! The talk of one stage: what its exchange wants, turned into actions, and what comes, turned into its replies.

use std::time::Duration;

use parallax_model::signal::Signal;

use super::wait::{Awaited, Wait};
use super::{Session, State};
use crate::action::Action;
use crate::exchange::{Lost, Turn};
use crate::imap::{Frame, Outgoing};
use crate::wire::Heard;

impl Session {
    /// Reads what has come, and waits on for the rest of the time that the wait had.
    pub(super) fn listen(&mut self, wait: Wait) {
        let what = match wait.what {
            Awaited::Rest => Awaited::Rest,
            _ => Awaited::Bytes,
        };
        self.state = State::Waiting(wait.for_another(what));
        self.follow(Turn::Listen);
    }

    /// Does what the exchange wants, as far as that needs nobody else.
    pub(super) fn follow(&mut self, mut turn: Turn) {
        loop {
            turn = match turn {
                Turn::Listen => match self.wire.next_frame() {
                    Ok(Some(frame)) => self.hear(&frame),
                    Ok(None) => return self.await_bytes(),
                    Err(limit) => return self.break_off(Lost::TooMuch(limit)),
                },
                Turn::Ask(command) => {
                    let budget = self.config.budgets.of_command(command.name());
                    let part = self.wire.ask(command);
                    self.wait(Awaited::Sent, budget);
                    return self.send(part);
                }
                Turn::Say(part) => return self.send(part),
                Turn::Handshake => {
                    let wait = self.wait(Awaited::Handshake, self.config.budgets.tls);
                    return self.ready.push_back(Action::Handshake {
                        server_name: self.config.reference.to_string(),
                        hello: self.config.hello.clone(),
                        connection: self.connection,
                        until: wait.until,
                    });
                }
                Turn::Hello(part) => {
                    self.wait(Awaited::Sent, self.config.budgets.tls);
                    return self.send(part);
                }
                Turn::Nudge(part) => {
                    self.wait(Awaited::Sent, self.config.budgets.nudge);
                    return self.send(part);
                }
                Turn::Rest(time) => {
                    self.wait(Awaited::Rest, time);
                    Turn::Listen
                }
                Turn::Tell(signal, then) => {
                    self.wire
                        .note(&format!("to the other session: {}", words_of(&signal)));
                    self.wire.partner.tell(&signal);
                    self.ready.push_back(Action::Tell(signal));
                    *then
                }
                Turn::AskLogin => {
                    let wait = self.wait(Awaited::Login, Duration::MAX);
                    return self.ready.push_back(Action::AskLogin { until: wait.until });
                }
                Turn::End(outcome) => return self.end_stage(outcome),
            };
        }
    }

    fn hear(&mut self, frame: &Frame) -> Turn {
        let heard = self.wire.tell_apart(frame);
        if matches!(heard, Heard::Plus)
            && let Some(part) = self.wire.more()
        {
            return Turn::Say(part);
        }
        match &mut self.exchange {
            Some(exchange) => exchange.hear(heard, &mut self.wire),
            None => Turn::Listen,
        }
    }

    /// Sends within the time of the wait that runs. A rest waits for no answer: what ends it, DONE, has a time of its
    /// own.
    fn send(&mut self, part: Outgoing) {
        self.wire.sent(&part);
        let wait = match self.state {
            State::Waiting(wait) if wait.what == Awaited::Rest => {
                self.wait(Awaited::Sent, self.config.budgets.done)
            }
            State::Waiting(wait) => wait.for_another(Awaited::Sent),
            State::Between | State::Over => self.wait(Awaited::Sent, self.config.budgets.command),
        };
        self.state = State::Waiting(wait);
        self.ready.push_back(Action::Send {
            bytes: part,
            until: wait.until,
        });
    }

    fn await_bytes(&mut self) {
        let awaits_bye = self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.awaits_bye());
        if let Some(reply) = self.wire.bye.clone().filter(|_| !awaits_bye) {
            return self.break_off(Lost::Bye(reply));
        }
        let early = self
            .exchange
            .as_mut()
            .and_then(|exchange| exchange.unfinished(&self.wire));
        if let Some(outcome) = early {
            self.wire.end();
            return self.end_stage(outcome);
        }
        let drip = self.config.budgets.drip;
        if self.wire.drips(drip) {
            return self.break_off(Lost::Drip(drip));
        }
        let wait = match self.state {
            State::Waiting(wait) => wait,
            State::Between | State::Over => self.wait(Awaited::Bytes, self.config.budgets.greeting),
        };
        if self.now >= wait.until {
            return self.late(wait);
        }
        self.ready.push_back(Action::Receive { until: wait.until });
    }
}

/// A word between two sessions, for the transcript.
pub(super) fn words_of(signal: &Signal) -> String {
    let words = [signal.kind.as_str(), &signal.subject, &signal.detail];
    let said: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    said.join(" ")
}
