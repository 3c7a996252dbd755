// The cashier's page: an amount, a scan, one sentence, and whether to hand over the goods.

import {
  $, Problem, ask, askOnce, backMark, clock, fenOf, follow, make, newKey, phaseBadge, showStatus, t, toggleLanguage, translate, yuan,
} from "./common.js";
import * as sound from "./sound.js";

const FINAL = ["paid", "declined", "reversed", "cancelled"];
const AMOUNT_DIGITS = 7;
const CODE_DIGITS = [16, 24];
const RECENT = 6;

let current = null; // the payment on the panel
let currentAt = 0; // when it was told, by the page's own clock
let typed = ""; // the amount, as typed
let code = ""; // digits of a payment code; gone as soon as they are sent
let note = null; // a sentence of the page's own
let asking = false;
let connected = true;
let ignoreUntil = 0; // a code that came too early is swallowed to its end
let armed = null; // "cancel" or "drawer": pressed once
let spoken = "";
const recent = new Map();

const mode = () => {
  if (asking) return "asking";
  if (!current) return "enter";
  if (current.phase === "awaiting_code") return "scan";
  return current.phase === "paying" ? "wait" : "done";
};

// ---- what is shown

function kind() {
  if (note) return note.kind;
  if (!current) return "idle";
  if (!connected && !FINAL.includes(current.phase)) return "manager";
  const { next, hand_over_goods } = current.cashier;
  if (hand_over_goods) return next === "call_manager" ? "manager" : "paid";
  if (next === "call_manager") return "manager";
  if (current.phase === "awaiting_code") return next === "scan" ? "scan" : "again";
  if (next === "wait") return "wait";
  return "unpaid";
}

const marks = { idle: "＋", scan: "▣", again: "✕", wait: "…", paid: "✓", unpaid: "✕", manager: "!", asking: "…" };

function sentence() {
  if (note) return note.text;
  if (asking) return t("asking");
  if (!current) return t("enterAmount");
  if (!connected && !FINAL.includes(current.phase)) return t("offlineOpen");
  return current.cashier.text;
}

function render() {
  const now = mode();
  const looks = kind();
  $("panel").className = `panel ${looks}`;
  $("mark").textContent = marks[looks];
  $("amount").textContent = current ? yuan(current.amount) : typed || "0.00";
  $("amount").classList.toggle("empty", !current && !typed);
  $("sentence").textContent = sentence();

  const goods = $("goods");
  goods.hidden = !current;
  if (current) {
    // A payment whose news may be old is never a reason to hand anything over.
    const yes = current.cashier.hand_over_goods && (connected || FINAL.includes(current.phase));
    goods.className = `goods ${yes ? "yes" : "no"}`;
    goods.textContent = yes ? `✓ ${t("handOver")}` : `✕ ${t("doNotHandOver")}`;
  }
  $("receipt").textContent = current ? t(`receipt_${current.receipt.state}`) : "";
  $("hint").textContent = code
    ? t("codeDigits", { n: code.length })
    : t({ asking: "asking", enter: "keys", scan: "keysScan", wait: "keysWait", done: "keysDone" }[now]);

  const left = secondsLeft();
  $("seconds").hidden = left === null;
  $("seconds").textContent = left === null ? "" : `${left} ${t("seconds")}`;

  const go = $("go");
  const goWord = { asking: "asking", enter: "charge", scan: "sendCode", wait: null, done: "next" }[now];
  go.disabled = asking || !goWord || (now === "enter" && !typed) || (now === "scan" && !code);
  go.textContent = t(goWord ?? "paying");
  const stop = $("stop");
  stop.disabled = asking || (now === "enter" && !typed && !note);
  stop.textContent = armed === "cancel" ? t("cancelAgain") : now === "scan" || now === "wait" ? t("cancel") : t("clear");
  $("drawer").textContent = armed === "drawer" ? t("drawerAgain") : t("drawer");
  $("sound").textContent = sound.isOn() ? t("soundOn") : t("soundOff");
  $("sound").ariaPressed = String(sound.isOn());
  for (const key of document.querySelectorAll("#keypad button")) key.disabled = asking || now === "wait";

  // Told to screen readers when it says something new, not with every second that passes.
  const say = `${sentence()} ${goods.hidden ? "" : goods.textContent}`;
  if (say.replace(/\d+/g, "") !== spoken) {
    spoken = say.replace(/\d+/g, "");
    $("live").textContent = say;
  }
}

function secondsLeft() {
  const left = current?.cashier.seconds_left;
  if (left === null || left === undefined) return null;
  const now = Math.max(0, left - Math.floor((performance.now() - currentAt) / 1000));
  return current.phase === "paying" || now <= 60 ? now : null;
}

function renderRecent() {
  const latest = [...recent.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, RECENT);
  $("recent").replaceChildren(...latest.map((payment) => {
    const row = make("li");
    row.append(
      make("span", "when", clock(payment.created_at)),
      make("span", "sum", yuan(payment.amount)),
      phaseBadge(payment.phase),
      backMark(payment) ?? "",
      make("span", "quiet grow", payment.reference ?? t(`receipt_${payment.receipt.state}`)),
    );
    if (payment.money === "taken") {
      const button = make("button", "small", t("reprint"));
      button.type = "button";
      button.addEventListener("click", () => act(`/v1/payments/${payment.id}/receipts`));
      row.append(button);
    }
    return row;
  }));
}

// ---- what happens

/** A sentence of the page's own; it goes away with the next key. */
function tell(text, looks = "unpaid") {
  note = { text, kind: looks };
  render();
}

/** Takes in a payment, from whichever way it came. */
function take(payment) {
  const before = recent.get(payment.id) ?? (current?.id === payment.id ? current : null);
  recent.set(payment.id, payment);
  const oldest = [...recent.keys()].sort();
  while (recent.size > 4 * RECENT) recent.delete(oldest.shift());

  const inHand = payment.phase === "awaiting_code" || payment.phase === "paying";
  if (current?.id === payment.id || (inHand && !asking)) {
    if (current?.id !== payment.id || before?.phase !== payment.phase) [note, code, armed] = [null, "", null];
    current = payment;
    currentAt = performance.now();
  }
  hear(before, payment);
  render();
  renderRecent();
}

function hear(before, payment) {
  if (!before) return;
  const manager = (each) => each.cashier.next === "call_manager";
  const hints = (each) => each.attempts.filter((attempt) => attempt.code_hint).length;
  if (manager(payment) && !manager(before)) sound.manager();
  // A doubt that ends well was heard as paid before; twice would sound like two payments.
  else if (payment.phase === "paid" && !["paid", "in_doubt"].includes(before.phase)) sound.paid(payment.amount);
  else if (payment.attempts.length > before.attempts.length) sound.notPaid();
  else if (payment.phase !== before.phase && (payment.phase === "declined" || payment.phase === "reversed")) sound.notPaid();
  else if (hints(payment) > hints(before)) sound.accepted();
}

/** Opens a payment. One key for one amount, kept until the terminal has answered: a repeat cannot charge twice. */
async function open() {
  const amount = fenOf(typed);
  if (amount === 0) return tell(t("enterAmount"), "idle");
  let pending = JSON.parse(sessionStorage.getItem("pending") ?? "null");
  if (pending?.amount !== amount) {
    pending = { amount, key: newKey("till") };
    sessionStorage.setItem("pending", JSON.stringify(pending));
  }
  [asking, note] = [true, null];
  render();
  try {
    done(await askOnce("/v1/payments", { amount }, pending.key));
  } catch (problem) {
    asking = false;
    sound.notPaid();
    if (problem.code !== "no_answer" && problem.code !== "terminal_silent") sessionStorage.removeItem("pending");
    const other = problem.code === "busy" ? await ask("GET", `/v1/payments/${problem.id}`).catch(() => null) : null;
    if (other) take(other);
    tell(problem.sentence ?? String(problem), problem.code === "no_answer" ? "manager" : "unpaid");
  }
}

function done(payment) {
  sessionStorage.removeItem("pending");
  [asking, typed, current] = [false, "", payment];
  currentAt = performance.now();
  take(payment);
}

/** Sends the digits as a scanner would have. They are gone from the page before the request leaves. */
async function scan() {
  const digits = code;
  code = "";
  if (digits.length < CODE_DIGITS[0] || digits.length > CODE_DIGITS[1]) {
    sound.notPaid();
    return tell(t("codeLength"), "again");
  }
  try {
    take(await ask("POST", "/v1/scan", { code: digits }));
  } catch (problem) {
    sound.notPaid();
    tell(problem.sentence, "again");
  }
}

async function act(path) {
  try {
    const payment = await ask("POST", path);
    if (payment) take(payment);
  } catch (problem) {
    tell(problem.sentence);
  }
}

function enter() {
  const now = mode();
  if (now === "enter" && typed) open();
  else if (now === "scan" && code) scan();
  else if (now === "done") reset();
}

function escape() {
  const now = mode();
  if (now === "scan" && code) code = "";
  else if (now === "scan") act(`/v1/payments/${current.id}/cancel`);
  else if (now === "wait") twice("cancel", () => act(`/v1/payments/${current.id}/cancel`));
  else if (now !== "asking") reset();
  note = null;
  render();
}

function reset() {
  [current, typed, code, note, armed] = [null, "", "", null, null];
  render();
}

/** What cannot be taken back is pressed twice. */
function twice(name, then) {
  if (armed === name) {
    armed = null;
    then();
    return;
  }
  armed = name;
  setTimeout(() => {
    if (armed === name) armed = null;
    render();
  }, 4_000);
  render();
}

function digit(character) {
  const now = mode();
  if (now === "asking" || now === "wait") return;
  if (performance.now() < ignoreUntil) {
    ignoreUntil = performance.now() + 500;
    return;
  }
  if (now === "scan") {
    note = null;
    if (character !== "." && code.length <= CODE_DIGITS[1]) code += character;
    return render();
  }
  if (now === "done") reset();
  note = null;
  const longer = typed === "0" && character !== "." ? character : typed + character;
  if (/^\d*$/.test(longer) && longer.length > AMOUNT_DIGITS) {
    // No amount is this long: a scanner typed a code. It is not kept, and its end must not charge anything.
    typed = "";
    ignoreUntil = performance.now() + 500;
    sound.notPaid();
    return tell(t("codeTooEarly"));
  }
  if (/^\d{1,7}(\.\d{0,2})?$/.test(longer)) typed = longer;
  else if (longer === ".") typed = "0.";
  render();
}

function back() {
  if (mode() === "scan") code = code.slice(0, -1);
  else if (mode() === "enter") typed = typed.slice(0, -1);
  note = null;
  render();
}

// ---- keys: by their place on the keyboard, so that layouts and input methods do not matter

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("form")) return;
  const number = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  const onControl = event.target.closest("a, button");
  if (number) digit(number[1]);
  else if (event.code === "Period" || event.code === "NumpadDecimal") digit(".");
  else if (event.code === "Backspace") back();
  else if (event.code === "Escape") escape();
  else if (event.code === "Enter" || event.code === "NumpadEnter") {
    if (performance.now() < ignoreUntil) ignoreUntil = 0;
    // The end of a scan must never press the button that happens to have the focus.
    else if (onControl && !code && !typed) return;
    else if (!event.repeat) enter();
  } else return;
  event.preventDefault();
});

for (const name of ["7", "8", "9", "4", "5", "6", "1", "2", "3", "0", ".", "⌫"]) {
  const key = make("button", "", name);
  key.type = "button";
  key.tabIndex = -1;
  key.addEventListener("click", () => (name === "⌫" ? back() : digit(name)));
  $("keypad").append(key);
}
$("go").addEventListener("click", enter);
$("stop").addEventListener("click", escape);
$("drawer").addEventListener("click", () => twice("drawer", () => act("/v1/drawer")));
$("sound").addEventListener("click", () => { sound.toggle(); render(); });
$("lang").addEventListener("click", () => {
  toggleLanguage();
  translate();
  render();
  stream.restart();
});
// A pressed button does not keep the focus, so that the next Enter is the till's.
addEventListener("pointerup", () => setTimeout(() => document.activeElement?.closest("button")?.blur()));

// ---- the terminal

async function refresh() {
  try {
    const [status, latest] = await Promise.all([ask("GET", "/v1/status"), ask("GET", `/v1/payments?limit=${RECENT}`)]);
    showStatus(status);
    for (const payment of latest.payments) recent.set(payment.id, payment);
    const id = status.in_hand ?? current?.id;
    if (id && !asking) {
      const payment = await ask("GET", `/v1/payments/${id}`);
      if (status.in_hand || current?.id === id) [current, currentAt] = [payment, performance.now()];
    }
    online(true);
    renderRecent();
  } catch (problem) {
    online(problem instanceof Problem && problem.code !== "no_answer");
    if (problem.code && problem.code !== "no_answer") tell(problem.sentence, "manager");
  }
}

function online(yes) {
  connected = yes;
  $("offline").hidden = yes;
  $("offline").textContent = yes ? "" : t("offline");
  render();
}

let due = null;
const refreshSoon = () => {
  clearTimeout(due);
  due = setTimeout(refresh, 200);
};

const stream = follow({
  payment: take,
  device: refreshSoon,
  gateway: refreshSoon,
  remark: (remark) => {
    sound.notPaid();
    tell(remark.text);
  },
  open: refreshSoon,
  lost: () => online(false),
});

/** After a reload: was the payment that was being opened ever opened? */
async function recover() {
  const pending = JSON.parse(sessionStorage.getItem("pending") ?? "null");
  if (!pending) return;
  try {
    const found = await ask("GET", `/v1/payments?key=${pending.key}`);
    sessionStorage.removeItem("pending");
    take(found.payments[0]);
  } catch (problem) {
    if (problem.code === "never_seen") sessionStorage.removeItem("pending");
  }
}

// The stream tells at once; this is for the seconds, and for a stream that died without a word.
let looking = false;
setInterval(async () => {
  render();
  if (!current || FINAL.includes(current.phase) || looking) return;
  looking = true;
  try {
    const payment = await ask("GET", `/v1/payments/${current.id}`);
    if (!connected) online(true);
    if (current?.id === payment.id) take(payment);
  } catch (problem) {
    if (problem.code === "no_answer") online(false);
  } finally {
    looking = false;
  }
}, 1_000);
setInterval(refresh, 15_000);

translate();
render();
recover();
