//! Mailboxes in memory, and their messages as a server tells them.

use std::collections::BTreeSet;

#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) uid: u64,
    pub(crate) flags: BTreeSet<String>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Mailbox {
    pub(crate) messages: Vec<Message>,
    next: u64,
}

impl Mailbox {
    pub(crate) fn store(&mut self, bytes: &[u8], flags: &[&str]) -> u64 {
        self.next += 1;
        self.messages.push(Message {
            uid: self.next,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            bytes: bytes.to_vec(),
        });
        self.next
    }
}

pub(crate) fn view(mailbox: &Mailbox) -> Vec<(u64, BTreeSet<String>)> {
    let messages = mailbox.messages.iter();
    messages
        .map(|message| (message.uid, message.flags.clone()))
        .collect()
}

pub(crate) fn listed(flags: &BTreeSet<String>) -> String {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.join(" ")
}

pub(crate) fn fetched(message: &Message, items: &str) -> String {
    let text = String::from_utf8(message.bytes.clone()).unwrap();
    let uid = message.uid;
    if items.contains("HEADER.FIELDS") {
        let head = text.split("\r\n\r\n").next().unwrap();
        let own: Vec<&str> = head
            .split("\r\n")
            .filter(|line| line.starts_with("X-Parallax-Probe:"))
            .collect();
        let header = format!("{}\r\n\r\n", own.join("\r\n"));
        format!(
            "UID {uid} BODY[HEADER.FIELDS (X-PARALLAX-PROBE)] {{{}}}\r\n{header}",
            header.len()
        )
    } else if items.contains("BODY.PEEK") {
        format!("UID {uid} BODY[]<0> {{{}}}\r\n{text}", text.len())
    } else {
        format!("UID {uid} FLAGS ({})", listed(&message.flags))
    }
}
