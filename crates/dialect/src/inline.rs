//! Media by address that a target will not fetch. The caller fetches it and puts its bytes into the call
//! before it is written.

use crate::codec::must_inline;
use crate::place::{Place, positions};
use std::collections::HashSet;
use trunkline_core::{Call, Dialect, Document, DocumentSource, Image, ItemKind, MediaSource, Part, PartKind};

/// Addresses whose content must stand in the call itself before it can be written for a target that speaks
/// `to`, each once.
#[must_use]
pub fn needs_inlining(to: Dialect, call: &Call) -> Vec<String> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for part in call.items.iter().filter_map(|item| parts(&item.kind)).flatten() {
        if let Some(MediaSource::Url(url)) = source(part)
            && must_inline(to, url)
            && seen.insert(url)
        {
            found.push(url.clone());
        }
    }
    found
}

/// Where the call names `url` first, and as what.
#[must_use]
pub fn named_at(call: &Call, url: &str) -> Option<(String, &'static str)> {
    let positions = positions(call);
    call.items.iter().enumerate().find_map(|(at, item)| {
        let place = Place::item(call, &positions, at);
        let is_named = |part: &&Part| matches!(source(part), Some(MediaSource::Url(named)) if named == url);
        let (n, part) = parts(&item.kind)?.iter().enumerate().find(|(_, part)| is_named(part))?;
        let what = if matches!(part.kind, PartKind::Document(_)) { "a document" } else { "an image" };
        Some((place.part(n).to_string(), what))
    })
}

/// Puts the content of `url` in its place wherever the call names it. `data` is base64 in the standard
/// alphabet.
pub fn inline(call: &mut Call, url: &str, mime: &str, data: &str) {
    for part in call.items.iter_mut().filter_map(|item| parts_mut(&mut item.kind)).flatten() {
        if let Some(source) = source_mut(part)
            && matches!(source, MediaSource::Url(at) if at == url)
        {
            *source = MediaSource::Base64 { mime: mime.to_owned(), data: data.to_owned() };
        }
    }
}

/// Whether an address is fetched without encryption, which providers do not do.
pub(crate) fn is_plain_http(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

/// Whether an address can be fetched at all.
pub(crate) fn is_http(url: &str) -> bool {
    is_plain_http(url) || url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn parts(kind: &ItemKind) -> Option<&Vec<Part>> {
    match kind {
        ItemKind::Message(message) => Some(&message.parts),
        ItemKind::ToolResult(result) => Some(&result.parts),
        ItemKind::ToolCall(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

fn parts_mut(kind: &mut ItemKind) -> Option<&mut Vec<Part>> {
    match kind {
        ItemKind::Message(message) => Some(&mut message.parts),
        ItemKind::ToolResult(result) => Some(&mut result.parts),
        ItemKind::ToolCall(_)
        | ItemKind::Reasoning(_)
        | ItemKind::ServerTool(_)
        | ItemKind::Reference(_)
        | ItemKind::Unknown { .. } => None,
    }
}

fn source(part: &Part) -> Option<&MediaSource> {
    if let PartKind::Image(Image { source, .. })
    | PartKind::Document(Document { source: DocumentSource::Media(source), .. }) = &part.kind
    {
        Some(source)
    } else {
        None
    }
}

fn source_mut(part: &mut Part) -> Option<&mut MediaSource> {
    if let PartKind::Image(Image { source, .. })
    | PartKind::Document(Document { source: DocumentSource::Media(source), .. }) = &mut part.kind
    {
        Some(source)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::{Item, Message, Model, Role};

    fn image(url: &str) -> Part {
        Part::new(PartKind::Image(Image { source: MediaSource::Url(url.to_owned()), detail: None }))
    }

    #[test]
    fn c10_plain_http_images_are_named_once_and_replaced_everywhere() {
        let mut call = Call::new(Dialect::OpenaiChat, Model::new("m"));
        for role in [Role::User, Role::User] {
            let parts = vec![image("https://x/a.png"), image("http://x/b.png")];
            call.items.push(Item::new(ItemKind::Message(Message { role, name: None, id: None, parts })));
        }
        assert_eq!(needs_inlining(Dialect::AnthropicMessages, &call), ["http://x/b.png"]);
        let named = named_at(&call, "http://x/b.png");
        assert_eq!(named, Some(("messages[0].content[1]".to_owned(), "an image")));
        inline(&mut call, "http://x/b.png", "image/png", "AAAA");
        assert!(needs_inlining(Dialect::AnthropicMessages, &call).is_empty());
        for item in &call.items {
            let replaced = source(&parts(&item.kind).unwrap()[1]).unwrap();
            assert_eq!(*replaced, MediaSource::Base64 { mime: "image/png".into(), data: "AAAA".into() });
        }
    }
}
