//! The page that lists what a server may say and what Parallax makes of it, written from the very tables that decide.

use std::fmt::Write as _;
use std::path::Path;

use parallax_model::fault::{AuthFault, MailboxFault};

use super::refusal::{login_code, mailbox_code, stored_code};
use crate::imap::ResponseCode;
use crate::imap::vendor_text::{Place, VendorText};

/// Set, it has the page written anew.
const RENEW: &str = "PARALLAX_RENEW_PAGES";

#[test]
fn the_page_of_codes_and_texts_says_what_the_tables_say() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/README.md");
    let due = page_text();
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&page, &due).unwrap_or_else(|error| panic!("write {}: {error}", page.display()));
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        there == due,
        "{} is stale: run this test with {RENEW}=1",
        page.display()
    );
}

fn page_text() -> String {
    let (explained, data): (Vec<_>, Vec<_>) = ResponseCode::KNOWN
        .iter()
        .partition(|code| code.meaning().is_some());
    let mut page = format!(
        "# What a server says, and what it is taken for\n\n\
         {} response codes and {} texts of servers. A code decides before a text does; ALERT decides nothing, since \
         it only\nsays that the text is for people. The cause and the next step stand beside the server's words in the \
         run document\n(`reply.cause`, `reply.next_step`, `reply.source`) and in `ctl probe -o wide`.\n\n\
         This page is written by a test of the engine from the tables that decide, and the test fails when it is \
         stale:\n`{RENEW}=1 cargo test -p parallax-engine --lib page_of_codes`. New texts go into `vendor_texts.toml`.\n\n\
         ## Response codes\n\n\
         The faults are those that a refusal with the code becomes: of a login, of a command on a mailbox, of an \
         APPEND.\n\n\
         | code | defined in | fault | points to | cause | next step |\n|---|---|---|---|---|---|\n",
        ResponseCode::KNOWN.len(),
        VendorText::all().len(),
    );
    for code in explained {
        explain(code, &mut page);
    }
    let names: Vec<String> = data
        .iter()
        .map(|code| format!("`{code}` ({})", code.registered_in()))
        .collect();
    let _ = write!(
        page,
        "\nCodes that only carry data, and are read as evidence: {}.\n\
         \nA code that is not known is kept by its name and decides nothing.\n\
         \n## Texts\n\n\
         A text counts where no known code decides. All words of the second column stand in it, in any case; the first \
         entry\nthat fits is taken.\n\n\
         | server | words | said to | fault | points to | cause | next step | source |\n|---|---|---|---|---|---|---|---|\n",
        names.join(", ")
    );
    for text in VendorText::all() {
        tell(text, &mut page);
    }
    page
}

fn explain(code: &ResponseCode, page: &mut String) {
    let Some(meaning) = code.meaning() else { return };
    let faults = [
        login_code(code).map(|fault| format!("`auth.{}`", fault.as_str())),
        mailbox_code(code).map(|fault| format!("`mailbox.{}`", fault.as_str())),
        stored_code(code).map(|fault| format!("APPEND: `mailbox.{}`", fault.as_str())),
    ];
    let _ = writeln!(
        page,
        "| `{code}` | {} | {} | {} | {} | {} |",
        code.registered_in(),
        faults.into_iter().flatten().collect::<Vec<_>>().join(", "),
        meaning.points_to.as_str(),
        cell(meaning.cause),
        cell(meaning.next_step),
    );
}

fn tell(text: &VendorText, page: &mut String) {
    let words: Vec<String> = text
        .says
        .iter()
        .map(|words| format!("`{}`", cell(words)))
        .collect();
    let login = text.fault.as_deref().and_then(AuthFault::known);
    let mailbox = text.mailbox_fault.as_deref().and_then(MailboxFault::known);
    let faults = [
        login.map(|fault| format!("`auth.{}`", fault.as_str())),
        mailbox.map(|fault| format!("`mailbox.{}`", fault.as_str())),
    ];
    let place = match text.at {
        Place::Login => "a login",
        Place::Mailbox => "a command on a mailbox",
        Place::Any => "anything",
    };
    let _ = writeln!(
        page,
        "| {} | {} | {place} | {} | {} | {} | {} | {} |",
        text.vendor,
        words.join(", "),
        faults.into_iter().flatten().collect::<Vec<_>>().join(", "),
        text.points_to().map_or("", |points_to| points_to.as_str()),
        cell(&text.cause),
        cell(&text.next_step),
        cell(&text.source),
    );
}

/// What would end a cell of a table, or begin a link.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
