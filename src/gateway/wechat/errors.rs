//! What WeChat's codes mean, as data. A code that is not listed means that nothing is known.
//!
//! Codes, classes and meanings are those of the error tables on the APIv2 pages 提交付款码支付, 查询订单, 撤销订单, 申请退款 and 查询退款
//! (2025-08-14 and 2026-04-24), where they divide micropay's codes into *result unknown* and *certainly failed*. Only
//! the latter can be a refusal here, and of those not the ones that speak of an order that exists already: each number
//! of ours is sent once, so such an order is this very payment, delivered twice, and may yet be paid.

use crate::payment::Reason;

/// What to make of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Refused, nothing was taken.
    Refused(Reason),
    /// The payer is looking at a dialog.
    AwaitingPayer,
    /// There is no such order.
    NotFound,
    /// Call again.
    Again,
    /// Nothing is known.
    Unknown,
}

/// One code.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `err_code`, or `trade_state`.
    pub code: &'static str,
    /// What to make of it.
    pub verdict: Verdict,
    /// Parts of `err_code_des` that tell one reason of a refusal from another. They never turn a refusal into anything
    /// else, nor anything else into a refusal: texts are written for people and change.
    pub texts: &'static [(&'static str, Reason)],
    /// The official meaning.
    pub meaning: &'static str,
}

impl Row {
    /// The verdict, with the reason that the text gives if this row lists it.
    pub fn verdict(&self, text: &str) -> Verdict {
        match self.verdict {
            Verdict::Refused(usual) => {
                let told = self.texts.iter().find(|(part, _)| text.contains(part));
                Verdict::Refused(told.map_or(usual, |(_, reason)| *reason))
            }
            other => other,
        }
    }
}

/// Finds a code.
pub fn find(table: &'static [Row], code: &str) -> Option<&'static Row> {
    table.iter().find(|row| row.code == code)
}

const fn row(code: &'static str, verdict: Verdict, meaning: &'static str) -> Row {
    Row { code, verdict, texts: &[], meaning }
}

const MERCHANT: Verdict = Verdict::Refused(Reason::Merchant);

/// Texts that were seen with a code that pays only once.
const USED: &[(&str, Reason)] = &[("仅限使用一次", Reason::CodeUsed), ("已使用", Reason::CodeUsed)];

/// `err_code` of `/pay/micropay`.
pub static MICROPAY: &[Row] = &[
    row("SYSTEMERROR", Verdict::Unknown, "interface error or time-out: query"),
    row("BANKERROR", Verdict::Unknown, "the bank timed out: query"),
    row("USERPAYING", Verdict::AwaitingPayer, "the payer must enter the password or confirm"),
    row("PARAM_ERROR", MERCHANT, "a parameter is wrong"),
    row("NOAUTH", MERCHANT, "payment codes are not enabled for the merchant"),
    row(
        "AUTHCODEEXPIRE",
        Verdict::Refused(Reason::CodeExpired),
        "the code is expired: refresh and scan again",
    ),
    row("NOTENOUGH", Verdict::Refused(Reason::BalanceTooLow), "the balance is too low: another card"),
    row("NOTSUPORTCARD", Verdict::Refused(Reason::CardNotSupported), "the card type is not supported"),
    row(
        "NOTSUPPORTCARD",
        Verdict::Refused(Reason::CardNotSupported),
        "the same, as a mirror of the page spells it",
    ),
    row("ORDERPAID", Verdict::Unknown, "the number is paid already: perhaps by this very payment"),
    row("ORDERCLOSED", Verdict::Refused(Reason::NumberUsed), "the order is closed: a new number"),
    row("ORDERREVERSED", Verdict::Refused(Reason::NumberUsed), "the order is reversed: a new number"),
    Row {
        texts: USED,
        ..row(
            "AUTH_CODE_ERROR",
            Verdict::Refused(Reason::CodeInvalid),
            "the code is wrong, or was used before",
        )
    },
    // `101 每个二维码仅限使用一次，请刷新再试`: in practice this code, not AUTH_CODE_ERROR, tells of a code used twice.
    Row {
        texts: USED,
        ..row("AUTH_CODE_INVALID", Verdict::Refused(Reason::CodeInvalid), "not a payment code of WeChat")
    },
    row("BUYER_MISMATCH", Verdict::Unknown, "another payer tried this order, so it exists"),
    row("OUT_TRADE_NO_USED", Verdict::Unknown, "the number was sent twice, so the order exists"),
    row("INVALID_REQUEST", Verdict::Unknown, "the number exists with other parameters, among other meanings"),
    Row {
        texts: &[
            ("取消支付", Reason::CancelledByPayer),
            ("没有输入支付密码", Reason::CancelledByPayer),
            ("暂无可用的支付方式", Reason::PayerNotAllowed),
            ("账户", Reason::PayerNotAllowed),
            ("帐户", Reason::PayerNotAllowed),
        ],
        ..row("TRADE_ERROR", Verdict::Refused(Reason::Other), "account abnormal, cancelled, and others")
    },
    row("APPID_NOT_EXIST", MERCHANT, "there is no such appid"),
    row("MCHID_NOT_EXIST", MERCHANT, "there is no such merchant number"),
    row("APPID_MCHID_NOT_MATCH", MERCHANT, "appid and merchant number do not belong together"),
    row("SIGNERROR", MERCHANT, "the request's signature is wrong"),
    row("XML_FORMAT_ERROR", MERCHANT, "the request's xml is wrong"),
    row("REQUIRE_POST_METHOD", MERCHANT, "the request was not a POST"),
    row("LACK_PARAMS", Verdict::Unknown, "a parameter is missing; an older page counts it as result unknown"),
    row("NOT_UTF8", Verdict::Unknown, "not UTF-8; an older page counts it as result unknown"),
    row("FREQUENCY_LIMITED", Verdict::Unknown, "too many calls; not in the table, but seen"),
];

/// `err_code` of `/pay/orderquery`.
pub static ORDERQUERY: &[Row] = &[
    row("ORDERNOTEXIST", Verdict::NotFound, "there is no such order, or not yet"),
    row("SYSTEMERROR", Verdict::Unknown, "interface error: ask again"),
    row("FREQUENCY_LIMITED", Verdict::Unknown, "too many calls; not in the table, but seen"),
    row("PARAM_ERROR", Verdict::Unknown, "a parameter is wrong; says nothing of the order"),
];

/// `err_code` of `/secapi/pay/reverse`.
pub static REVERSE: &[Row] = &[
    row("SYSTEMERROR", Verdict::Again, "interface error: call again"),
    row("USERPAYING", Verdict::Again, "正在支付中不能发起撤销: being paid, cannot be reversed now"),
    row("ORDERNOTEXIST", Verdict::NotFound, "there is no such order, or not yet"),
    row("REVERSE_EXPIRE", Verdict::Refused(Reason::Other), "older than 7 days: refund instead"),
    row("INVALID_TRANSACTIONID", MERCHANT, "WeChat's number is wrong"),
    row("PARAM_ERROR", MERCHANT, "a parameter is wrong"),
    row("REQUIRE_POST_METHOD", MERCHANT, "the request was not a POST"),
    row("SIGNERROR", MERCHANT, "the request's signature is wrong"),
    row("INVALID_REQUEST", Verdict::Refused(Reason::Other), "the order cannot be reversed as asked"),
    row("TRADE_ERROR", Verdict::Refused(Reason::Other), "the order's state does not allow it"),
];

/// `err_code` of `/secapi/pay/refund`. A refusal here is confirmed by a query before it ends a refund.
pub static REFUND: &[Row] = &[
    row("SYSTEMERROR", Verdict::Unknown, "interface error or time-out: ask again under the same number"),
    row("BIZERR_NEED_RETRY", Verdict::Unknown, "not done yet: ask again under the same number"),
    row("INVALID_REQ_TOO_MUCH", Verdict::Unknown, "too many bad requests: ask again after a minute"),
    row("FREQUENCY_LIMITED", Verdict::Unknown, "too many calls: ask again later"),
    row("INVALID_REQUEST", Verdict::Unknown, "the number exists with other terms, among other meanings"),
    row("NOTENOUGH", MERCHANT, "the merchant's balance is too low"),
    row("TRADE_OVERDUE", Verdict::Refused(Reason::Other), "paid more than a year ago"),
    row("ERROR", Verdict::Refused(Reason::Other), "refused; the text says why"),
    row("USER_ACCOUNT_ABNORMAL", Verdict::Refused(Reason::PayerNotAllowed), "the payer's account is closed"),
    row("ORDERNOTEXIST", Verdict::Refused(Reason::Other), "there is no such order"),
    row("INVALID_TRANSACTIONID", MERCHANT, "WeChat's number is wrong"),
    row("PARAM_ERROR", MERCHANT, "a parameter is wrong"),
    row("APPID_NOT_EXIST", MERCHANT, "there is no such appid"),
    row("MCHID_NOT_EXIST", MERCHANT, "there is no such merchant number"),
    row("REQUIRE_POST_METHOD", MERCHANT, "the request was not a POST"),
    row("SIGNERROR", MERCHANT, "the request's signature is wrong"),
    row("XML_FORMAT_ERROR", MERCHANT, "the request's xml is wrong"),
];

/// `err_code` of `/pay/refundquery`.
pub static REFUNDQUERY: &[Row] = &[
    row("REFUNDNOTEXIST", Verdict::NotFound, "there is no such refund, or not yet"),
    row("SYSTEMERROR", Verdict::Unknown, "interface error: ask again"),
    row("FREQUENCY_LIMITED", Verdict::Unknown, "too many calls; not in the table, but seen elsewhere"),
    row("PARAM_ERROR", Verdict::Unknown, "a parameter is wrong; says nothing of the refund"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, in the words of the pages: a code that moves, moves in two places.
    #[test]
    fn every_row_says_what_the_pages_say() {
        use Reason::*;
        use Verdict::{Again, AwaitingPayer, NotFound, Refused, Unknown};
        let pay: &[(Verdict, &[&str])] = &[
            (
                Unknown,
                &[
                    "SYSTEMERROR",
                    "BANKERROR",
                    "ORDERPAID",
                    "BUYER_MISMATCH",
                    "OUT_TRADE_NO_USED",
                    "INVALID_REQUEST",
                    "LACK_PARAMS",
                    "NOT_UTF8",
                    "FREQUENCY_LIMITED",
                ],
            ),
            (AwaitingPayer, &["USERPAYING"]),
            (Refused(CodeExpired), &["AUTHCODEEXPIRE"]),
            (Refused(CodeInvalid), &["AUTH_CODE_ERROR", "AUTH_CODE_INVALID"]),
            (Refused(BalanceTooLow), &["NOTENOUGH"]),
            (Refused(CardNotSupported), &["NOTSUPORTCARD", "NOTSUPPORTCARD"]),
            (Refused(NumberUsed), &["ORDERCLOSED", "ORDERREVERSED"]),
            (
                Refused(Merchant),
                &[
                    "PARAM_ERROR",
                    "NOAUTH",
                    "APPID_NOT_EXIST",
                    "MCHID_NOT_EXIST",
                    "APPID_MCHID_NOT_MATCH",
                    "SIGNERROR",
                    "XML_FORMAT_ERROR",
                    "REQUIRE_POST_METHOD",
                ],
            ),
            (Refused(Other), &["TRADE_ERROR"]),
        ];
        let query: &[(Verdict, &[&str])] = &[
            (NotFound, &["ORDERNOTEXIST"]),
            (Unknown, &["SYSTEMERROR", "FREQUENCY_LIMITED", "PARAM_ERROR"]),
        ];
        let reverse: &[(Verdict, &[&str])] = &[
            (Again, &["SYSTEMERROR", "USERPAYING"]),
            (NotFound, &["ORDERNOTEXIST"]),
            (Refused(Other), &["REVERSE_EXPIRE", "INVALID_REQUEST", "TRADE_ERROR"]),
            (
                Refused(Merchant),
                &["INVALID_TRANSACTIONID", "PARAM_ERROR", "REQUIRE_POST_METHOD", "SIGNERROR"],
            ),
        ];
        let refund: &[(Verdict, &[&str])] = &[
            (
                Unknown,
                &[
                    "SYSTEMERROR",
                    "BIZERR_NEED_RETRY",
                    "INVALID_REQ_TOO_MUCH",
                    "FREQUENCY_LIMITED",
                    "INVALID_REQUEST",
                ],
            ),
            (Refused(Other), &["TRADE_OVERDUE", "ERROR", "ORDERNOTEXIST"]),
            (Refused(PayerNotAllowed), &["USER_ACCOUNT_ABNORMAL"]),
            (
                Refused(Merchant),
                &[
                    "NOTENOUGH",
                    "INVALID_TRANSACTIONID",
                    "PARAM_ERROR",
                    "APPID_NOT_EXIST",
                    "MCHID_NOT_EXIST",
                    "REQUIRE_POST_METHOD",
                    "SIGNERROR",
                    "XML_FORMAT_ERROR",
                ],
            ),
        ];
        let refundquery: &[(Verdict, &[&str])] = &[
            (NotFound, &["REFUNDNOTEXIST"]),
            (Unknown, &["SYSTEMERROR", "FREQUENCY_LIMITED", "PARAM_ERROR"]),
        ];
        let tables = [
            (MICROPAY, pay),
            (ORDERQUERY, query),
            (REVERSE, reverse),
            (REFUND, refund),
            (REFUNDQUERY, refundquery),
        ];
        for (table, expected) in tables {
            let mut count = 0;
            for (verdict, codes) in expected {
                for code in *codes {
                    let row = find(table, code).unwrap_or_else(|| panic!("{code} is not listed"));
                    assert_eq!(row.verdict("any text"), *verdict, "{code}");
                    assert!(!row.meaning.is_empty());
                    count += 1;
                }
            }
            assert_eq!(table.len(), count, "a row that no page speaks of, or one twice");
        }
    }

    #[test]
    fn a_text_chooses_among_reasons_and_never_the_verdict() {
        let refused = |code, text| find(MICROPAY, code).unwrap().verdict(text);
        for (code, text, reason) in [
            ("AUTH_CODE_INVALID", "101 每个二维码仅限使用一次，请刷新再试", Reason::CodeUsed),
            ("AUTH_CODE_INVALID", "101 付款码无效,请重新扫码", Reason::CodeInvalid),
            ("AUTH_CODE_ERROR", "每个二维码仅限使用一次", Reason::CodeUsed),
            ("TRADE_ERROR", "用户取消支付", Reason::CancelledByPayer),
            ("TRADE_ERROR", "用户没有输入支付密码", Reason::CancelledByPayer),
            ("TRADE_ERROR", "103 暂无可用的支付方式", Reason::PayerNotAllowed),
            ("TRADE_ERROR", "", Reason::Other),
            ("NOTENOUGH", "用户取消支付", Reason::BalanceTooLow),
        ] {
            assert_eq!(refused(code, text), Verdict::Refused(reason), "{code} {text}");
        }
        let texts = ["用户取消支付", "每个二维码仅限使用一次", "账户异常", ""];
        for row in MICROPAY.iter().chain(ORDERQUERY).chain(REVERSE).chain(REFUND).chain(REFUNDQUERY) {
            for text in texts {
                match (row.verdict, row.verdict(text)) {
                    (Verdict::Refused(_), Verdict::Refused(_)) => {}
                    (said, told) => assert_eq!(said, told, "{}", row.code),
                }
            }
        }
    }

    #[test]
    fn an_unlisted_code_is_found_in_no_table() {
        for table in [MICROPAY, ORDERQUERY, REVERSE, REFUND, REFUNDQUERY] {
            for code in ["", "notenough", "NOTENOUGH ", "SUCCESS", "OK", "0", "BRAND_NEW_CODE"] {
                assert!(find(table, code).is_none(), "{code}");
            }
        }
    }
}
