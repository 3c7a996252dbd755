//! The gateway's truth: who has paid what. Pure and synchronous: every call is told the time, nothing is sent, nothing
//! sleeps, so that a test can drive millions of payments through it without a socket.

use std::collections::HashMap;
use std::time::Duration;

use super::dice::Dice;
use super::mood::Mood;
use super::order::{Coupon, Order, State, Turn};
use super::refunds::{Fate, RefundAsk};
use super::wire::Fields;
use crate::time::Timestamp;

/// The numbers that the gateway goes by. The defaults are WeChat's own, as far as they are published.
#[derive(Debug, Clone)]
pub struct Rules {
    /// A payment code is good for this long after it was shown ("about one minute").
    pub code_life: Duration,
    /// An order that is still unpaid is revoked by the platform after this time (global micropay guide, 45 s).
    pub auto_revoke: Duration,
    /// A reversal is accepted for this long after the payment (API page of reverse, 7 days).
    pub reverse_window: Duration,
    /// A refund is accepted for this long after the payment (API page of refund, one year).
    pub refund_window: Duration,
    /// From a refund's acceptance to its success. The real one takes seconds to days.
    pub refund_takes: Duration,
    /// Above this amount, in fen, the payer is always asked for the password (1000.00 CNY).
    pub password_above: u32,
    /// Whether reversing a number that was never seen makes it dead, so that a payment that arrives later is refused.
    /// No document says so; the default is the dangerous reading.
    pub reverse_kills_unseen: bool,
}

impl Default for Rules {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            code_life: Duration::from_secs(60),
            auto_revoke: Duration::from_secs(45),
            reverse_window: Duration::from_secs(7 * DAY),
            refund_window: Duration::from_secs(365 * DAY),
            refund_takes: Duration::from_secs(3),
            password_above: 100_000,
            reverse_kills_unseen: false,
        }
    }
}

/// A request to pay, as the gateway understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pay {
    /// `out_trade_no`.
    pub order: String,
    /// Fen.
    pub total: u32,
    /// `auth_code`.
    pub code: String,
    /// Everything else that must be repeated unchanged when the number is used again (`body`, `attach`, …).
    pub terms: Fields,
}

/// How a request names an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By the merchant's number.
    Order(String),
    /// By WeChat's.
    Transaction(String),
}

/// A business refusal: `err_code` and `err_code_des`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `err_code`.
    pub code: &'static str,
    /// `err_code_des`.
    pub text: &'static str,
}

impl Refusal {
    pub(super) const fn new(code: &'static str, text: &'static str) -> Self {
        Self { code, text }
    }
}

pub(super) const NOT_EXIST: Refusal = Refusal::new("ORDERNOTEXIST", "此交易订单号不存在");
const USED_CODE: Refusal = Refusal::new("AUTH_CODE_INVALID", "101 每个二维码仅限使用一次，请刷新再试");
const BAD_CODE: Refusal = Refusal::new("AUTH_CODE_INVALID", "101 付款码无效,请重新扫码");
const OLD_CODE: Refusal = Refusal::new("AUTHCODEEXPIRE", "二维码已过期，请用户在微信上刷新后再试");
const PASSWORD: Refusal = Refusal::new("USERPAYING", "需要用户输入支付密码");
const CONFIRM: Refusal =
    Refusal::new("USERPAYING", "用户已在1分钟内支付过金额相同的订单，需用户确认后继续支付。");
const POOR: Refusal = Refusal::new("NOTENOUGH", "余额不足");
const CARD: Refusal = Refusal::new("NOTSUPORTCARD", "不支持卡类型");
const OTHER_TERMS: Refusal = Refusal::new("INVALID_REQUEST", "201 商户订单号重复");
const NUMBER_USED: Refusal = Refusal::new("OUT_TRADE_NO_USED", "商户订单号重复");
const OTHER_BUYER: Refusal = Refusal::new("BUYER_MISMATCH", "支付帐号错误");
const ORDER_PAID: Refusal = Refusal::new("ORDERPAID", "该订单已支付");
const ORDER_REVERSED: Refusal = Refusal::new("ORDERREVERSED", "当前订单已经被撤销");
const ORDER_CLOSED: Refusal = Refusal::new("ORDERCLOSED", "该订单已关闭");
const REVERSE_EXPIRE: Refusal = Refusal::new("REVERSE_EXPIRE", "订单无法撤销");
const REVERSE_REFUNDED: Refusal = Refusal::new("TRADE_ERROR", "订单已退款，不能撤销");

/// What `POST /_simulator/codes` asks for besides the mood.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// How long the customer takes; the mood's own time if none.
    pub after: Option<Duration>,
    /// Vouchers that take part of the amount over.
    pub coupons: Vec<Coupon>,
    /// An earlier customer, who shows a fresh code; a new one if none.
    pub customer: Option<u32>,
}

/// A code that was shown, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Code {
    mood: Mood,
    offer: Offer,
    pub(super) customer: u32,
    shown: Timestamp,
    used: bool,
    pub(super) issued: bool,
}

/// Something that reaches the gateway later than it was sent.
#[derive(Debug, Clone)]
pub enum Act {
    /// A payment.
    Pay(Pay),
    /// A reversal.
    Reverse(Which),
    /// A refund.
    Refund(RefundAsk),
}

/// Every order, refund, code and customer of one merchant.
#[derive(Debug, Clone)]
pub struct World {
    /// The numbers it goes by.
    pub rules: Rules,
    pub(super) orders: HashMap<String, Order>,
    pub(super) by_transaction: HashMap<String, String>,
    pub(super) by_refund: HashMap<String, String>,
    pub(super) codes: HashMap<String, Code>,
    customers: u32,
    late: Vec<(Timestamp, Act)>,
    pub(super) dice: Dice,
}

impl World {
    /// An empty world; the same seed issues the same codes and numbers.
    pub fn new(seed: u64, rules: Rules) -> Self {
        Self {
            rules,
            orders: HashMap::new(),
            by_transaction: HashMap::new(),
            by_refund: HashMap::new(),
            codes: HashMap::new(),
            customers: 0,
            late: Vec::new(),
            dice: Dice::new(seed),
        }
    }

    /// A fresh payment code, shown at `now`, and its customer.
    pub fn new_code(&mut self, now: Timestamp, mood: Mood, offer: Offer) -> (String, u32) {
        loop {
            // Real codes begin with 10 to 15; 15 is left to the fixed ones.
            let code = format!("13{}", self.dice.digits(16));
            if !self.codes.contains_key(&code) {
                let customer = self.show(&code, now, mood, offer, true);
                return (code, customer);
            }
        }
    }

    fn show(&mut self, code: &str, now: Timestamp, mood: Mood, offer: Offer, issued: bool) -> u32 {
        let customer = offer.customer.filter(|id| (1..=self.customers).contains(id)).unwrap_or_else(|| {
            self.customers += 1;
            self.customers
        });
        self.codes.insert(code.to_owned(), Code { mood, offer, customer, shown: now, used: false, issued });
        customer
    }

    /// Takes money for an order, or says why not. A repetition of the same request is recognised and never charged twice.
    pub fn pay(&mut self, now: Timestamp, pay: &Pay) -> Result<&Order, Refusal> {
        self.catch_up(now);
        self.pay_now(now, pay)?;
        Ok(&self.orders[&pay.order])
    }

    /// Like [`World::pay`], but the bank does not answer: the order is known and unpaid, nothing is taken.
    pub fn pay_without_bank(&mut self, now: Timestamp, pay: &Pay) {
        self.catch_up(now);
        if !self.orders.contains_key(&pay.order) && self.usable(now, &pay.code).is_ok() {
            self.open(now, pay);
        }
    }

    fn pay_now(&mut self, now: Timestamp, pay: &Pay) -> Result<(), Refusal> {
        if let Some(order) = self.orders.get_mut(&pay.order) {
            order.settle(now);
            if order.total != pay.total || order.terms != pay.terms {
                return Err(if order.paid_at.is_some() { NUMBER_USED } else { OTHER_TERMS });
            }
            let (state, customer, code) = (order.state, order.customer, order.code == pay.code);
            match state {
                State::Paid => return Err(ORDER_PAID),
                State::Revoked => return Err(ORDER_REVERSED),
                State::Closed => return Err(ORDER_CLOSED),
                State::NotPay if code => {}
                State::UserPaying if code => return Err(PASSWORD),
                State::NotPay | State::UserPaying | State::PayError => {
                    self.usable(now, &pay.code)?;
                    if self.codes[&pay.code].customer != customer {
                        return Err(OTHER_BUYER);
                    }
                    if state == State::UserPaying {
                        return Err(PASSWORD);
                    }
                }
            }
        } else {
            self.usable(now, &pay.code)?;
            self.open(now, pay);
        }
        self.attempt(now, pay)
    }

    /// Whether a code can still pay. Registers a code that the simulator did not issue as shown just now.
    fn usable(&mut self, now: Timestamp, code: &str) -> Result<(), Refusal> {
        if !self.codes.contains_key(code) {
            self.show(code, now, Mood::of_foreign_code(code), Offer::default(), false);
        }
        let life = self.rules.code_life;
        let code = &self.codes[code];
        match code.mood {
            Mood::Invalid => Err(BAD_CODE),
            _ if code.used => Err(USED_CODE),
            Mood::Expired => Err(OLD_CODE),
            _ if now.since(code.shown) > life => Err(OLD_CODE),
            _ => Ok(()),
        }
    }

    fn open(&mut self, now: Timestamp, pay: &Pay) {
        let day: String = now.day().to_string().chars().filter(char::is_ascii_digit).collect();
        let transaction = format!("4200{}{day}{}", self.dice.digits(6), self.dice.digits(10));
        let revoke = now + self.rules.auto_revoke;
        let expire = pay.terms.get("time_expire").and_then(|text| Timestamp::from_wechat(text));
        let code = &self.codes[&pay.code];
        let order = Order {
            number: pay.order.clone(),
            transaction: transaction.clone(),
            total: pay.total,
            terms: pay.terms.clone(),
            code: pay.code.clone(),
            customer: code.customer,
            coupons: Coupon::spent(&code.offer.coupons, pay.total),
            created: now,
            revoke_at: expire.map_or(revoke, |expire| expire.min(revoke)),
            state: State::NotPay,
            turn: None,
            paid_at: None,
            reversed_at: None,
            refunds: Vec::new(),
        };
        self.by_transaction.insert(transaction, pay.order.clone());
        self.orders.insert(pay.order.clone(), order);
    }

    fn attempt(&mut self, now: Timestamp, pay: &Pay) -> Result<(), Refusal> {
        let (Some(order), Some(code)) = (self.orders.get_mut(&pay.order), self.codes.get_mut(&pay.code))
        else {
            return Err(NOT_EXIST);
        };
        code.used = true;
        order.code.clone_from(&pay.code);
        order.coupons = Coupon::spent(&code.offer.coupons, pay.total);
        let mood = match code.mood {
            Mood::Pay if pay.total > self.rules.password_above => Mood::Password,
            mood => mood,
        };
        let at = now + code.offer.after.unwrap_or(mood.usually_after());
        match mood {
            Mood::Pay => {
                order.state = State::Paid;
                order.paid_at = Some(now);
                Ok(())
            }
            Mood::Password | Mood::Late | Mood::Again => {
                order.state = State::UserPaying;
                order.turn = Some((at, Turn::Pays));
                Err(if mood == Mood::Again { CONFIRM } else { PASSWORD })
            }
            Mood::Cancel => {
                order.state = State::UserPaying;
                order.turn = Some((at, Turn::Refuses));
                Err(PASSWORD)
            }
            Mood::WalkAway => {
                order.state = State::UserPaying;
                Err(PASSWORD)
            }
            Mood::Poor | Mood::Card | Mood::Expired | Mood::Invalid => {
                order.state = State::PayError;
                Err(if mood == Mood::Card { CARD } else { POOR })
            }
        }
    }

    /// The order as it is at `now`.
    pub fn query(&mut self, now: Timestamp, which: &Which) -> Result<&Order, Refusal> {
        self.catch_up(now);
        self.settled(now, which).map(|order| &*order)
    }

    /// Undoes an order: what was not paid never will be, what was paid goes back. Repeating it changes nothing.
    pub fn reverse(&mut self, now: Timestamp, which: &Which) -> Result<(), Refusal> {
        self.catch_up(now);
        self.reverse_now(now, which)
    }

    fn reverse_now(&mut self, now: Timestamp, which: &Which) -> Result<(), Refusal> {
        let window = self.rules.reverse_window;
        match which {
            Which::Order(number) if self.rules.reverse_kills_unseen && !self.orders.contains_key(number) => {
                self.orders.insert(number.clone(), Order::never_paid(number, now));
                Ok(())
            }
            _ => self.settled(now, which)?.reverse(now, window),
        }
    }

    /// Has `act` arrive at `due` instead of now: a request that was delayed on its way.
    pub fn later(&mut self, due: Timestamp, act: Act) {
        self.late.push((due, act));
    }

    /// Lets everything happen that was due by `now`, each at its own time, in order.
    pub fn catch_up(&mut self, now: Timestamp) {
        while let Some(next) =
            (0..self.late.len()).filter(|&i| self.late[i].0 <= now).min_by_key(|&i| self.late[i].0)
        {
            // Whoever sent it has long hung up, so nobody hears the answer.
            let _unheard = match self.late.remove(next) {
                (due, Act::Pay(pay)) => self.pay_now(due, &pay),
                (due, Act::Reverse(which)) => self.reverse_now(due, &which),
                (due, Act::Refund(ask)) => self.refund_now(due, &ask, Fate::Success).map(|_| ()),
            };
        }
    }

    pub(super) fn settled(&mut self, now: Timestamp, which: &Which) -> Result<&mut Order, Refusal> {
        let number = match which {
            Which::Order(number) => Some(number),
            Which::Transaction(id) => self.by_transaction.get(id),
        };
        let order = number.and_then(|number| self.orders.get_mut(number)).ok_or(NOT_EXIST)?;
        order.settle(now);
        Ok(order)
    }
}

pub(super) fn refuse_reversal(expired: bool) -> Refusal {
    if expired { REVERSE_EXPIRE } else { REVERSE_REFUNDED }
}
