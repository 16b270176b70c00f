//! Where on the way a hello is treated otherwise than the connection that carries it.

use parallax_model::path::{HopReply, Payload};

use super::answerer::answering;
use super::{Place, trace};
use crate::matrix::{CellId, Matrix};

/// Where a hello is first treated otherwise than a harmless one: the device stands at the hop before.
pub(crate) fn ladder(matrix: &Matrix, id: CellId) -> Option<Place> {
    let tested = trace::carrying(matrix, id, Payload::ClientHello).next()?;
    let harmless = trace::carrying(matrix, id, Payload::ClientHelloControl).next()?;
    let differs = tested.hops.iter().find(|hop| {
        harmless
            .hops
            .iter()
            .any(|other| other.ttl == hop.ttl && other.reply != hop.reply)
    })?;
    let before_it = differs.ttl.checked_sub(1)?;
    let path = trace::of(matrix, id)?;
    // Silence at the target's own distance may be of a flow that died behind the hello.
    let late = trace::answered_at(path).is_some_and(|host| host <= differs.ttl);
    (!late || differs.reply == HopReply::Rst).then(|| answering(matrix, id, path, before_it))
}

/// Where a hello is reset, or is heard last, while the connection it is sent on comes further.
pub(crate) fn hello(matrix: &Matrix, id: CellId) -> Option<Place> {
    let sent = trace::carrying(matrix, id, Payload::ClientHello).find(|path| !path.hops.is_empty())?;
    let opened = trace::of(matrix, id)?;
    let host = trace::answered_at(opened)?;
    let reset = sent.hops.iter().find(|hop| hop.reply == HopReply::Rst);
    let heard = match reset {
        Some(hop) => hop.ttl.checked_sub(1)?,
        None if trace::answered_at(sent).is_none() => trace::last_router(sent)?.0,
        None => return None,
    };
    (heard.saturating_add(1) < host).then(|| answering(matrix, id, opened, heard))
}
