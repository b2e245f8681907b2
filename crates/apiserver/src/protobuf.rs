//! The three bodies that kubectl insists on sending as protobuf: `kubectl create configmap`, `secret`
//! and `namespace`. Everything else, and every answer, is JSON.

use serde_json::{Map, Value};

use crate::base64;
use crate::status::{ApiError, ApiResult};

const MAGIC: &[u8] = b"k8s\0";

/// What the bytes of a field mean.
enum Kind {
    Text,
    Bytes,
    Flag,
    Number,
    Message(&'static [Field]),
    Entries(&'static Kind),
}

/// Number, JSON name, meaning, and whether it repeats.
struct Field(u64, &'static str, Kind, bool);

const OWNER: &[Field] = &[
    Field(1, "kind", Kind::Text, false),
    Field(3, "name", Kind::Text, false),
    Field(4, "uid", Kind::Text, false),
    Field(5, "apiVersion", Kind::Text, false),
    Field(6, "controller", Kind::Flag, false),
    Field(7, "blockOwnerDeletion", Kind::Flag, false),
];

const METADATA: &[Field] = &[
    Field(1, "name", Kind::Text, false),
    Field(2, "generateName", Kind::Text, false),
    Field(3, "namespace", Kind::Text, false),
    Field(5, "uid", Kind::Text, false),
    Field(6, "resourceVersion", Kind::Text, false),
    Field(7, "generation", Kind::Number, false),
    Field(11, "labels", Kind::Entries(&Kind::Text), false),
    Field(12, "annotations", Kind::Entries(&Kind::Text), false),
    Field(13, "ownerReferences", Kind::Message(OWNER), true),
    Field(14, "finalizers", Kind::Text, true),
];

const CONFIG_MAP: &[Field] = &[
    Field(1, "metadata", Kind::Message(METADATA), false),
    Field(2, "data", Kind::Entries(&Kind::Text), false),
    Field(3, "binaryData", Kind::Entries(&Kind::Bytes), false),
    Field(4, "immutable", Kind::Flag, false),
];

const SECRET: &[Field] = &[
    Field(1, "metadata", Kind::Message(METADATA), false),
    Field(2, "data", Kind::Entries(&Kind::Bytes), false),
    Field(3, "type", Kind::Text, false),
    Field(4, "stringData", Kind::Entries(&Kind::Text), false),
    Field(5, "immutable", Kind::Flag, false),
];

const NAMESPACE: &[Field] = &[Field(1, "metadata", Kind::Message(METADATA), false)];

/// Decodes an object in Kubernetes' protobuf envelope.
pub(crate) fn decode(body: &[u8]) -> ApiResult<Value> {
    let damaged = || ApiError::bad_request("the object provided is not valid protobuf");
    let envelope = body.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field.ok_or_else(damaged)? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field.ok_or_else(damaged)? {
                        (1, Wire::Bytes(text)) => api_version = String::from_utf8_lossy(text).into_owned(),
                        (2, Wire::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let fields = match (api_version.as_str(), kind.as_str()) {
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "Namespace") => NAMESPACE,
        _ => {
            return Err(ApiError::unsupported_media(format!(
                "this one-machine API takes {kind} of {api_version} as application/json or application/yaml, not as protobuf; \
                 write a manifest and kubectl apply it"
            )));
        }
    };
    let mut object = message(raw, fields).ok_or_else(damaged)?;
    object.insert("apiVersion".to_owned(), Value::from(api_version));
    object.insert("kind".to_owned(), Value::from(kind));
    Ok(Value::Object(object))
}

fn message(bytes: &[u8], fields: &[Field]) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for field in Fields(bytes) {
        let (number, wire) = field?;
        let Some(Field(_, name, kind, repeats)) = fields.iter().find(|f| f.0 == number) else {
            continue;
        };
        if let Kind::Entries(of) = kind {
            let (key, value) = entry(wire.bytes()?, of)?;
            crate::object::as_map(object.entry(*name).or_insert_with(|| Value::Object(Map::new()))).insert(key, value);
            continue;
        }
        let value = decode_value(&wire, kind)?;
        if *repeats {
            if let Some(list) = object
                .entry(*name)
                .or_insert_with(|| Value::Array(Vec::new()))
                .as_array_mut()
            {
                list.push(value);
            }
        } else if value != "" {
            // proto2 writes empty texts; in JSON they are left out.
            object.insert((*name).to_owned(), value);
        }
    }
    Some(object)
}

fn entry(bytes: &[u8], of: &Kind) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), Value::from(""));
    for field in Fields(bytes) {
        match field? {
            (1, wire) => key = String::from_utf8(wire.bytes()?.to_vec()).ok()?,
            (2, wire) => value = decode_value(&wire, of)?,
            _ => {}
        }
    }
    Some((key, value))
}

fn decode_value(wire: &Wire<'_>, kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::from(std::str::from_utf8(wire.bytes()?).ok()?),
        Kind::Bytes => Value::from(base64::encode(wire.bytes()?)),
        Kind::Flag => Value::from(wire.number()? != 0),
        Kind::Number => Value::from(wire.number()?),
        Kind::Message(fields) => Value::Object(message(wire.bytes()?, fields)?),
        Kind::Entries(_) => return None,
    })
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Number(_) => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Wire::Number(number) => Some(*number),
            Wire::Bytes(_) => None,
        }
    }
}

/// The fields of a message; `None` where the bytes end in the middle of one.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            // Nothing after damage can be read.
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend(content);
        out
    }

    fn envelope(kind: &[u8], raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, b"v1"), field(2, kind)].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn reads_a_secret_as_kubectl_sends_it() {
        let metadata = [field(1, b"key"), field(2, b""), field(14, b"a"), field(14, b"b")].concat();
        let data = [field(1, b"token"), field(2, b"foo")].concat();
        let raw = [
            field(1, &metadata),
            field(2, &data),
            field(3, b"Opaque"),
            vec![5 << 3, 1],
        ]
        .concat();
        let body = envelope(b"Secret", &raw);
        assert_eq!(
            decode(&body).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
                "metadata": {"name": "key", "finalizers": ["a", "b"]}, "data": {"token": "Zm9v"},
            })
        );
        // Cut anywhere, it is refused or shorter, and never a panic.
        for length in 0..body.len() {
            drop(decode(&body[..length]));
        }
        assert_eq!(decode(&envelope(b"Pod", b"")).unwrap_err().code, 415);
        assert_eq!(decode(b"k8s\0\xff\xff").unwrap_err().code, 400);
    }
}
