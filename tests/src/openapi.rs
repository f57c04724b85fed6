//! Bodies held against the schemas of an OpenAPI document: as much of JSON Schema as the document uses.

use serde_json::Value as Json;

/// What is wrong with a value, each with its place; members that the schema does not have are.
pub fn problems(document: &Json, schema: &Json, value: &Json) -> Vec<String> {
    let mut all = Vec::new();
    check(document, schema, value, "$", &mut all);
    all
}

fn check(document: &Json, schema: &Json, value: &Json, place: &str, all: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{name} is missing"));
        return check(document, schema, value, place, all);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| problems(document, choice, value).is_empty());
        if !fits {
            all.push(format!("{place} is none of the choices: {value}"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one.as_str()],
        several => several.as_array().into_iter().flatten().filter_map(Json::as_str).collect(),
    };
    let fits = kinds.contains(&kind(value)) || (kind(value) == "integer" && kinds.contains(&"number"));
    if !fits {
        return all.push(format!("{place} is not {kinds:?}: {value}"));
    }
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(value)) {
        all.push(format!("{place} is none of {values:?}: {value}"));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{place}[{i}]"), all);
    }
    let Some(members) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if !members.contains_key(name) {
            all.push(format!("{place}.{name} is missing"));
        }
    }
    for (name, member) in members {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema)) => check(document, schema, member, &place, all),
            // An object that nothing is said of may have any members.
            (None, None) if schema.get("properties").is_none() => {}
            (None, None) => all.push(format!("{place} is not in the schema")),
        }
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(n) if n.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let document = json!({ "components": { "schemas": { "A": {
            "type": "object", "required": ["n"], "properties": { "n": { "type": ["integer", "null"] }, "l": {
                "type": "array", "items": { "type": "string", "enum": ["x"] } } } } } } });
        let schema = json!({ "$ref": "#/components/schemas/A" });
        let of = |value: Json| problems(&document, &schema, &value);
        assert_eq!(of(json!({ "n": null, "l": ["x"] })), Vec::<String>::new());
        assert_eq!(of(json!([])).len(), 1);
        let wrong = of(json!({ "l": ["x", "y", 1], "z": 1 }));
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        for place in ["$.n", "$.l[1]", "$.l[2]", "$.z"] {
            assert!(wrong.iter().any(|w| w.starts_with(place)), "{place}: {wrong:?}");
        }
    }
}
