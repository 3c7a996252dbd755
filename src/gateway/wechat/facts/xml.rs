//! What is read as an answer: every form that WeChat was seen to write, and nothing that it never writes.

use proptest::prelude::*;

use super::super::xml::{BadXml, Fields, write};
use crate::gateway::LARGEST_ANSWER;

#[track_caller]
fn read(text: &str) -> Vec<(String, String)> {
    let fields = Fields::read(text.as_bytes()).unwrap_or_else(|bad| panic!("{bad:?}: {text}"));
    fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn value(text: &str) -> String {
    read(&format!("<xml><a>{text}</a></xml>")).remove(0).1
}

#[track_caller]
fn refused(text: &str, why: &'static str) {
    assert_eq!(Fields::read(text.as_bytes()).err(), Some(BadXml(why)), "{text}");
}

#[test]
fn every_form_that_wechat_was_seen_to_write_is_read() {
    let expected = [("code".to_owned(), "OK".to_owned()), ("fee".to_owned(), "1".to_owned())];
    for text in [
        "<xml><code><![CDATA[OK]]></code><fee>1</fee></xml>",
        "<xml><fee><![CDATA[1]]></fee><code>OK</code></xml>",
        "<xml>\r\n  <code>OK</code>\n\t<fee >1</fee >\n</xml>\n",
        "\n<xml><code>OK</code><fee>1</fee></xml >",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml><code>OK</code><fee>1</fee></xml>",
        "<?xml version='1.0' encoding='utf-8' ?><xml><code>&#79;&#x4B;</code><fee>1</fee></xml>",
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn the_signed_text_is_the_decoded_one() {
    assert_eq!(value("<![CDATA[ A & B <c> \"d\" ]]>"), " A & B <c> \"d\" ");
    assert_eq!(value(" A &amp; B &lt;c&gt; &quot;d&apos; "), " A & B <c> \"d' ");
    assert_eq!(value("&amp;lt;"), "&lt;");
    assert_eq!(value("<![CDATA[&lt;]]>"), "&lt;");
    assert_eq!(value("<![CDATA[]]]]><![CDATA[>]]>"), "]]>");
    assert_eq!(value("<![CDATA[a\r\nb\rc]]>"), "a\nb\nc");
    assert_eq!(value("测试𠮷😀"), "测试𠮷😀");
}

#[test]
fn names_may_be_longer_than_any_that_wechat_has() {
    let longest = "n".repeat(64);
    assert_eq!(read(&format!("<xml><{longest}>1</{longest}></xml>")), [(longest, "1".to_owned())]);
}

#[test]
fn the_longest_message_fits_without_growing() {
    // Growing would leave a copy of a payment code behind, and more room than the message needs.
    let worst = "&".repeat(100);
    let written = write([("auth_code", &*worst), ("body", &*worst)].into_iter());
    assert_eq!(written.capacity(), Vec::<u8>::with_capacity(written.len()).capacity());
}

#[test]
fn empty_and_absent_are_the_same() {
    for text in ["<xml><a></a></xml>", "<xml><a/></xml>", "<xml><a><![CDATA[]]></a></xml>", "<xml></xml>"] {
        assert_eq!(Fields::read(text.as_bytes()).unwrap().get("a"), None, "{text}");
    }
}

#[test]
fn what_wechat_never_sends_is_refused() {
    let xxe = "<!DOCTYPE xml [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><xml><a>&e;</a></xml>";
    refused(xxe, "DOCTYPE");
    refused("<xml><!DOCTYPE xml><a>1</a></xml>", "DOCTYPE");
    refused("<xml><a>&e;</a></xml>", "unknown entity");
    refused("<xml><a>&nbsp;</a></xml>", "unknown entity");
    refused("<xml><a>&#0;</a></xml>", "bad character reference");
    refused("<xml><a>&#1;</a></xml>", "bad character reference");
    refused("<xml><a>&#xD800;</a></xml>", "bad character reference");
    refused("<xml><a>&#xFFFE;</a></xml>", "bad character reference");
    refused("<xml><a>&#x110000;</a></xml>", "bad character reference");
    refused("<xml><a>a & b</a></xml>", "not well-formed");
    refused("<xml><?php evil ?><a>1</a></xml>", "processing instruction");
    refused("<?xml-stylesheet href='x'?><xml><a>1</a></xml>", "processing instruction");
    refused("<xml><a>1</a></xml><?xml version='1.0'?>", "processing instruction");
    refused(" <?xml version='1.0'?><xml><a>1</a></xml>", "processing instruction");
    refused("<?xml version='1.0' encoding='GBK'?><xml><a>1</a></xml>", "another encoding");
    refused("<xml><a>SUCC<!-- -->ESS</a></xml>", "comment");
    refused("<!-- --><xml><a>1</a></xml>", "comment");
    refused("<xml x='1'><a>1</a></xml>", "attribute");
    refused("<xml><a x=\"1\">1</a></xml>", "attribute");
    refused("<xml><a x=\"1\"/></xml>", "attribute");
    refused("<xml><a><b>1</b></a></xml>", "nested element");
    refused("<xml><a><b/></a></xml>", "nested element");
    refused("<xml><a>1</a><a>1</a></xml>", "a name occurs twice");
    refused("<xml><a>1</a><b>1</b><a>2</a></xml>", "a name occurs twice");
    refused("<html><a>1</a></html>", "another root");
    refused("<XML><a>1</a></XML>", "another root");
    refused("<x:xml><a>1</a></x:xml>", "bad name");
    refused("<xml><a&b>1</a&b></xml>", "bad name");
    refused("<xml><a=b>1</a=b></xml>", "bad name");
    refused("<xml><名>1</名></xml>", "bad name");
    refused("<xml><1a>1</1a></xml>", "bad name");
    refused("<xml><.a/></xml>", "bad name");
    refused("<xml><-a></-a></xml>", "bad name");
    refused("<xml><>1</></xml>", "bad name");
    refused(&format!("<xml><{0}>1</{0}></xml>", "n".repeat(65)), "bad name");
    refused("<xml/>", "no fields");
    refused("<xml><a>1</a></xml>x", "something after the root");
    refused("<xml><a>1</a>x</xml>", "text outside of a field");
    refused("x<xml><a>1</a></xml>", "text outside of a field");
    refused("<xml><a>1</a>&#32;</xml>", "text outside of a field");
    refused("<xml><![CDATA[ ]]><a>1</a></xml>", "text outside of a field");
    refused("<xml><a>1</a></xml><xml><a>1</a></xml>", "something after the root");
    refused("<xml><a>SUCC<![CDATA[ESS]]></a></xml>", "text beside CDATA");
    refused("<xml><a><![CDATA[SUCC]]>ESS</a></xml>", "text beside CDATA");
    refused("<xml><a>]]></a></xml>", "the end of a CDATA section without its begin");
    refused("<xml><a>1</b></xml>", "not well-formed");
    refused("<xml><a>1</xml>", "not well-formed");
    refused("", "the text ends early");
    refused("<xml><a>1</a>", "the text ends early");
    refused("\u{feff}<xml><a>1</a></xml>", "byte order mark");
    refused("<xml><a>1\0</a></xml>", "control character");
    refused("<xml><a>1\u{1b}</a></xml>", "control character");
    refused("<xml><a>1\u{ffff}</a></xml>", "control character");
    assert_eq!(Fields::read(b"<xml><a>\xff</a></xml>"), Err(BadXml("not utf-8")));
    assert_eq!(Fields::read(b"<xml><a>\xc0\xaf</a></xml>"), Err(BadXml("not utf-8")));
    // A page in the old Chinese encoding.
    assert_eq!(Fields::read(b"<xml><a>\xb2\xe2\xca\xd4</a></xml>"), Err(BadXml("not utf-8")));
}

#[test]
fn a_text_that_is_cut_anywhere_is_refused() {
    let text = "<?xml version=\"1.0\"?><xml><a><![CDATA[OK]]></a><b>&amp;1</b><c/></xml>";
    for end in 0..text.len() {
        assert!(Fields::read(&text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
    }
    assert_eq!(read(text).len(), 3);
}

#[test]
fn size_is_bounded_and_within_the_bound_time_is_short() {
    let padded =
        |length: usize| format!("<xml><a>{}</a></xml>", "x".repeat(length - "<xml><a></a></xml>".len()));
    assert_eq!(value(&"x".repeat(60_000)).len(), 60_000);
    assert!(Fields::read(padded(LARGEST_ANSWER).as_bytes()).is_ok());
    assert_eq!(Fields::read(padded(LARGEST_ANSWER + 1).as_bytes()).err(), Some(BadXml("too large")));
    // What makes some parsers quadratic.
    let many: String = (0..5_000).map(|n| format!("<f{n}/>")).collect();
    assert_eq!(read(&format!("<xml>{many}</xml>")).len(), 5_000);
    assert!(Fields::read("<xml>".repeat(12_000).as_bytes()).is_err());
    assert_eq!(value(&"&amp;".repeat(13_000)).len(), 13_000);
    assert!(Fields::read(format!("<xml{}>", " a=''".repeat(13_000)).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        values in proptest::collection::btree_map("[a-z_][a-z0-9_]{0,20}", r"[^\x00-\x08\x0b\x0c\x0e-\x1f\u{fffe}\u{ffff}]{0,40}", 0..12),
    ) {
        let written = write(values.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        prop_assert!(written.capacity() >= written.len());
        let read = Fields::read(&written).map_err(|bad| TestCaseError::fail(bad.0))?;
        let read: Vec<_> = read.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(read, values.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Fields::read(&bytes);
    }

    #[test]
    fn no_xml_like_text_makes_the_reader_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<xml>", "</xml>", "<a>", "</a>", "<a/>", "<![CDATA[", "]]>", "&amp;", "&#65;", "&", ";", "<!--", "-->",
                "<!DOCTYPE", "<?xml", "?>", "<", ">", "x", " ", "'", "\"", "测", "/", "=",
            ]),
            0..24,
        ),
    ) {
        let _ = Fields::read(parts.concat().as_bytes());
    }
}
