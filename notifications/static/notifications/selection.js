/** Which notices are selected, and what may be done with all of them? */

import { idOf } from "./notice_row.js"
import { phrase, phraseFor } from "./words.js"

/** Events: `deed` {verb, ids} or {verb, matching: true}. */
export class Selection extends EventTarget {
  #list
  #bar
  #all
  #words
  #matching
  #last = null // the row from which Shift selects a range
  #isEverything = false // also what is not on the page

  constructor({ list, bar, all }) {
    super()
    this.#list = list
    this.#bar = bar
    this.#all = all
    this.#words = bar.querySelector(".bulk-words")
    this.#matching = bar.querySelector(".bulk-matching")
    bar.addEventListener("submit", this.#submitted)
    bar.querySelector(".bulk-clear").addEventListener("click", () => this.clear())
    this.#matching.addEventListener("click", () => {
      this.#isEverything = true
      this.tell()
    })
    new MutationObserver(() => this.tell()).observe(list, { childList: true })
  }

  get #rows() {
    return [...this.#list.children]
  }

  get rows() {
    return this.#rows.filter((row) => boxOf(row).checked)
  }

  /** A checkbox was clicked; with Shift, everything from the last one follows it. */
  clicked(box, { range }) {
    const row = box.closest(".notice")
    this.#isEverything = false
    if (range && this.#last?.isConnected) this.#setRange(this.#last, row, box.checked)
    this.#last = row
    this.tell()
  }

  toggle(row, { range }) {
    const box = boxOf(row)
    box.checked = range ? true : !box.checked
    this.clicked(box, { range })
  }

  clear() {
    this.setAll(false)
    this.#last = null
  }

  tell() {
    for (const row of this.#rows) row.toggleAttribute("data-selected", boxOf(row).checked)
    const { length } = this.rows
    if (length === 0) this.#isEverything = false
    if (length > 0) this.#bar.dataset.on = ""
    else delete this.#bar.dataset.on
    this.#words.textContent = this.#isEverything ? phrase("everythingSelected") : phraseFor("selected", length)
    this.#all.checked = length > 0 && length === this.#rows.length
    this.#all.indeterminate = length > 0 && !this.#all.checked
    const hasMore = !document.getElementById("older").hidden
    this.#matching.hidden = this.#isEverything || !this.#all.checked || !hasMore
  }

  setAll(checked) {
    for (const row of this.#rows) boxOf(row).checked = checked
    this.#isEverything = false
    this.tell()
  }

  #setRange(one, other, checked) {
    const rows = this.#rows
    const [from, to] = [rows.indexOf(one), rows.indexOf(other)].sort((a, b) => a - b)
    for (const row of rows.slice(from, to + 1)) boxOf(row).checked = checked
  }

  #submitted = (event) => {
    event.preventDefault()
    const { verb } = event.submitter.dataset
    const detail = this.#isEverything ? { verb, matching: true } : { verb, ids: this.rows.map(idOf) }
    this.clear()
    this.dispatchEvent(new CustomEvent("deed", { detail }))
  }
}

function boxOf(row) {
  return row.querySelector("input")
}
