/** What does the page say about itself: to people who do not see it change, and about its connection? */

import { language, phrase, phraseFor } from "./words.js"

const TOGETHER_MS = 1_000 // what happens within this is said in one sentence
const WORTH_SAYING = ["error", "warning"] // levels named beside the number

/** Speaks through one element with role="status", in short sentences; a long list would be read for minutes. */
export class Announcer {
  #element
  #sentences = []
  #levels = [] // one for each notice that arrived
  #timer = 0

  constructor(element) {
    this.#element = element
  }

  arrived(level) {
    this.#levels.push(level)
    this.#soon()
  }

  say(sentence) {
    this.#sentences.push(sentence)
    this.#soon()
  }

  #soon() {
    if (this.#timer) return
    // Emptied first: the same sentence twice in a row would not be heard the second time.
    this.#element.textContent = ""
    this.#timer = setTimeout(this.#speak, TOGETHER_MS)
  }

  #speak = () => {
    const parts = [...this.#sentences]
    if (this.#levels.length > 0) parts.push(this.#arrivals())
    this.#element.textContent = parts.join(phrase("between"))
    this.#timer = 0
    this.#sentences = []
    this.#levels = []
  }

  #arrivals() {
    const counts = WORTH_SAYING.map((level) => [level, this.#levels.filter((each) => each === level).length])
    return [
      phraseFor("new", this.#levels.length),
      ...counts.filter(([, n]) => n > 0).map(([level, n]) => phraseFor(level, n)),
    ].join(phrase("comma"))
  }
}

// The connection

const SAY_AFTER_MS = 2_000 // a shorter interruption is shown, but not read out
const COUNT_FROM_MS = 1_000 // a shorter wait is not worth a number
const AWAY = ["reconnecting", "offline"]
const REASONS = { "signed-out": "signedOut" } // the others are words of the template as they are

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" })
const clockAndDay = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" })
const DAY_MS = 86_400_000

/** Events: `retry`, when a person asks for it. */
export class Connection extends EventTarget {
  #element
  #words
  #retry
  #announcer
  #shown = { state: "connecting", reason: "" }
  #isPaused = false
  #said // the sentence that was last read out, or need not be
  #sentence
  #sayTimer = 0
  #countTimer = 0

  constructor(element, announcer) {
    super()
    this.#element = element
    this.#words = element.querySelector(".connection-words")
    this.#retry = element.querySelector(".connection-retry")
    this.#announcer = announcer
    this.#said = this.#sentence = this.#words.dataset.live
    this.#retry.addEventListener("click", () => this.dispatchEvent(new Event("retry")))
  }

  /** What NoticeSocket or LastingSocket says of itself. CSS shows the link or the button that belongs to it. */
  show(detail) {
    this.#shown = detail
    this.#tell()
  }

  /** The person does not want to see what is new; the connection goes on. */
  pause(isPaused) {
    this.#isPaused = isPaused
    this.#tell()
  }

  #tell() {
    const { state, reason, retryAt } = this.#shown
    this.#element.dataset.state = state
    this.#element.dataset.reason = reason
    this.#element.dataset.paused = this.#isPaused && state === "live"
    const { again, now } = this.#retry.dataset
    this.#retry.textContent = state === "stopped" ? again : now
    if (!AWAY.includes(state)) this.#element.dataset.lasting = false
    this.#count(state === "reconnecting" ? retryAt : null)
    this.#saySoon(this.#sentenceFor(this.#shown))
  }

  /** Each second one timer, and only while somebody waits. */
  #count(retryAt) {
    clearTimeout(this.#countTimer)
    const left = (retryAt ?? 0) - Date.now()
    if (left < COUNT_FROM_MS) {
      this.#write(this.#sentenceFor(this.#shown))
      return
    }
    const seconds = Math.ceil(left / 1000)
    this.#write(this.#words.dataset.reconnectingIn.replace("{n}", seconds.toLocaleString(language)))
    this.#countTimer = setTimeout(() => this.#count(retryAt), left - (seconds - 1) * 1000)
  }

  #write(words) {
    if (this.#words.textContent !== words) this.#words.textContent = words
  }

  /** How it stands, without what changes each second. */
  #sentenceFor({ state, reason, asOf }) {
    const words = this.#words.dataset
    if (this.#isPaused && state === "live") return words.paused
    if (state === "offline" && asOf) return words.offlineSince.replace("{time}", timeOf(asOf))
    return words[(REASONS[reason] ?? reason) || state]
  }

  #saySoon(sentence) {
    if (sentence === this.#sentence) return
    this.#sentence = sentence
    clearTimeout(this.#sayTimer)
    this.#sayTimer = setTimeout(() => {
      this.#element.dataset.lasting = AWAY.includes(this.#shown.state) // CSS shows a button then, not at each flicker
      if (sentence !== this.#said) this.#announcer.say(sentence)
      this.#said = sentence
    }, SAY_AFTER_MS)
  }
}

/** "14:02"; with the day, when that was not within the last 24 hours. */
export function timeOf(moment, now = Date.now()) {
  return (now - moment < DAY_MS ? clock : clockAndDay).format(moment)
}
