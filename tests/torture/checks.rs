//! What must be true of a shop, at every moment, while the daemon is dead and when all has come to rest: the journal, the
//! paper and the cashier's words held against the gateway's truth. Looks only; whatever is not true ends the test with
//! the whole story. The rules have the names of `docs/testing.md`.

use std::collections::{BTreeMap, BTreeSet};

use micropayd::cli::demo::paper::TORN;
use micropayd::ids::OrderNumber;
use micropayd::payment::{Phase, SalePhase};
use micropayd::sale::{ReceiptState, Sale};
use micropayd::simulator::fields::Api;
use micropayd::simulator::views::OrderView;
use serde_json::Value;

use crate::given::{away, complaint, given, returned};
use crate::shop::Shop;

/// What the gateway says of one sale: orders that were paid and not reversed, and their fen; refunds are another matter.
#[derive(Default, Clone, Copy)]
struct Held {
    orders: u32,
    fen: u64,
}

/// Fen that were taken under an order and not reversed.
fn taken(order: &OrderView) -> u32 {
    if order.reversed_at.is_some() { 0 } else { order.charged }
}

impl Shop {
    fn held(&self) -> BTreeMap<String, Held> {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for order in self.stage.gateway.orders() {
            if taken(&order) > 0 {
                let number: OrderNumber = order.out_trade_no.parse().expect("our own order number");
                let of = held.entry(number.split().0.to_string()).or_default();
                of.orders += 1;
                of.fen += u64::from(taken(&order));
            }
        }
        held
    }

    /// Money, once, ledger and cashier, while the daemon is dead: the journal says open or paid of everything that the
    /// gateway holds; what was acknowledged is there; what was handed over is paid. Gives the sales that are open.
    pub fn check_dead(&self) -> BTreeSet<String> {
        let sales = self.read_sales();
        // The journal stands still, the gateway does not: what it holds now, it holds of what was sent before.
        for order in self.stage.gateway.orders() {
            let (id, ordinal) = order.out_trade_no.parse::<OrderNumber>().expect("our own number").split();
            let Some(sale) = sales.get(id.as_str()) else {
                self.wrong(&format!("money: the gateway knows {}, the journal does not", order.out_trade_no))
            };
            let attempt = sale.payment.attempts.get(usize::from(ordinal) - 1);
            let Some(attempt) = attempt else {
                self.wrong(&format!(
                    "money: the gateway knows attempt {}, the journal does not",
                    order.out_trade_no
                ))
            };
            let net = taken(&order);
            self.ensure(
                net == 0 || attempt.phase.is_open() || matches!(attempt.phase, Phase::Paid(_)),
                || {
                    format!(
                        "money: the gateway holds {net} of {}, the journal says {:?}",
                        order.out_trade_no, attempt
                    )
                },
            );
            self.ensure(net > 0 || !matches!(attempt.phase, Phase::Paid(_)), || {
                format!("money: {} is paid, the gateway holds nothing", order.out_trade_no)
            });
        }
        for sale in sales.values() {
            if let Some(wrong) = complaint(sale, &self.orders(sale.id.as_str())) {
                self.wrong(&format!("refund: {wrong}"));
            }
        }
        for (id, acknowledged) in &self.refunded {
            let kept: Vec<u64> =
                sales[id].refunds.iter().map(|refund| u64::from(refund.amount.fen())).collect();
            // What was asked for last may be on the disk without anybody having been told.
            self.ensure(kept.starts_with(acknowledged) && kept.len() <= acknowledged.len() + 1, || {
                format!("refund: {acknowledged:?} of {id} were acknowledged, the journal has {kept:?}")
            });
        }
        for (id, held) in self.held() {
            self.ensure(held.orders <= 1, || format!("once: {id} is charged {} times", held.orders));
        }
        for id in self.acknowledged.values() {
            self.ensure(sales.contains_key(id), || {
                format!("ledger: acknowledged {id} is not in the journal")
            });
        }
        for id in &self.handed_over {
            self.ensure(sales[id].payment.phase() == SalePhase::Paid, || {
                format!("cashier: goods of {id} were handed over, the journal says {:?}", sales[id].payment)
            });
        }
        self.check_requests();
        let open = |sale: &&Sale| sale.is_open() && sale.payment.phase() != SalePhase::AwaitingCode;
        sales.values().filter(open).map(|sale| sale.id.to_string()).collect()
    }

    /// No order was ever asked to be paid twice.
    fn check_requests(&self) {
        let mut asked: BTreeMap<String, u32> = BTreeMap::new();
        for call in self.stage.gateway.calls().iter().filter(|call| call.api == Api::Micropay) {
            let number = call.request.get("out_trade_no").map(|number| number.to_owned()).unwrap_or_default();
            *asked.entry(number).or_default() += 1;
        }
        for (number, count) in asked {
            self.ensure(count == 1, || format!("once: {count} pay requests for {number}"));
        }
    }

    /// Visibility, right after a start: what the dead journal had open and the living one still has is in the list.
    pub async fn check_listed(&self, were_open: &BTreeSet<String>) {
        let Some(status) = self.get("/v1/status").await else { return };
        let listed = status.to_string();
        let sales = self.sales();
        for id in were_open.iter().filter(|id| sales[*id].payment.is_open()) {
            self.ensure(listed.contains(id.as_str()), || {
                format!("visibility: {id} is open and not listed: {listed}")
            });
        }
        for id in were_open {
            // What has ended since the status was made is not open any more, and nothing new was asked for.
            let open = sales[id].refunds.iter().filter(|refund| refund.is_open()).count();
            let of_it = |open: &&Value| open["kind"] == "refund" && open["payment"] == id.as_str();
            let listed = status["open"].as_array().map_or(0, |open| open.iter().filter(of_it).count());
            self.ensure(listed >= open, || format!("visibility: {open} refunds of {id} are open: {status}"));
        }
    }

    /// What the gateway has of this sale.
    fn orders(&self, id: &str) -> Vec<OrderView> {
        let of_it = |order: &OrderView| order.out_trade_no.starts_with(id);
        self.stage.gateway.orders().into_iter().filter(of_it).collect()
    }

    /// Cashier: what the cashier is told now agrees with the gateway.
    pub async fn look(&mut self, id: &str) -> Option<Value> {
        let sale = self.get(&format!("/v1/payments/{id}")).await?;
        let told = &sale["cashier"];
        self.ensure(told["text"].as_str().is_some_and(|text| !text.is_empty()), || {
            format!("cashier: no sentence for {sale}")
        });
        if told["hand_over_goods"] == true {
            let held = self.held().get(id).copied().unwrap_or_default();
            self.ensure(held.orders == 1 && Some(held.fen) == sale["amount"].as_u64(), || {
                format!("cashier: goods for {} fen of {} orders: {sale}", held.fen, held.orders)
            });
            let (_, given) = given(&self.orders(id));
            self.ensure(given < held.fen, || format!("cashier: goods, and {given} fen went back: {sale}"));
            self.handed_over.insert(id.to_owned());
        }
        Some(sale)
    }

    /// The cashier's sentence for a payment that did not leave.
    pub fn nothing_was_sent(&self, told: &Value) {
        let cashier = &told["cashier"];
        let text = cashier["text"].as_str().unwrap_or_default();
        self.ensure(text.contains("没有发出") && text.contains("未扣款"), || {
            format!("the cashier is told: {text}")
        });
        self.ensure(cashier["hand_over_goods"] == false && told["money"] == "none", || {
            format!("goods: {told}")
        });
        self.ensure(cashier["next"] == "rescan" && told["phase"] == "awaiting_code", || {
            format!("what next: {told}")
        });
    }

    /// When all is at rest: rest, receipt and cashier of every sale, and secrets.
    pub async fn check_rest(&mut self) {
        self.check_dead();
        let (sales, held) = (self.sales(), self.held());
        let status = self.get("/v1/status").await.unwrap_or_default().to_string();
        let papers = self.stage.paper.receipts();
        for paper in &papers {
            let whole = !paper.ends_with(TORN.trim_start());
            let of = sales.values().find(|sale| paper.contains(sale.id.as_str()));
            match of {
                Some(sale) => self.ensure(sale.payment.phase() == SalePhase::Paid, || {
                    format!("receipt: a receipt of {} which is {:?}", sale.id, sale.payment.phase())
                }),
                None => self.ensure(!whole, || format!("receipt: a receipt of no sale: {paper}")),
            }
        }
        for (id, sale) in &sales {
            let price = u64::from(sale.payment.amount.fen());
            let held = held.get(id).copied().unwrap_or_default();
            let told = self.look(id).await;
            let goods = told.as_ref().map(|told| told["cashier"]["hand_over_goods"] == true);
            let of_it: Vec<&String> = papers.iter().filter(|paper| paper.contains(id.as_str())).collect();
            let marked = |paper: &str| paper.contains("【可能重复】") || paper.contains("【补打】");
            let unmarked = of_it.iter().filter(|paper| !marked(paper)).count();
            self.ensure(unmarked <= 1, || format!("receipt: {unmarked} unmarked receipts of {id}"));
            if sale.payment.phase() == SalePhase::Paid {
                self.ensure(held.orders == 1 && held.fen == price, || {
                    format!("rest: {id} is paid, the gateway holds {} of {}", held.fen, held.orders)
                });
                // Not if all of it went back.
                self.ensure(goods == Some(away(sale) < price), || {
                    format!("cashier: {id} is paid and not handed over: {told:?}")
                });
                let back: u64 = self
                    .orders(id)
                    .iter()
                    .filter(|o| o.reversed_at.is_none())
                    .map(|o| u64::from(o.returned))
                    .sum();
                self.ensure(back == returned(sale), || {
                    format!("refund: {back} fen of {id} are in the payer's purse: {:?}", sale.refunds)
                });
                self.ensure(sale.refunds.len() == self.refunded.get(id).map_or(0, Vec::len), || {
                    format!("refund: {:?} of {id} were asked for: {:?}", self.refunded.get(id), sale.refunds)
                });
                let printed = of_it.iter().any(|paper| !paper.ends_with(TORN.trim_start()));
                let owed = matches!(
                    sale.receipt,
                    ReceiptState::Queued | ReceiptState::Unconfirmed | ReceiptState::Failed
                );
                self.ensure(printed || (owed && status.contains(id.as_str())), || {
                    format!("receipt: {id} has no receipt and none is owed: {:?}, {status}", sale.receipt)
                });
            } else {
                self.ensure(held.fen == 0, || {
                    format!("rest: {id} is {:?}, {} fen held", sale.payment, held.fen)
                });
                self.ensure(goods == Some(false), || format!("cashier: {id} is not paid: {told:?}"));
            }
        }
        self.check_secrets();
    }

    /// Secrets: no code and no key in the log or in anything that the daemon wrote.
    fn check_secrets(&self) {
        let mut secrets = self.codes.clone();
        secrets.push(self.stage.gateway.handshake().api_key);
        let log = self.story();
        let mut written: Vec<(String, Vec<u8>)> = vec![("the log".to_owned(), log.into_bytes())];
        for entry in std::fs::read_dir(self.stage.state_dir()).into_iter().flatten().flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                written.push((entry.path().display().to_string(), bytes));
            }
        }
        for (name, bytes) in &written {
            // As text: one pass over the file for each secret is quick enough.
            let text = String::from_utf8_lossy(bytes);
            for secret in &secrets {
                self.ensure(!text.contains(secret.as_str()), || format!("secrets: a secret is in {name}"));
            }
        }
    }
}
