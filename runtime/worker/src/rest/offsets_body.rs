//! The body of `PATCH /connectors/C/offsets`, read as Kafka Connect's data binding does.

use axum::{body::Bytes, http::StatusCode};

use super::{
    body::{MAP, no_bean, no_object, read, skip, unrecognized, wrong_type},
    error::ApiError,
    jackson::Parser,
    tokens::{Token, Wrong},
};
use crate::{
    connector_offsets::Wanted,
    java_value::{JavaMap, JavaValue},
};

const OFFSETS: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffsets";
const OFFSET: &str = "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset";
const LIST: &str = "java.util.ArrayList";
const MAP_OF_ANY: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.Object>";
/// Jackson takes a thousand levels; no offset has any.
const DEEPEST: usize = 100;

/// Reads the offsets of a request, of which there must be some.
pub(super) fn offsets(bytes: &Bytes) -> Result<Vec<Wanted>, ApiError> {
    let Some(all) = read(bytes, OFFSETS, |parser, token| container(parser, token).map(Some))? else {
        return Err(ApiError::internal(format!("Cannot invoke \"{OFFSETS}.offsets()\" because \"offsets\" is null")));
    };
    let all = all.filter(|all| !all.is_empty()).ok_or_else(|| {
        let text = "Partitions / offsets need to be provided for an alter offsets request";
        ApiError(StatusCode::BAD_REQUEST, text.into())
    })?;
    let null = || ApiError::internal(format!("Cannot invoke \"{OFFSET}.partition()\" because \"offset\" is null"));
    all.into_iter().map(|wanted| wanted.ok_or_else(null)).collect()
}

type List = Vec<Option<Wanted>>;

fn container(parser: &mut Parser<'_>, token: Token) -> Result<Option<List>, Wrong> {
    if token != Token::StartObject {
        return Err(no_bean(OFFSETS, parser, token)?);
    }
    let (mut all, mut seen, mut unknown) = (None, false, None);
    while parser.next()? == Some(Token::FieldName) {
        let member = parser.name().to_owned();
        let Some(token) = parser.next()? else { break };
        match member.as_str() {
            "offsets" => (seen, all) = (true, list(parser, token).map_err(|w| w.inside(OFFSETS, &member))?),
            _ if seen => return Err(unrecognized(parser, OFFSETS, &member, KNOWN)),
            _ => {
                skip(parser, 1)?;
                unknown.get_or_insert(member);
            }
        }
    }
    match unknown {
        Some(member) => Err(unrecognized(parser, OFFSETS, &member, KNOWN)),
        None => Ok(all),
    }
}

const KNOWN: &str = "one known property: \"offsets\"";
const KNOWN_OF_ONE: &str = "2 known properties: \"partition\", \"offset\"";

fn list(parser: &mut Parser<'_>, token: Token) -> Result<Option<List>, Wrong> {
    match token {
        Token::Null => return Ok(None),
        Token::StartArray => {}
        _ => return Err(wrong_type(parser, &format!("{LIST}<{OFFSET}>"), token)),
    }
    let mut all = Vec::new();
    while let Some(token) = parser.next()?.filter(|t| *t != Token::EndArray) {
        all.push(one(parser, token).map_err(|w| w.at_index(LIST, all.len()))?);
    }
    Ok(Some(all))
}

fn one(parser: &mut Parser<'_>, token: Token) -> Result<Option<Wanted>, Wrong> {
    match token {
        Token::Null => return Ok(None),
        Token::StartObject => {}
        _ => return Err(no_bean(OFFSET, parser, token)?),
    }
    let (mut made, mut seen, mut unknown) = (Wanted::default(), [false; 2], None);
    while parser.next()? == Some(Token::FieldName) {
        let member = parser.name().to_owned();
        let Some(token) = parser.next()? else { break };
        let inside = |wrong: Wrong| wrong.inside(OFFSET, &member);
        match member.as_str() {
            "partition" => (seen[0], made.partition) = (true, map(parser, token).map_err(inside)?),
            "offset" => (seen[1], made.offset) = (true, map(parser, token).map_err(inside)?),
            _ if seen == [true; 2] => return Err(unrecognized(parser, OFFSET, &member, KNOWN_OF_ONE)),
            _ => {
                skip(parser, 3)?;
                unknown.get_or_insert(member);
            }
        }
    }
    match unknown {
        Some(member) => Err(unrecognized(parser, OFFSET, &member, KNOWN_OF_ONE)),
        None => Ok(Some(made)),
    }
}

fn map(parser: &mut Parser<'_>, token: Token) -> Result<Option<JavaMap>, Wrong> {
    match token {
        Token::Null => Ok(None),
        Token::StartObject => members(parser).map(Some),
        Token::String => Err(no_object(MAP, &format!("element of `{MAP}`"), parser)?),
        _ => Err(wrong_type(parser, MAP_OF_ANY, token)),
    }
}

fn members(parser: &mut Parser<'_>) -> Result<JavaMap, Wrong> {
    let mut all = JavaMap::new();
    while parser.next()? == Some(Token::FieldName) {
        let name = parser.name().to_owned();
        let Some(token) = parser.next()? else { break };
        let value = value(parser, token)?;
        all.insert(name, value);
    }
    Ok(all)
}

fn value(parser: &mut Parser<'_>, token: Token) -> Result<JavaValue, Wrong> {
    if parser.depth() > DEEPEST {
        let depth = parser.depth();
        return Err(parser.refuse_here(format!(
            "Document nesting depth ({depth}) exceeds the maximum allowed ({DEEPEST}, from \
             `StreamReadConstraints.getMaxNestingDepth()`)"
        )));
    }
    Ok(match token {
        Token::Null => JavaValue::Null,
        Token::True => JavaValue::Bool(true),
        Token::False => JavaValue::Bool(false),
        Token::String => JavaValue::Text(parser.text()?),
        Token::Int => {
            let text = parser.text()?;
            text.parse().map_or(JavaValue::Big(text), JavaValue::Long)
        }
        Token::Float => JavaValue::Double(parser.text()?.parse().unwrap_or(f64::NAN)),
        Token::StartArray => {
            let mut all = Vec::new();
            while let Some(token) = parser.next()?.filter(|t| *t != Token::EndArray) {
                all.push(value(parser, token)?);
            }
            JavaValue::List(all)
        }
        // A member's name and the ends of containers are taken by those who read the containers.
        Token::StartObject | Token::FieldName | Token::EndObject | Token::EndArray => JavaValue::Map(members(parser)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Wanted>, ApiError> {
        offsets(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn values_keep_their_kinds() {
        let text = r#"{"offsets":[{"offset":null,"partition":{"a":1,"b":1.5,"c":[true,{"d":null}],"e":12345678901234567890,"f":"x"}}]}"#;
        let made = read(text).expect("right");
        let partition = made[0].partition.as_ref().expect("partition");
        assert_eq!(
            JavaValue::Map(partition.clone()).to_string(),
            "{a=1, b=1.5, c=[true, {d=null}], e=12345678901234567890, f=x}"
        );
        assert_eq!(partition["e"], JavaValue::Big("12345678901234567890".into()));
        assert_eq!(made[0].offset, None);
    }

    #[test]
    fn deep_nesting_is_refused_and_harms_nobody() {
        let text = format!(r#"{{"offsets":[{{"partition":{{"a":{}"#, "[".repeat(100_000));
        let e = read(&text).expect_err("too deep");
        assert!(e.1.starts_with("Document nesting depth (101) exceeds the maximum allowed (100"), "{e:?}");
    }
}
