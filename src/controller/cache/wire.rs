//! The API server's lists and watches as they come over the wire, one object at a time.
//!
//! The client's own typed lists deserialise a page as a whole, so that one object whose metadata no type can hold takes all others
//! with it, and log the whole page when that fails. Here a page is cut into its items while it arrives: no more than one item is
//! ever held, none is looked into, and what cannot be read is found out one by one.

use std::{fmt::Write as _, time::Duration};

use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::{Client, client::Body, core::Status};
use serde::Deserialize;
use tokio::time::timeout;

use crate::controller::failure::{api_message, api_status};

/// The media type of lists that carry metadata alone.
pub(super) const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// The media type of whole objects.
pub(super) const WHOLE: &str = "application/json";

/// Bytes of an error's text that are read; the rest says nothing more.
const ERROR_BYTES: usize = 64 * 1024;
/// The longest wait that an API server may ask for; what is longer is a mistake of somebody in between.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(2);

/// Why a list or watch did not go as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The API server refused.
    #[error("{}", api_status(.status))]
    Refused {
        /// Its words.
        status: Box<Status>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The request or its answer was lost.
    #[error("{}", api_message(.0))]
    Lost(#[source] kube::Error),
    /// Nothing came for so many seconds.
    #[error("no answer within {0} s")]
    Silent(u64),
    /// A watch ended before its time.
    #[error("the watch was cut short")]
    Cut,
    /// The cluster still serves the kind, but its definition is being deleted.
    #[error("the definition of the kind is being deleted")]
    Removed,
    /// What came is not what it ought to be.
    #[error("the API server's answer cannot be read: {0}")]
    Garbled(String),
}

impl WireError {
    /// The code of a refusal.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            _ => None,
        }
    }

    /// True when the cluster does not serve what was asked for.
    pub(super) fn is_not_served(&self) -> bool {
        matches!(self, Self::Removed) || self.code() == Some(404)
    }

    /// True when the API server would not go on, or said what cannot be read: not when it is busy, away, or asks who is there.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status.code, 401 | 403 | 404 | 429 | 503),
            Self::Garbled(_) => true,
            Self::Lost(_) | Self::Silent(_) | Self::Cut | Self::Removed => false,
        }
    }

    /// When the API server wants to be asked again, if it says so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A body of which nothing has been read yet.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// How long the next piece may take.
    patience: Duration,
}

/// Sends a GET and waits for the head of a good answer.
pub(super) async fn get(client: &Client, uri: &str, accept: &str, patience: Duration) -> Result<Answer, WireError> {
    let request = Request::get(uri)
        .header(header::ACCEPT, accept)
        .body(Body::empty())
        .map_err(|error| WireError::Garbled(error.to_string()))?;
    let silent = || WireError::Silent(patience.as_secs());
    let response = timeout(patience, client.send(request)).await.map_err(|_| silent())?;
    let (head, body) = response.map_err(WireError::Lost)?.into_parts();
    let mut answer = Answer { body, patience };
    if head.status.is_success() {
        return Ok(answer);
    }
    let mut text = Vec::new();
    while text.len() < ERROR_BYTES {
        match answer.next().await {
            Ok(Some(piece)) => text.extend_from_slice(&piece),
            // The code alone says enough.
            Ok(None) | Err(_) => break,
        }
    }
    Err(refusal(head.status, &head.headers, &text))
}

/// A refusal, whether a Status or, as a proxy sends it, any text.
fn refusal(code: StatusCode, headers: &HeaderMap, text: &[u8]) -> WireError {
    let said = serde_json::from_slice::<Status>(text).ok();
    let said = said.filter(|status| !status.message.is_empty());
    let mut status = said.unwrap_or_else(|| {
        let text: String = String::from_utf8_lossy(text).trim().chars().take(200).collect();
        Status::failure(&text, code.canonical_reason().unwrap_or_default())
    });
    status.code = code.as_u16();
    let seconds = headers.get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let details = status
        .details
        .as_ref()
        .map(|details| u64::from(details.retry_after_seconds));
    let retry_after = seconds.or(details.filter(|seconds| *seconds > 0));
    WireError::Refused {
        status: status.boxed(),
        retry_after: retry_after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER)),
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>>, WireError> {
        loop {
            match timeout(self.patience, self.body.frame()).await {
                Err(_) => return Err(WireError::Silent(self.patience.as_secs())),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(WireError::Lost(error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole text: only of an answer that is known to be small.
    pub(super) async fn text(mut self) -> Result<Vec<u8>, WireError> {
        let mut text = Vec::new();
        while let Some(piece) = self.next().await? {
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// Reads a page of a list and hands out the JSON of each item.
    pub(super) async fn list(mut self, mut each: impl FnMut(&[u8])) -> Result<PageEnd, WireError> {
        let mut page = Page::default();
        while let Some(piece) = self.next().await? {
            page.read(&piece, &mut each);
        }
        page.end()
    }

    /// The lines of a watch.
    pub(super) fn lines(self) -> Lines {
        Lines {
            answer: self,
            buffer: Vec::new(),
            searched: 0,
        }
    }
}

/// What a page says of itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageEnd {
    /// The version of the list.
    pub(super) resource_version: String,
    /// Where the next page begins; empty on the last one.
    #[serde(rename = "continue")]
    pub(super) next: String,
}

/// Where in a page's top level the reader is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// Before a key, or in it.
    #[default]
    Key,
    /// In the value of `items`.
    Items,
    /// In the value of `metadata`.
    Metadata,
    /// In another value.
    Other,
}

/// Cuts a list `{"items": [...], "metadata": {...}, ...}` into its items as its bytes arrive. It looks for the ends of strings,
/// objects and arrays only, so that depth does not matter to it.
#[derive(Debug, Default)]
struct Page {
    depth: usize,
    in_string: bool,
    escaped: bool,
    place: Place,
    key: Vec<u8>,
    item: Vec<u8>,
    metadata: Vec<u8>,
    done: bool,
}

impl Page {
    /// Depth of the items: the list itself and the array are around them.
    const ITEM: usize = 2;

    fn read(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        for byte in bytes {
            self.byte(*byte, each);
        }
    }

    fn byte(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) {
        let before = self.depth;
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            if self.place == Place::Key && self.in_string {
                self.key.push(byte);
            }
        } else {
            match byte {
                b'"' => {
                    self.in_string = true;
                    if self.place == Place::Key {
                        self.key.clear();
                    }
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b':' if self.depth == 1 && self.place == Place::Key => {
                    self.place = match self.key.as_slice() {
                        b"items" => Place::Items,
                        b"metadata" => Place::Metadata,
                        _ => Place::Other,
                    };
                    return;
                }
                b',' if self.depth == 1 => self.place = Place::Key,
                _ => {}
            }
        }
        match self.place {
            Place::Items if before > Self::ITEM || self.depth > Self::ITEM => {
                self.item.push(byte);
                if before > Self::ITEM && self.depth == Self::ITEM {
                    each(&self.item);
                    self.item.clear();
                }
            }
            Place::Metadata if before > 1 || self.depth > 1 => self.metadata.push(byte),
            _ => {}
        }
        self.done |= before == 1 && self.depth == 0;
    }

    fn end(self) -> Result<PageEnd, WireError> {
        if !self.done {
            return Err(WireError::Garbled("a list that ends before its end".into()));
        }
        serde_json::from_slice(&self.metadata).map_err(|error| WireError::Garbled(error.to_string()))
    }
}

/// The lines of a watch.
#[derive(Debug)]
pub(super) struct Lines {
    answer: Answer,
    buffer: Vec<u8>,
    /// So many bytes of the buffer hold no end of a line.
    searched: usize,
}

impl Lines {
    /// The next line, within the patience of the answer; `None` at the end. May be dropped and called anew.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            match self.answer.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                // A line that was cut off says nothing.
                None => return Ok(None),
            }
        }
    }
}

/// A line of a watch, its object unread.
#[derive(Debug)]
pub(super) struct WatchLine<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub(super) what: &'a str,
    /// The JSON of the object, or for an error of its Status.
    pub(super) object: &'a [u8],
}

impl<'a> WatchLine<'a> {
    /// Reads a line.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, WireError> {
        let fields = fields(line);
        let field = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| *key == name.as_bytes())
                .map(|(_, value)| *value)
        };
        let what = field("type").and_then(|what| std::str::from_utf8(what).ok());
        match what.zip(field("object")) {
            Some((what, object)) => Ok(Self {
                what: what.trim_matches('"'),
                object,
            }),
            None => Err(WireError::Garbled("a line of a watch without type or object".into())),
        }
    }
}

/// The error that a line of a watch tells of.
pub(super) fn watch_error(object: &[u8]) -> WireError {
    match serde_json::from_slice::<Status>(object) {
        Ok(status) => WireError::Refused {
            retry_after: None,
            status: status.boxed(),
        },
        Err(error) => WireError::Garbled(error.to_string()),
    }
}

/// The fields of a JSON object with the JSON of their values, unread: depth does not matter. Keys with escapes are left as they stand,
/// for none that is asked for has any. What is not an object has none.
pub(super) fn fields(json: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut out = Vec::new();
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    // Where the current string, key and value begin.
    let (mut string, mut key, mut value) = (0, None, None);
    for (at, byte) in json.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 1 && key.is_none() {
                        key = json.get(string + 1..at);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                string = at;
            }
            b':' if depth == 1 && value.is_none() => value = Some(at + 1),
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' => {
                if depth == 1
                    && let (Some(name), Some(from)) = (key.take(), value.take())
                {
                    out.push((name, json.get(from..at).unwrap_or_default().trim_ascii()));
                }
                if *byte != b',' {
                    depth = depth.saturating_sub(1);
                }
            }
            _ => {}
        }
    }
    out
}

/// The path of the objects of a kind, with these parameters. Names and selectors of ours need no escapes but those of `=` and `,`;
/// tokens of the API server may hold anything.
pub(super) fn uri(namespace: Option<&str>, plural: &str, parameters: &[(&str, &str)]) -> String {
    let base = format!("/apis/{}/", crate::api::v1alpha1::API_VERSION);
    let mut uri = match namespace {
        Some(namespace) => format!("{base}namespaces/{namespace}/{plural}"),
        None => format!("{base}{plural}"),
    };
    for (at, (name, value)) in parameters.iter().enumerate() {
        uri.push(if at == 0 { '?' } else { '&' });
        uri.push_str(name);
        uri.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn cut(text: &str, piece: usize) -> (Vec<String>, Result<PageEnd, WireError>) {
        let (mut page, mut items) = (Page::default(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            page.read(piece, &mut |item| items.push(String::from_utf8(item.to_vec()).unwrap()));
        }
        (items, page.end())
    }

    #[test]
    fn a_page_is_cut_into_its_items_whatever_the_pieces_and_the_order_of_its_fields() {
        let items = [
            r#"{"metadata":{"name":"a","labels":{"items":"[{]}"}},"spec":{"x":[[{"q":"\"}]\\"}]]}}"#,
            "{}",
            r#"{"a": "é, {", "metadata": {"continue": "no"}}"#,
        ];
        let head = r#""kind":"List","apiVersion":"v1""#;
        let meta = r#""metadata" : {"resourceVersion":"17","continue":"a\"b","selfLink":""}"#;
        let list = format!(r#""items": [ {} ]"#, items.join(" ,\n"));
        for parts in [[head, meta, &list], [&list, head, meta], [meta, &list, head]] {
            let text = format!("{{{}}}\n", parts.join(", "));
            for piece in [1, 2, 3, 7, 10_000] {
                let (found, end) = cut(&text, piece);
                assert_eq!(found, items, "{text} in pieces of {piece}");
                let end = end.unwrap();
                assert_eq!((end.resource_version.as_str(), end.next.as_str()), ("17", "a\"b"));
            }
        }
    }

    #[test]
    fn an_empty_list_and_depth_beyond_every_parser_are_no_trouble() {
        for none in ["[]", "null"] {
            let (found, end) = cut(&format!(r#"{{"items":{none},"metadata":{{}}}}"#), 5);
            assert!(found.is_empty());
            assert_eq!(end.unwrap(), PageEnd::default());
        }
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(9_000), "]".repeat(9_000));
        let (found, end) = cut(&format!(r#"{{"items":[{deep},{{}}],"metadata":{{}}}}"#), 4096);
        assert_eq!(found, [deep, "{}".into()]);
        assert!(end.is_ok());
    }

    #[test]
    fn a_page_that_was_cut_off_is_none() {
        let text = r#"{"items":[{},{}],"metadata":{"resourceVersion":"17"}}"#;
        for end in 0..text.len() {
            assert!(cut(&text[..end], 4).1.is_err(), "{}", &text[..end]);
        }
    }

    fn client(code: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Client {
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut answer = axum::http::Response::builder().status(code);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            let answer = answer.body(Body::from(body.as_bytes().to_vec())).unwrap();
            async move { Ok::<_, Infallible>(answer) }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn a_refusal_says_when_to_come_back() {
        let plain = client(
            429,
            &[("retry-after", "10")],
            "Too many requests, please try again later.\n",
        );
        let error = get(&plain, "/x", WHOLE, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retry_after()),
            (Some(429), Some(Duration::from_secs(10)))
        );
        assert_eq!(error.to_string(), "Too many requests, please try again later.");
        let said = client(
            503,
            &[],
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"soon","reason":"ServiceUnavailable","details":{"retryAfterSeconds":3},"code":503}"#,
        );
        let error = get(&said, "/x", WHOLE, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retry_after()),
            (Some(503), Some(Duration::from_secs(3)))
        );
        let endless = client(429, &[("retry-after", "999999999999")], "");
        let error = get(&endless, "/x", WHOLE, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(LONGEST_RETRY_AFTER));
    }

    #[tokio::test]
    async fn a_watch_is_read_line_by_line_and_its_objects_are_left_alone() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let text = format!(
            "{{\"type\":\"ADDED\",\"object\":{{\"a\":{deep}}}}}\n\n{{\"type\":\"BOOKMARK\",\"object\":{{}}}}\n{{\"type\":\"DEL"
        );
        let watch = client(200, &[], text.leak());
        let answer = get(&watch, "/x", WHOLE, Duration::from_secs(5)).await.unwrap();
        let mut lines = answer.lines();
        let first = lines.next().await.unwrap().unwrap();
        let line = WatchLine::read(&first).unwrap();
        assert_eq!(line.what, "ADDED");
        assert_eq!(line.object, format!("{{\"a\":{deep}}}").as_bytes());
        let second = lines.next().await.unwrap().unwrap();
        assert_eq!(WatchLine::read(&second).unwrap().what, "BOOKMARK");
        assert!(lines.next().await.unwrap().is_none());
    }

    #[test]
    fn the_fields_of_an_object_are_found_without_reading_their_values() {
        let json = r#" { "a" : {"b":[1,{"c":"}"}]} , "d\"":"e,\"" ,"f":[ ],"g":-1.5e3,"h":null} "#;
        let found: Vec<(&str, &str)> = fields(json.as_bytes())
            .into_iter()
            .map(|(key, value)| (std::str::from_utf8(key).unwrap(), std::str::from_utf8(value).unwrap()))
            .collect();
        let expected = [
            ("a", r#"{"b":[1,{"c":"}"}]}"#),
            ("d\\\"", r#""e,\"""#),
            ("f", "[ ]"),
            ("g", "-1.5e3"),
            ("h", "null"),
        ];
        assert_eq!(found, expected);
        for none in ["", "{}", "[]", "[1,2]", "\"a\"", "{\"a\"", "{\"a\":"] {
            assert!(fields(none.as_bytes()).is_empty(), "{none}");
        }
    }

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(
            uri(Some("meadow"), "subnets", &[("limit", "5"), ("continue", "a+/b==")]),
            "/apis/elb-doctor.dev/v1alpha1/namespaces/meadow/subnets?limit=5&continue=a%2B%2Fb%3D%3D"
        );
        assert_eq!(uri(None, "subnets", &[]), "/apis/elb-doctor.dev/v1alpha1/subnets");
    }
}
