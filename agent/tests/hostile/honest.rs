//! What an honest server says.

use parallax_model::target::Security;

use crate::arena::{HOST, fight};
use crate::attack::{Attack, Expected};
use crate::peer::Command;

pub(crate) fn greeting(security: Security) -> String {
    format!("* OK [CAPABILITY {}] {HOST} ready\r\n", capabilities(security))
}

pub(crate) fn answer(command: &Command, security: Security) -> String {
    let data = match command.verb.as_str() {
        "CAPABILITY" => format!("* CAPABILITY {}\r\n", capabilities(security)),
        "ID" => "* ID (\"name\" \"lab\")\r\n".to_owned(),
        "NAMESPACE" => "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n".to_owned(),
        "LIST" => "* LIST (\\HasNoChildren) \"/\" INBOX\r\n".to_owned(),
        "STATUS" => "* STATUS INBOX (MESSAGES 1 UIDNEXT 18 UIDVALIDITY 7)\r\n".to_owned(),
        "EXAMINE" => "* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS ()] none\r\n* 1 EXISTS\r\n* 0 RECENT\r\n\
                      * OK [UIDVALIDITY 7] valid\r\n* OK [UIDNEXT 18] next\r\n"
            .to_owned(),
        "FETCH" => "* 1 FETCH (UID 17 FLAGS () INTERNALDATE \"01-Jun-2026 00:00:00 +0000\" RFC822.SIZE 512 \
                    BODY[HEADER.FIELDS (MESSAGE-ID DATE)]<0> {13}\r\nDate: now\r\n\r\n)\r\n"
            .to_owned(),
        "LOGOUT" => "* BYE until later\r\n".to_owned(),
        _ => String::new(),
    };
    let code = if command.verb == "EXAMINE" {
        "[READ-ONLY] "
    } else {
        ""
    };
    format!("{data}{} OK {code}done\r\n", command.tag)
}

fn capabilities(security: Security) -> &'static str {
    match security {
        Security::Starttls => {
            "IMAP4rev1 STARTTLS ID NAMESPACE LITERAL+ SASL-IR COMPRESS=DEFLATE LOGINDISABLED"
        }
        Security::Tls | Security::Plaintext => {
            "IMAP4rev1 ID NAMESPACE LITERAL+ SASL-IR COMPRESS=DEFLATE AUTH=PLAIN"
        }
    }
}

#[test]
fn an_honest_server_is_not_taken_for_a_hostile_one() {
    let honest = |name: &str| {
        Attack::new(name, Expected::Well, |mut peer| async move {
            let logout = peer.behave_until("LOGOUT").await?;
            peer.answer(&logout).await
        })
    };
    fight(vec![
        honest("in clear"),
        honest("over TLS").over(Security::Tls),
        honest("with STARTTLS").over(Security::Starttls),
        honest("down to the mailbox").in_the_mailbox(),
    ]);
}
