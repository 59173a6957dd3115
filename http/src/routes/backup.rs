//! `/api/v1/admin/backup`: everything that is stored, as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use hyper::body::Frame;
use relampago_engine::BackupFailed;
use tokio::sync::mpsc::Receiver;

use crate::answer;
use crate::error::{Kind, Problem};
use crate::extract::Call;

const STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// When to ask again while another backup is taken.
const LATER: Duration = Duration::from_secs(30);

/// Streams a backup of the running shop, consistent at one position of its journal. `relampago backup` keeps it,
/// `relampago restore` makes a data folder of it. It holds the shop's secret and the wrapped keys of personal data,
/// not the key ring. A stream that ends before its last frame is not whole.
#[utoipa::path(
    get, path = "/api/v1/admin/backup", tag = "security",
    responses(
        (status = 200, description = "The frames.", body = String, content_type = "application/octet-stream"),
        (status = 503, description = "`overloaded`"),
    ),
)]
pub(crate) async fn take(call: Call) -> Result<Response, Problem> {
    let mut frames = call.engine().backup();
    let first = match frames.recv().await {
        Some(Ok(first)) => first,
        Some(Err(BackupFailed::Busy)) => {
            return Err(Problem::new(Kind::OVERLOADED, "Another backup is under way.").retry_after(LATER));
        }
        Some(Err(error)) => return Err(Problem::internal(&error)),
        None => return Err(Problem::internal(&"the backup ended before it began")),
    };
    let mut response = Response::new(Body::new(Frames { first: Some(first), frames }));
    response.headers_mut().insert(CONTENT_TYPE, STREAM);
    Ok(answer::private(response))
}

/// The frames of a backup as a body. An error ends the connection, so that nobody takes a part for the whole.
struct Frames {
    first: Option<Vec<u8>>,
    frames: Receiver<Result<Vec<u8>, BackupFailed>>,
}

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = BackupFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BackupFailed>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        self.frames.poll_recv(cx).map(|next| {
            let next = next?;
            if let Err(error) = &next {
                tracing::error!(%error, "a backup failed");
            }
            Some(next.map(|frame| Frame::data(frame.into())))
        })
    }
}
