//! OTLP's JSON, where opentelemetry-proto and protobuf disagree: on `null`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Protobuf's JSON lets `null` stand for any field that is not there. opentelemetry-proto refuses
/// most of them, so they are taken out, on a second try, because few senders write any.
pub(crate) fn from_slice<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let refused = match serde_json::from_slice(body) {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    if memchr::memmem::find(body, b"null").is_none() {
        return Err(refused);
    }
    let mut value: Value = serde_json::from_slice(body)?;
    remove_nulls(&mut value);
    serde_json::from_value(value)
}

/// Writes a message without the fields that are not there.
pub(crate) fn to_vec(message: &impl Serialize) -> Vec<u8> {
    // These messages are numbers and texts, which JSON can always carry.
    let mut value = serde_json::to_value(message).unwrap_or_default();
    remove_nulls(&mut value);
    serde_json::to_vec(&value).unwrap_or_default()
}

/// As deep as serde_json reads, which is 128 levels.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}
