use connect_api::ErrorClass;
use connect_converters::{RegistryOptions, SchemaRegistry};
use reqwest::{Client, Method};
use serde_json::{Value as Json, json};

use super::Registry;

const INT: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const WITH_DEFAULT: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const REQUIRED: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"c","type":"int"}]}"#;

struct Asker {
    registry: Registry,
    client: Client,
}

impl Asker {
    async fn new() -> Self {
        let registry = Registry::start(0).await.expect("started");
        // No proxy of the environment stands between a test and its own server.
        let client = Client::builder().no_proxy().build().expect("client");
        Self { registry, client }
    }

    async fn ask(&self, method: &str, path: &str, body: Json) -> (u16, Json) {
        let method = Method::from_bytes(method.as_bytes()).expect("method");
        let mut request = self.client.request(method, format!("{}{path}", self.registry.url()));
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.expect("answer");
        assert_eq!(
            answer.headers().get("content-type").and_then(|v| v.to_str().ok()),
            Some("application/vnd.schemaregistry.v1+json")
        );
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("body")).expect("json"))
    }

    async fn get(&self, path: &str) -> (u16, Json) {
        self.ask("GET", path, Json::Null).await
    }

    async fn register(&self, subject: &str, schema: &str) -> (u16, Json) {
        self.ask("POST", &format!("/subjects/{subject}/versions"), json!({ "schema": schema })).await
    }
}

fn code(answer: &(u16, Json)) -> (u16, i64) {
    (answer.0, answer.1["error_code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn schemas_get_one_id_and_subjects_their_versions() {
    let a = Asker::new().await;
    assert_eq!(a.get("/").await, (200, json!({})));
    assert_eq!(a.register("s", INT).await, (200, json!({"id": 1})));
    let spelled = r#"{ "name": "R", "type": "record", "fields": [{"type": {"type": "int"}, "name": "a"}] }"#;
    assert_eq!(a.register("s", spelled).await, (200, json!({"id": 1})));
    assert_eq!(a.register("other%2Fsubject", INT).await, (200, json!({"id": 1})));
    assert_eq!(a.register("s", WITH_DEFAULT).await, (200, json!({"id": 2})));
    assert_eq!(a.get("/subjects").await.1, json!(["other/subject", "s"]));
    assert_eq!(a.get("/subjects?subjectPrefix=s").await.1, json!(["s"]));
    assert_eq!(a.get("/subjects/s/versions").await.1, json!([1, 2]));
    let latest = json!({"subject": "s", "version": 2, "id": 2, "schema": WITH_DEFAULT});
    assert_eq!(a.get("/subjects/s/versions/latest").await.1, latest);
    assert_eq!(a.get("/subjects/s/versions/-1").await.1, latest);
    assert_eq!(a.get("/subjects/s/versions/1/schema").await.1["name"], "R");
    assert_eq!(a.get("/schemas/ids/1").await.1, json!({ "schema": INT }));
    assert_eq!(a.get("/schemas/ids/1/subjects").await.1, json!(["other/subject", "s"]));
    assert_eq!(a.get("/schemas/ids/2/versions").await.1, json!([{"subject": "s", "version": 2}]));
    let found = a.ask("POST", "/subjects/s", json!({ "schema": INT })).await;
    assert_eq!(found.1, json!({"subject": "s", "version": 1, "id": 1, "schema": INT}));
    assert_eq!(a.register("plain", "string").await, (200, json!({"id": 3})));
    assert_eq!(a.register("plain", "\"string\"").await, (200, json!({"id": 3})));
}

#[tokio::test]
async fn incompatible_schemas_are_refused_by_the_level() {
    let a = Asker::new().await;
    assert_eq!(a.get("/config").await.1, json!({"compatibilityLevel": "BACKWARD"}));
    a.register("s", INT).await;
    let refused = a.register("s", REQUIRED).await;
    assert_eq!(code(&refused), (409, 409));
    let text = refused.1["message"].as_str().unwrap_or_default().to_owned();
    assert!(
        text.starts_with("Schema being registered is incompatible with an earlier schema for subject \"s\""),
        "{text}"
    );
    let check = |s: &str| (format!("/compatibility/subjects/{s}/versions/latest"), json!({ "schema": REQUIRED }));
    let (path, body) = check("s");
    assert_eq!(a.ask("POST", &path, body.clone()).await, (200, json!({"is_compatible": false})));
    let verbose = a.ask("POST", &format!("{path}?verbose=true"), body).await.1;
    assert_eq!(verbose["messages"].as_array().map(Vec::len), Some(1));
    let (path, body) = check("nobody");
    assert_eq!(code(&a.ask("POST", &path, body).await), (404, 40401));

    assert_eq!(code(&a.get("/config/s").await), (404, 40408));
    assert_eq!(a.get("/config/s?defaultToGlobal=true").await.1["compatibilityLevel"], "BACKWARD");
    let put = a.ask("PUT", "/config/s", json!({"compatibility": "forward"})).await;
    assert_eq!(put, (200, json!({"compatibility": "FORWARD"})));
    assert_eq!(a.register("s", REQUIRED).await.0, 200);
    assert_eq!(code(&a.ask("PUT", "/config", json!({"compatibility": "SOMETIMES"})).await), (422, 42203));
    assert_eq!(a.ask("DELETE", "/config/s", Json::Null).await.1["compatibilityLevel"], "FORWARD");
    a.ask("PUT", "/config", json!({"compatibility": "NONE"})).await;
    assert_eq!(a.register("s", "\"int\"").await.0, 200);

    // Transitive levels look at all versions: the first has no default for `a`.
    a.ask("PUT", "/config/t", json!({"compatibility": "BACKWARD"})).await;
    let no_fields = r#"{"type":"record","name":"R","fields":[]}"#;
    let default = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1}]}"#;
    for schema in [no_fields, default] {
        assert_eq!(a.register("t", schema).await.0, 200);
    }
    a.ask("PUT", "/config/t", json!({"compatibility": "BACKWARD_TRANSITIVE"})).await;
    assert_eq!(code(&a.register("t", INT).await), (409, 409));
    a.ask("PUT", "/config/t", json!({"compatibility": "BACKWARD"})).await;
    assert_eq!(a.register("t", INT).await.0, 200);
}

#[tokio::test]
async fn errors_have_confluents_codes() {
    let a = Asker::new().await;
    a.register("s", INT).await;
    for (path, expected) in [
        ("/subjects/x/versions", (404, 40401)),
        ("/subjects/x/versions/1", (404, 40401)),
        ("/subjects/s/versions/9", (404, 40402)),
        ("/subjects/s/versions/0", (422, 42202)),
        ("/subjects/s/versions/abc", (422, 42202)),
        ("/schemas/ids/9", (404, 40403)),
        ("/schemas/ids/x", (404, 40403)),
        ("/mode/s", (404, 40409)),
        ("/nothing", (404, 404)),
    ] {
        assert_eq!(code(&a.get(path).await), expected, "{path}");
    }
    assert_eq!(a.get("/mode").await.1, json!({"mode": "READWRITE"}));
    for body in [
        json!({"schema": "{\"type\":\"nonsense\"}"}),
        json!({"schema": "{"}),
        json!({"schema": ""}),
        json!({}),
        json!({"schema": "{}", "schemaType": "JSON"}),
        json!({"schema": "\"int\"", "references": [{"name": "a", "subject": "b", "version": 1}]}),
    ] {
        assert_eq!(code(&a.ask("POST", "/subjects/s/versions", body.clone()).await), (422, 42201), "{body}");
    }
    assert_eq!(code(&a.ask("POST", "/subjects/s/versions", json!([])).await), (400, 400));
    assert_eq!(code(&a.ask("POST", "/subjects/s", json!({ "schema": REQUIRED })).await), (404, 40403));
    assert_eq!(code(&a.ask("POST", "/subjects/x", json!({ "schema": INT })).await), (404, 40401));
}

#[tokio::test]
async fn deletion_is_soft_before_it_is_permanent() {
    let a = Asker::new().await;
    let delete = async |path: &str| a.ask("DELETE", path, Json::Null).await;
    a.register("s", INT).await;
    a.register("s", WITH_DEFAULT).await;
    assert_eq!(code(&delete("/subjects/s/versions/1?permanent=true").await), (404, 40407));
    assert_eq!(delete("/subjects/s/versions/1").await, (200, json!(1)));
    assert_eq!(code(&delete("/subjects/s/versions/1").await), (404, 40406));
    assert_eq!(code(&a.get("/subjects/s/versions/1").await), (404, 40402));
    assert_eq!(a.get("/subjects/s/versions?deleted=true").await.1, json!([1, 2]));
    assert_eq!(code(&delete("/subjects/s?permanent=true").await), (404, 40405));
    assert_eq!(delete("/subjects/s").await, (200, json!([2])));
    assert_eq!(code(&delete("/subjects/s").await), (404, 40404));
    assert_eq!(a.get("/subjects").await.1, json!([]));
    assert_eq!(a.get("/subjects?deleted=true").await.1, json!(["s"]));
    // The schema itself stays for those who have its id, and comes back with it.
    assert_eq!(a.get("/schemas/ids/1").await.0, 200);
    assert_eq!(a.register("s", INT).await.1, json!({"id": 1}));
    assert_eq!(a.get("/subjects/s/versions").await.1, json!([3]));
    delete("/subjects/s").await;
    assert_eq!(delete("/subjects/s?permanent=true").await, (200, json!([1, 2, 3])));
    assert_eq!(code(&delete("/subjects/s").await), (404, 40401));
}

#[tokio::test]
async fn the_projects_own_client_understands_it() {
    let registry = Registry::start(0).await.expect("started");
    let client = SchemaRegistry::new(RegistryOptions::new(vec![registry.url().to_owned()])).expect("client");
    let subject = "topic with/odd%name-value";
    let (a, b) = tokio::join!(client.register(subject, INT), client.register(subject, INT));
    assert_eq!((a.expect("a"), b.expect("b")), (1, 1));
    assert_eq!(&*client.schema(1).await.expect("schema"), INT);
    assert_eq!(client.lookup(subject, INT).await.expect("version").version, 1);
    assert_eq!(client.register(subject, WITH_DEFAULT).await.expect("second"), 2);
    let latest = client.latest(subject).await.expect("latest");
    assert_eq!((latest.version, latest.schema.as_str()), (2, WITH_DEFAULT));
    assert_eq!(client.version(subject, 1).await.expect("first").schema, INT);
    assert_eq!(client.versions(subject).await.expect("versions"), [1, 2]);
    assert_eq!(client.subjects().await.expect("subjects"), [subject]);
    let e = client.register(subject, REQUIRED).await.expect_err("incompatible");
    assert_eq!(e.class(), ErrorClass::Data);
    assert!(e.message().contains("new fields need a default"), "{e}");
    let e = client.latest("nobody").await.expect_err("unknown");
    assert!(e.message().contains("Subject 'nobody' not found. (error 40401)"), "{e}");
    drop(registry);
}
