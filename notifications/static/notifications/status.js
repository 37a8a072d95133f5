/** What does the page say about itself: to people who do not see it change, and about its connection? */

import { phrase, phraseFor } from "./words.js"

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

/** Events: `retry`, when a person asks for it. */
export class Connection extends EventTarget {
  #element
  #words
  #announcer
  #said // the words that were last read out, or need not be
  #timer = 0

  constructor(element, announcer) {
    super()
    this.#element = element
    this.#words = element.querySelector(".connection-words")
    this.#announcer = announcer
    this.#said = this.#words.dataset.live
    element.querySelector(".connection-retry").addEventListener("click", () => {
      this.dispatchEvent(new Event("retry"))
    })
  }

  /** CSS shows the sign-in link or the button that belongs to `reason`. */
  show({ state, reason }) {
    this.#element.dataset.state = state
    this.#element.dataset.reason = reason
    this.#words.textContent = this.#wordsFor(state, reason)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#announce, SAY_AFTER_MS)
  }

  #wordsFor(state, reason) {
    const words = this.#words.dataset
    switch (reason) {
      case "":
        return words[state]
      case "signed-out":
        return words.signedOut
      default:
        return words[reason]
    }
  }

  #announce = () => {
    const words = this.#words.textContent
    if (words !== this.#said) this.#announcer.say(words)
    this.#said = words
  }
}
