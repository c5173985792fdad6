//! Step 8: what to answer to a message.

use serde_json::{Value, json};

use crate::message::Message;

/// Answers JSON with the result of the search that it asks for, and other content with its first
/// 10 bytes.
pub(crate) fn answer(request: &Message) -> Message {
    if request.kind != "text/json" {
        let mut content = b"First 10 bytes of request: ".to_vec();
        content.extend(request.content.iter().take(10));
        return Message::binary("binary/custom-server-binary-type", content);
    }
    match answer_json(request) {
        Ok(result) => Message::json(&json!({ "result": result })),
        Err(error) => refusal(&error),
    }
}

/// An answer that says what is wrong.
pub(crate) fn refusal(error: &str) -> Message {
    Message::json(&json!({ "result": format!("Error: {error}") }))
}

fn answer_json(request: &Message) -> Result<String, String> {
    if request.encoding != "utf-8" {
        return Err(format!("the encoding '{}' is not supported", request.encoding));
    }
    let request: Value = serde_json::from_slice(&request.content)
        .map_err(|error| format!("the content is not JSON: {error}"))?;
    match (request["action"].as_str(), request["value"].as_str()) {
        (Some("search"), Some(value)) => Ok(search(value)),
        (Some("search"), None) => Err("the search has no text 'value'".into()),
        (action, _) => Err(format!("invalid action '{}'.", action.unwrap_or("None"))),
    }
}

fn search(value: &str) -> String {
    match value {
        "morpheus" => "Follow the white rabbit. 🐰".into(),
        "ring" => "In the caves beneath the Misty Mountains. 💍".into(),
        "🐶" => "🐾 Playing ball! 🏐".into(),
        _ => format!("No match for '{value}'."),
    }
}
