//! APIv2's wire: flat XML and the two signatures. Written a second time on purpose and sharing nothing with the gateway
//! room: an examiner who used the candidate's own code would confirm every mistake in it.

use std::collections::BTreeMap;
use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

/// A message: field names and their decoded values. Ordered by bytes, as the signature wants it.
pub type Fields = BTreeMap<String, String>;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadXml {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not one flat `<xml>` element; the text says what was met.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Reads one flat `<xml>` element. Refuses what WeChat's documents do not allow: a byte order mark, a DOCTYPE, attributes,
/// nested elements, a name that occurs twice, entities other than the five of XML and character references.
pub fn read(bytes: &[u8]) -> Result<Fields, BadXml> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadXml::NotUtf8)?;
    let mut scan = Scan { rest: text.trim_start_matches(BLANK) };
    if scan.take("<?xml") {
        scan.until("?>")?;
        scan.blanks();
    }
    if !scan.take("<xml") {
        return Err(BadXml::Malformed("no <xml> at the start"));
    }
    scan.close("an attribute or another name at <xml>")?;
    let mut fields = Fields::new();
    loop {
        scan.blanks();
        if scan.take("</xml") {
            scan.close("a bad end tag")?;
            scan.blanks();
            return if scan.rest.is_empty() {
                Ok(fields)
            } else {
                Err(BadXml::Malformed("text after </xml>"))
            };
        }
        if !scan.take("<") {
            return Err(BadXml::Malformed("text between elements, or no </xml>"));
        }
        let name = scan.name()?;
        scan.blanks();
        let value = if scan.take("/>") { String::new() } else { scan.value(name)? };
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(BadXml::Malformed("a field occurs twice"));
        }
    }
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(BLANK);
    }

    fn until(&mut self, end: &str) -> Result<&'a str, BadXml> {
        let (before, after) =
            self.rest.split_once(end).ok_or(BadXml::Malformed("the text ends too early"))?;
        self.rest = after;
        Ok(before)
    }

    fn close(&mut self, otherwise: &'static str) -> Result<(), BadXml> {
        self.blanks();
        if self.take(">") { Ok(()) } else { Err(BadXml::Malformed(otherwise)) }
    }

    fn name(&mut self) -> Result<&'a str, BadXml> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest.find(|c: char| !plain(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name.as_bytes().first() {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => Ok(name),
            _ => Err(BadXml::Malformed("a tag without a plain name")),
        }
    }

    fn value(&mut self, name: &str) -> Result<String, BadXml> {
        self.close("an attribute, or a bad name")?;
        let mut value = String::new();
        loop {
            if self.take("<![CDATA[") {
                value.push_str(self.until("]]>")?);
            } else if self.take("</") {
                if self.name()? != name {
                    return Err(BadXml::Malformed("an end tag with another name"));
                }
                self.close("a bad end tag")?;
                break;
            } else if self.take("&") {
                value.push(entity(self.until(";")?)?);
            } else if self.rest.starts_with('<') {
                return Err(BadXml::Malformed("a nested element"));
            } else if self.rest.is_empty() {
                return Err(BadXml::Malformed("the text ends too early"));
            } else {
                let end = self.rest.find(['<', '&']).unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                value.push_str(text);
                self.rest = rest;
            }
        }
        if value.chars().all(allowed) { Ok(value) } else { Err(BadXml::Malformed("a control character")) }
    }
}

fn allowed(c: char) -> bool {
    !c.is_control() || BLANK.contains(&c)
}

fn entity(name: &str) -> Result<char, BadXml> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix("#x") {
            Some(hex) => number(hex, 16),
            None => name.strip_prefix('#').and_then(|digits| number(digits, 10)),
        },
    }
    .ok_or(BadXml::Malformed("an unknown entity"))
}

/// Writes a message as WeChat does: result codes first, amounts and counts bare, everything else in CDATA.
pub fn write(fields: &Fields) -> String {
    const FIRST: [&str; 4] = ["return_code", "return_msg", "result_code", "err_code"];
    let head = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
    let tail = fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut text = String::from("<xml>");
    for (name, value) in head.chain(tail) {
        let bare = (name.contains("_fee") || name.contains("_count"))
            && !value.is_empty()
            && value.bytes().all(|b| b.is_ascii_digit());
        let written = if bare {
            writeln!(text, "<{name}>{value}</{name}>")
        } else {
            writeln!(text, "<{name}><![CDATA[{}]]></{name}>", value.replace("]]>", "]]]]><![CDATA[>"))
        };
        debug_assert!(written.is_ok(), "a String takes every write");
    }
    text.push_str("</xml>");
    text
}

/// The two ways to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignType {
    /// 32 hexadecimal digits; what a message without `sign_type` is signed with.
    Md5,
    /// 64 hexadecimal digits.
    HmacSha256,
}

impl SignType {
    /// The type that a message names; MD5 when it names none.
    pub fn of(fields: &Fields) -> Option<Self> {
        match fields.get("sign_type").map_or("", String::as_str) {
            "" | "MD5" => Some(Self::Md5),
            "HMAC-SHA256" => Some(Self::HmacSha256),
            _ => None,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Md5 => Self::HmacSha256,
            Self::HmacSha256 => Self::Md5,
        }
    }
}

/// The signature of every field that has a value, but for `sign` itself.
pub fn sign(fields: &Fields, key: &str, kind: SignType) -> String {
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty()) {
        text.push_str(name);
        text.push('=');
        text.push_str(value);
        text.push('&');
    }
    text.push_str("key=");
    text.push_str(key);
    match kind {
        SignType::Md5 => hex(&Md5::digest(text.as_bytes())),
        SignType::HmacSha256 => {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
            mac.update(text.as_bytes());
            hex(&mac.finalize().into_bytes())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The API key of the sample that WeChat Pay's signature page shows.
    const KEY: &str = "192006250b4c09247ec02edce69f6a2d";

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn signs_the_published_samples() {
        let cases = [
            (
                // pay.weixin.qq.com, signature algorithm, both types
                fields(&[
                    ("appid", "wxd930ea5d5a258f4f"),
                    ("mch_id", "10000100"),
                    ("device_info", "1000"),
                    ("body", "test"),
                    ("nonce_str", "ibuaiVcKdpRxkhJA"),
                ]),
                KEY,
                "9A0A8659F005D6984697E2CA0A9CF3B7",
                "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6",
            ),
            (
                // wechatpy, tests/test_pay.py
                fields(&[("test1", "test1"), ("test2", "test2")]),
                KEY,
                "1E3A8D73B5A4AEE787C0F68B5DAB8520",
                "EDAC6D70D2FDF5A2382F8204FC96A1918017E46ACC5297F565ED1A7610ACF659",
            ),
            (
                // jasl/wx_pay, test/wx_pay/sign_test.rb
                fields(&[
                    ("appid", "wxd930ea5d5a258f4f"),
                    ("auth_code", "123456"),
                    ("body", "test"),
                    ("device_info", "123"),
                    ("mch_id", "1900000109"),
                    ("nonce_str", "960f228109051b9969f76c82bde183ac"),
                    ("out_trade_no", "1400755861"),
                    ("spbill_create_ip", "127.0.0.1"),
                    ("total_fee", "1"),
                ]),
                "key",
                "1454C32E885B8D9E4A05E976D1C45B88",
                "A58C01F990B45A4D0E496F835B2739E391C6C734927B1DA740DC873E607FB42A",
            ),
            (
                // empty is dropped, zero is kept, nothing is escaped
                fields(&[
                    ("appid", "wx8888888888888888"),
                    ("attach", ""),
                    ("body", "A & B <c> \"d\" 100%+"),
                    ("mch_id", "1900000109"),
                    ("nonce_str", "n1"),
                    ("total_fee", "0"),
                ]),
                KEY,
                "BCAD2D0565E392A805794E82B0BE3E67",
                "5F24373E7A6CBDF4311E8B3DE0E5E24D9E58D054CD9D433928D54E3BC8C2D7A7",
            ),
            (
                // byte order: capitals, underscore, small letters; _10 before _2
                fields(&[
                    ("Zed", "9"),
                    ("_x", "8"),
                    ("a1", "7"),
                    ("coupon_fee", "10"),
                    ("coupon_fee_0", "1"),
                    ("coupon_fee_10", "3"),
                    ("coupon_fee_2", "2"),
                ]),
                KEY,
                "DB9A300E53B368AD7FF5C921FBA7E460",
                "73C390F1F31B2C19441188133F38F355793EF3B95C3E1EBD8851D4E375BB3985",
            ),
        ];
        for (fields, key, md5, hmac) in cases {
            assert_eq!(sign(&fields, key, SignType::Md5), md5, "{fields:?}");
            assert_eq!(sign(&fields, key, SignType::HmacSha256), hmac, "{fields:?}");
        }
        let chinese = fields(&[
            ("app_id", "app_id"),
            ("body", "测试商品"),
            ("mch_id", "mch_id"),
            ("notify_url", "http://making.dev/notify"),
            ("openid", "OPENID"),
            ("out_trade_no", "test003"),
            ("spbill_create_ip", "127.0.0.1"),
            ("total_fee", "1"),
            ("trade_type", "JSAPI"),
        ]);
        assert_eq!(sign(&chinese, "key", SignType::Md5), "172A2D487A37D13FDE32B874BA823DD6");
    }

    #[test]
    fn reads_what_it_writes() {
        let message = fields(&[
            ("return_code", "SUCCESS"),
            ("total_fee", "1250"),
            ("attach", ""),
            ("body", "朝阳门店 <&>\"' ]]> ]]"),
        ]);
        assert_eq!(read(write(&message).as_bytes()), Ok(message));
    }

    #[test]
    fn reads_the_forms_that_clients_send() {
        let message = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<xml >\n <a>1</a >\r\n<b>x&amp;<![CDATA[<y>]]>&#x4e2d;&#25991;</b><c/>\n</xml>\n";
        let expected = fields(&[("a", "1"), ("b", "x&<y>中文"), ("c", "")]);
        assert_eq!(read(message.as_bytes()), Ok(expected));
    }

    #[test]
    fn refuses_what_the_real_one_never_takes() {
        for bad in [
            "",
            "<xml>",
            "<xml></xml>x",
            "<xml a=\"1\"></xml>",
            "<xml><a>1</b></xml>",
            "<xml><a>1</xml>",
            "<xml><a x=\"1\">1</a></xml>",
            "<xml><a><b>1</b></a></xml>",
            "<xml><a>1</a><a>1</a></xml>",
            "<xml><a>&evil;</a></xml>",
            "<xml><a>&#0;</a></xml>",
            "<xml>text</xml>",
            "\u{feff}<xml></xml>",
            "<!DOCTYPE xml [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><xml><a>&e;</a></xml>",
            "<html></html>",
            "<xmlx></xmlx>",
        ] {
            assert!(matches!(read(bad.as_bytes()), Err(BadXml::Malformed(_))), "{bad:?}");
        }
        assert_eq!(read(b"<xml><a>\xff</a></xml>"), Err(BadXml::NotUtf8));
    }
}
