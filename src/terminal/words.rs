//! The terminal's own words: the journal's event texts (English, for the log) and the sentences outside of a payment
//! (Chinese for the cashier, English beside it). Never holds a payment code.

use crate::input::{Refused, Remark, ScanRefusal};
use crate::journal::Room;
use crate::payment::cashier::Language;
use crate::payment::{Answer, Asked, Event, ReversalAnswer, SalePhase};
use crate::refund::{self, Refund};
use crate::sale::{ReceiptState, Sale};
use crate::terminal::unfinished::Unfinished;

/// The first step of a sale.
pub fn opened(sale: &Sale) -> String {
    let reference = sale.reference.as_deref().map(|r| format!(" reference {}", plain(r))).unwrap_or_default();
    format!("opened {}{reference} -> {}", sale.payment.amount, sale.payment.phase().label())
}

/// What happened to a sale, in the log's words.
pub fn event(sale: &Sale, event: &Event) -> String {
    match event {
        Event::Code(hint) => format!("{} code {hint} read", sale.id.order(sale.payment.ordinal())),
        Event::Answered { attempt, to, answer } => {
            let asked = match to {
                Asked::Pay => "pay",
                Asked::Query => "query",
            };
            format!("{} {asked}: {}", sale.id.order(*attempt), plain(&answered(answer)))
        }
        Event::Reversed { attempt, answer } => {
            format!("{} reverse: {}", sale.id.order(*attempt), plain(&reversed(answer)))
        }
        Event::Cancel => "cancel asked for".to_owned(),
        Event::Check => "check asked for".to_owned(),
        Event::Wake => "time is up".to_owned(),
        Event::Restarted => "restarted".to_owned(),
    }
}

/// The first step of a refund.
pub fn refund_asked(refund: &Refund) -> String {
    let reason =
        refund.reason.as_deref().map(|reason| format!(" reason {}", plain(reason))).unwrap_or_default();
    format!("{} of {} asked for{reason} -> refund {}", refund.number, refund.amount, refund.phase.label())
}

/// What happened to a refund, in the log's words.
pub fn refund_event(refund: &Refund, event: &refund::Event) -> String {
    let number = &refund.number;
    match event {
        refund::Event::Answered(asked, answer) => {
            let asked = match asked {
                refund::Asked::Refund => "refund",
                refund::Asked::Query => "query",
            };
            format!("{number} {asked}: {}", plain(&refund_answered(answer)))
        }
        refund::Event::Check => format!("{number} check asked for"),
        refund::Event::Wake => format!("{number} time is up"),
        refund::Event::Restarted => format!("{number} restarted"),
    }
}

fn refund_answered(answer: &refund::Answer) -> String {
    match answer {
        refund::Answer::Accepted(number) => format!("accepted {number}"),
        refund::Answer::Returned(number) => format!("returned {number}"),
        refund::Answer::Stuck(number) => format!("the payer's card is gone {number}"),
        refund::Answer::Closed(number) => format!("closed {number}"),
        refund::Answer::NotFound => "no such refund".to_owned(),
        refund::Answer::Refused(refusal) => format!("refused {} {}", refusal.code, refusal.text),
        refund::Answer::NeverSent(cause) => format!("never sent, {cause}"),
        refund::Answer::Unknown(cause) => format!("not known, {cause}"),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Paid(proof) => format!("paid {} coupon {}", proof.gateway_txn, proof.coupon),
        Answer::AwaitingPayer => "payer is asked for the password".to_owned(),
        Answer::Refused(refusal) => format!("refused {} {}", refusal.code, refusal.text),
        Answer::NotPaid => "not paid".to_owned(),
        Answer::NotFound => "no such order".to_owned(),
        Answer::PayFailed => "paying failed".to_owned(),
        Answer::Closed => "closed".to_owned(),
        Answer::Refunded => "refunded".to_owned(),
        Answer::NeverSent(cause) => format!("never sent, {cause}"),
        Answer::Unknown(cause) => format!("not known, {cause}"),
    }
}

fn reversed(answer: &ReversalAnswer) -> String {
    match answer {
        ReversalAnswer::Done => "done".to_owned(),
        ReversalAnswer::Again => "call again".to_owned(),
        ReversalAnswer::NotFound => "no such order".to_owned(),
        ReversalAnswer::Refused(refusal) => format!("refused {} {}", refusal.code, refusal.text),
        ReversalAnswer::NeverSent(cause) => format!("never sent, {cause}"),
        ReversalAnswer::Unknown(cause) => format!("not known, {cause}"),
    }
}

/// A text from outside, fit for a log line: control characters become blanks, 200 characters at most.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn pick<'a>(language: Language, chinese: &'a str, english: &'a str) -> &'a str {
    match language {
        Language::Chinese => chinese,
        Language::English => english,
    }
}

/// A code that was read but is not used.
pub fn scan_refused(why: &Refused, language: Language) -> Remark {
    let code = match why {
        Refused::NotACode => "not_a_code",
        Refused::NothingToPay => "nothing_to_pay",
        Refused::NotNow(_) => "already_in_progress",
        Refused::Busy(_)
        | Refused::KeyReused(_)
        | Refused::NeverSeen
        | Refused::TooMuch
        | Refused::RefundTooMuch(_)
        | Refused::RefundLimit(_)
        | Refused::JournalFailed(_)
        | Refused::NotReady(_) => "scan_refused",
    };
    Remark { code, text: refused(why, language) }
}

/// Something was read that is not a code.
pub fn scan_unreadable(why: ScanRefusal, language: Language) -> Remark {
    let (chinese, english) = match why {
        ScanRefusal::NotDigits => (
            "这不是付款码，请扫顾客手机上的付款码",
            "not a payment code: scan the code on the customer's phone",
        ),
        ScanRefusal::Length => ("付款码位数不对，请重新扫码", "wrong number of digits: scan again"),
        ScanRefusal::Broken => ("只读到一部分，请重新扫码", "only a part was read: scan again"),
        ScanRefusal::Lost => ("扫码数据丢失，请重新扫码", "a part of the scan was lost: scan again"),
        ScanRefusal::Flood => {
            ("扫码枪输出异常，请检查扫码枪", "the scanner sends too much: check the scanner")
        }
    };
    Remark { code: "scan_unreadable", text: pick(language, chinese, english).to_owned() }
}

/// A second code while the first is being paid, or the same code again.
pub fn in_progress(language: Language) -> &'static str {
    pick(language, "已在处理，请勿重复扫码", "already in progress: do not scan again")
}

/// Why a sale that is not paid, or not for certain, cannot be refunded.
pub fn not_refundable(sale: &Sale, language: Language) -> String {
    let (chinese, english) = match sale.payment.phase() {
        SalePhase::Reversing => (
            "正在撤销，款项会自动退回，不要另行退款",
            "it is being reversed: whatever was taken goes back by itself",
        ),
        SalePhase::InDoubt => (
            "款项尚未核实，核实后才能退款",
            "it is not known yet whether the money was taken: refund it when that is settled",
        ),
        SalePhase::AwaitingCode
        | SalePhase::Paying
        | SalePhase::Paid
        | SalePhase::Declined
        | SalePhase::Reversed
        | SalePhase::Cancelled => {
            ("这笔交易没有收款，不能退款", "nothing was taken for it, so nothing can be refunded")
        }
    };
    pick(language, chinese, english).to_owned()
}

/// The gateway takes no more refunds of this sale.
pub fn too_many_refunds(language: Language) -> &'static str {
    pick(
        language,
        "这笔交易已退款 50 次，微信不再受理",
        "it was refunded 50 times, and the gateway takes no more",
    )
}

/// There is no printer.
pub fn no_printer(language: Language) -> &'static str {
    pick(language, "未设置打印机", "no printer is set up")
}

/// Receipts are for paid sales.
pub fn not_paid(language: Language) -> &'static str {
    pick(language, "未支付的交易没有小票", "a sale that is not paid has no receipt")
}

/// A receipt of this sale is in the queue.
pub fn receipt_under_way(language: Language) -> &'static str {
    pick(language, "这笔交易的小票正在打印", "a receipt of this sale is being printed")
}

/// A receipt that is not finished.
pub fn receipt_owed(state: ReceiptState, trouble: &str, language: Language) -> String {
    let (chinese, english) = match state {
        ReceiptState::Queued => ("小票等待打印", "receipt waits for the printer"),
        ReceiptState::Sending => ("小票正在打印", "receipt is being printed"),
        ReceiptState::Unconfirmed => (
            "小票可能已打印，请看打印机；没有就补打",
            "receipt may have come out: look at the printer, print a copy if not",
        ),
        ReceiptState::Failed => ("小票没有打印完整，请补打", "receipt did not come out whole: print a copy"),
        ReceiptState::None | ReceiptState::Printed => ("", ""),
    };
    match trouble {
        "" => pick(language, chinese, english).to_owned(),
        trouble => format!("{} ({trouble})", pick(language, chinese, english)),
    }
}

/// What is wrong with the journal's disk; nothing while there is room.
pub fn disk(room: &Room, language: Language) -> String {
    let (chinese, english) = match room {
        Room { short_of_blocks: true, .. } => (
            "磁盘快满了，满了就不能收款，请叫店长清理",
            "the disk is nearly full: no sale is taken when it is. Free some space",
        ),
        Room { short_of_inodes: true, .. } => (
            "磁盘上文件太多，请叫店长清理",
            "the disk has room for few more files: no sale is taken when it has none. Remove some",
        ),
        Room { .. } => return String::new(),
    };
    pick(language, chinese, english).to_owned()
}

/// Why a command was not carried out, and what to do.
pub fn refused(why: &Refused, language: Language) -> String {
    let (chinese, english) = match why {
        Refused::NotNow(text) => return text.clone(),
        Refused::Busy(id) => {
            let (chinese, english) =
                (format!("上一笔 {id} 还没有结束"), format!("sale {id} is still in hand"));
            return pick(language, &chinese, &english).to_owned();
        }
        Refused::KeyReused(_) => {
            ("同一请求号用于不同的交易", "the idempotency key was used for another request")
        }
        Refused::NeverSeen => ("没有这笔交易", "no such sale"),
        Refused::NothingToPay => ("没有待付款的交易，请先输入金额", "nothing to pay: enter the amount first"),
        Refused::NotACode => (
            "这不是微信付款码，请扫微信“收付款”里的码",
            "not a WeChat payment code: scan the code under Pay in WeChat",
        ),
        Refused::TooMuch => ("超过单笔限额", "more than the limit for one sale"),
        Refused::RefundTooMuch(left) => {
            let left = format!("{}.{:02}", left / 100, left % 100);
            let (chinese, english) = (
                format!("超过可退金额，最多可退 {left} 元"),
                format!("more than can be refunded: at most {left}"),
            );
            return pick(language, &chinese, &english).to_owned();
        }
        Refused::RefundLimit(most) => {
            let (chinese, english) = (
                format!("超过本机退款限额 {most} 元，请店长在商户平台退款"),
                format!(
                    "more than {most}, the limit for refunds here: the manager refunds it on the merchant platform"
                ),
            );
            return pick(language, &chinese, &english).to_owned();
        }
        Refused::JournalFailed(_) => (
            "本机无法记账，暂停收款，请叫店长检查磁盘",
            "this terminal cannot record sales: no sale is taken; call the manager to look at the disk",
        ),
        Refused::NotReady(_) => {
            ("收款设置不完整，请叫店长", "the terminal is not set up to take sales: call the manager")
        }
    };
    pick(language, chinese, english).to_owned()
}

/// Of a code that was refused, in the list of what is not finished.
pub fn looks_again(language: Language) -> &'static str {
    pick(
        language,
        "付款码被拒，付款码失效后再查一次，确认未扣款",
        "A code was refused: looked up once more when it is dead, to be sure that nothing was taken.",
    )
}

/// What the terminal is doing, for the status line.
pub fn summary(in_hand: bool, language: Language) -> &'static str {
    match in_hand {
        true => pick(language, "正在收款", "taking a payment"),
        false => pick(language, "可以收款", "ready for the next sale"),
    }
}

/// The status line with what is not finished, and since when.
pub fn with_unfinished(state: String, unfinished: &Unfinished, language: Language) -> String {
    let Some(since) = unfinished.since else { return state };
    let Unfinished { queries, reversals, refunds, receipts, .. } = *unfinished;
    let settling = queries + reversals + refunds;
    let since = since.civil().strftime("%m-%d %H:%M");
    let (settled, printed, oldest) = match language {
        Language::Chinese => {
            (format!("{settling} 笔处理中"), format!("{receipts} 张小票待处理"), format!("最早 {since}"))
        }
        Language::English => (
            format!("{settling} being settled"),
            format!("{receipts} receipts to see to"),
            format!("since {since}"),
        ),
    };
    let parts = [(settling > 0, settled), (receipts > 0, printed), (true, oldest)];
    let parts: Vec<String> = parts.into_iter().filter_map(|(said, part)| said.then_some(part)).collect();
    format!("{state} · {}", parts.join(pick(language, "，", ", ")))
}

/// What is not finished, in the log's words.
pub fn unfinished(unfinished: &Unfinished) -> String {
    let Unfinished { queries, reversals, refunds, receipts, since } = *unfinished;
    let since = since.map(|since| format!(", the oldest since {}", since.rfc3339())).unwrap_or_default();
    format!(
        "{queries} to be looked up, {reversals} to be reversed, {refunds} refunds to follow, {receipts} receipts to see to{since}"
    )
}
