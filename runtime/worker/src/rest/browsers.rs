//! What browsers are told: cross-origin access (`access.control.allow.*`) and further headers of answers
//! (`response.http.headers.config`).

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};

/// Who may ask from other origins, and how.
#[derive(Debug, Clone)]
pub(super) struct Cors {
    origins: Vec<regex::Regex>,
    methods: String,
}

impl Cors {
    /// None where no origin is allowed.
    pub(super) fn new(origins: &str, methods: &str) -> Option<Self> {
        let list = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
        };
        // A star stands for any text, alone or in a name such as http://*.example.org.
        let pattern = |text: &String| {
            let parts: Vec<String> = text.split('*').map(regex::escape).collect();
            regex::Regex::new(&format!("^{}$", parts.join(".*"))).ok()
        };
        let origins: Vec<regex::Regex> = list(origins).iter().filter_map(pattern).collect();
        let methods = list(methods).join(",");
        let methods = if methods.is_empty() { "GET,POST,HEAD".to_owned() } else { methods };
        (!origins.is_empty()).then_some(Self { origins, methods })
    }

    fn allows(&self, origin: &str) -> bool {
        // A browser sends several where it was redirected.
        origin.split(' ').any(|o| self.origins.iter().any(|allowed| allowed.is_match(o)))
    }
}

fn text(request: &Request, name: HeaderName) -> Option<String> {
    request.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// Adds the headers of cross-origin access.
pub(super) async fn cors(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let (origin, wanted) = (text(&request, header::ORIGIN), text(&request, header::ACCESS_CONTROL_REQUEST_METHOD));
    let origin = origin.filter(|o| cors.allows(o));
    let wanted = wanted.filter(|_| request.method() == Method::OPTIONS);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.and_then(|o| HeaderValue::from_str(&o).ok()) else { return response };
    let preflight = wanted.is_some_and(|method| cors.methods.split(',').any(|m| m == method));
    if preflight && let Ok(methods) = HeaderValue::from_str(&cors.methods) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("60"));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}

/// A header of every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    add: bool,
    name: HeaderName,
    value: HeaderValue,
}

/// Reads rules of the form `set Name: value`, separated by commas, in double quotes where they hold commas.
pub(crate) fn header_rules(text: &str) -> Result<Vec<HeaderRule>, String> {
    rules(text).iter().map(|r| rule(r.trim())).collect()
}

fn rules(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match (c, found.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => found.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    found.retain(|r| !r.trim().is_empty());
    found
}

fn rule(text: &str) -> Result<HeaderRule, String> {
    let shape = "expected '<set|add|setDate|addDate> <name>: <value>'";
    let (action, rest) = text.split_once(char::is_whitespace).ok_or_else(|| format!("'{text}': {shape}"))?;
    let (name, value) = rest.split_once(':').ok_or_else(|| format!("'{text}': {shape}"))?;
    let (name, value) = (name.trim(), value.trim());
    let (add, date) = match action.to_ascii_lowercase().as_str() {
        "set" => (false, false),
        "add" => (true, false),
        "setdate" => (false, true),
        "adddate" => (true, true),
        _ => return Err(format!("'{text}': the action {action} is none of set, add, setDate, addDate")),
    };
    let value = if date {
        let ms = value.parse().map_err(|_| format!("'{text}': {value} is no time in milliseconds since 1970"))?;
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ms))
    } else {
        value.to_owned()
    };
    Ok(HeaderRule {
        add,
        name: name.parse().map_err(|_| format!("'{text}': {name:?} is no name of a header"))?,
        value: value.parse().map_err(|_| format!("'{text}': the value cannot stand in a header"))?,
    })
}

/// Adds the headers of the rules.
pub(super) async fn headers(State(rules): State<Arc<Vec<HeaderRule>>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for rule in rules.iter() {
        if rule.add {
            response.headers_mut().append(rule.name.clone(), rule.value.clone());
        } else {
            response.headers_mut().insert(rule.name.clone(), rule.value.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_names_or_patterns() {
        let cors = Cors::new("http://a.org, https://*.b.org", "").expect("cors");
        for right in ["http://a.org", "https://x.b.org", "http://evil http://a.org"] {
            assert!(cors.allows(right), "{right}");
        }
        for wrong in ["http://a.org.evil", "http://x.b.org", "https://b.org", "http://aXorg"] {
            assert!(!cors.allows(wrong), "{wrong}");
        }
        assert!(Cors::new("*", "").is_some_and(|c| c.allows("http://x")));
        assert!(Cors::new(" ", "GET").is_none());
    }

    #[test]
    fn header_rules_are_read_with_their_quotes() {
        let all = header_rules("add Cache-Control: no-cache, \"set X: a, b\", setDate Expires: 0").expect("rules");
        let shown: Vec<_> = all.iter().map(|r| (r.add, r.name.as_str(), r.value.to_str().expect("text"))).collect();
        let wanted = [
            (true, "cache-control", "no-cache"),
            (false, "x", "a, b"),
            (false, "expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        assert_eq!(shown, wanted);
        assert_eq!(header_rules(""), Ok(Vec::new()));
        for wrong in ["set", "put X: y", "set X", "set X y: z", "setDate X: soon"] {
            assert!(header_rules(wrong).is_err(), "{wrong}");
        }
    }
}
