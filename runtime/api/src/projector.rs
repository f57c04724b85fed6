//! Projects a value from one schema to another (`SchemaProjector`).

use std::sync::Arc;

use crate::{Error, Map, Result, Schema, Struct, Type, Value};

/// The value as the target schema wants it.
///
/// Numbers widen, structs lose fields that the target lacks and gain defaults. Errors are
/// [`crate::ErrorClass::Data`] with Kafka Connect's texts.
pub fn project(source: &Schema, value: &Value, target: &Schema) -> Result<Value> {
    if source.is_optional() && !target.is_optional() {
        let Some(default) = target.default() else {
            return Err(failure("Writer schema is optional, however, target schema does not provide a default value."));
        };
        return if value.is_null() { Ok(default.clone()) } else { required(source, value, target) };
    }
    if value.is_null() { Ok(Value::Null) } else { required(source, value, target) }
}

fn required(source: &Schema, value: &Value, target: &Schema) -> Result<Value> {
    comparable(source, target)?;
    match (target.kind(), value) {
        (Type::Struct, Value::Struct(s)) => project_struct(source, s, target),
        (Type::Array, Value::Array(items)) => {
            let (Some(from), Some(to)) = (source.value_schema()?, target.value_schema()?) else {
                return Ok(value.clone());
            };
            Ok(Value::array(items.iter().map(|v| project(from, v, to)).collect::<Result<_>>()?))
        }
        (Type::Map, Value::Map(entries)) => {
            let (Some(kf), Some(kt)) = (source.key_schema()?, target.key_schema()?) else { return Ok(value.clone()) };
            let (Some(vf), Some(vt)) = (source.value_schema()?, target.value_schema()?) else {
                return Ok(value.clone());
            };
            let projected = entries.iter().map(|(k, v)| Ok((project(kf, k, kt)?, project(vf, v, vt)?)));
            Ok(Value::Map(Arc::new(projected.collect::<Result<Map>>()?)))
        }
        (kind, v) if source.kind() != kind => widen(v, kind),
        (_, v) => Ok(v.clone()),
    }
}

fn comparable(source: &Schema, target: &Schema) -> Result<()> {
    let order = |k: Type| {
        [Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Float32, Type::Float64].iter().position(|t| *t == k)
    };
    let (from, to) = (source.kind(), target.kind());
    let widens = matches!((order(from), order(to)), (Some(a), Some(b)) if a <= b);
    if from != to && !widens {
        return Err(failure(format!("Schema type mismatch. source type: {from} and target type: {to}")));
    }
    if source.name() != target.name() {
        let (a, b) = (source.name().unwrap_or("null"), target.name().unwrap_or("null"));
        return Err(failure(format!("Schema name mismatch. source name: {a} and target name: {b}")));
    }
    if source.parameters() != target.parameters() {
        let show = |s: &Schema| s.parameters().map_or_else(|| "null".into(), |p| format!("{p:?}"));
        return Err(failure(format!(
            "Schema parameters not equal. source parameters: {} and target parameters: {}",
            show(source),
            show(target)
        )));
    }
    Ok(())
}

fn project_struct(source: &Schema, value: &Struct, target: &Schema) -> Result<Value> {
    let mut made = Struct::new(target)?;
    for field in target.struct_fields()? {
        let name = field.name();
        match source.field(name) {
            Some(from) => {
                let projected = project(from.schema(), value.at(from.index()), field.schema());
                let projected = projected.map_err(|e| failure(format!("Error projecting {name}")).caused_by(e))?;
                if !projected.is_null() {
                    made.put(name, projected)?;
                }
            }
            None if field.schema().is_optional() => {}
            None => match field.schema().default() {
                Some(default) => {
                    made.put(name, default.clone())?;
                }
                None => {
                    return Err(failure(format!("Required field `{name}` is missing from source schema: {source}")));
                }
            },
        }
    }
    Ok(made.into_value())
}

fn widen(value: &Value, kind: Type) -> Result<Value> {
    let whole = value.as_i64();
    let number = value.as_f64();
    Ok(match (kind, whole, number) {
        (Type::Int16, Some(v), _) => Value::Int16(v as i16),
        (Type::Int32, Some(v), _) => Value::Int32(v as i32),
        (Type::Int64, Some(v), _) => Value::Int64(v),
        (Type::Float32, _, Some(v)) => Value::Float32(v as f32),
        (Type::Float64, _, Some(v)) => Value::Float64(v),
        _ => return Err(failure(format!("Cannot project {} to {kind}", value.java_class()))),
    })
}

fn failure(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::data(text).exception("org.apache.kafka.connect.errors.SchemaProjectorException")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchemaBuilder;

    #[test]
    fn numbers_widen_and_do_not_narrow() {
        assert_eq!(project(&Schema::int8(), &Value::Int8(3), &Schema::int64()).expect("wide"), Value::Int64(3));
        assert_eq!(project(&Schema::int32(), &Value::Int32(3), &Schema::float64()).expect("wide"), Value::Float64(3.0));
        let e = project(&Schema::int64(), &Value::Int64(3), &Schema::int8()).expect_err("narrow");
        assert_eq!(e.message(), "Schema type mismatch. source type: INT64 and target type: INT8");
    }

    #[test]
    fn optional_to_required_needs_a_default() {
        let e = project(&Schema::optional_int8(), &Value::Int8(1), &Schema::int8()).expect_err("no default");
        assert_eq!(e.message(), "Writer schema is optional, however, target schema does not provide a default value.");
        let target = SchemaBuilder::new(Type::Int8).default(Value::Int8(9)).build().expect("schema");
        assert_eq!(project(&Schema::optional_int8(), &Value::Null, &target).expect("default"), Value::Int8(9));
    }

    #[test]
    fn structs_gain_defaults_and_lose_what_the_target_lacks() {
        let source = Schema::structure().field("a", Schema::int8()).field("x", Schema::int8()).build().expect("source");
        let with_default = SchemaBuilder::new(Type::Int8).default(Value::Int8(5)).build().expect("default");
        let target = Schema::structure().field("a", Schema::int32()).field("b", with_default).build().expect("target");
        let mut s = Struct::new(&source).expect("struct");
        s.put("a", 1i8).and_then(|s| s.put("x", 2i8)).expect("put");
        let Value::Struct(made) = project(&source, &s.clone().into_value(), &target).expect("projected") else {
            panic!("not a struct")
        };
        assert_eq!(made.values(), [Value::Int32(1), Value::Int8(5)]);
        let target = Schema::structure().field("c", Schema::int8()).build().expect("target");
        let e = project(&source, &s.into_value(), &target).expect_err("missing");
        assert!(e.message().starts_with("Required field `c` is missing from source schema:"), "{e}");
    }
}
