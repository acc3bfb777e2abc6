//! How the payloads of a fixture travel, and how a client takes what came apart again.

use serde_json::Value;
use trunkline_core::Dialect;

/// One message of Amazon's event stream.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: String,
    pub(super) payload: String,
    pub(super) is_exception: bool,
}

/// The bytes of each line of a fixture, as an upstream of `dialect` sends them.
pub(super) fn framed(dialect: Dialect, lines: &[&str]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| frame(dialect, line)).collect()
}

fn frame(dialect: Dialect, line: &str) -> Vec<u8> {
    match dialect {
        Dialect::OllamaChat => format!("{line}\n").into_bytes(),
        Dialect::GeminiGenerate => format!("data: {line}\r\n\r\n").into_bytes(),
        Dialect::OpenaiChat => format!("data: {line}\n\n").into_bytes(),
        Dialect::ReplicatePredictions => {
            let (name, data) = line.split_once(' ').unwrap();
            format!("event: {name}\ndata: {data}\n\n").into_bytes()
        }
        Dialect::BedrockConverse => {
            let (name, payload) = line.split_once(' ').unwrap();
            match name.strip_prefix('!') {
                Some(name) => message(&[(":message-type", "exception"), (":exception-type", name)], payload),
                None => message(&[(":message-type", "event"), (":event-type", name)], payload),
            }
        }
        _ => {
            let value: Value = serde_json::from_str(line).unwrap();
            format!("event: {}\ndata: {line}\n\n", value["type"].as_str().unwrap()).into_bytes()
        }
    }
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    (!crc).to_be_bytes()
}

fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers.iter().chain(&[(":content-type", "application/json")]) {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend(name.as_bytes());
        block.push(7);
        block.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend(value.as_bytes());
    }
    let total = u32::try_from(block.len() + payload.len() + 16).unwrap();
    let mut out = [total.to_be_bytes(), u32::try_from(block.len()).unwrap().to_be_bytes()].concat();
    out.extend(crc(&out));
    out.extend(block);
    out.extend(payload.as_bytes());
    out.extend(crc(&out));
    out
}

/// The messages of an event stream, sums checked; one that is cut off is an error.
pub(super) fn frames(mut bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let number = |bytes: &[u8]| bytes.first_chunk::<4>().map(|four| u32::from_be_bytes(*four) as usize);
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (Some(total), Some(head)) = (number(bytes), bytes.get(4..).and_then(number)) else {
            return Err("a message is cut off".into());
        };
        let (Some(all), true) = (bytes.get(..total), total >= 16 + head) else {
            return Err("a message is cut off".into());
        };
        if all[8..12] != crc(&all[..8]) || all[total - 4..] != crc(&all[..total - 4]) {
            return Err("a message's sum is wrong".into());
        }
        let headers = headers(&all[12..12 + head])?;
        let of = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let is_exception = of(":message-type").as_deref() == Some("exception");
        let kind = of(if is_exception { ":exception-type" } else { ":event-type" }).ok_or("no type")?;
        let payload =
            String::from_utf8(all[12 + head..total - 4].to_vec()).map_err(|error| error.to_string())?;
        out.push(Frame { kind, payload, is_exception });
        bytes = &bytes[total..];
    }
    Ok(out)
}

fn headers(mut block: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    while let Some((&length, rest)) = block.split_first() {
        let (name, rest) = rest.split_at(usize::from(length));
        let [7, high, low, rest @ ..] = rest else { return Err("a header that is no text".into()) };
        let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        out.push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()));
        block = rest;
    }
    Ok(out)
}

/// The events of a server-sent stream: their names and data. What is left behind the last blank line is an
/// error, as no client would see it.
pub(super) fn sse(bytes: &[u8]) -> Result<Vec<(Option<String>, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut events = text.split("\n\n").collect::<Vec<_>>();
    if events.pop() != Some("") {
        return Err(format!("an event is cut off: {text}"));
    }
    let mut out = Vec::new();
    for event in events {
        let (mut name, mut data) = (None, None);
        for line in event.lines() {
            match line.split_once(':') {
                Some(("event", value)) => name = Some(value.trim_start().to_owned()),
                Some(("data", value)) if data.is_none() => data = Some(value.trim_start().to_owned()),
                Some(("", _)) => {}
                _ => return Err(format!("not a line of an event: {line}")),
            }
        }
        out.extend(data.map(|data| (name, data)));
    }
    Ok(out)
}

/// The lines of an NDJSON stream, each ended.
pub(super) fn lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("a line is cut off: {text}"));
    }
    // The official client also splits at these.
    if text.contains(['\u{2028}', '\u{2029}']) {
        return Err("a line separator inside a line".into());
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// The pieces of a stream, cut in these ways: as one, byte by byte, in sevens, event by event, and anyhow.
pub(super) fn chunkings(events: &[Vec<u8>]) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let bytes = events.concat();
    let sized = |size| bytes.chunks(size).map(<[u8]>::to_vec).collect();
    let mut seed = 0x9e37_79b9_u32;
    let (mut anyhow, mut rest) = (Vec::new(), bytes.as_slice());
    while !rest.is_empty() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, after) = rest.split_at(rest.len().min(1 + (seed >> 24) as usize));
        anyhow.push(piece.to_vec());
        rest = after;
    }
    vec![
        ("one piece", vec![bytes.clone()]),
        ("bytes", sized(1)),
        ("sevens", sized(7)),
        ("events", events.to_vec()),
        ("anyhow", anyhow),
    ]
}

/// The section of a fixture file.
pub(super) fn section(file: &'static str, name: &str) -> Result<Vec<&'static str>, String> {
    let mut sections = file.split("== ").filter_map(|section| section.split_once('\n'));
    let found = sections.find(|(title, _)| *title == name);
    found.map(|(_, lines)| lines.lines().collect()).ok_or(format!("no section {name}"))
}
