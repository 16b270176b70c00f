//! A mail server in memory, for two sessions: as small as the commands of a probe need it, and as wrong as a test
//! wants it.

mod mailbox;
mod quirks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) use mailbox::Mailbox;
use mailbox::{Message, fetched, listed, view};
pub(crate) use quirks::{News, Quirks};

/// What a session gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    Close,
}

/// One session at the server.
#[derive(Debug, Default)]
struct Connection {
    input: Vec<u8>,
    selected: Option<String>,
    view: Vec<(u64, BTreeSet<String>)>,
    idle: Option<String>,
    frozen: Option<Mailbox>,
    commands: usize,
}

#[derive(Debug)]
pub(crate) struct MailServer {
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
    pub(crate) capabilities: String,
    pub(crate) news: News,
    pub(crate) quirks: [Quirks; 2],
    /// What somebody else put beside the probe's messages, each by mailbox and number.
    strangers: Vec<(String, u64)>,
    connections: [Connection; 2],
    out: Vec<(usize, Duration, Reply)>,
    said: String,
}

const STRANGER: &[u8] = b"Subject: mine\r\n\r\nX-Parallax-Probe: I quote it\r\n";

pub(crate) const CAPABILITIES: &str =
    "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ UIDPLUS NAMESPACE IDLE MOVE UNSELECT";

impl MailServer {
    pub(crate) fn new(news: News) -> Self {
        Self {
            mailboxes: BTreeMap::from([("INBOX".to_owned(), Mailbox::default())]),
            capabilities: CAPABILITIES.to_owned(),
            news,
            quirks: [Quirks::default(), Quirks::default()],
            strangers: Vec::new(),
            connections: [Connection::default(), Connection::default()],
            out: Vec::new(),
            said: String::new(),
        }
    }

    /// What is said to a session that connects.
    pub(crate) fn greeting(&self) -> Vec<u8> {
        format!("* OK [CAPABILITY {}] ready\r\n", self.capabilities).into_bytes()
    }

    /// Takes bytes of a session; what comes of it goes to either one, each after a time.
    pub(crate) fn receive(&mut self, session: usize, bytes: &[u8]) -> Vec<(usize, Duration, Reply)> {
        self.connections[session].input.extend_from_slice(bytes);
        while let Some((line, literal)) = self.next_command(session) {
            self.carry_out(session, &line, &literal);
            if !self.said.is_empty() {
                let said = std::mem::take(&mut self.said).into_bytes();
                self.out.push((session, Duration::ZERO, Reply::Bytes(said)));
            }
            self.push_news();
        }
        std::mem::take(&mut self.out)
    }

    /// Somebody else stores a message in every mailbox, and marks it for removal: a plain EXPUNGE would remove it.
    pub(crate) fn stranger(&mut self) {
        for (name, mailbox) in &mut self.mailboxes {
            let uid = mailbox.store(STRANGER, &["\\Deleted"]);
            self.strangers.push((name.clone(), uid));
        }
    }

    /// Whether everything of somebody else is where it was and as it was, and nowhere else.
    pub(crate) fn strangers_are_untouched(&self) -> bool {
        let as_it_was = |(name, uid): &(String, u64)| {
            let messages = self.mailboxes.get(name).map(|mailbox| &mailbox.messages);
            let message = messages.and_then(|messages| messages.iter().find(|one| one.uid == *uid));
            message.is_some_and(|one| one.bytes == STRANGER && one.flags.iter().eq(["\\Deleted"]))
        };
        let all = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        let count = all.filter(|message| message.bytes == STRANGER).count();
        self.strangers.iter().all(as_it_was) && count == self.strangers.len()
    }

    /// The next line with its literal, once both are there.
    fn next_command(&mut self, session: usize) -> Option<(String, Vec<u8>)> {
        let input = &mut self.connections[session].input;
        let end = input.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8(input[..end].to_vec()).unwrap();
        let size = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        let size = size.map_or("", |(_, size)| size);
        let waits = !size.is_empty() && !size.ends_with('+');
        let size: usize = size.trim_end_matches('+').parse().unwrap_or(0);
        let whole = end + 2 + if size > 0 { size + 2 } else { 0 };
        if input.len() < whole {
            if waits && input.len() == end + 2 {
                let leave = Reply::Bytes(b"+ go ahead\r\n".to_vec());
                self.out.push((session, Duration::ZERO, leave));
            }
            return None;
        }
        let literal = input[end + 2..end + 2 + size].to_vec();
        input.drain(..whole);
        Some((line, literal))
    }

    fn say(&mut self, line: &str) {
        self.said.push_str(line);
        self.said.push_str("\r\n");
    }

    fn carry_out(&mut self, session: usize, line: &str, literal: &[u8]) {
        if line == "DONE" {
            let tag = self.connections[session].idle.take();
            if let Some(tag) = tag
                && !self.quirks[session].dies_idle
            {
                self.say(&format!("{tag} OK done"));
            }
            return;
        }
        // What is no command answers, or ends, a challenge that was not this server's.
        let Some((tag, command)) = line.split_once(' ') else {
            return;
        };
        let (tag, command) = (tag.to_owned(), command.to_owned());
        let quirks = self.quirks[session].clone();
        let number = self.connections[session].commands;
        self.connections[session].commands += 1;
        if quirks.cut == Some(number) {
            self.out.push((session, Duration::ZERO, Reply::Close));
            return;
        }
        let planned = quirks.answers.iter().find(|(head, _)| command.starts_with(head));
        if let Some((_, answer)) = planned {
            return self.say(&format!("{tag} {answer}"));
        }
        if quirks.refuse == Some(number) {
            return self.say(&format!("{tag} NO [CANNOT] not this time"));
        }
        let done = self.answer(session, &tag, &command, literal);
        if let Some(done) = done {
            self.say(&format!("{tag} {done}"));
        }
    }

    fn answer(&mut self, session: usize, tag: &str, command: &str, literal: &[u8]) -> Option<String> {
        let quoted: Vec<String> = command.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        let words: Vec<&str> = command.split(' ').collect();
        let ok = || Some("OK done".to_owned());
        match words[0] {
            "CAPABILITY" => self.say(&format!("* CAPABILITY {}", self.capabilities)),
            "AUTHENTICATE" => {
                self.connections[session].commands = 0;
                return Some(format!("OK [CAPABILITY {}] in", self.capabilities));
            }
            "NAMESPACE" => self.say("* NAMESPACE ((\"\" \"/\")) NIL NIL"),
            "LIST" => self.list(quoted.last().unwrap()),
            "STATUS" => {
                let Some(mailbox) = self.mailboxes.get(&quoted[0]) else {
                    return Some("NO [NONEXISTENT] none".to_owned());
                };
                let messages = mailbox.messages.len();
                self.say(&format!("* STATUS \"{}\" (MESSAGES {messages})", quoted[0]));
            }
            "SELECT" | "EXAMINE" => return Some(self.open(session, words[0], &quoted[0])),
            "CREATE" => {
                self.mailboxes.insert(quoted[0].clone(), Mailbox::default());
            }
            "DELETE" => {
                if self.mailboxes.remove(&quoted[0]).is_none() {
                    return Some("NO [NONEXISTENT] none".to_owned());
                }
            }
            "APPEND" => return Some(self.append(session, &quoted[0], literal)),
            "UNSELECT" => self.connections[session].selected = None,
            "IDLE" => {
                self.connections[session].idle = Some(tag.to_owned());
                self.say("+ idling");
                return None;
            }
            "NOOP" => match self.news {
                News::Pushed(_) | News::Asked => self.tell_news(session),
                News::OpenedAnew | News::Never => {}
            },
            "UID" => return Some(self.by_uid(session, &words, quoted.first())),
            "LOGOUT" => self.say("* BYE bye"),
            other => panic!("no command of a probe: {other}"),
        }
        ok()
    }

    fn list(&mut self, pattern: &str) {
        let stem = pattern.trim_end_matches(['*', '%']);
        let names: Vec<String> = self.mailboxes.keys().cloned().collect();
        for name in names.iter().filter(|name| name.starts_with(stem)) {
            self.say(&format!("* LIST () \"/\" \"{name}\""));
        }
    }

    fn open(&mut self, session: usize, command: &str, name: &str) -> String {
        let Some(mailbox) = self.mailboxes.get(name).cloned() else {
            return "NO [NONEXISTENT] none".to_owned();
        };
        let stale = self.news == News::Never && command == "EXAMINE";
        let connection = &mut self.connections[session];
        let mailbox = match &connection.frozen {
            Some(frozen) if stale => frozen.clone(),
            _ => mailbox,
        };
        connection.frozen.get_or_insert_with(|| mailbox.clone());
        connection.selected = Some(name.to_owned());
        connection.view = view(&mailbox);
        self.say(&format!("* {} EXISTS", mailbox.messages.len()));
        self.say("* OK [PERMANENTFLAGS (\\Seen \\Flagged \\Deleted \\*)] kept");
        self.say("* OK [UIDVALIDITY 7] valid");
        format!(
            "OK [{}] open",
            if command == "SELECT" {
                "READ-WRITE"
            } else {
                "READ-ONLY"
            }
        )
    }

    fn append(&mut self, session: usize, name: &str, literal: &[u8]) -> String {
        let mut bytes = literal.to_vec();
        if self.quirks[session].rewrites {
            bytes = [b"X-Scanned: yes\r\n".as_slice(), literal].concat();
        }
        let Some(mailbox) = self.mailboxes.get_mut(name) else {
            return "NO [TRYCREATE] none".to_owned();
        };
        let uid = mailbox.store(&bytes, &["\\Seen"]);
        if !self.quirks[session].blind {
            self.tell_news(session);
        }
        let quirks = &self.quirks[session];
        if quirks.no_numbers {
            return "OK stored".to_owned();
        }
        let validity = if quirks.other_validity { 8 } else { 7 };
        let said = uid.saturating_add_signed(quirks.misnumbers);
        format!("OK [APPENDUID {validity} {said}] stored")
    }

    fn by_uid(&mut self, session: usize, words: &[&str], target: Option<&String>) -> String {
        let Some(name) = self.connections[session].selected.clone() else {
            return "BAD no mailbox is open".to_owned();
        };
        let uids: Vec<u64> = words[2].split(',').filter_map(|uid| uid.parse().ok()).collect();
        let all = words[2] == "1:*";
        let Some(mailbox) = self.mailboxes.get(&name).cloned() else {
            return "NO [NONEXISTENT] it was removed".to_owned();
        };
        let blind = self.quirks[session].blind;
        let known: Vec<u64> = self.connections[session]
            .view
            .iter()
            .map(|(uid, _)| *uid)
            .collect();
        let there = |uid: u64| !blind || known.contains(&uid);
        let newest = mailbox
            .messages
            .iter()
            .map(|one| one.uid)
            .rfind(|uid| there(*uid));
        let chosen = |message: &Message| {
            let named = uids.contains(&message.uid) || words[2] == "*" && Some(message.uid) == newest;
            there(message.uid) && (all || named)
        };
        match words[1] {
            "FETCH" => {
                let stale = self.news == News::Never && session == 1;
                let shown = self.connections[session].frozen.clone().filter(|_| stale);
                let shown = shown.unwrap_or(mailbox);
                for (at, message) in shown.messages.iter().enumerate().filter(|(_, one)| chosen(one)) {
                    let item = fetched(message, &words[3..].join(" "));
                    self.say(&format!("* {} FETCH ({item})", at + 1));
                }
            }
            "STORE" => {
                let flags = words[4..].join(" ");
                for message in &mut self.mailboxes.get_mut(&name).unwrap().messages {
                    if uids.contains(&message.uid) {
                        message
                            .flags
                            .extend(flags.trim_matches(['(', ')']).split(' ').map(str::to_owned));
                    }
                }
                self.tell_news(session);
            }
            "EXPUNGE" => {
                let messages = &mut self.mailboxes.get_mut(&name).unwrap().messages;
                messages
                    .retain(|message| !(uids.contains(&message.uid) && message.flags.contains("\\Deleted")));
                self.tell_news(session);
            }
            verb => {
                let Some(target) = target.and_then(|target| self.mailboxes.get_mut(target)) else {
                    return "NO [TRYCREATE] none".to_owned();
                };
                for message in mailbox.messages.iter().filter(|message| chosen(message)) {
                    target.store(&message.bytes, &[]);
                }
                if verb == "MOVE" {
                    let messages = &mut self.mailboxes.get_mut(&name).unwrap().messages;
                    messages.retain(|message| !uids.contains(&message.uid));
                    self.tell_news(session);
                }
                return format!("OK [COPYUID 7 {} 1] done", words[2]);
            }
        }
        "OK done".to_owned()
    }

    /// Tells a session, in its own answer, what it does not know.
    fn tell_news(&mut self, session: usize) {
        let news = self.news_for(session);
        self.said.push_str(&news);
    }

    /// Tells whoever idles.
    fn push_news(&mut self) {
        let News::Pushed(after) = self.news else {
            return;
        };
        for session in 0..2 {
            if self.connections[session].idle.is_some() {
                let news = self.news_for(session);
                if !news.is_empty() {
                    self.out.push((session, after, Reply::Bytes(news.into_bytes())));
                }
            }
        }
    }

    fn news_for(&mut self, session: usize) -> String {
        let connection = &mut self.connections[session];
        let Some(mailbox) = connection
            .selected
            .as_ref()
            .and_then(|name| self.mailboxes.get(name))
        else {
            return String::new();
        };
        let mut news = String::new();
        let now = view(mailbox);
        for at in (0..connection.view.len()).rev() {
            if !now.iter().any(|(uid, _)| *uid == connection.view[at].0) {
                connection.view.remove(at);
                news.push_str(&format!("* {} EXPUNGE\r\n", at + 1));
            }
        }
        for (at, (uid, flags)) in now.iter().enumerate() {
            match connection.view.get(at) {
                Some((_, known)) if known == flags => {}
                Some(_) => news.push_str(&format!(
                    "* {} FETCH (UID {uid} FLAGS ({}))\r\n",
                    at + 1,
                    listed(flags)
                )),
                None => news.push_str(&format!("* {} EXISTS\r\n", at + 1)),
            }
        }
        connection.view = now;
        news
    }
}
