//! An answer that goes on for as long as its caller's certificate lasts, and then ends with the reason.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::http::HeaderMap;
use tonic::Status;
use tonic::body::Body;

use crate::server::Term;

/// The same answer; `status` is its last word if the certificate ends first.
pub(super) fn ending(body: Body, ends: SystemTime, status: Status) -> Body {
    Body::new(Ending {
        body: Some(body),
        term: Term::until(ends),
        status,
    })
}

struct Ending {
    /// None once the last word is said: whatever stands behind it is let go of.
    body: Option<Body>,
    term: Term,
    status: Status,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if !this.term.is_over(context) {
            return Pin::new(body).poll_frame(context);
        }
        this.body = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(match this.status.add_header(&mut trailers) {
            Ok(()) => Ok(Frame::trailers(trailers)),
            Err(status) => Err(status),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
