//! What the cashier is told: one honest sentence, what to do next, and whether to hand over the goods.

use crate::payment::event::{Reason, Refusal};
use crate::payment::policy::Policy;
use crate::payment::state::{Doubt, Payment, Phase, Why};
use crate::time::Timestamp;

/// The language of the cashier's sentences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Language {
    /// Simplified Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Scan the customer's code.
    Scan,
    /// Wait; the sentence says for what.
    Wait,
    /// Give the customer the goods.
    HandOver,
    /// Scan again, with a fresh code.
    Rescan,
    /// Take another way to pay.
    OtherTender,
    /// Call the manager.
    CallManager,
}

/// One honest sentence, and whether to hand over the goods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The sentence.
    pub text: String,
    /// What to do next.
    pub next: Next,
    /// True only when the money is certainly taken and durably recorded.
    pub hand_over_goods: bool,
}

impl Language {
    fn pick<T>(self, chinese: T, english: T) -> T {
        match self {
            Language::Chinese => chinese,
            Language::English => english,
        }
    }
}

impl Next {
    /// The name that the API uses.
    pub fn label(self) -> &'static str {
        match self {
            Next::Scan => "scan",
            Next::Wait => "wait",
            Next::HandOver => "hand_over",
            Next::Rescan => "rescan",
            Next::OtherTender => "other_tender",
            Next::CallManager => "call_manager",
        }
    }
}

/// What the cashier is told of `payment` at `now`. The payment must be the durable one.
pub fn told(payment: &Payment, now: Timestamp, policy: &Policy, language: Language) -> Told {
    let leading = payment.leading();
    let (next, text) = match &leading.phase {
        Phase::Armed => awaiting_code(payment, language),
        Phase::Paying { sent_at, payer_asked, refusal, interrupted } => {
            let left = (*sent_at + policy.give_up_after).since(now).as_millis().div_ceil(1000);
            let asking = now >= *sent_at + policy.query_after;
            match refusal {
                Some(refusal) => (Next::Wait, checking(refusal, language)),
                None if *payer_asked => (Next::Wait, password(left, language)),
                None if *interrupted => (Next::Wait, language.pick(
                    "终端刚重启，正在查询这笔款项，请勿交付商品",
                    "The terminal was restarted and is looking this payment up. Do not hand over the goods.",
                ).to_owned()),
                None if asking => (Next::Wait, unknown(left, language)),
                None => (Next::Wait, language.pick("正在收款，请稍候", "Taking the payment. Please wait.").to_owned()),
            }
        }
        Phase::Reversing(reversal) => reversing(reversal.why, language),
        Phase::InDoubt(_, doubt) => (Next::CallManager, in_doubt(*doubt, language).to_owned()),
        Phase::Paid(_) => (Next::HandOver, paid(payment, language).to_owned()),
        Phase::Contradicted { .. } => (Next::CallManager, language.pick(
            "先报收款成功，后报订单已关闭，正在核实；请叫店长，商品未交付的先不要交付",
            "Said to be paid, then said to be closed; being looked into. Call the manager. Keep goods that are still here.",
        ).to_owned()),
        Phase::Refused { refusal, .. } | Phase::Declined(refusal) => declined(refusal, language),
        Phase::Reversed(why) => reversed(*why, language),
        Phase::Void => {
            (Next::OtherTender, language.pick("已取消，未扣款", "Cancelled. Nothing was taken.").to_owned())
        }
    };
    Told { text, next, hand_over_goods: hand_over_goods(payment) }
}

/// Whether the goods of `payment` are the customer's. The payment must be the durable one.
pub fn hand_over_goods(payment: &Payment) -> bool {
    matches!(payment.leading().phase, Phase::Paid(_))
}

/// Why the code before this one did not pay, or simply: scan.
fn awaiting_code(payment: &Payment, language: Language) -> (Next, String) {
    let earlier = &payment.attempts[..payment.attempts.len() - 1];
    if earlier.iter().any(|attempt| attempt.phase.may_hold_money()) {
        return reversing(Why::LatePaid, language);
    }
    match earlier.last().map(|attempt| &attempt.phase) {
        Some(Phase::Refused { refusal, .. } | Phase::Declined(refusal)) => declined(refusal, language),
        _ => {
            (Next::Scan, language.pick("请扫描顾客的付款码", "Scan the customer's payment code.").to_owned())
        }
    }
}

fn password(left: u128, language: Language) -> String {
    match left {
        0 => language.pick("请顾客输入支付密码", "The customer must enter the payment password.").to_owned(),
        left => language.pick(
            format!("请顾客输入支付密码，还有 {left} 秒"),
            format!("The customer must enter the payment password, {left} s left."),
        ),
    }
}

fn unknown(left: u128, language: Language) -> String {
    match left {
        0 => language
            .pick(
                "结果未知，正在查询，请勿交付商品",
                "Outcome not known yet, asking the gateway. Do not hand over the goods.",
            )
            .to_owned(),
        left => language.pick(
            format!("结果未知，正在查询，最多再等 {left} 秒，请勿交付商品"),
            format!(
                "Outcome not known yet, asking the gateway for at most {left} s. Do not hand over the goods."
            ),
        ),
    }
}

fn paid(payment: &Payment, language: Language) -> &'static str {
    if payment.attempts.iter().any(|attempt| attempt.phase.may_hold_money()) {
        return language.pick(
            "收款成功，请交付商品；另一笔迟到的款项正在退回，请叫店长",
            "Paid. Hand over the goods. Another, late payment is on its way back: call the manager.",
        );
    }
    language.pick("收款成功，请交付商品", "Paid. Hand over the goods.")
}

fn checking(refusal: &Refusal, language: Language) -> String {
    let cause = cause(refusal.reason, language);
    language.pick(
        format!("{cause}，正在确认未扣款，请稍候"),
        format!("{cause}. Making sure that nothing was taken, please wait."),
    )
}

fn declined(refusal: &Refusal, language: Language) -> (Next, String) {
    let cause = cause(refusal.reason, language);
    let (next, advice) = advice(refusal.reason, language);
    let text =
        language.pick(format!("{cause}，未扣款，{advice}"), format!("{cause}. Nothing was taken. {advice}"));
    (next, text)
}

#[rustfmt::skip] // one sentence a line, so that the two languages can be compared
fn cause(reason: Reason, language: Language) -> &'static str {
    let (chinese, english) = match reason {
        Reason::CodeExpired      => ("付款码已过期", "The payment code has expired"),
        Reason::CodeUsed         => ("付款码已被使用过", "The payment code was used before"),
        Reason::CodeInvalid      => ("付款码无效", "This is not a valid payment code"),
        Reason::BalanceTooLow    => ("顾客余额不足", "The customer's balance is too low"),
        Reason::CardNotSupported => ("顾客的银行卡不支持此交易", "The customer's card is not accepted for this"),
        Reason::CancelledByPayer => ("顾客取消了支付", "The customer cancelled"),
        Reason::PayerNotAllowed  => ("顾客的账户不能支付此单", "The customer's account may not pay this"),
        Reason::OtherPayer       => ("此单已由另一位顾客尝试支付", "Another customer already tried to pay this"),
        Reason::NumberUsed       => ("此单号已被使用", "This order number was used before"),
        Reason::Merchant         => ("商户设置有误，暂不能收款", "The merchant account is not set up for this"),
        Reason::LineDown         => ("网络不通，收款请求没有发出", "The line is down and the payment was not sent"),
        Reason::NotSendable      => ("收款请求不合规则，没有发出", "The payment breaks a rule of the gateway and was not sent"),
        Reason::Other            => ("支付被拒绝", "The payment was refused"),
    };
    language.pick(chinese, english)
}

#[rustfmt::skip]
fn advice(reason: Reason, language: Language) -> (Next, &'static str) {
    let (next, chinese, english) = match reason {
        Reason::CodeExpired      => (Next::Rescan,      "请顾客刷新付款码后重新扫码", "Ask the customer to refresh the code and scan again."),
        Reason::CodeUsed         => (Next::Rescan,      "请顾客刷新付款码后重新扫码", "Ask the customer to refresh the code and scan again."),
        Reason::CodeInvalid      => (Next::Rescan,      "请顾客打开付款码页面后重新扫码", "Ask the customer to open the payment code and scan again."),
        Reason::BalanceTooLow    => (Next::OtherTender, "请顾客换卡或换其他方式支付", "Ask for another card or another way to pay."),
        Reason::CardNotSupported => (Next::OtherTender, "请顾客换卡或换其他方式支付", "Ask for another card or another way to pay."),
        Reason::CancelledByPayer => (Next::Rescan,      "可请顾客出示付款码重新扫码", "Scan again if the customer still wants to pay."),
        Reason::PayerNotAllowed  => (Next::OtherTender, "请换其他方式支付", "Take another way to pay."),
        Reason::OtherPayer       => (Next::Rescan,      "请重新扫码", "Scan again."),
        Reason::NumberUsed       => (Next::Rescan,      "请重新扫码", "Scan again."),
        Reason::Merchant         => (Next::CallManager, "请叫店长", "Call the manager."),
        Reason::LineDown         => (Next::Rescan,      "可重新扫码再试，或换其他方式支付", "Scan again, or take another way to pay."),
        Reason::NotSendable      => (Next::CallManager, "请叫店长", "Call the manager."),
        Reason::Other            => (Next::OtherTender, "请换其他方式支付", "Take another way to pay."),
    };
    (next, language.pick(chinese, english))
}

#[rustfmt::skip]
fn reversing(why: Why, language: Language) -> (Next, String) {
    let (next, chinese, english) = match why {
        Why::GaveUp      => (Next::Wait,        "未能确认收款，正在撤销", "The payment was not confirmed and is being reversed"),
        Why::Cancelled   => (Next::Wait,        "已取消，正在撤销", "Cancelled, and being reversed"),
        Why::PayFailed   => (Next::Wait,        "支付失败，正在撤销", "Paying failed, and is being reversed"),
        Why::Interrupted => (Next::Wait,        "收款因终端重启中断，正在撤销", "A restart interrupted the payment, which is being reversed"),
        Why::LatePaid    => (Next::CallManager, "有一笔迟到的款项，正在退回，请叫店长", "A payment came in late and is on its way back; call the manager"),
        Why::Elsewhere   => (Next::Wait,        "订单已在别处关闭，正在撤销", "The order was closed elsewhere and is being reversed"),
    };
    let text = language.pick(
        format!("{chinese}；如已扣款将自动退回，请勿交付商品"),
        format!("{english}. Whatever was taken goes back by itself. Do not hand over the goods."),
    );
    (next, text)
}

#[rustfmt::skip]
fn in_doubt(doubt: Doubt, language: Language) -> &'static str {
    let (chinese, english) = match doubt {
        Doubt::TooLong => ("款项结果仍不明确，请叫店长，请勿交付商品；终端会继续撤销", "Still not known whether money was taken. Call the manager, do not hand over the goods. The terminal keeps reversing."),
        Doubt::Refused => ("已扣款但无法撤销，请叫店长办理退款，请勿交付商品", "Money was taken and the gateway refuses to reverse it. Call the manager for a refund, do not hand over the goods."),
        Doubt::Expired => ("已过撤销期限，请叫店长查账或办理退款，请勿交付商品", "Too late to reverse. Call the manager to look into it or refund, do not hand over the goods."),
    };
    language.pick(chinese, english)
}

#[rustfmt::skip]
fn reversed(why: Why, language: Language) -> (Next, String) {
    let (next, chinese, english) = match why {
        Why::GaveUp      => (Next::Rescan,      "未收款，已撤销；如曾扣款已退回", "Not paid, and reversed. Whatever was taken went back."),
        Why::Cancelled   => (Next::OtherTender, "已取消并撤销；如曾扣款已退回", "Cancelled and reversed. Whatever was taken went back."),
        Why::PayFailed   => (Next::OtherTender, "支付失败，已撤销；如曾扣款已退回", "Paying failed, and was reversed. Whatever was taken went back."),
        Why::Interrupted => (Next::Rescan,      "收款因终端重启中断，已撤销；如曾扣款已退回", "A restart interrupted the payment, which was reversed. Whatever was taken went back."),
        Why::LatePaid    => (Next::Rescan,      "迟到的款项已退回，此单未收款", "The late payment went back. This sale is not paid."),
        Why::Elsewhere   => (Next::OtherTender, "订单已在别处关闭，未收款或已退回；如已交付商品请叫店长", "The order was closed elsewhere, not paid or paid back. If the goods were handed over, call the manager."),
    };
    (next, language.pick(chinese, english).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CodeHint;
    use crate::money::Amount;
    use crate::payment::event::Proof;
    use crate::payment::state::{Attempt, Reversal, SalePhase};

    const REASONS: [Reason; 13] = [
        Reason::CodeExpired,
        Reason::CodeUsed,
        Reason::CodeInvalid,
        Reason::BalanceTooLow,
        Reason::CardNotSupported,
        Reason::CancelledByPayer,
        Reason::PayerNotAllowed,
        Reason::OtherPayer,
        Reason::NumberUsed,
        Reason::Merchant,
        Reason::LineDown,
        Reason::NotSendable,
        Reason::Other,
    ];
    const WHYS: [Why; 6] =
        [Why::GaveUp, Why::Cancelled, Why::PayFailed, Why::Interrupted, Why::LatePaid, Why::Elsewhere];
    const DOUBTS: [Doubt; 3] = [Doubt::TooLong, Doubt::Refused, Doubt::Expired];
    const NOW: Timestamp = Timestamp(1_795_233_600_000);

    fn refusal(reason: Reason) -> Refusal {
        Refusal { code: String::new(), text: String::new(), reason }
    }

    fn paying(payer_asked: bool, refusal: Option<Refusal>, interrupted: bool) -> Phase {
        Phase::Paying { sent_at: NOW, payer_asked, refusal, interrupted }
    }

    fn reversal(why: Why) -> Reversal {
        Reversal::new(NOW, NOW, why)
    }

    fn proof() -> Proof {
        Proof { gateway_txn: String::new(), paid_at: NOW, payer_paid: 1, coupon: 0 }
    }

    fn sale(phases: impl IntoIterator<Item = Phase>) -> Payment {
        let attempts = phases.into_iter().map(|phase| Attempt {
            hint: CodeHint::from_digits("8406"),
            wake: phase.is_open().then_some(NOW),
            phase,
        });
        Payment { amount: Amount::from_fen(1).unwrap(), single: false, attempts: attempts.collect() }
    }

    fn every_phase() -> Vec<Phase> {
        let mut phases = vec![Phase::Armed, Phase::Paid(proof()), Phase::Void, paying(false, None, false)];
        phases.push(Phase::Contradicted { proof: proof(), since: NOW });
        phases.extend([paying(true, None, false), paying(false, None, true)]);
        phases.extend(REASONS.map(|reason| paying(false, Some(refusal(reason)), false)));
        phases.extend(REASONS.map(|reason| Phase::Declined(refusal(reason))));
        phases.extend(WHYS.map(|why| Phase::Reversing(reversal(why))));
        phases.extend(WHYS.map(Phase::Reversed));
        phases.extend(DOUBTS.map(|doubt| Phase::InDoubt(reversal(Why::GaveUp), doubt)));
        phases
    }

    fn say(payment: &Payment, after_s: u64) -> (Told, Told) {
        let at = NOW + std::time::Duration::from_secs(after_s);
        let [chinese, english] = [Language::Chinese, Language::English]
            .map(|language| told(payment, at, &Policy::default(), language));
        (chinese, english)
    }

    #[test]
    fn what_to_do_next_has_the_names_of_the_api() {
        let next =
            [Next::Scan, Next::Wait, Next::HandOver, Next::Rescan, Next::OtherTender, Next::CallManager];
        let names = ["scan", "wait", "hand_over", "rescan", "other_tender", "call_manager"];
        assert_eq!(next.map(Next::label), names);
    }

    #[test]
    fn goods_are_handed_over_only_when_paid() {
        for phase in every_phase() {
            let payment = sale([phase]);
            let paid = payment.phase() == SalePhase::Paid;
            let (chinese, english) = say(&payment, 7);
            for told in [&chinese, &english] {
                assert_eq!(told.hand_over_goods, paid, "{payment:?}");
                assert_eq!(told.next == Next::HandOver, paid, "{payment:?}");
                assert!(!told.text.is_empty(), "{payment:?}");
            }
            assert_eq!((chinese.next, chinese.hand_over_goods), (english.next, english.hand_over_goods));
            assert!(english.text.is_ascii() && !chinese.text.is_ascii(), "{english:?} {chinese:?}");
        }
    }

    #[test]
    fn a_sentence_never_claims_more_than_the_phase_knows() {
        use crate::payment::state::Money;
        for phase in every_phase() {
            let payment = sale([phase]);
            let (chinese, english) = say(&payment, 7);
            let nothing = english.text.contains("Nothing was taken");
            assert_eq!(nothing, chinese.text.contains("，未扣款"), "{chinese:?}");
            if nothing {
                assert_eq!(payment.money(), Money::None, "{english:?}");
            }
            if payment.money() == Money::Possible {
                let waits = english.next == Next::Wait || english.next == Next::CallManager;
                assert!(waits, "{english:?} while money may have been taken");
            }
        }
    }

    #[test]
    fn the_password_wait_counts_down_in_whole_seconds() {
        let payment = sale([paying(true, None, false)]);
        let (chinese, english) = say(&payment, 15);
        assert_eq!(chinese.text, "请顾客输入支付密码，还有 30 秒");
        assert_eq!(english.text, "The customer must enter the payment password, 30 s left.");
        assert_eq!(say(&payment, 45).0.text, "请顾客输入支付密码");
    }

    #[test]
    fn silence_is_called_unknown_once_the_gateway_is_asked() {
        let payment = sale([paying(false, None, false)]);
        assert_eq!(say(&payment, 1).0.text, "正在收款，请稍候");
        assert_eq!(say(&payment, 5).0.text, "结果未知，正在查询，最多再等 40 秒，请勿交付商品");
    }

    #[test]
    fn a_new_scan_is_asked_for_with_the_reason_of_the_last_decline() {
        let after = |reason| say(&sale([Phase::Declined(refusal(reason)), Phase::Armed]), 1).0;
        assert_eq!(say(&sale([Phase::Armed]), 1).0.next, Next::Scan);
        assert_eq!(after(Reason::CodeExpired).next, Next::Rescan);
        assert_eq!(after(Reason::CodeExpired).text, "付款码已过期，未扣款，请顾客刷新付款码后重新扫码");
        assert_eq!(after(Reason::BalanceTooLow).next, Next::OtherTender);
        assert_eq!(
            after(Reason::LineDown).text,
            "网络不通，收款请求没有发出，未扣款，可重新扫码再试，或换其他方式支付"
        );
        let merchant = after(Reason::Merchant);
        assert_eq!((merchant.next, merchant.hand_over_goods), (Next::CallManager, false));
    }

    #[test]
    fn money_that_came_late_is_told_before_anything_else_is_scanned() {
        let late = Phase::Reversing(reversal(Why::LatePaid));
        let (_, english) = say(&sale([late.clone(), Phase::Armed]), 1);
        assert_eq!(english.next, Next::CallManager);
        assert!(english.text.contains("came in late"));
        let (_, english) = say(&sale([late, Phase::Paid(proof())]), 1);
        assert!(english.hand_over_goods && english.text.contains("call the manager"));
    }
}
