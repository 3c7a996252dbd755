//! What the manager is told of a refund: one honest sentence, in the language of the till.

use crate::payment::cashier::Language;
use crate::refund::state::{Asking, Phase, Refund};

/// Where `refund` is, and what to do if a person must.
pub fn told(refund: &Refund, language: Language) -> String {
    let amount = refund.amount;
    let (chinese, english) = match &refund.phase {
        Phase::Asking(Asking { refused: Some(_), .. }) => (
            format!("退款 {amount} 元被拒，正在确认没有退出"),
            format!("The refund of {amount} was refused; making sure that nothing went out."),
        ),
        Phase::Asking(Asking { called: true, .. }) => (
            format!("退款 {amount} 元还没有得到微信确认，请叫店长；终端会继续办理，请勿另行退款"),
            format!(
                "Still not known whether the refund of {amount} was taken on. Call the manager; the terminal goes on asking. Do not give the money back another way."
            ),
        ),
        Phase::Asking(_) => {
            (format!("正在申请退款 {amount} 元"), format!("Asking for a refund of {amount}."))
        }
        Phase::Accepted { called: true, .. } => (
            format!("退款 {amount} 元已受理，但迟迟没有到账，请店长联系微信支付"),
            format!(
                "The refund of {amount} was accepted but has not arrived for too long. The manager should ask WeChat Pay."
            ),
        ),
        Phase::Accepted { .. } => (
            format!("退款 {amount} 元已受理，将原路退回；银行卡约需 1 至 3 个工作日"),
            format!(
                "The refund of {amount} was accepted and goes back the way it came; to a bank card in one to three working days."
            ),
        ),
        Phase::Stuck { .. } => (
            format!("退款 {amount} 元无法退回原银行卡，请店长到微信商户平台处理"),
            format!(
                "The refund of {amount} cannot reach the customer's card. The manager must see to it on the merchant platform."
            ),
        ),
        Phase::Returned { .. } => (format!("已退款 {amount} 元"), format!("{amount} was refunded.")),
        Phase::Refused(refusal) => (
            format!("退款 {amount} 元未办理，款项仍在商户：{}", refusal.text),
            format!(
                "The refund of {amount} was refused, and the money is still the shop's: {}",
                refusal.code
            ),
        ),
        Phase::Closed { .. } => (
            format!("退款 {amount} 元已关闭，款项仍在商户，请店长核实后重新退款"),
            format!(
                "The refund of {amount} was closed, and the money is still the shop's. The manager should look into it and refund again."
            ),
        ),
    };
    match language {
        Language::Chinese => chinese,
        Language::English => english,
    }
}
