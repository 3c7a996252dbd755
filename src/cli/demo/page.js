// The demo's page: talks to the demo's own server, which passes /shop/ on to the daemon.
"use strict";
const $ = (id) => document.getElementById(id);
const yuan = (fen) => (fen / 100).toFixed(2);
const FINAL = ["paid", "declined", "reversed", "cancelled"];
let current = null;

const MOODS = [
  ["p", "pay", "直接付款 Pays"], ["w", "password", "要输密码 Needs a password"], ["b", "poor", "余额不足 Too poor"],
  ["c", "cancel", "取消付款 Cancels"], ["a", "walk_away", "走开了 Walks away"], ["x", "expired", "码已过期 Expired code"],
  ["u", "coupon", "用券付款 Pays with a coupon"],
];
const FAULTS = [
  ["l", "line_down", "断网 Line down"], ["t", "lost_after", "回应丢失 Answers lost"], ["f", "forged", "伪造的回应 Forged answers"],
  ["s", "systemerror_paid", "系统错误但已扣款 SYSTEMERROR, money moved"], ["r", "recall", "撤销要重来 Recall on reverse"], ["d", "delay", "慢 Slow"],
];

async function send(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body || {}) });
  const text = await answer.text();
  const value = text ? JSON.parse(text) : {};
  if (!answer.ok) say(value.detail || value.title || answer.statusText, "call_manager", value.help || "");
  return { ok: answer.ok, value };
}

function say(text, next, goods) {
  $("sentence").textContent = text;
  $("sentence").dataset.next = next;
  $("goods").textContent = goods;
}

function show(payment) {
  current = payment;
  say(payment.cashier.text, payment.cashier.next,
    payment.cashier.hand_over_goods ? "✔ 可以交货 Hand over the goods" : "✘ 先不要交货 Do not hand over the goods");
  const attempt = payment.attempts[payment.attempts.length - 1] || {};
  const facts = [["金额 amount", "¥" + yuan(payment.amount)], ["状态 phase", payment.phase], ["钱 money", payment.money],
    ["订单号 order", attempt.order_no || payment.id], ["小票 receipt", payment.receipt.state]];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    return [dt, dd];
  }));
}

async function takePayment() {
  const match = /^(\d{1,6})(?:\.(\d{1,2}))?$/.exec($("amount").value.trim());
  if (!match) { say("金额不对 Not an amount", "rescan", "例如 for example: 12.50"); return; }
  const amount = Number(match[1]) * 100 + Number((match[2] || "0").padEnd(2, "0"));
  const answer = await send("/demo/sale", { amount });
  if (answer.ok) { show(answer.value); $("amount").blur(); }
}

function buttons(parent, list, act) {
  for (const [key, name, label] of list) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = name;
    button.dataset.key = key;
    button.append(label + " ");
    const kbd = document.createElement("kbd");
    kbd.textContent = key.toUpperCase();
    button.append(kbd);
    button.addEventListener("click", () => act(name, button));
    parent.append(button);
  }
}

buttons($("moods"), MOODS, (mood) => send("/demo/scan", { mood }));
buttons($("faults"), FAULTS, (fault, button) => send("/demo/weather", { fault, on: button.getAttribute("aria-pressed") !== "true" }));
$("sale").addEventListener("submit", (event) => { event.preventDefault(); takePayment(); });
$("cancel").addEventListener("click", () => current && send("/demo/cancel", { id: current.id }));
$("kill").addEventListener("click", () => send("/demo/kill"));
$("paper-out").addEventListener("click", (event) => send("/demo/paper", { empty: event.currentTarget.getAttribute("aria-pressed") !== "true" }));

// Digits are the amount's and letters are the switches', wherever the focus is.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") { $("cancel").click(); return; }
  const amount = $("amount"), typing = document.activeElement === amount;
  if (/^[\d.]$/.test(event.key)) {
    // The digit itself arrives in the field, which has the focus by then.
    if (!typing) { amount.focus(); amount.select(); }
    return;
  }
  if (event.key === "Enter" && document.activeElement === document.body) { amount.focus(); amount.select(); event.preventDefault(); return; }
  const key = event.key.toLowerCase();
  const button = key === "k" ? $("kill") : key === "o" ? $("paper-out") : document.querySelector(`button[data-key="${CSS.escape(key)}"]`);
  if (button && !event.repeat) { event.preventDefault(); button.click(); }
});

const stage = new EventSource("/demo/events");
stage.addEventListener("log", (event) => {
  const log = $("log"), atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.append(event.data + "\n");
  while (log.childNodes.length > 400) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
});
stage.addEventListener("stage", (event) => {
  const state = JSON.parse(event.data);
  $("console").href = state.console;
  $("log-page").href = state.console + "log";
  $("daemon").textContent = state.running ? `程序在运行 daemon is running, process ${state.pid}` : "程序已断电 daemon is down, restarting …";
  $("paper-out").setAttribute("aria-pressed", state.paper_out);
  for (const button of $("faults").children) button.setAttribute("aria-pressed", state.faults.includes(button.dataset.name));
  $("purses").replaceChildren(...state.purses.map((line) => { const li = document.createElement("li"); li.textContent = line; return li; }));
  if ($("paper").childElementCount !== state.receipts.length) {
    $("paper").replaceChildren(...state.receipts.map(sheet).reverse());
  }
});
// What is printed large stands between SO and DC4.
function sheet(text) {
  const pre = document.createElement("pre");
  pre.append(...text.split(/[\x0e\x14]/).map((part, n) => {
    const piece = document.createElement(n % 2 ? "b" : "span");
    piece.textContent = part;
    return piece;
  }));
  return pre;
}

function news(payment) {
  if (!current || payment.id === current.id || payment.created_at > current.created_at) show(payment);
}

function listen() {
  const shop = new EventSource("/shop/v1/events");
  // What was missed, and on a page that opens late the sale that is in hand.
  shop.addEventListener("open", async () => {
    const page = await fetch("/shop/v1/payments?limit=1").then((answer) => answer.json()).catch(() => ({}));
    (page.payments || []).forEach(news);
  });
  shop.addEventListener("payment", (event) => news(JSON.parse(event.data)));
  shop.addEventListener("remark", (event) => { const remark = JSON.parse(event.data); say(remark.text, "rescan", ""); });
  shop.addEventListener("error", () => {
    // News that may be old are no reason to hand anything over.
    if (current && !FINAL.includes(current.phase)) {
      say("连接中断，收款结果未知，请勿交付商品 Connection lost: the outcome is not known", "call_manager", "✘ 先不要交货 Do not hand over the goods");
    }
    // A browser gives up for good when it is refused, as it is while the daemon starts again; this page does not.
    if (shop.readyState === EventSource.CLOSED) setTimeout(listen, 500);
  });
}
listen();
// Seconds left are part of the sentence: read it again while something is waited for.
setInterval(async () => {
  if (!current || FINAL.includes(current.phase) && !["queued", "sending"].includes(current.receipt.state)) return;
  const answer = await fetch("/shop/v1/payments/" + encodeURIComponent(current.id)).catch(() => null);
  if (answer && answer.ok) show(await answer.json());
}, 1000);
