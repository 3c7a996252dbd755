//! Why something is listed: a stable name, and what it means and asks for in Chinese and in English.

/// Why something is listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Cause {
    /// The bill has an order that the journal does not.
    UnknownHere,
    /// The bill has an order that is on record as declined.
    DeclinedHere,
    /// The bill has an order that is on record as cancelled before any code.
    CancelledHere,
    /// The bill has an order with which the terminal is not done.
    StillOpen,
    /// Paid here, not in the bill.
    NotInBill,
    /// Paid here, taken back in the bill.
    ReversedInBill,
    /// Taken back here, only charged in the bill.
    ReversalNotInBill,
    /// Taken back here on a later day; this bill cannot have it.
    ReversedLater,
    /// Another amount.
    AmountDiffers,
    /// Another number of the gateway's.
    GatewayTxnDiffers,
    /// Another part from coupons.
    CouponDiffers,
    /// More than one charge for one order.
    ChargedTwice,
    /// A state that the gateway does not document.
    NotUnderstood,
    /// The bill has a refund that is not on record.
    RefundNotRecorded,
    /// A refund on record is not in the bill.
    RefundNotInBill,
    /// A refund of another amount.
    RefundAmountDiffers,
    /// A refund that went through on one side only.
    RefundStateDiffers,
    /// A refund of another order.
    RefundOrderDiffers,
    /// A refund about which the terminal still asks.
    RefundStillOpen,
    /// More than one line for one refund.
    RefundTwice,
}

/// A cause in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words {
    /// What it means.
    pub means: &'static str,
    /// What to do.
    pub help: &'static str,
}

const fn words(means: &'static str, help: &'static str) -> Words {
    Words { means, help }
}

impl Cause {
    /// Every cause, in the order of the manager's page.
    pub const ALL: [Cause; 20] = [
        Cause::UnknownHere,
        Cause::DeclinedHere,
        Cause::CancelledHere,
        Cause::StillOpen,
        Cause::NotInBill,
        Cause::ReversedInBill,
        Cause::ReversalNotInBill,
        Cause::ReversedLater,
        Cause::AmountDiffers,
        Cause::GatewayTxnDiffers,
        Cause::CouponDiffers,
        Cause::ChargedTwice,
        Cause::NotUnderstood,
        Cause::RefundNotRecorded,
        Cause::RefundNotInBill,
        Cause::RefundAmountDiffers,
        Cause::RefundStateDiffers,
        Cause::RefundOrderDiffers,
        Cause::RefundStillOpen,
        Cause::RefundTwice,
    ];

    /// The name that JSON and the manager's page use; never changed.
    pub fn label(self) -> &'static str {
        match self {
            Cause::UnknownHere => "unknown_here",
            Cause::DeclinedHere => "declined_here",
            Cause::CancelledHere => "cancelled_here",
            Cause::StillOpen => "still_open",
            Cause::NotInBill => "not_in_bill",
            Cause::ReversedInBill => "reversed_in_bill",
            Cause::ReversalNotInBill => "reversal_not_in_bill",
            Cause::ReversedLater => "reversed_later",
            Cause::AmountDiffers => "amount_differs",
            Cause::GatewayTxnDiffers => "gateway_txn_differs",
            Cause::CouponDiffers => "coupon_differs",
            Cause::ChargedTwice => "charged_twice",
            Cause::NotUnderstood => "not_understood",
            Cause::RefundNotRecorded => "refund_not_recorded",
            Cause::RefundNotInBill => "refund_not_in_bill",
            Cause::RefundAmountDiffers => "refund_amount_differs",
            Cause::RefundStateDiffers => "refund_state_differs",
            Cause::RefundOrderDiffers => "refund_order_differs",
            Cause::RefundStillOpen => "refund_still_open",
            Cause::RefundTwice => "refund_twice",
        }
    }

    /// For the shop.
    pub fn chinese(self) -> Words {
        match self {
            Cause::UnknownHere => words(
                "账单上有，本机没有这一笔",
                "日志恢复过，或另一台终端用了同一编号：货给了就登记，没给就在商户平台退款",
            ),
            Cause::DeclinedHere => {
                words("账单上已收款，本机记为未收款", "查订单号；货没给就在商户平台退款，货给了就登记")
            }
            Cause::CancelledHere => {
                words("账单上有，本机记为扫码前已取消", "查是谁用了这个订单号；货没给就在商户平台退款")
            }
            Cause::StillOpen => words("账单上有，本机还在处理这一笔", "等它有结果，再对一次账"),
            Cause::NotInBill => words(
                "本机已收款，当天账单上没有",
                "午夜前后的一笔先看前后一天的账单；都没有就拿微信订单号在商户平台查",
            ),
            Cause::ReversedInBill => {
                words("本机记为已收款，账单上已撤销", "有人在别处撤销了；货已给就是损失，请登记")
            }
            Cause::ReversalNotInBill => {
                words("本机记为已撤销，账单上只有扣款", "在商户平台查这个订单号；还没退就在平台退款")
            }
            Cause::ReversedLater => words("当天扣款，本机后来才撤销", "看撤销那一天的账单上有没有它"),
            Cause::AmountDiffers => words("金额不同", "在商户平台查这个订单号，以微信的金额为准登记"),
            Cause::GatewayTxnDiffers => words("微信订单号不同", "两个号都在商户平台查，看哪一个收了款"),
            Cause::CouponDiffers => words("优惠金额不同", "总额相同就只登记；退款时以账单为准"),
            Cause::ChargedTwice => words("同一订单号扣了不止一次", "在商户平台查，多扣的退款"),
            Cause::NotUnderstood => words("账单上的交易状态不认识", "在商户平台查这个订单号"),
            Cause::RefundNotRecorded => {
                words("账单上有退款，本机没有记录", "有人在商户平台退了款：从当天收款中减去，并登记")
            }
            Cause::RefundNotInBill => {
                words("本机有退款，当天账单上没有", "先看前后一天的账单；都没有就拿退款单号在商户平台查")
            }
            Cause::RefundAmountDiffers => words("退款金额不同", "在商户平台查退款单号，以微信的金额为准登记"),
            Cause::RefundStateDiffers => {
                words("退款一边成功、一边没有", "在商户平台查退款单号；钱没退到就重新退")
            }
            Cause::RefundOrderDiffers => words("退款属于另一订单", "在商户平台查退款单号，看退的是哪一笔"),
            Cause::RefundStillOpen => words("账单上有退款，本机还在问结果", "等它有结果，再对一次账"),
            Cause::RefundTwice => words("同一退款单号出现不止一次", "在商户平台查，看是否退了两次"),
        }
    }

    /// For whoever helps the shop.
    pub fn english(self) -> Words {
        match self {
            Cause::UnknownHere => words(
                "in the bill, but there is no such payment here",
                "the journal was restored, or another terminal has the same id: note it if the goods are gone, refund it on the platform if not",
            ),
            Cause::DeclinedHere => words(
                "charged in the bill, declined here",
                "look the order up; refund it on the platform if no goods were given, else note it",
            ),
            Cause::CancelledHere => words(
                "in the bill, but cancelled here before any code was read",
                "find out who used this order number; refund it on the platform if no goods were given",
            ),
            Cause::StillOpen => words(
                "in the bill, and the terminal is not done with it",
                "wait until it has ended, then reconcile again",
            ),
            Cause::NotInBill => words(
                "paid here, not in the bill of the day",
                "near midnight look at the bills of the days beside it; else look WeChat's number up on the platform",
            ),
            Cause::ReversedInBill => words(
                "paid here, taken back in the bill",
                "somebody reversed it elsewhere; if the goods are gone it is a loss: note it",
            ),
            Cause::ReversalNotInBill => words(
                "taken back here, but the bill has only the charge",
                "look the order up on the platform; refund it there if it was not given back",
            ),
            Cause::ReversedLater => words(
                "charged on this day, taken back on a later one",
                "see that the bill of that later day has it",
            ),
            Cause::AmountDiffers => words(
                "amounts differ",
                "look the order up on the platform; WeChat's amount is the one that counts",
            ),
            Cause::GatewayTxnDiffers => words(
                "WeChat's numbers differ",
                "look both up on the platform and see which one took the money",
            ),
            Cause::CouponDiffers => words(
                "coupons differ",
                "if the amounts are equal only note it; for a refund the bill is right",
            ),
            Cause::ChargedTwice => words(
                "one order was charged more than once",
                "look it up on the platform and refund the surplus",
            ),
            Cause::NotUnderstood => {
                words("the bill has a state that is not known", "look the order up on the platform")
            }
            Cause::RefundNotRecorded => words(
                "the bill has a refund that is not on record here",
                "somebody refunded it on the platform: subtract it from the day and note it",
            ),
            Cause::RefundNotInBill => words(
                "a refund on record here is not in the bill of the day",
                "look at the bills of the days beside it; else look the refund number up on the platform",
            ),
            Cause::RefundAmountDiffers => words(
                "amounts of a refund differ",
                "look the refund up on the platform; WeChat's amount is the one that counts",
            ),
            Cause::RefundStateDiffers => words(
                "a refund went through on one side only",
                "look the refund up on the platform; refund again if the money did not arrive",
            ),
            Cause::RefundOrderDiffers => words(
                "a refund belongs to another order",
                "look the refund up on the platform and see which payment went back",
            ),
            Cause::RefundStillOpen => words(
                "the bill has a refund about which the terminal still asks",
                "wait until it has ended, then reconcile again",
            ),
            Cause::RefundTwice => words(
                "one refund number occurs more than once",
                "look on the platform whether it was given back twice",
            ),
        }
    }
}
