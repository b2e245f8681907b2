//! Refusals, shaped exactly as kube-apiserver shapes them: `Status` with code, reason, details, causes.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// One wrong field, as in `details.causes` of a 422.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn required(field: &str, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        FieldError {
            reason: "FieldValueRequired",
            field: field.to_owned(),
            message,
        }
    }

    pub(crate) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        FieldError {
            reason: "FieldValueInvalid",
            field: field.to_owned(),
            message: format!("Invalid value: {value}: {detail}"),
        }
    }

    /// Like [`invalid`](Self::invalid), for a value too large to be shown.
    pub(crate) fn invalid_whole(field: &str, detail: &str) -> Self {
        FieldError {
            reason: "FieldValueInvalid",
            field: field.to_owned(),
            message: format!("Invalid value: {detail}"),
        }
    }

    pub(crate) fn type_invalid(field: &str, value: &Value, detail: &str) -> Self {
        FieldError {
            reason: "FieldValueTypeInvalid",
            ..Self::invalid(field, value, detail)
        }
    }

    pub(crate) fn forbidden(field: &str, detail: &str) -> Self {
        FieldError {
            reason: "FieldValueForbidden",
            field: field.to_owned(),
            message: format!("Forbidden: {detail}"),
        }
    }

    pub(crate) fn duplicate(field: &str, value: &Value) -> Self {
        FieldError {
            reason: "FieldValueDuplicate",
            field: field.to_owned(),
            message: format!("Duplicate value: {value}"),
        }
    }

    pub(crate) fn unsupported(field: &str, value: &Value, supported: &[Value]) -> Self {
        let list: Vec<String> = supported.iter().map(Value::to_string).collect();
        FieldError {
            reason: "FieldValueNotSupported",
            field: field.to_owned(),
            message: format!("Unsupported value: {value}: supported values: {}", list.join(", ")),
        }
    }

    /// Whether rules are not run on an object with such a fault: they could not be trusted on it.
    pub(crate) fn blocks_rules(&self) -> bool {
        matches!(
            self.reason,
            "FieldValueNotSupported"
                | "FieldValueRequired"
                | "FieldValueTooLong"
                | "FieldValueTooMany"
                | "FieldValueTypeInvalid"
        )
    }

    /// Says that rules were not run.
    pub(crate) fn rules_not_checked() -> Self {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        Self::invalid("", &Value::Null, detail)
    }

    pub(crate) fn too_long(field: &str, max: u64) -> Self {
        FieldError {
            reason: "FieldValueTooLong",
            field: field.to_owned(),
            message: format!(
                "Too long: may not be more than {max} {}",
                if max == 1 { "byte" } else { "bytes" }
            ),
        }
    }

    pub(crate) fn too_many(field: &str, count: usize, max: u64) -> Self {
        FieldError {
            reason: "FieldValueTooMany",
            field: field.to_owned(),
            message: format!(
                "Too many: {count}: must have at most {max} {}",
                if max == 1 { "item" } else { "items" }
            ),
        }
    }

    fn line(&self) -> String {
        if self.field.is_empty() {
            format!("<nil>: {}", self.message)
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

/// Which object a refusal is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) group: String,
    /// The plural; for 422 the kind.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl About {
    pub(crate) fn new(group: &str, kind: &str, name: &str) -> Self {
        About {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: String::new(),
        }
    }

    fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

/// A refused request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    about: Option<Box<About>>,
    causes: Vec<FieldError>,
    /// Seconds after which trying again makes sense.
    retry_after: Option<u32>,
    /// Where a list that was cut short may go on.
    next: Option<String>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        ApiError {
            code,
            reason,
            message: message.into(),
            about: None,
            causes: Vec::new(),
            retry_after: None,
            next: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(about: About, why: &str) -> Self {
        let message = format!("{} \"{}\" is forbidden: {why}", about.qualified(), about.name);
        ApiError {
            about: Some(Box::new(about)),
            ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
        }
    }

    pub(crate) fn not_found(about: About) -> Self {
        let message = format!("{} \"{}\" not found", about.qualified(), about.name);
        ApiError {
            about: Some(Box::new(about)),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    pub(crate) fn not_served(message: impl Into<String>) -> Self {
        ApiError {
            about: Some(Box::default()),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    pub(crate) fn already_exists(about: About) -> Self {
        let message = format!("{} \"{}\" already exists", about.qualified(), about.name);
        ApiError {
            about: Some(Box::new(about)),
            ..Self::new(StatusCode::CONFLICT, "AlreadyExists", message)
        }
    }

    pub(crate) fn conflict(about: About, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{}\": {why}",
            about.qualified(),
            about.name
        );
        ApiError {
            about: Some(Box::new(about)),
            ..Self::new(StatusCode::CONFLICT, "Conflict", message)
        }
    }

    /// 422 with its causes; `about.kind` is the kind here, as upstream has it.
    pub(crate) fn invalid(about: About, causes: Vec<FieldError>) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in causes.iter().map(FieldError::line) {
            // Upstream, too, says the same thing once in the sentence and lists it twice.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{}\" is invalid: {text}", about.qualified(), about.name);
        ApiError {
            about: Some(Box::new(about)),
            causes,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
        }
    }

    /// 422 about the options of a request: `CreateOptions`, `DeleteOptions` and so on.
    pub(crate) fn invalid_options(kind: &str, causes: Vec<FieldError>) -> Self {
        Self::invalid(About::new("meta.k8s.io", kind, ""), causes)
    }

    /// 400 for a body that is no object of its kind.
    pub(crate) fn undecodable(kind: &str, version: &str, why: &str) -> Self {
        Self::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
        ))
    }

    pub(crate) fn with_cause(mut self, cause: FieldError) -> Self {
        self.causes.push(cause);
        self
    }

    /// A revision that is not there yet.
    pub(crate) fn too_new(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        ApiError {
            about: Some(Box::default()),
            retry_after: Some(1),
            causes: vec![FieldError {
                reason: "ResourceVersionTooLarge",
                field: String::new(),
                message: "Too large resource version".to_owned(),
            }],
            ..Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
        }
    }

    /// Details that say nothing, where upstream sends them.
    pub(crate) fn with_empty_details(mut self) -> Self {
        self.about = Some(Box::default());
        self
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        ApiError {
            about: Some(Box::default()),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    pub(crate) fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = format!("Internal error occurred: {}", message.into());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub(crate) fn with_code(mut self, code: StatusCode) -> Self {
        self.code = code;
        self
    }

    /// How a list that was cut short can still go on, though not consistently.
    pub(crate) fn with_continue(mut self, token: String) -> Self {
        self.next = Some(token);
        self
    }

    /// `limit` and `continue` and watches answer 410 without details.
    pub(crate) fn body(&self) -> Value {
        let metadata = self
            .next
            .as_ref()
            .map_or_else(|| json!({}), |next| json!({"continue": next}));
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if let Some(map) = status.as_object_mut() {
            map.extend(self.details().map(|details| ("details".to_owned(), details)));
        }
        status
    }

    fn details(&self) -> Option<Value> {
        let mut details = Map::new();
        let about = self.about.as_ref()?;
        for (field, text) in [
            ("name", &about.name),
            ("group", &about.group),
            ("kind", &about.kind),
            ("uid", &about.uid),
        ] {
            if !text.is_empty() {
                details.insert(field.to_owned(), Value::from(text.as_str()));
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self
                .causes
                .iter()
                .map(|c| match c.field.as_str() {
                    "" if c.reason == "ResourceVersionTooLarge" => json!({"reason": c.reason, "message": c.message}),
                    "" => json!({"reason": c.reason, "message": c.message, "field": "<nil>"}),
                    field => json!({"reason": c.reason, "message": c.message, "field": field}),
                })
                .collect();
            details.insert("causes".to_owned(), Value::from(causes));
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".to_owned(), Value::from(seconds));
        }
        Some(Value::Object(details))
    }
}

/// The answer to a delete that removed the object at once.
pub(crate) fn success(about: &About) -> Value {
    let mut details = Map::new();
    for (field, text) in [
        ("name", &about.name),
        ("group", &about.group),
        ("kind", &about.kind),
        ("uid", &about.uid),
    ] {
        if !text.is_empty() {
            details.insert(field.to_owned(), Value::from(text.as_str()));
        }
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}
