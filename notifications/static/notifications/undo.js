/** How long may somebody take back what they have just done? */

const OFFERED_MS = 10_000

/** One bar at the lower edge. It stays while somebody points at it or has it under the keyboard. */
export class UndoBar {
  #bar
  #words
  #takeBack = null
  #timer = 0

  constructor(bar) {
    this.#bar = bar
    this.#words = bar.querySelector(".undo-words")
    bar.querySelector("button").addEventListener("click", () => this.undo())
    for (const stay of ["pointerenter", "focusin"]) bar.addEventListener(stay, () => clearTimeout(this.#timer))
    for (const leave of ["pointerleave", "focusout"]) bar.addEventListener(leave, () => this.#hideLater())
  }

  /** `takeBack({focus})`: whether the focus was on the bar, and must go somewhere. */
  offer(words, takeBack) {
    this.#words.textContent = words
    this.#takeBack = takeBack
    this.#bar.hidden = false
    this.#hideLater()
  }

  /** Nothing is offered any more. */
  withdraw() {
    clearTimeout(this.#timer)
    this.#takeBack = null
    this.#bar.hidden = true
  }

  undo() {
    const takeBack = this.#takeBack
    const focus = this.#bar.contains(document.activeElement)
    this.withdraw()
    takeBack?.({ focus })
  }

  #hideLater() {
    clearTimeout(this.#timer)
    if (this.#takeBack) this.#timer = setTimeout(() => this.withdraw(), OFFERED_MS)
  }
}
