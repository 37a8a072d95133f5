/** What does the page say to people who do not see it change? */

import { phrase, phraseFor } from "./phrases.js"

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
