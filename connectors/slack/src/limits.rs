//! How long Slack lets texts be. What is longer is cut, with a mark: an alarm that is told in part is better than none.

use serde_json::{Map, Value as Json, json};

/// A message's text, and those of attachments.
pub const TEXT: usize = 40_000;
/// What notifications show of an attachment.
const FALLBACK: usize = 1_000;
/// The text of a block.
const BLOCK: usize = 3_000;
/// One of several texts of a section.
const FIELD: usize = 2_000;
/// The text of a header.
const HEADER: usize = 150;
/// Blocks of a message.
const BLOCKS: usize = 50;
/// The mark.
const MARK: char = '…';

/// Cuts what is too long in a message.
pub fn fit(message: &mut Map<String, Json>) {
    at(message.get_mut("text"), TEXT);
    blocks(message.get_mut("blocks"));
    for attachment in message.get_mut("attachments").and_then(Json::as_array_mut).into_iter().flatten() {
        for (name, limit) in [("text", TEXT), ("pretext", TEXT), ("fallback", FALLBACK)] {
            at(attachment.get_mut(name), limit);
        }
        blocks(attachment.get_mut("blocks"));
    }
}

/// At most so many characters as Slack counts them, the mark included. No entity is cut in two.
pub fn cut(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let (mut end, mut units) = (0, MARK.len_utf16());
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > limit {
            break;
        }
        end = at + c.len_utf8();
    }
    let mut kept = &text[..end];
    // The longest that are written are &amp; and those of templates' own.
    if let Some(entity) = kept.rfind('&').filter(|entity| kept.len() - entity < 8 && !kept[*entity..].contains(';')) {
        kept = &kept[..entity];
    }
    format!("{kept}{MARK}")
}

fn at(text: Option<&mut Json>, limit: usize) {
    if let Some(Json::String(text)) = text {
        *text = cut(text, limit);
    }
}

fn blocks(blocks: Option<&mut Json>) {
    let Some(Json::Array(blocks)) = blocks else { return };
    if blocks.len() > BLOCKS {
        blocks.truncate(BLOCKS - 1);
        blocks.push(json!({ "type": "context", "elements": [{ "type": "plain_text", "text": MARK.to_string() }] }));
    }
    for block in blocks {
        let limit = if block["type"] == "header" { HEADER } else { BLOCK };
        at(block.pointer_mut("/text/text"), limit);
        for (name, limit) in [("fields", FIELD), ("elements", BLOCK)] {
            for item in block.get_mut(name).and_then(Json::as_array_mut).into_iter().flatten() {
                at(item.get_mut("text"), limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_with_a_mark_between_characters_and_entities() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("aé温x", 3), "aé…");
        // Slack counts those as two.
        assert_eq!(cut("🔥🔥", 3), "🔥…");
        assert_eq!(cut("a &amp; b", 6), "a …");
        assert_eq!(cut("a &amp; b", 8), "a &amp;…");
        assert_eq!(cut(&"&amp;".repeat(10), 12), "&amp;&amp;…");
    }

    #[test]
    fn every_part_of_a_message_has_its_limit() {
        let long = "x".repeat(50_000);
        let mut blocks = vec![
            json!({ "type": "header", "text": { "type": "plain_text", "text": long } }),
            json!({ "type": "section", "text": { "type": "mrkdwn", "text": long }, "fields": [{ "type": "mrkdwn", "text": long }] }),
            json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": long }, { "type": "image" }] }),
        ];
        blocks.resize(60, json!({ "type": "divider" }));
        let bar =
            json!({ "text": long, "fallback": long, "blocks": [{ "type": "section", "text": { "text": long } }] });
        let message = json!({ "text": long, "attachments": [bar], "blocks": blocks, "metadata": { "text": long } });
        let mut message = message.as_object().cloned().expect("object");
        fit(&mut message);
        let message = Json::Object(message);
        for (path, length) in [
            ("/text", 40_000),
            ("/attachments/0/text", 40_000),
            ("/attachments/0/fallback", 1_000),
            ("/attachments/0/blocks/0/text/text", 3_000),
            ("/blocks/0/text/text", 150),
            ("/blocks/1/text/text", 3_000),
            ("/blocks/1/fields/0/text", 2_000),
            ("/blocks/2/elements/0/text", 3_000),
            ("/metadata/text", 50_000),
        ] {
            let text = message.pointer(path).and_then(Json::as_str).expect(path);
            assert_eq!(text.chars().count(), length, "{path}");
            assert_eq!(text.ends_with(MARK), length < 50_000, "{path}");
        }
        let blocks = message["blocks"].as_array().expect("blocks");
        assert_eq!((blocks.len(), &blocks[49]["elements"][0]["text"]), (50, &json!("…")));
    }
}
