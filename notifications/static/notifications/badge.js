/** Where is the number of unread notices shown? On the badge, in the tab's title, and by a button to read them all. */

import { phraseFor } from "./phrases.js"

export class Badge {
  #element
  #readAll
  #title // the tab's title without a number

  constructor(element, readAll) {
    this.#element = element
    this.#readAll = readAll
    this.#title = element.dataset.title
  }

  /** Of `count`, or of as many and perhaps more: "999+". */
  show(count, isMore) {
    const shown = isMore ? `${count - 1}+` : `${count}`
    this.#element.dataset.count = count
    this.#element.textContent = phraseFor("unread", count, shown)
    this.#element.hidden = this.#readAll.hidden = count === 0
    document.title = count > 0 ? `(${shown}) ${this.#title}` : this.#title
  }
}
