//! AWS event-stream frames: lengths and headers in binary, JSON inside, a checksum after the prelude and
//! one at the end.

use serde_json::Value;

/// Bytes of a frame besides headers and payload: two lengths and two checksums.
const OVERHEAD: usize = 16;

/// The value type "string" of a header.
const STRING: u8 = 7;

/// An event of type `name`.
#[must_use]
pub fn event(name: &str, payload: &Value) -> Vec<u8> {
    frame("event", name, payload)
}

/// An exception in the middle of a stream.
#[must_use]
pub fn exception(name: &str, payload: &Value) -> Vec<u8> {
    frame("exception", name, payload)
}

fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    header(&mut headers, &format!(":{kind}-type"), name);
    header(&mut headers, ":content-type", "application/json");
    header(&mut headers, ":message-type", kind);
    let payload = payload.to_string();
    let mut frame = Vec::with_capacity(OVERHEAD + headers.len() + payload.len());
    for length in [OVERHEAD + headers.len() + payload.len(), headers.len()] {
        // Frames here are a few kilobytes.
        frame.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.into_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn header(to: &mut Vec<u8>, name: &str, value: &str) {
    to.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    to.extend(name.as_bytes());
    to.push(STRING);
    to.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors were made with botocore.
    #[test]
    fn frames_are_those_of_the_vendor() {
        for (frame, expected) in [
            (
                event("messageStop", &json!({"stopReason": "end_turn"})),
                "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d74\
                 7970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f\
                 70526561736f6e223a22656e645f7475726e227d5fbf09fc",
            ),
            (
                exception("throttlingException", &json!({"message": "slow"})),
                "0000008300000061a9d144e50f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f\
                 6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d7479706507\
                 0009657863657074696f6e7b226d657373616765223a22736c6f77227d9350311c",
            ),
        ] {
            assert_eq!(hex(&frame), expected);
        }
    }
}
