// The refund dialog: an amount, a reason, a confirmation. One dialog has one key, so that whatever is pressed, or lost on
// the way, is one refund.

import { $, ask, askOnce, fenOf, isUnknown, newKey, t, yuan } from "./common.js";

const REASON_BYTES_MAX = 80;
// The second press of a double click lands on the button that has just come up.
const READ_FIRST_MS = 600;

let payment = null; // what is refunded of
let key = ""; // of the refund that this dialog is for
let stage = "enter"; // enter, confirm, sending, unknown
let since = 0; // when it was entered, by the page's own clock
let wanted = null; // the amount and the reason that were confirmed
let done = () => {};

export const isOpen = () => $("refund").open;

/** Refunds that nobody answered for, by payment: whoever comes back, after a reload too, goes on under the same key. */
const unanswered = () => JSON.parse(sessionStorage.getItem("refunds") ?? "{}");

function remember(id, asked) {
  const all = unanswered();
  if (asked) all[id] = asked;
  else delete all[id];
  sessionStorage.setItem("refunds", JSON.stringify(all));
}

/** Whether what nobody answered for stands among the payment's refunds. */
const arrived = ({ wanted, known }, { refunds }) =>
  refunds.slice(known).some((each) => each.amount === wanted.amount && each.reason === (wanted.reason ?? null));

/** News of a payment: a refund whose answer was lost may have arrived all the same. */
export function hear(news) {
  const left = unanswered()[news.id];
  if (stage !== "unknown" || !isOpen() || news.id !== payment.id || !left || !arrived(left, news)) return;
  remember(news.id, null);
  $("refund").close();
  done(news);
}

/** Opens the dialog for a payment, as it is now. */
export async function open(id) {
  if (isOpen()) return;
  try {
    payment = await ask("GET", `/v1/payments/${encodeURIComponent(id)}`);
  } catch (problem) {
    $("done").textContent = problem.sentence ?? String(problem);
    return;
  }
  if (isOpen()) return;
  let left = unanswered()[payment.id];
  if (left && arrived(left, payment)) {
    remember(payment.id, null);
    left = null;
  }
  key = left?.key ?? newKey("refund");
  wanted = left?.wanted ?? null;
  $("refundAmount").value = yuan(wanted?.amount ?? payment.refundable);
  $("refundReason").value = wanted?.reason ?? "";
  $("refund").showModal();
  to(left ? "unknown" : "enter", left ? t("refundUnknown") : "");
}

/** What is typed, or a sentence that says what is wrong with it. */
function read() {
  // Digits and the stop as an input method writes them are meant, too.
  const amount = fenOf($("refundAmount").value.normalize("NFKC").replace("。", ".").trim());
  const reason = $("refundReason").value.trim();
  if (amount === 0) return { wrong: t("refundBadAmount"), field: "refundAmount" };
  if (amount > payment.refundable) return { wrong: t("refundOver", { left: yuan(payment.refundable) }), field: "refundAmount" };
  if (new TextEncoder().encode(reason).length > REASON_BYTES_MAX) return { wrong: t("refundLongReason"), field: "refundReason" };
  return reason ? { amount, reason } : { amount };
}

/** Shows a stage, and where the eye and the next key belong. */
function to(next, says = "", field = "refundAmount") {
  const confirming = next !== "enter";
  const sum = wanted ? yuan(wanted.amount) : "";
  [stage, since] = [next, performance.now()];
  $("refundOf").textContent = t("refundOf", { id: payment.id, paid: yuan(payment.amount), left: yuan(payment.refundable) });
  $("refundFields").hidden = $("refundFields").disabled = confirming;
  for (const each of ["refundAmount", "refundReason"]) $(each).ariaInvalid = String(!confirming && says !== "" && each === field);
  $("refundConfirm").hidden = !confirming;
  if (confirming) {
    const reason = wanted.reason ? `\n${t("refundConfirmReason", { reason: wanted.reason })}` : "";
    $("refundConfirm").textContent = t("refundConfirm", { sum }) + reason;
  }
  $("refundSays").textContent = says;
  $("refundGo").disabled = next === "sending";
  $("refundGo").textContent = {
    enter: t("refundNext"), confirm: t("refundYes", { sum }), sending: t("refundAsking"), unknown: t("refundAgain", { sum }),
  }[next];
  $("refundChange").hidden = next !== "confirm";
  $("refundLeave").textContent = next === "enter" || next === "confirm" ? t("refundLeave") : t("refundLeaveUnknown");
  if (next === "enter") {
    $(field).focus();
    $(field).select();
  } else {
    // Not the button: a key that is held down must not confirm what nobody has read.
    $("refundConfirm").focus();
  }
}

function go() {
  if (performance.now() - since < READ_FIRST_MS && stage !== "enter") return;
  if (stage === "enter") {
    const typed = read();
    if (typed.wrong) return to("enter", typed.wrong, typed.field);
    wanted = typed;
    to("confirm");
  } else if (stage !== "sending") send();
}

async function send() {
  const asked = { id: payment.id, key, wanted, known: payment.refunds.length };
  // The manager may have closed this dialog, and opened another, when the answer comes.
  const here = () => isOpen() && key === asked.key;
  remember(asked.id, asked);
  to("sending");
  try {
    const after = await askOnce(`/v1/payments/${encodeURIComponent(asked.id)}/refunds`, asked.wanted, asked.key);
    remember(asked.id, null);
    if (here()) $("refund").close();
    done(after);
  } catch (problem) {
    // A refusal is the answer to every earlier repeat as well: a refund that is known is found before anything is refused.
    const refused = problem.retry === "never" && problem.code !== "unauthorized";
    if (refused) remember(asked.id, null);
    if (!here()) return;
    if (problem.code === "unauthorized") return $("refund").close();
    const sentence = isUnknown(problem) ? t("refundUnknown") : says(problem);
    if (!refused) {
      to("unknown", sentence);
      const news = await ask("GET", `/v1/payments/${encodeURIComponent(asked.id)}`).catch(() => null);
      if (news) hear(news);
      return;
    }
    payment = await ask("GET", `/v1/payments/${encodeURIComponent(asked.id)}`).catch(() => payment);
    if (!here()) return;
    const over = problem.code === "refund_too_much" ? t("refundOver", { left: yuan(payment.refundable) }) : sentence;
    to("enter", over, problem.field === "reason" ? "refundReason" : "refundAmount");
  }
}

const says = (problem) => (problem.code === "invalid_field" ? problem.detail : problem.sentence ?? String(problem));

/** Sets the dialog up; `then` is told of a payment that a refund was asked for of. */
export function start(then) {
  done = then;
  $("refundForm").addEventListener("submit", (event) => { event.preventDefault(); go(); });
  $("refundChange").addEventListener("click", () => to("enter"));
  $("refundLeave").addEventListener("click", () => $("refund").close());
  $("refund").addEventListener("close", () => $("giveBack").focus());
}
