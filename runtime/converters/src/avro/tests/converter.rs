//! The converter as a whole, with a schema registry.

use connect_api::{Converter, Error, ErrorClass, Role, Settings, Step, config::Config};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

use super::{
    super::{AvroConfig, AvroConverter},
    *,
};

fn converter(settings: &[(&str, &str)], url: &str) -> AvroConverter {
    let settings: Settings = settings.iter().copied().chain([("schema.registry.url", url)]).collect();
    AvroConverter::new(&AvroConfig::parse(&settings).expect("settings"), Role::Value).expect("converter")
}

async fn done<T>(mut attempt: impl FnMut() -> Result<Step<T>>) -> Result<T> {
    match attempt()? {
        Step::Done(made) => Ok(made),
        Step::Wait(prepare) => {
            prepare.await?;
            match attempt()? {
                Step::Done(made) => Ok(made),
                Step::Wait(_) => Err(Error::fatal("still has to wait")),
            }
        }
    }
}

#[tokio::test]
async fn the_wire_format_is_confluents_and_the_registry_is_asked_once() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/subjects/orders-value/versions"))
        .and(header("content-type", "application/vnd.schemaregistry.v1+json"))
        .and(body_json(json!({"schema": "\"string\""})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": 258})))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/schemas/ids/258"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"schema": "\"string\""})))
        .expect(1)
        .mount(&server)
        .await;
    let c = converter(&[], &server.uri());
    let topic = "orders".into();
    let expected = Bytes::from_static(&[0, 0, 0, 1, 2, 4, b'h', b'i']);
    for _ in 0..3 {
        let bytes = done(|| c.serialize(&topic, Some(&Schema::string()), &"hi".into())).await.expect("bytes");
        assert_eq!(bytes.as_ref(), Some(&expected));
        let back = done(|| c.deserialize(&topic, bytes.as_ref())).await.expect("back");
        assert_eq!((back.schema, back.value), (Some(Schema::string()), "hi".into()));
    }
    // An equal schema is another object, but the same request.
    let other = SchemaBuilder::new(Type::String).build().expect("schema");
    done(|| c.serialize(&topic, Some(&other), &"hi".into())).await.expect("bytes");
}

#[tokio::test]
async fn tombstones_need_no_schema_and_bytes_no_length() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": 1})))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"schema": "\"bytes\""})))
        .mount(&server)
        .await;
    let c = converter(&[], &server.uri());
    let topic = "t".into();
    assert!(matches!(c.serialize(&topic, None, &Value::Null), Ok(Step::Done(None))));
    assert!(matches!(c.serialize(&topic, Some(&Schema::optional_string()), &Value::Null), Ok(Step::Done(None))));
    assert!(matches!(c.deserialize(&topic, None), Ok(Step::Done(v)) if v == SchemaAndValue::default()));
    let raw = Value::Bytes(Bytes::from_static(b"ab"));
    let bytes = done(|| c.serialize(&topic, Some(&Schema::bytes()), &raw)).await.expect("bytes");
    assert_eq!(bytes.as_deref(), Some(&[0, 0, 0, 0, 1, b'a', b'b'][..]));
    assert_eq!(done(|| c.deserialize(&topic, bytes.as_ref())).await.expect("back").value, raw);
    let e = done(|| c.serialize(&topic, Some(&Schema::string()), &Value::Null)).await.expect_err("null");
    assert_eq!(e.one_line(), "Failed to serialize Avro data from topic t: Found null value for non-optional schema");
}

#[tokio::test]
async fn the_latest_schema_is_used_when_asked_for() {
    let server = MockServer::start().await;
    let latest =
        r#"{"type":"record","name":"R","fields":[{"name":"b","type":"int","default":7},{"name":"a","type":"long"}]}"#;
    Mock::given(method("GET"))
        .and(path("/subjects/t-value/versions/latest"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"subject": "t-value", "version": 4, "id": 9, "schema": latest})),
        )
        .expect(1)
        .mount(&server)
        .await;
    let c = converter(&[("auto.register.schemas", "false"), ("use.latest.version", "true")], &server.uri());
    let schema = ok(Schema::structure().name("R").field("a", Schema::int32()));
    let value = structure(&schema, vec![1.into()]);
    let topic = "t".into();
    let bytes = done(|| c.serialize(&topic, Some(&schema), &value)).await.expect("bytes");
    assert_eq!(bytes.as_deref(), Some(&[0, 0, 0, 0, 9, 14, 2][..]));
}

#[tokio::test]
async fn answers_decide_the_class_of_the_error() {
    for (status, body, class, text) in [
        (500, "", ErrorClass::Retriable, "HTTP status 500"),
        (429, "", ErrorClass::Retriable, "HTTP status 429"),
        (401, "", ErrorClass::Fatal, "check basic.auth.user.info"),
        (200, "<html>", ErrorClass::Fatal, "check that schema.registry.url is the registry's base URL"),
        (404, "<html>", ErrorClass::Fatal, "check that schema.registry.url is the registry's base URL"),
        (
            404,
            r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
            ErrorClass::Fatal,
            "HTTP status 404 Not Found; check that schema.registry.url is the registry's base URL",
        ),
        (404, r#"{"error_code":404,"message":"No artifact a"}"#, ErrorClass::Data, "No artifact a (error 404)"),
        (
            409,
            r#"{"error_code":409,"message":"Incompatible"}"#,
            ErrorClass::Data,
            "Incompatible (error 409); new fields",
        ),
        (422, r#"{"error_code":42201,"message":"Invalid Avro"}"#, ErrorClass::Data, "Invalid Avro (error 42201)"),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(body).insert_header("retry-after", "3");
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let c = converter(&[], &server.uri());
        let topic = "t".into();
        let e = done(|| c.serialize(&topic, Some(&Schema::string()), &"x".into())).await.expect_err("refused");
        assert_eq!(e.class(), class, "{status}");
        assert!(e.one_line().contains(text), "{}", e.one_line());
        assert!(e.one_line().contains("registering a schema under subject t-value"), "{}", e.one_line());
        assert_eq!(e.delay().is_some(), class == ErrorClass::Retriable);
    }
}

#[tokio::test]
async fn another_registry_is_asked_when_one_does_not_answer() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(header("authorization", "Basic dTpwOnc="))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": 1})))
        .mount(&server)
        .await;
    let settings = [("basic.auth.credentials.source", "USER_INFO"), ("basic.auth.user.info", "u:p:w")];
    let c = converter(&settings, &format!("http://127.0.0.1:1, {}/", server.uri()));
    let topic = "t".into();
    assert!(done(|| c.serialize(&topic, Some(&Schema::string()), &"x".into())).await.is_ok());
    let c = converter(&[], "http://127.0.0.1:1");
    let e = done(|| c.serialize(&topic, Some(&Schema::string()), &"x".into())).await.expect_err("nobody");
    assert_eq!(e.class(), ErrorClass::Retriable);
}

#[tokio::test]
async fn bytes_of_something_else_are_errors_of_the_data() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(
            ResponseTemplate::new(404).set_body_json(json!({"error_code": 40403, "message": "Schema 1 not found"})),
        )
        .mount(&server)
        .await;
    let c = converter(&[], &server.uri());
    let topic = "t".into();
    for bytes in [&b""[..], b"\0", b"\0\0\0\0", b"{}", b"\x01\0\0\0\x01", b"\0\0\0\0\x01x"] {
        let bytes = Bytes::from_static(bytes);
        let e = done(|| c.deserialize(&topic, Some(&bytes))).await.expect_err("refused");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(e.message().starts_with("Failed to deserialize data for topic t to Avro: "), "{e}");
    }
}

#[test]
fn settings_name_what_is_wrong() {
    let parse = |k, v| AvroConfig::parse(&Settings::from([("schema.registry.url", "http://r"), (k, v)]));
    assert!(parse("value.subject.name.strategy", "com.acme.Mine").is_err());
    assert!(parse("basic.auth.credentials.source", "SASL_INHERIT").is_err());
    assert!(AvroConfig::parse(&Settings::new()).is_err());
    let config = parse("basic.auth.credentials.source", "USER_INFO").expect("settings");
    assert!(AvroConverter::new(&config, Role::Key).is_err());
    let config = AvroConfig::parse(&Settings::from([("schema.registry.url", "mock://x")])).expect("settings");
    assert!(AvroConverter::new(&config, Role::Key).is_err());
}

#[tokio::test]
async fn a_schema_that_is_not_registered_names_the_way_out() {
    let server = MockServer::start().await;
    let body = json!({"error_code": 40403, "message": "Schema not found"});
    Mock::given(method("POST"))
        .and(path("/subjects/t-key"))
        .respond_with(ResponseTemplate::new(404).set_body_json(body))
        .mount(&server)
        .await;
    let url = server.uri();
    let settings = Settings::from([("schema.registry.url", url.as_str()), ("auto.register.schemas", "false")]);
    let c = AvroConverter::new(&AvroConfig::parse(&settings).expect("settings"), Role::Key).expect("converter");
    let topic = "t".into();
    let e = done(|| c.serialize(&topic, Some(&Schema::string()), &"x".into())).await.expect_err("unknown");
    assert!(e.one_line().ends_with("(error 40403); register the schema or set auto.register.schemas=true"), "{e:?}");
}
