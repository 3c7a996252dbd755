//! Reads bodies and queries strictly: bounded, in time, every field named, nothing unknown, and says what was wrong where.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Uri, header};
use http_body_util::BodyExt;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::api::problem::{self, Failure};
use crate::money::Amount;

/// The largest body that is read. The largest honest one has some 700 bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A body that knows how to read itself.
pub trait Read: Sized {
    /// Takes what it needs; unknown fields are refused by the caller.
    fn read(fields: &mut Fields) -> Result<Self, Failure>;
}

/// A JSON body, strictly read.
pub struct Strict<T>(pub T);

impl<S: Sync, T: Read> FromRequest<S> for Strict<T> {
    type Rejection = Failure;
    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(problem::MEDIA_TYPE.because("expected Content-Type: application/json"));
        }
        let bytes = collect(&parts.headers, body).await?;
        parse(&bytes).map(Strict)
    }
}

/// No body, or `{}`: a page of another site can send neither as JSON nor without a media type by a form.
pub struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;
    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        if parts.headers.contains_key(header::CONTENT_TYPE) && !is_json(&parts.headers) {
            return Err(problem::MEDIA_TYPE.because("expected Content-Type: application/json, or no body"));
        }
        let bytes = collect(&parts.headers, body).await?;
        if bytes.is_empty() {
            return Ok(NoBody);
        }
        if !is_json(&parts.headers) {
            return Err(problem::MEDIA_TYPE.because("expected Content-Type: application/json, or no body"));
        }
        parse::<Nothing>(&bytes).map(|Nothing| NoBody)
    }
}

struct Nothing;

impl Read for Nothing {
    fn read(_: &mut Fields) -> Result<Self, Failure> {
        Ok(Nothing)
    }
}

/// Reads a JSON object into `T`.
pub fn parse<T: Read>(bytes: &[u8]) -> Result<T, Failure> {
    let mut fields: Fields = serde_json::from_slice(bytes).map_err(|error| {
        // serde_json's own text can quote the body, which can hold a payment code: only the place is told.
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "expected one object, each field once",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        let (line, column) = (error.line(), error.column());
        problem::MALFORMED_JSON.because(format!("body at line {line} column {column}: {what}"))
    })?;
    let value = T::read(&mut fields)?;
    fields.end()?;
    Ok(value)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = media.split(';');
    let essence = parts.next().unwrap_or("").trim();
    let charset = parts.map(str::trim).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_ascii_lowercase())
    });
    essence.eq_ignore_ascii_case("application/json")
        && charset.is_none_or(|charset| charset == "utf-8" || charset == "utf8")
}

/// The whole body, wiped when dropped.
async fn collect(headers: &HeaderMap, body: Body) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let too_large = || problem::TOO_LARGE.because(format!("expected at most {BODY_MAX} bytes"));
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut body = body;
        // Whole from the start: a vector that grows leaves unwiped copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_MAX));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| problem::MALFORMED_JSON.because("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > BODY_MAX {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
            if let Ok(mut ours) = data.try_into_mut() {
                ours.as_mut().zeroize();
            }
        }
        Ok(bytes)
    };
    match tokio::time::timeout(BODY_WITHIN, read).await {
        Ok(read) => read,
        Err(_) => Err(problem::TOO_SLOW.because("the body did not arrive within 10 seconds")),
    }
}

/// The fields of a JSON object or of a query, each at most once. Whatever is left is wiped.
#[derive(Default)]
pub struct Fields {
    left: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Fields {
    /// The parameters of `uri`'s query.
    pub fn of_query(uri: &Uri) -> Result<Self, Failure> {
        let wrong = |detail: &str| problem::INVALID_QUERY.because(detail);
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| wrong("expected name=value pairs, percent-encoded UTF-8"))?;
        let mut fields = Self::default();
        for (name, value) in query.0 {
            if fields.left.iter().any(|(known, _)| *known == name) {
                return Err(wrong("a parameter is there twice").field(shown(&name)));
            }
            fields.left.push((name, Value::String(value)));
        }
        Ok(fields)
    }

    /// Takes a field out; `null` is the same as absent.
    pub fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let at = self.left.iter().position(|(field, _)| field == name)?;
        Some(self.left.swap_remove(at).1).filter(|value| !value.is_null())
    }

    /// A text of 1 to `longest` characters without control characters.
    pub fn text(&mut self, name: &'static str, longest: usize) -> Result<Option<String>, Failure> {
        let expected = format!("a text of 1 to {longest} characters");
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(invalid(name, &expected, kind(&other))),
        };
        if text.trim().is_empty() {
            return Err(invalid(name, &expected, "an empty text"));
        }
        if text.chars().any(is_unprintable) {
            return Err(invalid(name, "no control characters", "at least one"));
        }
        match text.chars().count() {
            count if count > longest => Err(invalid(name, &expected, &format!("{count}"))),
            _ => Ok(Some(text)),
        }
    }

    /// The same, where the gateway counts bytes of UTF-8.
    pub fn text_of_bytes(&mut self, name: &'static str, longest: usize) -> Result<Option<String>, Failure> {
        let text = self.text(name, longest)?;
        match text.as_ref().map_or(0, String::len) {
            bytes if bytes > longest => {
                Err(invalid(name, &format!("at most {longest} bytes of UTF-8"), &bytes.to_string()))
            }
            _ => Ok(text),
        }
    }

    /// A text that is wiped when dropped and is never quoted.
    pub fn secret(&mut self, name: &'static str) -> Result<Option<Zeroizing<String>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text))),
            Some(other) => Err(invalid(name, "a text", kind(&other))),
        }
    }

    /// An amount: a whole, positive number of fen. Never a text, never a fraction.
    pub fn amount(&mut self, name: &'static str) -> Result<Amount, Failure> {
        const EXPECTED: &str = "a whole number of fen, 1 to 4294967295 (12.50 yuan is 1250)";
        let got = match self.take(name) {
            None => "nothing".to_owned(),
            Some(Value::Number(number)) => {
                let fen = number.as_u64().and_then(|fen| u32::try_from(fen).ok());
                match fen.and_then(|fen| Amount::from_fen(fen).ok()) {
                    Some(amount) => return Ok(amount),
                    // A long number may be a payment code in the wrong place, or the most of one.
                    None if number.to_string().len() > 9 => "a number that is too long".to_owned(),
                    None => number.to_string(),
                }
            }
            Some(other) => kind(&other).to_owned(),
        };
        Err(invalid(name, EXPECTED, &got))
    }

    /// A query parameter.
    pub fn parameter(&mut self, name: &'static str) -> Option<String> {
        match self.take(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Refuses whatever was not taken.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => {
                let known =
                    if self.known.is_empty() { "no fields".to_owned() } else { self.known.join(", ") };
                let name = shown(name);
                Err(problem::INVALID_FIELD
                    .because(format!("{name:?} is not known, expected {known}"))
                    .field(name))
            }
        }
    }

    /// The same, for a query.
    pub fn end_query(mut self) -> Result<(), Failure> {
        self.end().map_err(|unknown| unknown.kind(&problem::INVALID_QUERY))
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        fn wipe(value: &mut Value) {
            match value {
                Value::String(text) => text.zeroize(),
                Value::Array(values) => values.iter_mut().for_each(wipe),
                Value::Object(map) => map.values_mut().for_each(wipe),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        self.left.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

/// An object's fields, in order; the same name twice is refused, because readers disagree on which one counts.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(entry) = map.next_entry::<String, Value>()? {
                    if fields.left.iter().any(|(name, _)| *name == entry.0) {
                        return Err(de::Error::custom("a field is there twice"));
                    }
                    fields.left.push(entry);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A field that cannot be used.
pub fn invalid(name: &str, expected: &str, got: &str) -> Failure {
    problem::INVALID_FIELD.because(format!("field {name}: expected {expected}, got {got}")).field(name)
}

/// What JSON calls the value; never the value itself, which may be a payment code in the wrong place.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Control characters, and the marks that turn the direction of writing: neither belongs on a receipt or a page.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A name of the client's making, fit to be repeated: no digits, for it may be a payment code in the wrong place.
fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphabetic() || matches!(c, '_' | '-') { c } else { '?' };
    name.chars().take(32).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Problem;

    struct Priced(Amount);
    impl Read for Priced {
        fn read(fields: &mut Fields) -> Result<Self, Failure> {
            fields.amount("amount").map(Priced)
        }
    }

    fn refusal(body: &str) -> Problem {
        match parse::<Priced>(body.as_bytes()) {
            Ok(priced) => panic!("{body} was taken as {}", priced.0),
            Err(failure) => failure.into(),
        }
    }

    #[test]
    fn an_amount_is_a_whole_number_of_fen_and_nothing_else() {
        assert_eq!(parse::<Priced>(br#"{"amount": 4294967295}"#).unwrap().0.fen(), u32::MAX);
        for bad in [
            "0",
            "-1",
            "12.5",
            "1250.0",
            "1e3",
            "4294967296",
            "18446744073709551616",
            "1e400",
            "\"1250\"",
            "null",
            "true",
            "[1]",
            "{\"fen\":1}",
        ] {
            let problem = refusal(&format!("{{\"amount\": {bad}}}"));
            assert!(problem.status == 422 || problem.status == 400, "{bad}: {problem:?}");
        }
        assert_eq!(refusal("{}").field.as_deref(), Some("amount"));
        assert_eq!(
            refusal(r#"{"amount": 12.5}"#).detail,
            "field amount: expected a whole number of fen, 1 to 4294967295 (12.50 yuan is 1250), got 12.5"
        );
    }

    #[test]
    fn a_field_that_is_unknown_or_there_twice_is_refused() {
        assert_eq!(
            refusal(r#"{"amount": 1, "ammount": 2}"#).detail,
            r#""ammount" is not known, expected amount"#
        );
        assert_eq!(refusal(r#"{"amount": 1, "amount": 2}"#).code, "malformed_json");
        for not_an_object in
            ["", "[]", "1", "\"x\"", "{", "{\"amount\":1}x", "{'amount':1}", "\u{feff}{\"amount\":1}"]
        {
            assert_eq!(refusal(not_an_object).code, "malformed_json", "{not_an_object:?}");
        }
        let deep = format!("{{\"amount\":{}1{}}}", "[".repeat(8000), "]".repeat(8000));
        assert_eq!(refusal(&deep).code, "malformed_json");
    }

    #[test]
    fn a_code_in_the_wrong_place_is_not_repeated() {
        for body in [
            r#"{"amount": "134567890123458406"}"#,
            r#"{"amount": 1, "134567890123458406": 1}"#,
            r#"{"amount": 1, "auth_code": 134567890123458406}"#,
            r#"{"amount": 134567890123458406}"#,
            r#"134567890123458406"#,
            r#"{"amount": 134567890123458406x}"#,
        ] {
            assert!(!format!("{:?}", refusal(body)).contains("345678"), "{body}: {:?}", refusal(body));
        }
    }
}
