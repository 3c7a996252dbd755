// What both pages share: asking the terminal, words in two languages, the status strip, the event stream.

const words = {
  title_till: ["收款", "Till"],
  title_log: ["流水", "Payments"],
  till: ["收款", "Till"],
  log: ["流水", "Payments"],
  sandbox: ["演练 · 不是真钱", "Practice · play money"],
  drawer: ["钱箱", "Drawer"],
  drawerAgain: ["再按一次开钱箱", "Press again to open"],
  soundOn: ["声音 开", "Sound on"],
  soundOff: ["声音 关", "Sound off"],
  recent: ["最近收款", "Latest payments"],
  enterAmount: ["请输入金额，按回车收款", "Enter the amount, then press Enter"],
  keys: ["数字键输入 · 回车 收款 · Esc 清除", "Digits to type · Enter to charge · Esc to clear"],
  keysScan: ["扫码枪扫描，或输入付款码后按回车 · Esc 取消", "Scan, or type the payment code and press Enter · Esc to cancel"],
  keysWait: ["Esc 取消收款", "Esc to cancel the payment"],
  keysDone: ["输入下一笔金额", "Enter the next amount"],
  charge: ["收款 ⏎", "Charge ⏎"],
  sendCode: ["确认付款码 ⏎", "Send the code ⏎"],
  next: ["下一笔 ⏎", "Next ⏎"],
  clear: ["清除 Esc", "Clear Esc"],
  cancel: ["取消收款 Esc", "Cancel Esc"],
  cancelAgain: ["再按一次取消收款", "Press again to cancel"],
  handOver: ["可以交付商品", "Hand over the goods"],
  doNotHandOver: ["不要交付商品", "Do not hand over the goods"],
  seconds: ["秒", "s"],
  asking: ["正在联系终端…", "Asking the terminal…"],
  codeDigits: ["付款码已输入 {n} 位", "{n} digits of the code"],
  codeLength: ["不是付款码：应为 16 到 24 位数字，请重新扫码", "Not a payment code: expected 16 to 24 digits. Scan again."],
  codeTooEarly: ["没有待收款，请先输入金额；付款码未保留", "Nothing to pay yet: enter the amount first. The code was not kept."],
  offline: ["与终端的连接中断，正在重连", "No connection to the terminal, trying again"],
  offlineOpen: ["连接中断，收款结果未知，请勿交付商品，正在重连", "Connection lost: the outcome is not known. Do not hand over the goods."],
  scanner: ["扫码枪", "Scanner"],
  printer: ["打印机", "Printer"],
  display: ["客显", "Display"],
  disk: ["磁盘", "Disk"],
  gateway: ["微信支付", "WeChat Pay"],
  unfinished: ["待处理", "Unfinished"],
  kind_query: ["查询结果", "to be looked up"],
  kind_reversal: ["撤销", "reversal"],
  kind_refund: ["退款", "refund"],
  kind_receipt: ["小票", "receipt"],
  tryNext: ["下次 {at}", "next at {at}"],
  waitsForPerson: ["等人处理", "waits for a person"],
  oldest: ["最早", "oldest"],
  refuses: ["不能收款", "No sales"],
  up: ["正常", "ok"],
  down: ["不通", "down"],
  unknown: ["未知", "not known yet"],
  off: ["未就绪", "not ready"],
  suspicious: ["可疑应答", "Suspicious answers"],
  awaiting_code: ["待扫码", "to be scanned"],
  paying: ["收款中", "paying"],
  reversing: ["撤销中", "reversing"],
  in_doubt: ["存疑", "in doubt"],
  paid: ["已收款", "paid"],
  declined: ["未收款", "declined"],
  reversed: ["已撤销", "reversed"],
  cancelled: ["已取消", "cancelled"],
  refund_asking: ["申请中", "asked for"],
  refund_accepted: ["已受理", "accepted"],
  refund_stuck: ["退不回原卡", "card is gone"],
  refund_returned: ["已退款", "refunded"],
  refund_refused: ["被拒", "refused"],
  refund_closed: ["已关闭", "closed"],
  receipt_none: ["", ""],
  receipt_queued: ["小票等待打印", "receipt waits for the printer"],
  receipt_sending: ["小票打印中", "receipt is printing"],
  receipt_printed: ["小票已打印", "receipt printed"],
  receipt_unconfirmed: ["小票可能未打出，请看打印机", "receipt may be missing: look at the printer"],
  receipt_failed: ["小票没打好，可补打", "receipt failed: reprint it"],
  reprint: ["补打小票", "Reprint"],
  check: ["查询结果", "Ask the gateway"],
  cancelPayment: ["取消收款", "Cancel"],
  refund: ["退款", "Refund"],
  refunds: ["退款", "Refunds"],
  refundOpens: ["退款…", "Refund…"],
  refundOf: ["{id}：收款 {paid} 元，还可退 {left} 元", "{id}: {paid} yuan paid, {left} can still be refunded"],
  refundAmount: ["退款金额（元）", "Amount (yuan)"],
  refundReason: ["原因（可不填，顾客会看到）", "Reason (optional; the customer sees it)"],
  refundNext: ["下一步", "Next"],
  refundConfirm: ["将 {sum} 元退给付款的顾客，原路退回，退出后不能收回。", "{sum} yuan go back to the customer who paid, the way they came. This cannot be undone."],
  refundConfirmReason: ["原因：{reason}", "Reason: {reason}"],
  refundYes: ["确认退款 {sum} 元", "Yes, refund {sum} yuan"],
  refundAgain: ["再试：退款 {sum} 元", "Try again: refund {sum} yuan"],
  refundChange: ["返回修改", "Back"],
  refundLeave: ["不退了", "Do not refund"],
  refundLeaveUnknown: ["先关闭", "Close for now"],
  refundAsking: ["正在提交…", "Asking the terminal…"],
  refundUnknown: ["终端没有应答，不知道退款是否已提交。请再试：同一笔不会退两次", "No answer: it is not known whether the refund was asked for. Try again: it is done once."],
  refundBadAmount: ["金额不正确，请输入如 12.50 的金额", "Not an amount. Enter one like 12.50."],
  refundOver: ["最多还可退 {left} 元", "At most {left} yuan can still be refunded."],
  refundLongReason: ["原因太长：最多 80 字节，约 26 个汉字", "The reason is too long: at most 80 bytes, some 26 Chinese characters."],
  refundNumber: ["退款单号", "Refund number"],
  refundTxn: ["微信退款单号", "WeChat's refund number"],
  refundReasonWas: ["原因", "Reason"],
  acceptedAt: ["受理时间", "Accepted at"],
  backMark: ["退 {sum}", "{sum} back"],
  asked: ["已提交", "Asked"],
  day: ["日期", "Day"],
  dayBefore: ["前一天", "Day before"],
  dayAfter: ["后一天", "Day after"],
  phase: ["状态", "State"],
  all: ["全部", "all"],
  search: ["搜索", "Search"],
  time: ["时间", "Time"],
  amount: ["金额", "Amount"],
  receipt: ["小票", "Receipt"],
  reference: ["收银单号", "Reference"],
  id: ["订单", "Payment"],
  nothing: ["没有记录", "Nothing here"],
  more: ["更多", "More"],
  close: ["关闭", "Close"],
  life: ["经过", "Step by step"],
  paper: ["小票样子", "The receipt"],
  totals: ["当日收款 {n} 笔，共 {sum} 元，其中优惠券 {coupon} 元", "{n} paid that day, {sum} yuan in all, {coupon} of it from coupons"],
  totalsBack: ["；退款 {n} 笔，共 {sum} 元，净收 {net} 元", "; {n} refunds, {sum} yuan, net {net} yuan"],
  order: ["订单号", "Order number"],
  txn: ["微信单号", "WeChat's number"],
  paidAt: ["支付时间", "Paid at"],
  payerPaid: ["顾客实付", "From the payer"],
  coupon: ["优惠券", "Coupons"],
  code: ["付款码", "Code"],
  why: ["原因", "Why"],
  // The terminal's own reasons for taking a payment back.
  why_gave_up: ["顾客没有在时限内付款", "The payer did not finish in time"],
  why_cancelled: ["收银台取消", "Cancelled at the till"],
  why_pay_failed: ["微信支付要求撤销", "WeChat Pay asked for the reversal"],
  why_interrupted: ["终端在扫码前重启", "The terminal was restarted before the scan"],
  why_late_paid: ["结束后才到账", "Money turned up after the end"],
  why_contradicted: ["先报收款成功，后报订单已关闭", "Said to be paid, and then to be closed"],
  why_elsewhere: ["订单在别处被关闭或退款", "The order was closed or refunded elsewhere"],
  subject: ["商品", "Subject"],
  created: ["开单时间", "Opened"],
  attempt: ["第 {n} 次", "Attempt {n}"],
  tokenPrompt: ["请输入访问令牌", "Enter the access token"],
  tokenGo: ["进入", "Enter"],
  tokenWrong: ["令牌不对", "Wrong token"],
  // Problems, by code.
  busy: ["有一笔收款未完成", "Another payment is in hand"],
  key_reused: ["请求重复但内容不同，请叫店长", "The request was repeated with another content: call the manager"],
  too_much: ["金额超过单笔上限", "The amount is above the limit for one payment"],
  refund_too_much: ["超过还可退的金额", "More than is left of the payment"],
  refund_limit: ["超过本机单笔退款上限，请在微信商户平台退", "Above the limit for one refund at the till: refund it on the merchant platform"],
  invalid_field: ["金额不正确", "The amount cannot be used"],
  not_a_code: ["不是付款码，请重新扫码", "Not a payment code. Scan again."],
  nothing_to_pay: ["没有待收款，请先输入金额；付款码未保留", "Nothing to pay yet: enter the amount first. The code was not kept."],
  not_now: ["现在不能这样做", "This cannot be done now"],
  journal_failed: ["账本写不进去，不能收款，请叫店长", "The journal cannot be written, no sale is taken: call the manager"],
  journal_unreadable: ["账本读不出来，请叫店长", "The journal cannot be read: call the manager"],
  not_ready: ["终端暂不能收款，请叫店长", "The terminal cannot take sales: call the manager"],
  terminal_silent: ["终端没有回应，结果未知", "The terminal does not answer; the outcome is not known"],
  stopping: ["终端正在停止", "The terminal is ending"],
  never_seen: ["没有这笔收款", "No such payment"],
  no_answer: ["联系不上终端，结果未知，请勿交付商品", "The terminal cannot be reached. The outcome is not known: do not hand over the goods."],
};

let english = localStorage.getItem("lang") === "en";

export const lang = () => (english ? "en" : "zh-CN");

export function t(key, values = {}) {
  const both = words[key];
  if (!both) return key;
  return both[english ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export const has = (key) => key in words;

/** Writes the words of the chosen language into the page. */
export function translate() {
  document.documentElement.lang = lang();
  document.title = t(document.body.classList.contains("log") ? "title_log" : "title_till");
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  for (const each of document.querySelectorAll("[data-label]")) each.ariaLabel = t(each.dataset.label);
  $("lang").textContent = english ? "中文" : "English";
}

export function toggleLanguage() {
  english = !english;
  localStorage.setItem("lang", lang());
}

export const $ = (id) => document.getElementById(id);

/** An element with a class and text. Text never becomes markup. */
export function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

export const yuan = (fen) => (fen < 0 ? `-${yuan(-fen)}` : `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, "0")}`);

/** Typed yuan as fen, without floats; 0 if it is no amount. */
export function fenOf(typed) {
  const form = /^(\d{1,7})(?:\.(\d{0,2}))?$/.exec(typed);
  return form ? Number(form[1]) * 100 + Number((form[2] ?? "").padEnd(2, "0")) : 0;
}

/** A key for one payment or one refund, kept for its repeats. */
export const newKey = (name) =>
  `${name}-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/** Whether nobody can say what became of a request. */
export const isUnknown = (problem) => ["no_answer", "terminal_silent", "stopping"].includes(problem.code);

/** Times come with the shop's offset, so their digits are the shop's wall time. */
export const clock = (time) => time.slice(11, 19);
export const dayOf = (time) => time.slice(0, 10);

/** A problem that the terminal told, or silence (`code` "no_answer"). */
export class Problem extends Error {
  constructor(body) {
    super(body.detail);
    Object.assign(this, body);
  }
  get sentence() {
    if (["not_now", "refund_limit"].includes(this.code)) return `${t(this.code)}：${this.detail}`;
    return has(this.code) ? t(this.code) : `${this.title}: ${this.detail}`;
  }
}

export async function ask(method, path, body, headers = {}) {
  const url = new URL(path, location.origin);
  if (/^\/v1\/(payments|scan)/.test(url.pathname)) url.searchParams.set("lang", lang());
  const init = { method, headers, signal: AbortSignal.timeout(15_000) };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, "Content-Type": "application/json" };
  }
  let response, json;
  try {
    response = await fetch(url, init);
    json = response.status === 204 ? null : await response.json();
  } catch {
    throw new Problem({ code: "no_answer", detail: "no answer", retry: "same_key" });
  }
  if (response.status === 401) askForToken();
  if (!response.ok) throw new Problem(json);
  return json;
}

/** Asks under a key, again and again while nobody can say what became of it. */
export async function askOnce(path, body, key) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask("POST", path, body, { "Idempotency-Key": key });
    } catch (problem) {
      if (!isUnknown(problem) || tries === 5) throw problem;
      await new Promise((done) => setTimeout(done, 400 * tries));
    }
  }
}

/** Asks for the token once; the browser then keeps a cookie that no script can read. */
function askForToken() {
  if ($("token")) return;
  const form = make("form", "token");
  form.id = "token";
  const label = make("label", "", t("tokenPrompt"));
  const input = make("input");
  input.type = "password";
  input.autocomplete = "off";
  label.append(input);
  const wrong = make("p", "quiet");
  form.append(label, make("button", "", t("tokenGo")), wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/v1/session", { token: input.value });
      location.reload();
    } catch {
      wrong.textContent = t("tokenWrong");
      input.value = "";
      input.focus();
    }
  });
  document.body.append(form);
  input.focus();
}

export const symbols = {
  awaiting_code: "▣", paying: "…", reversing: "↩", in_doubt: "?", paid: "✓", declined: "✕", reversed: "↩", cancelled: "–",
};

/** A phase in a word and a sign, so that colour is never alone. */
export function phaseBadge(phase) {
  return make("span", `phase ${phase}`, `${symbols[phase]} ${t(phase)}`);
}

const refundSymbols = { asking: "…", accepted: "↩", stuck: "!", returned: "✓", refused: "✕", closed: "✕" };

/** The same for a refund. */
export const refundBadge = (phase) => make("span", `phase refund_${phase}`, `${refundSymbols[phase]} ${t(`refund_${phase}`)}`);

/** What went back of a paid payment, or is to, beside its phase; null if nothing. */
export function backMark(payment) {
  const back = payment.phase === "paid" ? payment.amount - payment.refundable : 0;
  return back > 0 ? make("span", "phase back", `↩ ${t("backMark", { sum: yuan(back) })}`) : null;
}

/** The strip of devices, gateway and whatever is not finished. */
export function showStatus(status) {
  $("store").textContent = status.store_name;
  $("terminal").textContent = status.terminal;
  $("sandbox").hidden = !status.sandbox;
  const chips = [];
  const chip = (state, name, value, more) => {
    // A trouble mostly names its device itself.
    const words = `${value}`.toLowerCase().includes(name.toLowerCase()) ? value : `${name} ${value}`;
    const item = make("li", `chip ${state}`, `${state === "good" ? "●" : state === "bad" ? "▲" : "○"} ${words}`);
    if (more) item.title = more;
    chips.push(item);
  };
  if (status.refuses_sales) chip("bad", t("refuses"), status.refuses_sales);
  for (const device of status.devices) {
    chip(device.ready ? "good" : "bad", t(device.kind), device.ready ? "" : device.trouble || t("off"), device.name);
  }
  const line = status.gateway.line;
  chip({ up: "good", down: "bad", unknown: "unsure" }[line], t("gateway"), t(line), status.gateway.trouble);
  if (status.suspicious_answers > 0) chip("bad", t("suspicious"), status.suspicious_answers);
  if (status.open.length > 0) {
    const first = status.open.map((open) => `${open.payment} ${open.text}`).join("\n");
    const needsAPerson = status.open.some((open) => open.next === null);
    const since = status.open[0].since.slice(5, 16).replace("T", " ");
    chip(needsAPerson ? "bad" : "unsure", t("unfinished"), `${status.open.length} · ${t("oldest")} ${since}`, first);
  }
  $("chips").replaceChildren(...chips);
}

/** Follows the terminal. `on` has payment, device, gateway, remark, open and lost; comes back by itself. */
export function follow(on) {
  let source, silence;
  const start = () => {
    source?.close();
    source = new EventSource(`/v1/events?lang=${lang()}`);
    for (const name of ["payment", "device", "gateway", "remark"]) {
      source.addEventListener(name, (event) => on[name]?.(JSON.parse(event.data)));
    }
    source.onopen = () => { clearTimeout(silence); on.open(); };
    source.onerror = () => {
      on.lost();
      // A browser gives up for good when it is refused; this page does not.
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(silence);
        silence = setTimeout(start, 2_000);
      }
    };
  };
  start();
  return { restart: start };
}
