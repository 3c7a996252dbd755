//! `demo --once`: plays one of each story to the terminal, checks how it ends against the gateway's own books, and says
//! which did not end as it must.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::stage::Stage;

/// How a story must end.
struct Story {
    title: &'static str,
    /// The weather before the customer comes: API, fault, how often.
    weather: &'static [(&'static str, &'static str, Option<u32>)],
    /// The customers, in the order in which their codes are scanned.
    customers: &'static [&'static str],
    /// What happens in the middle.
    twist: Twist,
    /// The phase in which the sale ends.
    ends: &'static str,
    /// What the customer is out of pocket for in the end, fen.
    charged: u64,
    /// The receipt's state in the end.
    receipt: &'static str,
}

#[derive(PartialEq)]
enum Twist {
    None,
    /// The plug is pulled while the customer types the password.
    PowerCut,
    /// The cashier cancels while the customer types the password.
    Cancel,
    /// The paper is out when the sale is paid, and is put in afterwards.
    PaperOut,
    /// The line is out when the first customer's code is scanned, and in for the second.
    LineDown,
    /// The line is pulled while the customer types the password, and put in a moment later.
    LineBack,
    /// The customer brings a part of the goods back. The manager refunds it, and then asks for more than is left.
    Refund,
}

const PRICE: u64 = 1250;
/// What the goods cost that are brought back.
const BROUGHT_BACK: u64 = 500;
/// Lines of the daemon's log that are shown when a story goes wrong.
const LOG_SHOWN: usize = 20;

const STORIES: &[Story] = &[
    Story {
        title: "顾客付款 the customer pays",
        weather: &[],
        customers: &["pay"],
        twist: Twist::None,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "要输密码 the customer has to type a password",
        weather: &[],
        customers: &["password"],
        twist: Twist::None,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "余额不足，换一个码 too poor, then another code",
        weather: &[],
        customers: &["poor", "pay"],
        twist: Twist::None,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "顾客走开了 the customer walks away",
        weather: &[],
        customers: &["walk_away"],
        twist: Twist::None,
        ends: "reversed",
        charged: 0,
        receipt: "none",
    },
    Story {
        title: "收银员取消 the cashier cancels",
        weather: &[],
        customers: &["walk_away"],
        twist: Twist::Cancel,
        ends: "reversed",
        charged: 0,
        receipt: "none",
    },
    Story {
        title: "扣款成功但回应丢失 paid, but the answer is lost",
        weather: &[("micropay", "lost_after", Some(1))],
        customers: &["pay"],
        twist: Twist::None,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "伪造的“成功”不被相信 a forged answer is not believed",
        weather: &[("micropay", "forged", Some(1))],
        customers: &["walk_away"],
        twist: Twist::None,
        ends: "reversed",
        charged: 0,
        receipt: "none",
    },
    Story {
        title: "断网时收款 the line is down when the code is scanned",
        weather: &[],
        customers: &["pay", "pay"],
        twist: Twist::LineDown,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "断网后恢复 the line goes down in the middle and comes back",
        weather: &[],
        customers: &["password"],
        twist: Twist::LineBack,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "付款中断电 a power cut in the middle",
        weather: &[],
        customers: &["password"],
        twist: Twist::PowerCut,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "打印机缺纸 the paper is out",
        weather: &[],
        customers: &["coupon"],
        twist: Twist::PaperOut,
        ends: "paid",
        charged: PRICE,
        receipt: "printed",
    },
    Story {
        title: "退货退款 the customer brings a part of it back",
        weather: &[],
        customers: &["pay"],
        twist: Twist::Refund,
        ends: "paid",
        charged: PRICE - BROUGHT_BACK,
        receipt: "printed",
    },
];

/// The longest that a story may take: a password, a power cut, a reversal and a print job.
const STORY_WITHIN: Duration = Duration::from_secs(60);

/// Plays every story; an error if one does not end as it must.
pub async fn play(stage: &Stage) -> Result<()> {
    let mut wrong = Vec::new();
    for (number, story) in STORIES.iter().enumerate() {
        println!("\n=== {} {}", number + 1, story.title);
        match story.play(stage, number).await {
            Ok(()) => println!("    ✔ 结局正确 ended as it must"),
            Err(error) => {
                println!("    ✘ {error:#}");
                let (log, _) = stage.log().follow();
                log.iter().rev().take(LOG_SHOWN).rev().for_each(|line| println!("      {line}"));
                wrong.push(story.title);
            }
        }
        stage.set_weather(&[])?;
    }
    println!("\n=== 打印的小票 the receipts that were printed");
    for receipt in stage.paper.receipts() {
        println!("\n{receipt}");
    }
    if !wrong.is_empty() {
        bail!("{} of {} stories did not end as they must: {}", wrong.len(), STORIES.len(), wrong.join("; "));
    }
    println!("\n{} 个故事，全部正确。 {} stories, all ended as they must.", STORIES.len(), STORIES.len());
    Ok(())
}

impl Story {
    async fn play(&self, stage: &Stage, number: usize) -> Result<()> {
        let before = stage.charged();
        stage.set_weather(self.weather)?;
        stage.paper.set_empty(self.twist == Twist::PaperOut);
        let (status, sale) = stage.sell(PRICE, &format!("story-{number}")).await?;
        if status != 201 {
            bail!("the sale was not opened: {sale}");
        }
        let id = sale["id"].as_str().unwrap_or_default().to_owned();
        let mut watch = Watch { stage, id, last: String::new(), until: Instant::now() + STORY_WITHIN };
        if self.twist == Twist::LineDown {
            println!("    断网 the line is pulled");
            stage.line.pull().await;
        }
        for (scanned, customer) in self.customers.iter().enumerate() {
            watch.until(|sale| sale["phase"] == "awaiting_code").await?;
            let known = watch.sale().await?["attempts"].as_array().map_or(0, Vec::len);
            println!("    扫码 scan: {customer}");
            stage.scan(customer)?;
            watch
                .until(|sale| {
                    sale["phase"] != "awaiting_code"
                        || sale["attempts"].as_array().map_or(0, Vec::len) > known
                })
                .await?;
            if self.twist == Twist::LineDown && scanned == 0 {
                println!("    网络恢复 the line is back");
                stage.line.put_in().await;
            }
        }
        match self.twist {
            Twist::None | Twist::LineDown => {}
            Twist::PowerCut => {
                watch.until(|sale| sale["waiting_for"] == "payer_password").await?;
                println!("    断电 power cut (kill -9)");
                stage.pull_the_plug().await?;
                println!("    来电 power is back");
            }
            Twist::Cancel => {
                watch.until(|sale| sale["waiting_for"] == "payer_password").await?;
                println!("    取消 cancel");
                let path = format!("/v1/payments/{}/cancel", watch.id);
                stage.shop(reqwest::Method::POST, &path).send().await?;
            }
            Twist::PaperOut => {
                watch.until(|sale| sale["phase"] == "paid").await?;
                sleep(Duration::from_millis(500)).await;
                watch.until(|sale| sale["receipt"]["state"] == "queued").await?;
                println!("    装纸 paper is put in");
                stage.paper.set_empty(false);
            }
            Twist::LineBack => {
                watch.until(|sale| sale["waiting_for"] == "payer_password").await?;
                println!("    断网 the line is pulled");
                stage.line.pull().await;
                sleep(Duration::from_secs(2)).await;
                println!("    网络恢复 the line is back");
                stage.line.put_in().await;
            }
            Twist::Refund => {
                watch.until(|sale| sale["phase"] == "paid").await?;
                refund_a_part(&mut watch, &format!("story-{number}")).await?;
            }
        }
        watch.until(|sale| sale["phase"] == self.ends && sale["receipt"]["state"] == self.receipt).await?;
        let after = stage.charged();
        let spent = after - before;
        println!("    顾客共付 customers paid: ¥{}.{:02}", spent / 100, spent % 100);
        let own = if self.customers.contains(&"coupon") { self.charged - 100 } else { self.charged };
        if spent != own {
            bail!("customers are out of pocket for {spent} fen, expected {own}");
        }
        Ok(())
    }
}

/// The manager refunds what was brought back, and then more than is left, which must be refused.
async fn refund_a_part(watch: &mut Watch<'_>, key: &str) -> Result<()> {
    println!("    店长退款 the manager refunds ¥{}.{:02}", BROUGHT_BACK / 100, BROUGHT_BACK % 100);
    let (status, answer) = watch.stage.refund(&watch.id, BROUGHT_BACK, &format!("{key}-part")).await?;
    if status != 201 {
        bail!("the refund was not taken on: {answer}");
    }
    watch.until(|sale| sale["refunds"][0]["phase"] == "returned").await?;
    println!("    店长再退全款 the manager refunds the whole price, too");
    let (status, answer) = watch.stage.refund(&watch.id, PRICE, &format!("{key}-whole")).await?;
    if (status, answer["code"].as_str()) != (422, Some("refund_too_much")) {
        bail!("more than is left was not refused: {answer}");
    }
    println!("    拒绝 refused: {}", answer["detail"].as_str().unwrap_or_default());
    Ok(())
}

/// Follows a sale and prints every sentence that the cashier sees.
struct Watch<'a> {
    stage: &'a Stage,
    id: String,
    last: String,
    until: Instant,
}

impl Watch<'_> {
    async fn sale(&mut self) -> Result<Value> {
        let sale = self.stage.payment(&self.id).await?;
        let text = sale["cashier"]["text"].as_str().unwrap_or_default();
        let goods = if sale["cashier"]["hand_over_goods"] == true {
            "✔ 交货 hand over"
        } else {
            "✘ 不交货 do not"
        };
        // The seconds that count down are one sentence.
        let shape: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if shape != self.last {
            println!("    收银员看到 cashier sees: {text}  [{goods}]");
            self.last = shape;
        }
        Ok(sale)
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            let sale = self.sale().await?;
            if wanted(&sale) {
                return Ok(());
            }
            if Instant::now() > self.until {
                bail!("the story stands still: {sale}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}
