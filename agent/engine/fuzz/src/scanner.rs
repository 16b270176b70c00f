//! Lines: what they are, their response codes, what their texts are known to mean, and what is shown of them.

use parallax_engine::imap::redact::{Concealed, Redactor};
use parallax_engine::imap::sniff::{Expected, Service, wrong_service};
use parallax_engine::imap::status_line::{TEXT, split_code};
use parallax_engine::imap::vendor_text::VendorText;
use parallax_engine::imap::{Capabilities, Framer, Limits, Reply, StatusLine, backend};
use parallax_model::text::escape_str;

use super::is_plain;

const SECRET: &[u8] = b"hunter2";

/// Lines of one input that are looked at, and bytes of a text that is compared with every text known: more cost time
/// and teach nothing.
const LINES: usize = 8;
const COMPARED: usize = 256;

/// Code and text are parts of the line, evidence is bounded and keeps no secret, and what is shown is plain.
pub fn run(data: &[u8]) {
    assert_ne!(wrong_service(data, Expected::Imap), Some(Service::Imap));
    let tls = [Some(Service::Tls), Some(Service::TlsAlert(0))];
    assert!(!tls.contains(&wrong_service(data, Expected::Tls)));
    let (code, text) = split_code(data);
    assert!(data.ends_with(text));
    if code.is_none() {
        assert_eq!(text, data);
    }
    let mut framer = Framer::new(Limits::default());
    framer.push(b"* OK hi\r\n");
    framer.push(data);
    framer.push(b"\r\n");
    for _ in 0..LINES {
        let Ok(Some(frame)) = framer.next_frame() else {
            break;
        };
        match Reply::of(&frame) {
            Reply::Status(line) => look(&line),
            Reply::Tagged { tag, line } => {
                assert!(frame.bytes().starts_with(tag));
                look(&line);
            }
            Reply::Data(line) => assert!(line.arguments <= frame.bytes().len()),
            Reply::Continuation(_) | Reply::Other => {}
        }
    }
}

fn look(line: &StatusLine<'_>) {
    let mut redactor = Redactor::default();
    redactor.conceal(Concealed::secret(SECRET, "<password>"));
    let evidence = line.evidence(&redactor);
    let secret = String::from_utf8_lossy(SECRET);
    assert!(!evidence.text.contains(&*secret));
    // Four characters for a byte that is no text, and the number of those left out.
    assert!(evidence.text.len() <= 4 * TEXT + 32);
    assert!(is_plain(&escape_str(&evidence.text, usize::MAX)));
    if let Some(code) = &evidence.code {
        // Nine times seven characters, each masked by ten.
        assert!(code.len() <= 64 + 9 * 3 && is_plain(code), "{code:?}");
        assert!(!code.to_ascii_lowercase().contains(&*secret), "{code:?}");
    }
    let explained = [&evidence.cause, &evidence.next_step, &evidence.source];
    assert!(explained.into_iter().flatten().all(|text| is_plain(text)));
    assert!(backend::named(line.text).is_none_or(|name| is_plain(&name) && name.len() <= 253));
    if let Some(code) = &line.code {
        let _ = Capabilities::from_code(code);
    }
    if line.text.len() <= COMPARED {
        classed(line.text);
    }
}

/// The case of letters changes nothing, and a text with a class has a meaning.
fn classed(text: &[u8]) {
    let known = VendorText::of(text);
    assert_eq!(known, VendorText::of(&text.to_ascii_uppercase()));
    let class = VendorText::login_fault(text).is_some() || VendorText::mailbox_fault(text).is_some();
    assert!(known.is_some() || !class);
}
