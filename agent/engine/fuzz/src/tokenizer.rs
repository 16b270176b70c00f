//! Lines of data, through every reader there is.

use parallax_engine::imap::append::AppendUid;
use parallax_engine::imap::listing::Listed;
use parallax_engine::imap::mailbox_name;
use parallax_engine::imap::namespace::Namespaces;
use parallax_engine::imap::parse::{RAW, Reading, mailbox_data};
use parallax_engine::imap::quota::Quota;
use parallax_engine::imap::select::Selected;
use parallax_engine::imap::status::MailboxStatus;
use parallax_engine::imap::sync::Contents;
use parallax_engine::imap::token::{self, Value, Values};
use parallax_engine::imap::{Capabilities, Code, DataLine, Frame, Framer, Limits, Reply, server_id};

/// The readers agree on what is too much, and what they make of a line is no larger than it.
pub fn run(data: &[u8]) {
    let _ = mailbox_name::decodes(data);
    if let Ok(read) = token::values_of(data) {
        bounded(&read, data.len());
    }
    let mut framer = Framer::new(Limits::default());
    framer.push(b"* OK hi\r\n* ");
    framer.push(data);
    framer.push(b"\r\n");
    while let Ok(Some(frame)) = framer.next_frame() {
        if let Ok(read) = token::values(&frame, 0) {
            bounded(&read, frame.bytes().len());
        }
        match Reply::of(&frame) {
            Reply::Data(line) => data_line(&frame, &line),
            Reply::Status(line) | Reply::Tagged { line, .. } => line.code.iter().for_each(arguments),
            Reply::Continuation(_) | Reply::Other => {}
        }
    }
}

fn data_line(frame: &Frame, line: &DataLine<'_>) {
    let bytes = frame.bytes().len();
    match mailbox_data(frame, line) {
        Some(Reading::Unparsed(raw)) => assert!(raw.len() <= RAW && frame.bytes().starts_with(&raw)),
        Some(Reading::Parsed(data) | Reading::Tolerated(data)) => Selected::default().take_data(&data),
        None => {}
    }
    if let Some(listed) = Listed::from_data(frame, line) {
        assert!(listed.name.len() <= bytes && listed.roles().count() <= 8);
        let _ = mailbox_name::decodes(&listed.name);
    }
    if let Some(contents) = Contents::from_data(frame, line) {
        assert!(contents.bytes.is_none_or(|body| body.len() <= bytes));
    }
    if let Some(quota) = Quota::from_data(frame, line) {
        assert!(quota.root.len() <= bytes && quota.resources.len() <= 16);
    }
    let _ = Namespaces::from_data(frame, line);
    let _ = server_id::from_data(frame, line);
    let _ = MailboxStatus::from_data(frame, line);
    let _ = Capabilities::from_data(frame, line);
    let _ = Capabilities::enabled(frame, line);
}

fn arguments(code: &Code<'_>) {
    Selected::default().take_code(code);
    let _ = AppendUid::from_code(code);
}

fn bounded(read: &Values<'_>, bytes: usize) {
    let mut depth = 0;
    let mut level: Vec<&Value<'_>> = read.values.iter().collect();
    let mut text = 0;
    let mut count = 0;
    while !level.is_empty() {
        depth += 1;
        count += level.len();
        text += level
            .iter()
            .filter_map(|value| value.text())
            .map(<[u8]>::len)
            .sum::<usize>();
        level = level.iter().filter_map(|value| value.list()).flatten().collect();
    }
    assert!(depth <= 33, "{depth} levels");
    assert!(count <= token::VALUES, "{count} values");
    assert!(text <= bytes, "{text} bytes of text from {bytes}");
}
