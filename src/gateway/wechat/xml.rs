//! APIv2's XML: one flat `<xml>` element. Reads what WeChat sends and refuses everything else; never resolves anything.
//!
//! Values are what a conforming XML parser makes of them, for that is what the signature covers: CDATA, the five
//! predefined entities and character references are decoded, line ends become `\n`, nothing is trimmed.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use zeroize::Zeroizing;

use crate::gateway::LARGEST_ANSWER;

/// The longest field name taken; WeChat's longest is under 40 bytes.
const LONGEST_NAME: usize = 64;

/// The fields of a message, sorted by name as the signature wants them.
#[derive(Debug, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(&'a str, Cow<'a, str>)>);

/// What in a text is not as WeChat writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadXml(pub &'static str);

impl<'a> Fields<'a> {
    /// Reads a message.
    ///
    /// Refuses a byte order mark, bytes that are not UTF-8, control characters, another declared encoding, DOCTYPE,
    /// processing instructions, comments, attributes, nested elements, unknown entities, values that mix CDATA with
    /// text, names that occur twice, another root, anything after it, and texts that end early.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadXml> {
        if bytes.len() > LARGEST_ANSWER {
            return Err(BadXml("too large"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadXml("not utf-8"))?;
        if text.starts_with('\u{feff}') {
            return Err(BadXml("byte order mark"));
        }
        if !text.chars().all(is_allowed) {
            return Err(BadXml("control character"));
        }
        let mut fields = Self(read_flat(text)?);
        fields.0.sort_unstable_by_key(|(name, _)| *name);
        if fields.0.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(BadXml("a name occurs twice"));
        }
        Ok(fields)
    }

    /// The value of a field, if it is there and not empty: WeChat does not tell the two apart.
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        Some(self.0[place].1.as_ref()).filter(|value| !value.is_empty())
    }

    /// Every field, known or not, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_ref()))
    }
}

enum Place<'a> {
    /// Before the root element; whether anything was read.
    Start { fresh: bool },
    /// In the root element, between fields.
    Root,
    /// In a field.
    Field(&'a str, Value<'a>),
    /// After the root element.
    End,
}

enum Value<'a> {
    Empty,
    Text(Cow<'a, str>),
    CData(Cow<'a, str>),
}

fn read_flat(text: &str) -> Result<Vec<(&str, Cow<'_, str>)>, BadXml> {
    let mut reader = Reader::from_str(text);
    let mut fields = Vec::with_capacity(32);
    let mut place = Place::Start { fresh: true };
    loop {
        let start = usize::try_from(reader.buffer_position()).map_err(|_| BadXml("too large"))?;
        let event = reader.read_event().map_err(|_| BadXml("not well-formed"))?;
        place = match (place, event) {
            (Place::Start { fresh: true }, Event::Decl(declaration)) => match declaration.encoding() {
                None => Place::Start { fresh: false },
                Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Place::Start { fresh: false },
                Some(_) => return Err(BadXml("another encoding")),
            },
            (Place::Start { .. }, Event::Start(tag)) => {
                if name_at(text, start, tag.name().as_ref(), tag.attributes_raw())? != "xml" {
                    return Err(BadXml("another root"));
                }
                Place::Root
            }
            (Place::Root, Event::Start(tag)) => {
                Place::Field(name_at(text, start, tag.name().as_ref(), tag.attributes_raw())?, Value::Empty)
            }
            (Place::Root, Event::Empty(tag)) => {
                fields.push((
                    name_at(text, start, tag.name().as_ref(), tag.attributes_raw())?,
                    Cow::Borrowed(""),
                ));
                Place::Root
            }
            (Place::Field(name, value), Event::Text(piece)) => {
                if piece.contains("]]>") {
                    return Err(BadXml("the end of a CDATA section without its begin"));
                }
                Place::Field(name, value.and_text(piece.xml10_content())?)
            }
            (Place::Field(name, value), Event::GeneralRef(entity)) => {
                Place::Field(name, value.and_text(Cow::Owned(resolve(&entity)?))?)
            }
            (Place::Field(name, value), Event::CData(piece)) => {
                Place::Field(name, value.and_cdata(piece.xml10_content())?)
            }
            (Place::Field(name, value), Event::End(_)) => {
                fields.push((
                    name,
                    match value {
                        Value::Empty => Cow::Borrowed(""),
                        Value::Text(value) | Value::CData(value) => value,
                    },
                ));
                Place::Root
            }
            (Place::Root, Event::End(_)) => Place::End,
            (Place::Start { .. }, Event::Text(blank)) if is_blank(&blank) => Place::Start { fresh: false },
            (Place::Root, Event::Text(blank)) if is_blank(&blank) => Place::Root,
            (Place::End, Event::Text(blank)) if is_blank(&blank) => Place::End,
            (Place::End, Event::Eof) => return Ok(fields),
            (_, Event::Eof) => return Err(BadXml("the text ends early")),
            (Place::Field(..), Event::Start(_) | Event::Empty(_)) => return Err(BadXml("nested element")),
            (_, Event::DocType(_)) => return Err(BadXml("DOCTYPE")),
            (_, Event::Comment(_)) => return Err(BadXml("comment")),
            (_, Event::PI(_) | Event::Decl(_)) => return Err(BadXml("processing instruction")),
            (Place::Start { .. }, Event::Empty(_)) => return Err(BadXml("no fields")),
            (Place::End, _) => return Err(BadXml("something after the root")),
            (
                Place::Start { .. } | Place::Root,
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::End(_),
            ) => return Err(BadXml("text outside of a field")),
        };
    }
}

impl<'a> Value<'a> {
    fn and_text(self, piece: Cow<'a, str>) -> Result<Self, BadXml> {
        match self {
            Value::Empty => Ok(Value::Text(piece)),
            Value::Text(text) => Ok(Value::Text(text + piece)),
            Value::CData(_) => Err(BadXml("text beside CDATA")),
        }
    }

    /// Several CDATA sections in a row are one value: that is how `]]>` is written.
    fn and_cdata(self, piece: Cow<'a, str>) -> Result<Self, BadXml> {
        match self {
            Value::Empty => Ok(Value::CData(piece)),
            Value::CData(text) => Ok(Value::CData(text + piece)),
            Value::Text(_) => Err(BadXml("text beside CDATA")),
        }
    }
}

/// The name in the tag that begins at `start`, borrowed from the text and not from the event.
fn name_at<'a>(text: &'a str, start: usize, name: &str, attributes: &str) -> Result<&'a str, BadXml> {
    if !is_blank(attributes) {
        return Err(BadXml("attribute"));
    }
    // XML 1.0, productions 4 and 5, as far as they are ASCII and no namespaces.
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.len() > LONGEST_NAME || !name.starts_with(begins) || !name.chars().all(goes_on) {
        return Err(BadXml("bad name"));
    }
    match text.get(start + 1..start + 1 + name.len()) {
        Some(found) if found == name => Ok(found),
        _ => Err(BadXml("bad name")),
    }
}

fn resolve(entity: &BytesRef) -> Result<String, BadXml> {
    match entity.resolve_char_ref() {
        Ok(Some(c)) if is_allowed(c) => Ok(c.to_string()),
        Ok(None) => resolve_predefined_entity(entity).map(str::to_owned).ok_or(BadXml("unknown entity")),
        _ => Err(BadXml("bad character reference")),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Whether XML 1.0 (fifth edition, production 2) allows this character at all.
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Writes a message. Its text is wiped when dropped, and no copy of it is left behind by growing.
pub fn write<'a>(fields: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Zeroizing<Vec<u8>> {
    // Every byte may become `&amp;`.
    let room = fields.clone().map(|(name, value)| 2 * name.len() + 5 + 5 * value.len()).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(room + "<xml></xml>".len()));
    out.extend_from_slice(b"<xml>");
    for (name, value) in fields {
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
        for byte in value.bytes() {
            match byte {
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'&' => out.extend_from_slice(b"&amp;"),
                b'\r' => out.extend_from_slice(b"&#13;"),
                _ => out.push(byte),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
    }
    out.extend_from_slice(b"</xml>");
    out
}
