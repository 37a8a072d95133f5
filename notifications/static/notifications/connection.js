/** How does the page say whether it is connected? */

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
