// The manager's page: a day's payments, and one payment's life step by step.

import {
  $, ask, backMark, clock, dayOf, follow, has, make, phaseBadge, refundBadge, showStatus, t, toggleLanguage, translate, yuan,
} from "./common.js";
import * as refund from "./refund.js";

const PHASES = ["paid", "in_doubt", "reversing", "paying", "awaiting_code", "declined", "reversed", "cancelled"];
const rows = new Map();
let cursor = null;
let shown = null; // the payment in the detail
let wanted = 0; // the newest question; older answers are dropped
let settled = "";
let openShown = "";
let told = ""; // the newest refund's sentence, as it was last read out

function query() {
  const query = new URLSearchParams({ limit: "50" });
  if ($("day").value) query.set("date", $("day").value);
  if ($("phase").value) query.set("phase", $("phase").value);
  const text = $("q").value.trim();
  if (text) query.set("q", text);
  return query;
}

async function load(more = false) {
  const question = ++wanted;
  const asked = query();
  if (more && cursor) asked.set("cursor", cursor);
  try {
    const [page, totals] = await Promise.all([
      ask("GET", `/v1/payments?${asked}`),
      $("day").value ? ask("GET", `/v1/reports/${$("day").value}`) : null,
    ]);
    if (question !== wanted) return;
    if (!more) {
      rows.clear();
      $("rows").replaceChildren();
    }
    for (const payment of page.payments) put(payment, false);
    cursor = page.next_cursor;
    $("more").hidden = !cursor;
    $("nothing").hidden = rows.size > 0;
    showTotals(totals);
    offline("");
  } catch (problem) {
    if (question === wanted) offline(problem.sentence ?? String(problem));
  }
}

/** A day's payments, and what is left of them after that day's refunds. */
function showTotals(totals) {
  if (!totals) {
    $("totals").textContent = "";
    return;
  }
  const { paid_count: n, paid, coupon, refund_count: refunds, refunded } = totals;
  const back = refunds ? t("totalsBack", { n: refunds, sum: yuan(refunded), net: yuan(paid - refunded) }) : "";
  $("totals").textContent = t("totals", { n, sum: yuan(paid), coupon: yuan(coupon) }) + back;
}

/** Whatever is not finished, each line a way to its payment. Left alone while it stays the same, so that the focus stays. */
function showOpen(open) {
  const news = `${document.documentElement.lang} ${JSON.stringify(open)}`;
  if (news === openShown) return;
  openShown = news;
  $("open").hidden = open.length === 0;
  $("openCount").textContent = `${t("unfinished")} ${open.length}`;
  $("openList").replaceChildren(...open.map((each) => {
    const item = make("li");
    const button = make("button", "small", each.payment);
    button.type = "button";
    button.addEventListener("click", () => show(each.payment).then(() => $("detail").focus()));
    const next = each.next === null ? make("strong", "", `! ${t("waitsForPerson")}`) : make("span", "quiet", t("tryNext", { at: clock(each.next) }));
    item.append(
      make("span", "phase", t(`kind_${each.kind}`)), button, make("time", "quiet", each.since.slice(5, 16).replace("T", " ")),
      make("span", "", each.text), next,
    );
    return item;
  }));
}

function offline(text) {
  $("offline").hidden = !text;
  $("offline").textContent = text;
}

/** Shows a payment in the table, in its row if it has one. */
function put(payment, first) {
  const row = make("tr");
  row.tabIndex = 0;
  row.dataset.id = payment.id;
  const open = make("td", "id", payment.id);
  row.append(
    make("td", "", clock(payment.created_at)),
    make("td", "number", yuan(payment.amount)),
    cell(phaseBadge(payment.phase), backMark(payment) ?? ""),
    make("td", "quiet", t(`receipt_${payment.receipt.state}`) + (payment.receipt.copies > 1 ? ` ×${payment.receipt.copies}` : "")),
    make("td", "", payment.reference ?? ""),
    open,
  );
  row.classList.toggle("chosen", shown === payment.id);
  const before = rows.get(payment.id);
  rows.set(payment.id, row);
  if (before) before.replaceWith(row);
  else if (first) $("rows").prepend(row);
  else $("rows").append(row);
}

function cell(...content) {
  const made = make("td");
  made.append(...content);
  return made;
}

async function show(id) {
  if (shown !== id) {
    $("done").textContent = $("refundLive").textContent = "";
    told = null;
  }
  shown = id;
  for (const [each, row] of rows) row.classList.toggle("chosen", each === id);
  try {
    const [payment, life] = await Promise.all([
      ask("GET", `/v1/payments/${encodeURIComponent(id)}`),
      ask("GET", `/v1/payments/${encodeURIComponent(id)}/life`),
    ]);
    if (shown !== id) return;
    detail(payment, life.steps);
    history.replaceState(null, "", `#${payment.id}`);
  } catch (problem) {
    offline(problem.sentence ?? String(problem));
  }
}

function detail(payment, steps) {
  $("detail").hidden = false;
  const title = $("title");
  title.replaceChildren(make("span", "number", `¥ ${yuan(payment.amount)} `), phaseBadge(payment.phase), backMark(payment) ?? "");
  $("sentence").textContent = payment.cashier.text;
  $("giveBack").hidden = payment.refundable === 0;
  $("reprint").hidden = payment.money !== "taken";
  // What goes back already, or is doubted, nobody can cancel.
  $("cancel").hidden = !["awaiting_code", "paying"].includes(payment.phase);
  $("check").hidden = payment.phase === "cancelled" || payment.phase === "awaiting_code";

  showRefunds(payment);
  const facts = [];
  const fact = (name, value) => {
    if (value !== null && value !== undefined && value !== "") facts.push(make("dt", "", t(name)), make("dd", "", String(value)));
  };
  fact("id", payment.id);
  fact("reference", payment.reference);
  fact("subject", payment.subject);
  fact("created", `${dayOf(payment.created_at)} ${clock(payment.created_at)}`);
  fact("receipt", t(`receipt_${payment.receipt.state}`));
  payment.attempts.forEach((attempt, index) => {
    if (payment.attempts.length > 1) {
      const head = make("dt", "attempt", t("attempt", { n: index + 1 }));
      const value = make("dd", "attempt");
      value.append(phaseBadge(attempt.phase));
      facts.push(head, value);
    }
    fact("order", attempt.order_no);
    fact("txn", attempt.gateway_txn);
    fact("code", attempt.code_hint);
    if (attempt.paid_at) fact("paidAt", `${dayOf(attempt.paid_at)} ${clock(attempt.paid_at)}`);
    if (attempt.payer_paid !== null) fact("payerPaid", yuan(attempt.payer_paid));
    if (attempt.coupon) fact("coupon", yuan(attempt.coupon));
    const code = attempt.error_code;
    if (code) fact("why", has(`why_${code}`) ? t(`why_${code}`) : `${code} ${attempt.error_text ?? ""}`);
  });
  $("facts").replaceChildren(...facts);

  $("life").replaceChildren(...steps.map((step) => {
    const item = make("li");
    const head = make("div", "head");
    head.append(make("time", "", clock(step.at)), phaseBadge(step.payment.phase), make("code", "", step.event));
    item.append(head, make("p", "quiet", step.payment.cashier.text));
    return item;
  }));

  $("paper").hidden = payment.phase !== "paid";
  const picture = $("picture");
  if (payment.phase === "paid" && picture.dataset.of !== payment.id) {
    picture.dataset.of = payment.id;
    picture.src = `/v1/payments/${encodeURIComponent(payment.id)}/receipt.png`;
    picture.alt = t("paper");
  }
}

/** Each refund as it stands; what is new of the newest is read out. */
function showRefunds(payment) {
  $("refunds").hidden = payment.refunds.length === 0;
  $("refundList").replaceChildren(...payment.refunds.map((each) => {
    const item = make("li");
    const head = make("div", "head");
    head.append(
      make("time", "", `${dayOf(each.asked_at).slice(5)} ${clock(each.asked_at)}`), refundBadge(each.phase), make("strong", "number", `¥ ${yuan(each.amount)}`),
    );
    const facts = [`${t("refundNumber")} ${each.refund_no}`];
    if (each.reason) facts.push(`${t("refundReasonWas")} ${each.reason}`);
    if (each.accepted_at) facts.push(`${t("acceptedAt")} ${dayOf(each.accepted_at)} ${clock(each.accepted_at)}`);
    if (each.gateway_refund) facts.push(`${t("refundTxn")} ${each.gateway_refund}`);
    if (each.error_code) facts.push(`${t("why")} ${each.error_code} ${each.error_text ?? ""}`);
    item.append(head, make("p", "", each.text), ...facts.map((fact) => make("p", "quiet fact", fact)));
    return item;
  }));
  const newest = payment.refunds.at(-1)?.text ?? "";
  if (told !== null && told !== newest) $("refundLive").textContent = newest;
  told = newest;
}

async function act(action) {
  $("done").textContent = "";
  try {
    await ask("POST", `/v1/payments/${shown}/${action}`);
    $("done").textContent = t("asked");
    await show(shown);
  } catch (problem) {
    $("done").textContent = problem.sentence ?? String(problem);
  }
}

function hide() {
  shown = null;
  $("detail").hidden = true;
  history.replaceState(null, "", location.pathname);
  for (const row of rows.values()) row.classList.remove("chosen");
}

/** A live step: into the table if the table would have had it. */
function take(payment) {
  refund.hear(payment);
  const text = $("q").value.trim();
  const fits = !$("day").value || dayOf(payment.created_at) === $("day").value;
  if (rows.has(payment.id) || (fits && !text && !$("phase").value)) put(payment, true);
  $("nothing").hidden = rows.size > 0;
  if (shown === payment.id) show(payment.id);
  clearTimeout(due);
  due = setTimeout(refresh, 300);
}

let due = null;
async function refresh() {
  try {
    const status = await ask("GET", "/v1/status");
    showStatus(status);
    showOpen(status.open);
    if (!settled) {
      // The shop's day, by the terminal's clock.
      settled = $("day").value = dayOf(status.now);
      await load();
    } else if ($("day").value) {
      const day = $("day").value;
      const totals = await ask("GET", `/v1/reports/${day}`);
      if (day === $("day").value) showTotals(totals);
    }
    offline("");
  } catch (problem) {
    offline(problem.sentence ?? String(problem));
  }
}

function otherDay(by) {
  const day = new Date(`${$("day").value || settled}T12:00:00Z`);
  day.setUTCDate(day.getUTCDate() + by);
  $("day").value = day.toISOString().slice(0, 10);
  load();
}

function words() {
  translate();
  const chosen = $("phase").value;
  const option = (value, word) => {
    const made = make("option", "", word);
    made.value = value;
    return made;
  };
  $("phase").replaceChildren(option("", t("all")), ...PHASES.filter(has).map((phase) => option(phase, t(phase))));
  $("phase").value = chosen;
}

let typing = null;
$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(load, 250);
});
$("filter").addEventListener("submit", (event) => { event.preventDefault(); load(); });
$("day").addEventListener("change", () => load());
$("phase").addEventListener("change", () => load());
$("before").addEventListener("click", () => otherDay(-1));
$("after").addEventListener("click", () => otherDay(1));
$("more").addEventListener("click", () => load(true));
$("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row) show(row.dataset.id);
});
$("rows").addEventListener("keydown", (event) => {
  const row = event.target.closest("tr");
  if (!row) return;
  if (event.key === "Enter" || event.key === " ") show(row.dataset.id).then(() => $("detail").focus());
  else if (event.key === "ArrowDown") row.nextElementSibling?.focus();
  else if (event.key === "ArrowUp") row.previousElementSibling?.focus();
  else return;
  event.preventDefault();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shown && !refund.isOpen()) hide();
});
$("close").addEventListener("click", hide);
$("giveBack").addEventListener("click", () => refund.open(shown));
$("reprint").addEventListener("click", () => act("receipts"));
$("check").addEventListener("click", () => act("check"));
$("cancel").addEventListener("click", () => act("cancel"));
$("lang").addEventListener("click", () => {
  toggleLanguage();
  words();
  stream.restart();
  load();
  refresh();
  if (shown) show(shown);
});

words();
refund.start((payment) => {
  if (shown === payment.id) show(payment.id).then(() => $("detail").focus({ preventScroll: true }));
});
// The stream tells at once; this is for the next times of what is unfinished, and for a stream that died without a word.
setInterval(refresh, 15_000);
const stream = follow({
  payment: take,
  device: () => refresh(),
  gateway: () => {},
  open: () => refresh(),
  lost: () => offline(t("offline")),
});
if (location.hash.length > 1) show(decodeURIComponent(location.hash.slice(1)));
