//! From a request's fields to the world and back to an answer's fields, still unsigned.

use super::bill;
use super::fields::{Api, day};
use super::order::{CouponKind, Order, State};
use super::refunds::{Fate, RefundAsk, WhichRefund};
use super::wire::Fields;
use super::world::{Act, Pay, Refusal, Which, World};
use crate::time::Timestamp;

/// Fields that may differ when a request is repeated.
const FREE: [&str; 4] = ["nonce_str", "sign", "sign_type", "auth_code"];
/// Refunds in one answer of refundquery (its page: more than ten need `offset`).
const REFUNDS_A_PAGE: usize = 10;

/// What an API has to say.
#[derive(Debug, Clone)]
pub enum Said {
    /// Business fields; `return_code`, the merchant and the signature are still to be added.
    Fields(Fields),
    /// A bill, which is not XML and not signed.
    Bill(String),
    /// A bill's refusal: `error_code`, `return_msg`; not signed either.
    NoBill(&'static str, &'static str),
}

/// Carries out a request whose fields have been checked.
pub fn act(world: &mut World, now: Timestamp, api: Api, request: &Fields, fate: Fate) -> Said {
    let said = match api {
        Api::Micropay => world.pay(now, &pay(request)).map(paid),
        Api::Orderquery => world.query(now, &which(request)).map(found),
        Api::Reverse => {
            let reversed = world.reverse(now, &which(request)).map(|()| success());
            return Said::Fields(recall(reversed));
        }
        Api::Refund => {
            world.refund(now, &refund_ask(request), fate).map(|(order, place)| refunded(order, place))
        }
        Api::Refundquery => {
            let offset = request.get("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
            world
                .refunds(now, &which_refund(request))
                .map(|(order, places)| refund_list(order, &places, offset))
        }
        Api::Downloadbill => {
            let Some(day) = request.get("bill_date").and_then(|text| day(text)) else {
                return Said::NoBill("20001", "invalid bill_date");
            };
            let kind = request.get("bill_type").map_or("ALL", String::as_str);
            return match bill::write(world, now, day, kind, request) {
                Some(text) => Said::Bill(text),
                None => Said::NoBill("20002", "No Bill Exist"),
            };
        }
    };
    Said::Fields(said.unwrap_or_else(refused))
}

/// The same request as something that arrives later; queries and bills have no effect, so there is nothing to delay.
pub fn as_act(api: Api, request: &Fields) -> Option<Act> {
    match api {
        Api::Micropay => Some(Act::Pay(pay(request))),
        Api::Reverse => Some(Act::Reverse(which(request))),
        Api::Refund => Some(Act::Refund(refund_ask(request))),
        Api::Orderquery | Api::Refundquery | Api::Downloadbill => None,
    }
}

/// A micropay request, decoded.
pub fn pay(request: &Fields) -> Pay {
    let terms = request.iter().filter(|(name, value)| {
        !FREE.contains(&name.as_str())
            && !["out_trade_no", "total_fee"].contains(&name.as_str())
            && !value.is_empty()
    });
    Pay {
        order: text(request, "out_trade_no"),
        total: fee(request, "total_fee"),
        code: text(request, "auth_code"),
        terms: terms.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

fn which(request: &Fields) -> Which {
    match request.get("transaction_id").filter(|id| !id.is_empty()) {
        Some(id) => Which::Transaction(id.clone()),
        None => Which::Order(text(request, "out_trade_no")),
    }
}

fn which_refund(request: &Fields) -> WhichRefund {
    let given = |name: &str| request.get(name).filter(|value| !value.is_empty()).cloned();
    match (given("refund_id"), given("out_refund_no")) {
        (Some(id), _) => WhichRefund::Id(id),
        (None, Some(number)) => WhichRefund::Number(number),
        (None, None) => WhichRefund::Order(which(request)),
    }
}

fn refund_ask(request: &Fields) -> RefundAsk {
    let terms = ["refund_desc", "refund_account", "refund_fee_type"]
        .iter()
        .filter_map(|name| request.get_key_value(*name));
    RefundAsk {
        which: which(request),
        number: text(request, "out_refund_no"),
        total: fee(request, "total_fee"),
        fee: fee(request, "refund_fee"),
        terms: terms
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    }
}

fn text(fields: &Fields, name: &str) -> String {
    fields.get(name).cloned().unwrap_or_default()
}

fn fee(fields: &Fields, name: &str) -> u32 {
    fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn put(fields: &mut Fields, name: impl Into<String>, value: impl ToString) {
    fields.insert(name.into(), value.to_string());
}

/// `result_code` SUCCESS and nothing else.
pub fn success() -> Fields {
    Fields::from([("result_code".to_owned(), "SUCCESS".to_owned())])
}

/// `result_code` FAIL. No order number: the real one does not repeat it either.
pub fn refused(refusal: Refusal) -> Fields {
    failed(refusal.code, refusal.text)
}

/// `result_code` FAIL with any code.
pub fn failed(code: &str, text: &str) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "result_code", "FAIL");
    put(&mut fields, "err_code", code);
    put(&mut fields, "err_code_des", text);
    fields
}

/// An answer to reverse: `recall` says whether to call again.
pub fn recall(reversed: Result<Fields, Refusal>) -> Fields {
    let mut fields = reversed.unwrap_or_else(refused);
    put(&mut fields, "recall", "N");
    fields
}

/// What micropay answers for a paid order.
pub fn paid(order: &Order) -> Fields {
    let mut fields = success();
    let openid = |salt: &str| format!("o{salt}{:0>24}", format!("Payer{}", order.customer));
    if let Some(device) = order.terms.get("device_info") {
        put(&mut fields, "device_info", device);
    }
    put(&mut fields, "openid", openid("Sim"));
    put(&mut fields, "is_subscribe", "N");
    if order.terms.contains_key("sub_appid") {
        put(&mut fields, "sub_openid", openid("Sub"));
        put(&mut fields, "sub_is_subscribe", "N");
    }
    put(&mut fields, "trade_type", "MICROPAY");
    put(&mut fields, "bank_type", if order.customer.is_multiple_of(2) { "CMB_DEBIT" } else { "OTHERS" });
    put(&mut fields, "fee_type", "CNY");
    put(&mut fields, "total_fee", order.total);
    if order.unfunded() > 0 {
        put(&mut fields, "settlement_total_fee", order.total - order.unfunded());
    }
    if !order.coupons.is_empty() {
        put(&mut fields, "coupon_fee", order.coupon_fee());
    }
    put(&mut fields, "cash_fee_type", "CNY");
    put(&mut fields, "cash_fee", order.cash_fee());
    put(&mut fields, "transaction_id", &order.transaction);
    put(&mut fields, "out_trade_no", &order.number);
    // The real one sends the element even when it is empty; whoever signs it then signs wrongly.
    put(&mut fields, "attach", text(&order.terms, "attach"));
    put(&mut fields, "time_end", wechat_time(order.paid_at.unwrap_or(order.created)));
    fields
}

/// What orderquery answers.
pub fn found(order: &Order) -> Fields {
    found_as(order, order.trade_state())
}

/// What orderquery would answer if the order stood like this.
pub fn found_as(order: &Order, state: &str) -> Fields {
    let mut fields = if state == "SUCCESS" {
        let mut fields = paid(order);
        if !order.coupons.is_empty() {
            put(&mut fields, "coupon_count", order.coupons.len());
        }
        for (n, coupon) in order.coupons.iter().enumerate() {
            put(&mut fields, format!("coupon_id_{n}"), coupon_id(order, n));
            put(&mut fields, format!("coupon_type_{n}"), coupon_type(coupon.kind));
            put(&mut fields, format!("coupon_fee_{n}"), coupon.fee);
        }
        fields
    } else {
        let mut fields = success();
        put(&mut fields, "out_trade_no", &order.number);
        put(&mut fields, "attach", text(&order.terms, "attach"));
        fields
    };
    put(&mut fields, "trade_state", state);
    let described = match state {
        "SUCCESS" => "支付成功",
        "REFUND" => "订单发生过退款，退款详情请查询退款单",
        "NOTPAY" => "订单未支付",
        "USERPAYING" => "需要用户输入支付密码",
        "ACCEPT" => "已接收，等待扣款",
        "CLOSED" => "订单已关闭",
        "REVOKED" => "订单已撤销",
        "PAYERROR" => "支付失败，请撤销订单",
        _ => "",
    };
    put(&mut fields, "trade_state_desc", described);
    fields
}

fn coupon_id(order: &Order, place: usize) -> String {
    format!("2000000{:05}{:08}", order.customer % 100_000, place)
}

fn coupon_type(kind: CouponKind) -> &'static str {
    match kind {
        CouponKind::Cash => "CASH",
        CouponKind::NoCash => "NO_CASH",
    }
}

/// What refund answers once it is accepted.
pub fn refunded(order: &Order, place: usize) -> Fields {
    let refund = &order.refunds[place];
    let mut fields = success();
    put(&mut fields, "transaction_id", &order.transaction);
    put(&mut fields, "out_trade_no", &order.number);
    put(&mut fields, "out_refund_no", &refund.number);
    put(&mut fields, "refund_id", &refund.id);
    put(&mut fields, "refund_channel", "");
    put(&mut fields, "refund_fee", refund.fee);
    if order.unfunded() > 0 {
        put(&mut fields, "settlement_refund_fee", refund.settlement);
        put(&mut fields, "settlement_total_fee", order.total - order.unfunded());
    }
    put(&mut fields, "total_fee", order.total);
    put(&mut fields, "fee_type", "CNY");
    put(&mut fields, "cash_fee", order.cash_fee());
    put(&mut fields, "cash_refund_fee", refund.cash);
    put(&mut fields, "coupon_refund_fee", refund.coupon_fee());
    put(&mut fields, "coupon_refund_count", refund.coupons.len());
    for (m, (coupon, fee)) in refund.coupons.iter().enumerate() {
        put(&mut fields, format!("coupon_type_{m}"), coupon_type(order.coupons[*coupon].kind));
        put(&mut fields, format!("coupon_refund_id_{m}"), coupon_id(order, *coupon));
        put(&mut fields, format!("coupon_refund_fee_{m}"), fee);
    }
    fields
}

fn refund_list(order: &Order, places: &[usize], offset: usize) -> Fields {
    let mut fields = success();
    put(&mut fields, "transaction_id", &order.transaction);
    put(&mut fields, "out_trade_no", &order.number);
    put(&mut fields, "total_fee", order.total);
    put(&mut fields, "fee_type", "CNY");
    put(&mut fields, "cash_fee", order.cash_fee());
    if order.unfunded() > 0 {
        put(&mut fields, "settlement_total_fee", order.total - order.unfunded());
    }
    put(&mut fields, "total_refund_count", order.refunds.len());
    let page = places.iter().skip(offset).take(REFUNDS_A_PAGE);
    put(&mut fields, "refund_count", page.len());
    for (n, place) in page.enumerate() {
        let refund = &order.refunds[*place];
        put(&mut fields, format!("out_refund_no_{n}"), &refund.number);
        put(&mut fields, format!("refund_id_{n}"), &refund.id);
        put(&mut fields, format!("refund_channel_{n}"), "ORIGINAL");
        put(&mut fields, format!("refund_fee_{n}"), refund.fee);
        if order.unfunded() > 0 {
            put(&mut fields, format!("settlement_refund_fee_{n}"), refund.settlement);
        }
        put(&mut fields, format!("coupon_refund_fee_{n}"), refund.coupon_fee());
        put(&mut fields, format!("coupon_refund_count_{n}"), refund.coupons.len());
        for (m, (coupon, fee)) in refund.coupons.iter().enumerate() {
            put(&mut fields, format!("coupon_type_{n}_{m}"), coupon_type(order.coupons[*coupon].kind));
            put(&mut fields, format!("coupon_refund_id_{n}_{m}"), coupon_id(order, *coupon));
            put(&mut fields, format!("coupon_refund_fee_{n}_{m}"), fee);
        }
        put(&mut fields, format!("refund_status_{n}"), refund.status());
        put(&mut fields, format!("refund_account_{n}"), "REFUND_SOURCE_UNSETTLED_FUNDS");
        put(&mut fields, format!("refund_recv_accout_{n}"), "支付用户零钱");
        if let Some(ended) = refund.ended {
            let time = ended.civil().strftime("%Y-%m-%d %H:%M:%S");
            put(&mut fields, format!("refund_success_time_{n}"), time);
        }
    }
    fields
}

/// `yyyyMMddHHmmss`, Beijing time.
pub fn wechat_time(at: Timestamp) -> String {
    at.civil().strftime("%Y%m%d%H%M%S").to_string()
}

/// Fen of an order of which only the number is known: no shop asks for so much, so that no lie is true by chance.
const NOBODYS: u32 = 4_000_000_000;

/// An order that says it was paid although it was not: what a forged or mistaken answer is made of.
pub fn pretended(world: &World, now: Timestamp, request: &Fields) -> Order {
    let known = request.get("out_trade_no").and_then(|number| world.orders.get(number));
    let mut order = known.cloned().unwrap_or_else(|| {
        let mut order = Order::never_paid(&text(request, "out_trade_no"), now);
        order.transaction = format!("4200{:024}", now.0.unsigned_abs());
        order.total = match fee(request, "total_fee") {
            0 => NOBODYS,
            fen => fen,
        };
        order.terms = pay(request).terms;
        order
    });
    order.state = State::Paid;
    order.paid_at = order.paid_at.or(Some(now));
    order
}
