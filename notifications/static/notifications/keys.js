/** Which keys do something? `?` lists them; a person may switch those with letters off (WCAG 2.1.4). */

import { idOf, isArchived, isRead } from "./notice_row.js"

export class Keys {
  #list
  #inbox
  #others

  /** `others`: `select(row, {range})`, `clear()`, `undo()`, `help()`. */
  constructor({ list, inbox, others }) {
    this.#list = list
    this.#inbox = inbox
    this.#others = others
  }

  /** Returns whether `event` means something here. */
  press(event, hasLetters) {
    const row = document.activeElement?.closest(".notice")
    const act = this.#actFor(event, row, hasLetters)
    if (!act) return false
    act()
    return true
  }

  #actFor(event, row, hasLetters) {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event
    if (ctrlKey && !metaKey && !altKey && row) {
      if (key === "Home") return () => focusOutside(this.#list, -1)
      if (key === "End") return () => focusOutside(this.#list, 1)
    }
    if (ctrlKey || metaKey || altKey) return null
    if (key === "Escape") return () => this.#others.clear()
    if (row && key === "PageDown") return () => next(row, 1)?.focus()
    if (row && key === "PageUp") return () => next(row, -1)?.focus()
    // Inside the row, Enter belongs to its links and buttons.
    if (key === "Enter") return row && document.activeElement === row ? () => this.#open(row) : null
    if (!hasLetters) return null
    switch (key) {
      case "j":
        return () => (row ? next(row, 1) : this.#list.firstElementChild)?.focus()
      case "k":
        return () => (row ? next(row, -1) : this.#list.firstElementChild)?.focus()
      case "/":
        return () => document.getElementById("search").focus()
      case "?":
        return () => this.#others.help()
      case "z":
        return () => this.#others.undo()
    }
    return row && this.#actOn(row, key, shiftKey)
  }

  #actOn(row, key, shiftKey) {
    switch (key) {
      case "o":
        return () => this.#open(row)
      case "e":
        return () => this.#deed(row, isArchived(row) ? "unarchive" : "archive")
      case "u":
        return () => this.#deed(row, isRead(row) ? "unread" : "read")
      case "r":
        return () => isRead(row) || this.#deed(row, "read")
      case "m":
        return () => row.querySelector(".notice-why").click()
      case "x":
      case "X":
        return () => this.#others.select(row, { range: shiftKey })
      default:
        return null
    }
  }

  #open(row) {
    const link = row.querySelector(".notice-link[href]") ?? row.querySelector(".notice-when")
    link.click()
  }

  #deed(row, verb) {
    this.#inbox.dispatchEvent(new CustomEvent("deed", { detail: { verb, ids: [idOf(row)] } }))
  }
}

function next(row, step) {
  return step > 0 ? row.nextElementSibling : row.previousElementSibling
}

const FOCUSABLE = "a[href], button:not([disabled]), input:not([type=hidden], [disabled]), select, textarea"

/** The nearest thing before (-1) or behind (1) the list that can have the focus. */
function focusOutside(list, side) {
  const all = [...document.querySelectorAll(FOCUSABLE)].filter((element) => element.checkVisibility())
  const isOnSide = (element) => list.compareDocumentPosition(element) === (side < 0 ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING)
  const candidates = all.filter(isOnSide)
  const goal = side < 0 ? candidates.at(-1) : (candidates[0] ?? null)
  if (goal) goal.focus()
  else list.lastElementChild?.focus()
}
