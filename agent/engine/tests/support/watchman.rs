//! Looks over a session's shoulder: whatever the server says, what is sent touches nothing but the probe's own.
//!
//! It reads the commands as any server would, and knows of the server's words only what the rules need: which
//! mailboxes were made, which messages carried the mark of the mailbox they are in, which mailboxes are empty.

use std::collections::BTreeSet;

use parallax_engine::imap::{Framer, Limits};

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    Write,
    /// It only looks on.
    Watch,
}

#[derive(Debug)]
pub(crate) struct Watchman {
    may: May,
    /// Seconds since 1970, when the probe began.
    now: i64,
    framer: Framer,
    broken: bool,
    input: Vec<u8>,
    /// The size of a literal that is to follow.
    literal: Option<usize>,
    pending: Option<(String, String)>,
    created: BTreeSet<String>,
    listed: BTreeSet<String>,
    empty: BTreeSet<String>,
    selected: String,
    /// The messages of the selected mailbox that were shown with its mark.
    marked: BTreeSet<String>,
    idles: bool,
}

impl Watchman {
    pub(crate) fn new(may: May, now: i64) -> Self {
        Self {
            may,
            now,
            framer: Framer::new(Limits::default()),
            broken: false,
            input: Vec::new(),
            literal: None,
            pending: None,
            created: BTreeSet::new(),
            listed: BTreeSet::new(),
            empty: BTreeSet::new(),
            selected: String::new(),
            marked: BTreeSet::new(),
            idles: false,
        }
    }

    /// What the session sends, checked.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(line) = self.next_line() {
            if line == "DONE" {
                assert!(std::mem::take(&mut self.idles), "DONE without IDLE");
            } else if let Some((tag, command)) = line.split_once(' ') {
                self.check(command);
                self.framer.begin_command(u32::MAX);
                self.pending = Some((tag.to_owned(), command.to_owned()));
            } else {
                // An answer to a challenge, or its end.
                assert!(!line.contains('"'), "{line} is no command");
            }
        }
    }

    /// What the session gets.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        self.framer.push(bytes);
        loop {
            match self.framer.next_frame() {
                Ok(Some(frame)) => self.learn(&String::from_utf8_lossy(frame.bytes())),
                Ok(None) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn learn(&mut self, frame: &str) {
        if let Some((tag, command)) = &self.pending
            && let Some(answer) = frame.strip_prefix(&format!("{tag} "))
        {
            let ok = answer.to_ascii_uppercase().starts_with("OK");
            if ok && command.starts_with("CREATE ") {
                self.created.extend(quoted(command).map(str::to_owned));
            }
            self.pending = None;
            // A message that is refused beforehand does not follow.
            self.literal.take_if(|_| self.input.is_empty());
            return;
        }
        let upper = frame.to_ascii_uppercase();
        if upper.starts_with("* LIST ") {
            self.listed.extend(names(frame));
        } else if upper.starts_with("* STATUS ") && upper.contains("MESSAGES 0") {
            self.empty.extend(names(frame));
        } else if upper.contains("FETCH")
            && upper.contains(&format!(
                "X-PARALLAX-PROBE: {}.",
                mark(&self.selected).to_ascii_uppercase()
            ))
        {
            let words = upper.split(|c: char| !c.is_ascii_alphanumeric());
            let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            let uids = words.windows(2).filter(|pair| pair[0] == "UID");
            self.marked.extend(uids.map(|pair| pair[1].to_owned()));
        }
    }

    fn check(&mut self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let name = quoted(command).unwrap_or_default().to_owned();
        let writes = |verb: &str| assert_eq!(self.may, May::Write, "{verb} of a session that watches");
        match words[0] {
            "CAPABILITY" | "AUTHENTICATE" | "LOGIN" | "ID" | "ENABLE" | "NAMESPACE" | "LIST"
            | "GETQUOTAROOT" | "NOOP" | "UNSELECT" | "LOGOUT" | "STATUS" => {}
            "IDLE" => self.idles = true,
            "EXAMINE" => {
                let watched = self.may == May::Watch && made(&name).is_some();
                assert!(name == "INBOX" || watched, "{command}");
                self.open(name);
            }
            "SELECT" => {
                writes("SELECT");
                assert!(self.is_ours(&name), "{command} of {:?}", self.created);
                self.empty.remove(&name);
                self.open(name);
            }
            "CREATE" => {
                writes("CREATE");
                assert!(made(&name).is_some_and(|made| made >= self.now), "{command}");
            }
            "DELETE" => {
                writes("DELETE");
                assert!(self.is_ours(&name), "{command} of {:?}", self.created);
                assert!(
                    self.empty.contains(&name),
                    "{command} of a mailbox that is not empty"
                );
                assert_ne!(name, self.selected, "{command} of a mailbox that is open");
            }
            "APPEND" => {
                writes("APPEND");
                assert!(self.created.contains(&name), "{command} of {:?}", self.created);
            }
            "UID" => self.check_messages(&words, command, &name),
            other => panic!("{other} is no command of a probe"),
        }
        if words[0] == "UNSELECT" {
            self.open(String::new());
        }
    }

    fn check_messages(&self, words: &[&str], command: &str, target: &str) {
        let ours = words[2].split(',').all(|uid| self.marked.contains(uid));
        match words[1] {
            // Looked at, and not marked as read by that.
            "FETCH" => assert!(!command.contains("BODY["), "{command} marks as read"),
            "STORE" | "EXPUNGE" | "COPY" | "MOVE" => {
                assert_eq!(self.may, May::Write, "{command} of a session that watches");
                assert!(ours, "{command}: only {:?} are ours", self.marked);
                assert!(self.is_ours(&self.selected), "{command} in {}", self.selected);
            }
            other => panic!("UID {other} is no command of a probe"),
        }
        if matches!(words[1], "COPY" | "MOVE") {
            assert!(self.created.contains(target), "{command} of {:?}", self.created);
        }
    }

    /// Made by this session, with the server's consent; or left by a probe of another day.
    fn is_ours(&self, name: &str) -> bool {
        let old = made(name).is_some_and(|made| self.now - made >= 24 * 60 * 60);
        self.created.contains(name) || (old && self.listed.contains(name))
    }

    fn open(&mut self, name: String) {
        self.selected = name;
        self.marked.clear();
    }

    /// The next line, literals left out.
    fn next_line(&mut self) -> Option<String> {
        if let Some(size) = self.literal {
            if self.input.len() < size + 2 {
                return None;
            }
            self.input.drain(..size + 2);
            self.literal = None;
        }
        let end = self.input.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
        self.input.drain(..end + 2);
        let size = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        self.literal = size.map(|(_, size)| size.trim_end_matches('+').parse().unwrap());
        Some(line)
    }
}

fn quoted(command: &str) -> Option<&str> {
    command.split('"').nth(1)
}

/// Words that may be names of probes' mailboxes.
fn names(frame: &str) -> impl Iterator<Item = String> {
    let words = frame.split(|c: char| c.is_whitespace() || c == '"');
    words
        .filter(|word| made(word).is_some())
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// When a probe's mailbox was made, by its name.
fn made(name: &str) -> Option<i64> {
    let name = name.strip_prefix("parallax-probe-")?;
    let (made, random) = name.strip_suffix("-b").unwrap_or(name).split_once('-')?;
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (random.len() == 8 && hex(random) && hex(made)).then_some(())?;
    i64::from_str_radix(made, 16).ok()
}

fn mark(mailbox: &str) -> &str {
    mailbox.strip_suffix("-b").unwrap_or(mailbox)
}
