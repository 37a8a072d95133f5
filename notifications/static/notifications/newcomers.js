/** May a new row be shown at once, or would it move what somebody is reading? */

import { publishedOf } from "./notice_row.js"
import { phraseFor } from "./words.js"

const AT_TOP_PX = 40 // scrolled further down than this, the reader is reading

/** Rows that must wait stay in the list, hidden; a button says how many there are, and shows them. */
export class Newcomers {
  #list
  #button
  #paused = false

  constructor({ list, button, pause }) {
    this.#list = list
    this.#button = button
    button.addEventListener("click", this.#showAndGo)
    pause.addEventListener("click", () => {
      this.#paused = !this.#paused
      pause.setAttribute("aria-pressed", this.#paused)
      this.#showIfQuiet()
    })
    window.addEventListener("scroll", this.#showIfQuiet, { passive: true })
  }

  /** The `published` of the oldest one that waits, or Infinity. */
  get oldestWaiting() {
    return Math.min(...this.#waiting().map(publishedOf))
  }

  receive(row) {
    row.hidden = this.#paused || window.scrollY > AT_TOP_PX
    this.tell()
  }

  /** Rows came or went: say how many wait. */
  tell() {
    const waiting = this.#waiting().length
    this.#button.hidden = waiting === 0
    if (waiting > 0) this.#button.firstElementChild.textContent = phraseFor("new", waiting)
  }

  #waiting() {
    return [...this.#list.querySelectorAll(":scope > [hidden]")]
  }

  #showIfQuiet = () => {
    if (!this.#paused && window.scrollY <= AT_TOP_PX && !this.#button.hidden) this.#show()
  }

  #show() {
    for (const row of this.#waiting()) row.hidden = false
    this.tell()
  }

  #showAndGo = () => {
    this.#show()
    window.scrollTo({ top: 0 }) // smooth or not: CSS decides, with the reader's preference
    this.#list.firstElementChild.focus({ preventScroll: true })
  }
}
