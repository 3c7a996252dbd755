//! APIv2's two signatures over all fields of a message, and the key they are made with.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How messages are signed; answers are signed as the request was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignType {
    /// 32 hexadecimal digits.
    Md5,
    /// 64 hexadecimal digits.
    HmacSha256,
}

impl SignType {
    /// As it is written in `sign_type` and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }
}

/// Length of the API key (merchant platform, 账户中心 → API安全).
const KEY_LENGTH: usize = 32;

/// The merchant's API key. Wiped when dropped, never printed.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a key of 32 visible ASCII characters; says what is wrong without repeating it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.len() != KEY_LENGTH {
            return Err(SecretError::Length { got: text.len() });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Short keys occur in published test vectors.
    #[cfg(test)]
    pub(super) fn of_any_length(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("api key has {got} bytes, expected 32")]
    Length {
        /// How many bytes it has.
        got: usize,
    },
    /// A blank, a control character, or not ASCII.
    #[error("api key has a character that cannot be in one, expected 32 letters and digits")]
    Characters,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A signature, upper-case hexadecimal.
pub struct Signature {
    digits: [u8; 64],
    length: usize,
}

impl Signature {
    fn of(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self { digits, length: digest.len() * 2 }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.length]).unwrap_or_default()
    }

    /// Whether `given` is this signature. Takes as long for a near miss as for a far one; case matters.
    pub fn is(&self, given: &str) -> bool {
        self.digits[..self.length].ct_eq(given.as_bytes()).into()
    }
}

/// Signs the fields, which must come sorted by name. Empty ones and `sign` itself do not take part.
///
/// The rules are those of the page 安全规范 (APIv2): `name=value` joined by `&`, then `&key=` and the key; MD5 of that,
/// or HMAC-SHA256 of that under the key.
pub fn sign<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, key: &Secret, kind: SignType) -> Signature {
    match kind {
        SignType::Md5 => {
            let mut hash = Md5::new();
            feed(fields, key, |piece| hash.update(piece));
            Signature::of(&hash.finalize())
        }
        SignType::HmacSha256 => {
            // HMAC takes keys of every length.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.0.as_bytes()) else {
                unreachable!("hmac refuses no key")
            };
            feed(fields, key, |piece| mac.update(piece));
            Signature::of(&mac.finalize().into_bytes())
        }
    }
}

/// Hands out the text to be signed in pieces, so that no copy of it (it may hold a payment code) lies in memory.
fn feed<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, key: &Secret, mut to: impl FnMut(&[u8])) {
    let mut last = "";
    for (name, value) in fields {
        debug_assert!(last <= name, "fields come unsorted: {name} after {last}");
        last = name;
        if name != "sign" && !value.is_empty() {
            to(name.as_bytes());
            to(b"=");
            to(value.as_bytes());
            to(b"&");
        }
    }
    to(b"key=");
    to(key.0.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "192006250b4c09247ec02edce69f6a2d";

    fn signed(fields: &[(&str, &str)], key: &str, kind: SignType) -> String {
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        sign(fields.into_iter(), &Secret::of_any_length(key), kind).as_str().to_owned()
    }

    #[track_caller]
    fn check(fields: &[(&str, &str)], key: &str, md5: Option<&str>, hmac: Option<&str>) {
        for (kind, expected) in [(SignType::Md5, md5), (SignType::HmacSha256, hmac)] {
            if let Some(expected) = expected {
                assert_eq!(signed(fields, key, kind), expected);
            }
        }
    }

    #[test]
    fn the_official_vector() {
        check(
            &[
                ("appid", "wxd930ea5d5a258f4f"),
                ("mch_id", "10000100"),
                ("device_info", "1000"),
                ("body", "test"),
                ("nonce_str", "ibuaiVcKdpRxkhJA"),
            ],
            K,
            Some("9A0A8659F005D6984697E2CA0A9CF3B7"),
            Some("6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"),
        );
    }

    #[test]
    fn the_vectors_of_other_libraries() {
        // wechatpy, tests/test_pay.py
        let two = [("test1", "test1"), ("test2", "test2")];
        check(
            &two,
            K,
            Some("1E3A8D73B5A4AEE787C0F68B5DAB8520"),
            Some("EDAC6D70D2FDF5A2382F8204FC96A1918017E46ACC5297F565ED1A7610ACF659"),
        );
        // jasl/wx_pay, test/wx_pay/sign_test.rb
        let micropay = [
            ("appid", "wxd930ea5d5a258f4f"),
            ("auth_code", "123456"),
            ("body", "test"),
            ("device_info", "123"),
            ("mch_id", "1900000109"),
            ("nonce_str", "960f228109051b9969f76c82bde183ac"),
            ("out_trade_no", "1400755861"),
            ("spbill_create_ip", "127.0.0.1"),
            ("total_fee", "1"),
        ];
        check(&micropay, "8934e7d15453e97507ef794cf7b0519d", Some("729A68AC3DE268DBD9ADE442382E7B24"), None);
        check(
            &micropay,
            "key",
            Some("1454C32E885B8D9E4A05E976D1C45B88"),
            Some("A58C01F990B45A4D0E496F835B2739E391C6C734927B1DA740DC873E607FB42A"),
        );
        // jasl/wx_pay, test/wx_pay/service_test.rb
        let chinese = [
            ("app_id", "app_id"),
            ("body", "测试商品"),
            ("mch_id", "mch_id"),
            ("notify_url", "http://making.dev/notify"),
            ("openid", "OPENID"),
            ("out_trade_no", "test003"),
            ("spbill_create_ip", "127.0.0.1"),
            ("total_fee", "1"),
            ("trade_type", "JSAPI"),
        ];
        check(&chinese, "key", Some("172A2D487A37D13FDE32B874BA823DD6"), None);
    }

    #[test]
    fn zero_is_signed_and_empty_is_not_and_nothing_is_escaped() {
        check(
            &[
                ("appid", "wx8888888888888888"),
                ("attach", ""),
                ("body", "A & B <c> \"d\" 100%+"),
                ("mch_id", "1900000109"),
                ("nonce_str", "n1"),
                ("total_fee", "0"),
            ],
            K,
            Some("BCAD2D0565E392A805794E82B0BE3E67"),
            Some("5F24373E7A6CBDF4311E8B3DE0E5E24D9E58D054CD9D433928D54E3BC8C2D7A7"),
        );
    }

    #[test]
    fn chinese_and_json_are_signed_as_utf8_together_with_sign_type() {
        check(
            &[
                ("appid", "wx8888888888888888"),
                ("body", "测试商品"),
                (
                    "detail",
                    r#"{"cost_price":1,"goods_detail":[{"goods_id":"商品编码","price":1,"quantity":1}]}"#,
                ),
                ("mch_id", "1900000109"),
                ("nonce_str", "n2"),
                ("sign_type", "HMAC-SHA256"),
            ],
            K,
            None,
            Some("2FB757A0C1C40CD5962B72EB7F9AA11652CC29AC854E920B5C42A67D76F9F95A"),
        );
    }

    #[test]
    fn names_are_sorted_by_bytes() {
        check(
            &[
                ("a1", "7"),
                ("coupon_fee_10", "3"),
                ("coupon_fee_2", "2"),
                ("coupon_fee", "10"),
                ("_x", "8"),
                ("coupon_fee_0", "1"),
                ("Zed", "9"),
            ],
            K,
            Some("DB9A300E53B368AD7FF5C921FBA7E460"),
            Some("73C390F1F31B2C19441188133F38F355793EF3B95C3E1EBD8851D4E375BB3985"),
        );
    }

    #[test]
    fn the_key_is_part_of_what_hmac_signs() {
        // A guide that circulates leaves it out and arrives at this.
        assert_ne!(
            signed(&[("test1", "test1"), ("test2", "test2")], K, SignType::HmacSha256),
            "D8AC78EB33555371261F63D032AF5AB30800582D5188038D59792B4A5A497ABD"
        );
    }

    #[test]
    fn a_signature_is_compared_whole_and_by_case() {
        let fields = [("a", "1")];
        let signature = sign(fields.into_iter(), &Secret::of_any_length(K), SignType::Md5);
        let right = signature.as_str().to_owned();
        assert!(signature.is(&right));
        let mut near = right.clone();
        near.pop();
        near.push(if right.ends_with('0') { '1' } else { '0' });
        for wrong in ["", &right[..31], &format!("{right}0"), &right.to_lowercase(), &near] {
            assert!(!signature.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_32_visible_characters_and_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::parse(K).unwrap()), "Secret(…)");
        assert_eq!(Secret::parse("short").unwrap_err(), SecretError::Length { got: 5 });
        for bad in ["192006250b4c09247ec02edce69f6a2\n", "192006250b4c0924 ec02edce69f6a2d"] {
            assert_eq!(Secret::parse(bad).unwrap_err(), SecretError::Characters);
        }
    }
}
