//! What a gateway can do to a request other than answer it. Wherever it can, the lie inside is perfect: signed with the
//! merchant's own key, about the right order and amount, so that only the deed itself gives it away.

use std::time::Duration;

use micropayd::simulator::wire::{self, SignType};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::gateway::{KEY, Lie, Line, outwait, write};

/// A name, and how it is done.
#[derive(Clone, Copy)]
pub struct Deed {
    pub name: &'static str,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    /// 200 with this body.
    Body(fn(&Lie) -> String),
    /// A response of these bytes, after which the connection can be used again.
    Whole(fn(&Lie) -> Vec<u8>),
    /// These bytes in the place of an HTTP response; then the connection waits for the client.
    Bytes(fn(&Lie) -> Vec<u8>),
    /// These bytes; then the connection ends without a farewell.
    Broken(fn(&Lie) -> Vec<u8>),
    /// This piece for ever, so many milliseconds apart.
    Endless(fn(&Lie) -> Vec<u8>, &'static [u8], u64),
}

impl Deed {
    /// Does it; whether the connection can be used again.
    pub async fn done_to(self, line: &mut Line, lie: &Lie<'_>) -> bool {
        match self.how {
            How::Body(body) => write(line, &response("200 OK", "", &body(lie))).await,
            How::Whole(bytes) => write(line, &bytes(lie)).await,
            How::Bytes(bytes) => {
                write(line, &bytes(lie)).await;
                outwait(line).await;
                false
            }
            How::Broken(bytes) => {
                write(line, &bytes(lie)).await;
                // Below TLS: its own farewell is not said.
                let _ = line.get_mut().0.shutdown().await;
                false
            }
            How::Endless(first, piece, apart) => {
                let mut open = write(line, &first(lie)).await;
                while open {
                    if apart > 0 {
                        sleep(Duration::from_millis(apart)).await;
                    }
                    open = write(line, piece).await;
                }
                false
            }
        }
    }
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

const fn body(name: &'static str, body: fn(&Lie) -> String) -> Deed {
    Deed { name, how: How::Body(body) }
}

const fn bytes(name: &'static str, bytes: fn(&Lie) -> Vec<u8>) -> Deed {
    Deed { name, how: How::Bytes(bytes) }
}

const fn whole(name: &'static str, bytes: fn(&Lie) -> Vec<u8>) -> Deed {
    Deed { name, how: How::Whole(bytes) }
}

const fn broken(name: &'static str, bytes: fn(&Lie) -> Vec<u8>) -> Deed {
    Deed { name, how: How::Broken(bytes) }
}

const fn endless(name: &'static str, first: fn(&Lie) -> Vec<u8>, piece: &'static [u8], apart: u64) -> Deed {
    Deed { name, how: How::Endless(first, piece, apart) }
}

const HEAD: &str = "HTTP/1.1 200 OK\r\n";
static KIB: [u8; 65536] = [b'x'; 65536];

/// A perfect lie with one thing replaced in its text.
fn replaced(lie: &Lie, from: &str, to: &str) -> String {
    let text = lie.perfect();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

/// Every deed.
pub static ALL: &[Deed] = &[
    // Who says it.
    body("unsigned", |lie| wire::write(&lie.fields())),
    body("forged signature", |lie| {
        let mut fields = lie.fields();
        fields.insert("sign".to_owned(), "0123456789ABCDEF".repeat(4));
        wire::write(&fields)
    }),
    body("signed with another key", |lie| {
        let mut fields = lie.fields();
        let sign = wire::sign(&fields, &KEY.to_lowercase(), SignType::HmacSha256);
        fields.insert("sign".to_owned(), sign);
        wire::write(&fields)
    }),
    body("sign type swapped", |lie| {
        let mut fields = lie.fields();
        fields.insert("sign_type".to_owned(), "MD5".to_owned());
        let sign = wire::sign(&fields, KEY, SignType::Md5);
        fields.insert("sign".to_owned(), sign);
        wire::write(&fields)
    }),
    body("signature in small letters", |lie| {
        let text = lie.perfect();
        let (before, sign) = text.split_once("<sign><![CDATA[").unwrap();
        format!("{before}<sign><![CDATA[{}", sign[..64].to_lowercase() + &sign[64..])
    }),
    body("return_code FAIL", |_| {
        "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[签名错误]]></return_msg></xml>"
            .to_owned()
    }),
    // About whom.
    body("other order", |lie| lie.sealed_with("out_trade_no", "T0126112100004200000101")),
    body("other amount", |lie| lie.sealed_with("total_fee", "1251")),
    body("other merchant", |lie| lie.sealed_with("mch_id", "1900000108")),
    body("other application", |lie| lie.sealed_with("appid", "wx8888888888888887")),
    body("other currency", |lie| lie.sealed_with("fee_type", "USD")),
    body("a sub-merchant's money", |lie| lie.sealed_with("sub_mch_id", "1900000107")),
    body("older answer again", |lie| String::from_utf8_lossy(lie.old).into_owned()),
    body("a value that swallows a field", |lie| {
        let from = "<return_msg><![CDATA[OK]]></return_msg>";
        let result = "<result_code><![CDATA[SUCCESS]]></result_code>";
        let text = replaced(lie, result, "");
        text.replacen(from, "<result_code><![CDATA[SUCCESS&return_msg=OK]]></result_code>", 1)
    }),
    // How it is written.
    body("field twice", |lie| replaced(lie, "<xml>", "<xml><result_code>FAIL</result_code>")),
    body("nested", |lie| format!("<xml>{}</xml>", lie.perfect())),
    body("other root", |lie| lie.perfect().replace("<xml>", "<html>").replace("</xml>", "</html>")),
    body("two roots", |lie| lie.perfect() + &lie.perfect()),
    body("bytes after the root", |lie| lie.perfect() + "<!-- -->trailing"),
    body("DOCTYPE with a file", |lie| {
        format!("<!DOCTYPE xml [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{}", lie.perfect())
    }),
    body("entity bomb", |lie| {
        let mut bomb = String::from("<!DOCTYPE xml [<!ENTITY a0 \"aaaaaaaaaa\">");
        for n in 1..9 {
            bomb.push_str(&format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10)));
        }
        format!("{bomb}]>{}", replaced(lie, "</xml>", "<bomb>&a8;</bomb></xml>"))
    }),
    body("CDATA beside text", |lie| {
        replaced(lie, "<result_code><![CDATA[SUCCESS]]>", "<result_code><![CDATA[SUC]]>CESS")
    }),
    body("comment in a value", |lie| replaced(lie, "<return_msg><![CDATA[OK]]>", "<return_msg>O<!-- -->K")),
    body("attribute", |lie| replaced(lie, "<result_code>", "<result_code a=\"1\">")),
    whole("bad UTF-8", |lie| {
        let mut bytes = response("200 OK", "", &replaced(lie, "</xml>", "<note>??</note></xml>"));
        let place = bytes.windows(2).position(|two| two == b"??").unwrap();
        bytes[place..place + 2].copy_from_slice(&[0xc0, 0xaf]);
        bytes
    }),
    body("NUL", |lie| replaced(lie, "</xml>", "<note>\0</note></xml>")),
    body("byte order mark", |lie| format!("\u{feff}{}", lie.perfect())),
    body("UTF-16 announced", |lie| format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", lie.perfect())),
    body("page of a portal, 200", |_| "<!DOCTYPE html><html><body>Wi-Fi</body></html>".to_owned()),
    body("empty", |_| String::new()),
    // With which status.
    bytes("301", |lie| response("301 Moved Permanently", "Location: /pay/orderquery\r\n", &lie.perfect())),
    bytes("302", |lie| response("302 Found", "Location: /pay/orderquery\r\n", &lie.perfect())),
    bytes("307", |lie| response("307 Temporary Redirect", "Location: /pay/micropay\r\n", &lie.perfect())),
    bytes("401", |lie| response("401 Unauthorized", "WWW-Authenticate: Basic\r\n", &lie.perfect())),
    bytes("429", |lie| response("429 Too Many Requests", "Retry-After: 0\r\n", &lie.perfect())),
    bytes("500", |lie| response("500 Internal Server Error", "", &lie.perfect())),
    bytes("502", |lie| response("502 Bad Gateway", "", &lie.perfect())),
    bytes("504", |lie| response("504 Gateway Timeout", "", &lie.perfect())),
    // How it travels.
    broken("closed before the answer", |_| Vec::new()),
    broken("closed in the head", |_| HEAD.as_bytes()[..12].to_vec()),
    broken("cut in the body", |lie| {
        let whole = response("200 OK", "", &lie.perfect());
        whole[..whole.len() - 40].to_vec()
    }),
    broken("until the end, and TLS says none", |lie| {
        let text = lie.perfect();
        format!("HTTP/1.0 200 OK\r\n\r\n{}", &text[..text.len() - "</xml>".len()]).into_bytes()
    }),
    bytes("two lengths", |lie| {
        format!("{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", lie.perfect()).into_bytes()
    }),
    bytes("length that is no number", |lie| {
        format!("{HEAD}Content-Length: -1\r\n\r\n{}", lie.perfect()).into_bytes()
    }),
    bytes("chunk without a size", |lie| {
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", lie.perfect()).into_bytes()
    }),
    bytes("chunk with an endless size", |lie| {
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}", lie.perfect()).into_bytes()
    }),
    bytes("HTTP/0.9", |lie| lie.perfect().into_bytes()),
    bytes("not HTTP", |_| b"220 mail.example ESMTP\r\n".to_vec()),
    bytes("HTTP/2", |_| b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec()),
    whole("gzip bomb", |_| {
        let bomb = bomb();
        let head = format!("{HEAD}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
        [head.as_bytes(), &bomb].concat()
    }),
    bytes("one header of a MiB", |_| format!("{HEAD}X: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes()),
    endless(
        "headers without end",
        |_| HEAD.as_bytes().to_vec(),
        b"X-Header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        0,
    ),
    endless("100 Continue without end", |_| Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n", 0),
    endless("300 MB announced", |_| format!("{HEAD}Content-Length: 314572800\r\n\r\n").into_bytes(), &KIB, 0),
    endless("a body without end", |_| format!("{HEAD}Connection: close\r\n\r\n").into_bytes(), &KIB, 0),
    endless(
        "chunks without end",
        |_| format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
        b"10\r\nxxxxxxxxxxxxxxxx\r\n",
        0,
    ),
    bytes("hangs before the head", |_| Vec::new()),
    bytes("hangs in the head", |_| HEAD.as_bytes().to_vec()),
    bytes("hangs in the body", |lie| {
        let whole = response("200 OK", "", &lie.perfect());
        whole[..whole.len() - 1].to_vec()
    }),
    endless("a byte now and then", |_| Vec::new(), b"H", 200),
    endless(
        "a byte of the body now and then",
        |_| format!("{HEAD}Content-Length: 900\r\n\r\n").into_bytes(),
        b"<",
        200,
    ),
    bytes("two answers at once", |lie| {
        let system_error = lie.sealed({
            let mut fields = lie.fields();
            fields.insert("result_code".to_owned(), "FAIL".to_owned());
            fields.insert("err_code".to_owned(), "SYSTEMERROR".to_owned());
            fields
        });
        [response("200 OK", "", &system_error), response("200 OK", "", &lie.perfect())].concat()
    }),
];

/// 64 KiB of gzip that become 10 MB: one literal, then the longest match there is, over and over.
fn bomb() -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bits, mut count) = (0u64, 0);
    let mut put = |value: u64, length: u32, out: &mut Vec<u8>| {
        bits |= value << count;
        count += length;
        while count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // RFC 1951, 3.2.6: last block, fixed codes; 'x' is 10101000, length 258 is 11000101, distance 1 is 00000; Huffman
    // codes go in with their highest bit first.
    put(0b011, 3, &mut out);
    put(u64::from(0b1010_1000u8.reverse_bits()), 8, &mut out);
    while out.len() < 64_000 {
        put(u64::from(0b1100_0101u8.reverse_bits()), 8, &mut out);
        put(0, 5, &mut out);
    }
    out
}
