//! A watch's body as lines, without keeping more than the line under way.

use crate::call::Failed;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use std::fmt::Display;

/// An object is at most 1.5 MB in etcd; what is longer than this is not an event.
const LONGEST: usize = 8 * 1024 * 1024;

/// Lines of a body that may never end.
pub(super) struct Lines<B = Body> {
    body: B,
    held: BytesMut,
    /// How far `held` has been searched.
    searched: usize,
}

impl<B> Lines<B>
where
    B: BodyExt<Data = Bytes> + Unpin,
    B::Error: Display,
{
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            held: BytesMut::new(),
            searched: 0,
        }
    }

    /// The next line; none at the body's end, where half a line is dropped: its event comes again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        loop {
            let fresh = self.held.get(self.searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|b| *b == b'\n') {
                let line = self.held.split_to(self.searched + at).freeze();
                self.held.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.held.len();
            if self.searched > LONGEST {
                return Err(Failed::Unreadable(format!("an event of more than {LONGEST} bytes")));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(Failed::Silent(e.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_the_body_is_cut_and_half_a_line_is_dropped() {
        let chunks = ["{\"a\":", "1}\n{\"b\"", ":2}\n{\"c\":3}\n", "{\"d\""];
        let stream =
            futures::stream::iter(chunks.map(|c| Ok::<_, std::io::Error>(hyper::body::Frame::data(Bytes::from(c)))));
        let mut lines = Lines::new(http_body_util::StreamBody::new(stream));
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(line);
        }
        assert_eq!(read, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    }
}
