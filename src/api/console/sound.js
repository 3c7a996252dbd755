// Tones that can be told apart without looking: a code was taken, paid, not paid, call the manager. What was paid is
// said in Mandarin as well, where the browser has a voice for it.

let context = null;
let on = localStorage.getItem("sound") !== "off";

// Browsers allow sound only after a key or a touch.
for (const name of ["keydown", "pointerdown"]) {
  addEventListener(name, () => {
    context ??= new AudioContext();
    context.resume();
  }, { capture: true });
}

export const isOn = () => on;

export function toggle() {
  on = !on;
  localStorage.setItem("sound", on ? "on" : "off");
}

function tones(shape, list) {
  if (!on || !context) return;
  let at = context.currentTime + 0.02;
  for (const [frequency, seconds] of list) {
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.type = shape;
    oscillator.frequency.value = frequency;
    gain.gain.setValueAtTime(0.0001, at);
    gain.gain.exponentialRampToValueAtTime(0.25, at + 0.01);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + seconds);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(at);
    oscillator.stop(at + seconds);
    at += seconds;
  }
}

// Browsers list their voices only some time after they were asked first.
const voices = () => window.speechSynthesis?.getVoices() ?? [];
voices();

function say(text) {
  const mandarin = voices().find((voice) => /^zh[-_](CN|Hans)/i.test(voice.lang));
  if (!on || !mandarin) return;
  const words = new SpeechSynthesisUtterance(text);
  [words.voice, words.lang] = [mandarin, mandarin.lang];
  speechSynthesis.speak(words);
}

/** A code was taken. */
export const accepted = () => tones("sine", [[1320, 0.09]]);
/** Paid: three tones up, then the amount. */
export const paid = (fen) => {
  tones("triangle", [[523, 0.13], [659, 0.13], [784, 0.32]]);
  // A voice reads 12.5 as 十二点五; without the zero at the end, as people say it.
  setTimeout(() => say(`收款${fen / 100}元`), 600);
};
/** Not paid, or refused: two tones down. */
export const notPaid = () => tones("square", [[330, 0.18], [220, 0.4]]);
/** Call the manager: like a siren. */
export const manager = () => tones("sawtooth", [[700, 0.18], [500, 0.18], [700, 0.18], [500, 0.18], [700, 0.18], [500, 0.3]]);
