//! Builds and parses frames without the code under test.

use std::io::Read;

use serde_json::{Value, json};

/// A recorded exchange of the reference implementation: the bytes of a request and of its response.
pub(crate) struct Vector {
    pub(crate) request: Vec<u8>,
    /// `None` if the reference server never responds.
    pub(crate) response: Option<Vec<u8>>,
}

/// The recorded exchanges.
pub(crate) fn vectors() -> Vec<Vector> {
    const VECTORS: &str = include_str!("../../../../message/src/tests/vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let bytes = |hex: &Value| hex.as_str().map(unhex);
    vectors
        .iter()
        .map(|vector| Vector {
            request: bytes(&vector["request_hex"]).unwrap(),
            response: bytes(&vector["response_hex"]),
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A frame with the four required header keys and those of `extra`.
pub(crate) fn frame(content_type: &str, encoding: &str, extra: Value, content: &[u8]) -> Vec<u8> {
    let mut header = json!({
        "byteorder": "little",
        "content-type": content_type,
        "content-encoding": encoding,
        "content-length": content.len(),
    });
    for (key, value) in extra.as_object().unwrap() {
        header[key] = value.clone();
    }
    with_header(header.to_string().as_bytes(), content)
}

/// A frame with this header, valid or not.
pub(crate) fn with_header(header: &[u8], content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap();
    [&len.to_be_bytes(), header, content].concat()
}

/// A frame of JSON content.
pub(crate) fn json_frame(content: &Value) -> Vec<u8> {
    frame("text/json", "utf-8", json!({}), content.to_string().as_bytes())
}

/// A search. An id asks the server to keep the connection alive.
pub(crate) fn search(value: &str, id: Option<u64>) -> Vec<u8> {
    let extra = id.map_or(json!({}), |id| json!({ "id": id, "connection": "keep-alive" }));
    let content = json!({ "action": "search", "value": value }).to_string();
    frame("text/json", "utf-8", extra, content.as_bytes())
}

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: Value,
    pub(crate) content: Vec<u8>,
}

impl Frame {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header["content-type"], "text/json", "{:?}", self.header);
        serde_json::from_slice(&self.content).unwrap()
    }

    /// The code of an error response.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["result"].as_str().unwrap().starts_with("Error: "), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Reads one frame, and nothing after it.
pub(crate) fn read_frame(from: &mut impl Read) -> Frame {
    let mut bytes = vec![0; 2];
    from.read_exact(&mut bytes).unwrap();
    let len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut header = vec![0; len];
    from.read_exact(&mut header).unwrap();
    bytes.extend_from_slice(&header);
    let header: Value = serde_json::from_slice(&header).unwrap();
    let len = usize::try_from(header["content-length"].as_u64().unwrap()).unwrap();
    let mut content = vec![0; len];
    from.read_exact(&mut content).unwrap();
    bytes.extend_from_slice(&content);
    Frame { bytes, header, content }
}

/// Asserts that nothing is left to read.
pub(crate) fn assert_end(from: &mut impl Read) {
    let mut rest = Vec::new();
    from.read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
}
