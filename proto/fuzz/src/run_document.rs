//! The run document, as scripts keep it and `ctl` reads it again.

use parallax_model::run::RunDocument;
use parallax_model::text::escape_json;
use parallax_proto::v1;

/// What can be read can be written, and what was written is read as the same, escaped for a terminal or not, or sent
/// over the wire and back.
pub fn run(data: &[u8]) {
    let Ok(document) = serde_json::from_slice::<RunDocument>(data) else {
        return;
    };
    let written = write(&document);
    for text in [&written, &escape_json(&written)] {
        match serde_json::from_str::<RunDocument>(text) {
            Ok(again) => assert_eq!(write(&again), written),
            Err(error) => panic!("{error}: {text}"),
        }
    }
    if let Ok(carried) = RunDocument::try_from(v1::Run::from(&document)) {
        let again = RunDocument::try_from(v1::Run::from(&carried));
        assert_eq!(again.as_ref(), Ok(&carried));
    }
}

/// The document as JSON.
pub(super) fn write(document: &RunDocument) -> String {
    match serde_json::to_string(document) {
        Ok(written) => written,
        Err(error) => panic!("a document that was read can not be written: {error}"),
    }
}
