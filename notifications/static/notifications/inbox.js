/** How does the list of notices stand on the page? DOM only: what arrives here came through main.js. */

import { expiresOf, fill, idOf, isRead, positionOf, publishedOf, setRead } from "./notice_row.js"
import { tellTimes } from "./words.js"

const MOST_ROWS = 500 // a page that is left open for weeks must not grow for ever
const LONGEST_TIMER_MS = 3_600_000 // browsers overflow beyond 24.8 days, and fire at once

/** Events, each from a person: `read` {id, leaving} and `readall`. */
export class Inbox extends EventTarget {
  #list
  #unread
  #newcomers
  #template = document.getElementById("notice-template")
  #empty = document.getElementById("inbox-empty")
  #older = document.getElementById("older")
  #takesNew // an older page stays as it is; only its read state follows
  #expiryTimer = 0

  constructor({ list, unread, newcomers }) {
    super()
    this.#list = list
    this.#unread = unread
    this.#newcomers = newcomers
    this.#takesNew = list.dataset.newest === "true"
    list.addEventListener("click", this.#clicked)
    list.addEventListener("auxclick", this.#clicked)
    document.getElementById("read-form").addEventListener("submit", this.#markPressed)
    document.getElementById("read-all-form").addEventListener("submit", this.#readAllPressed)
    this.#expire()
  }

  /** Show what a `notice` frame says. Returns whether this page hears of the notice for the first time. */
  show(frame) {
    const { position, notice } = frame
    const row = document.getElementById(`notice-${notice.id}`)
    if (row && position <= positionOf(row)) return false
    const over = notice.recalled || Date.parse(notice.expires_at) <= Date.now()
    if (over) {
      if (row) this.#remove(row, position)
      else this.#unread.withdrawn(notice.published)
    } else if (row) {
      fill(row, frame)
    } else {
      this.#unread.arrived(notice.published)
      if (this.#takesNew) this.#add(frame)
    }
    this.#settle()
    return !row && !over
  }

  /** Someone read here or in another tab: take over the `inbox` frame. */
  update({ read, read_through: through }) {
    this.markRead(read ?? [])
    if (through != null) this.markReadThrough(through)
  }

  markRead(ids) {
    for (const id of ids) {
      const row = document.getElementById(`notice-${id}`)
      if (row) this.#setRead(row)
    }
  }

  markReadThrough(through) {
    for (const row of this.#list.children) if (publishedOf(row) <= through) this.#setRead(row)
    this.#unread.readThrough(through)
  }

  /** Up to where "mark all read" may go: `position`, but nothing that waits to be shown. */
  shownThrough(position) {
    const newest = this.#list.firstElementChild
    const through = Math.max(position, newest ? publishedOf(newest) : 0)
    return Math.min(through, this.#newcomers.oldestWaiting - 1)
  }

  /** Take over the same page, fetched afresh. Returns the levels of the notices that are new and unread here. */
  replace(page) {
    const newest = Math.max(0, ...[...this.#list.children].map(publishedOf))
    const fresh = [...page.getElementById("inbox").children]
    const ids = new Set(fresh.map((row) => row.id))
    const levels = []
    for (const row of [...this.#list.children]) if (!ids.has(row.id)) row.remove()
    for (const row of fresh) {
      const old = document.getElementById(row.id)
      if (!old) {
        this.#place(document.adoptNode(row))
        if (publishedOf(row) > newest && !isRead(row)) levels.push(row.dataset.level)
      } else if (positionOf(old) !== positionOf(row)) old.replaceWith(document.adoptNode(row))
      else old.dataset.read = row.dataset.read // the row itself stays: somebody may have its focus
    }
    tellTimes(this.#list)
    this.#unread.takeOver(page)
    this.#older.href = page.getElementById("older").getAttribute("href")
    this.#older.hidden = page.getElementById("older").hidden
    this.#settle()
    return levels
  }

  // Rows

  #add(frame) {
    const row = this.#template.content.firstElementChild.cloneNode(true)
    fill(row, frame)
    // Older than all we show, and there is more behind them: it belongs to the next page.
    const last = this.#list.lastElementChild
    if (last && !this.#older.hidden && publishedOf(row) < publishedOf(last)) return
    row.dataset.fresh = ""
    this.#place(row)
    this.#trim()
  }

  #place(row) {
    const rows = [...this.#list.children]
    const next = rows.find((other) => publishedOf(other) < publishedOf(row))
    this.#list.insertBefore(row, next ?? null)
    this.#newcomers.receive(row)
  }

  #remove(row, position) {
    if (!isRead(row)) this.#unread.left(publishedOf(row), position)
    // Whoever is in the row with the keyboard goes on with the next one.
    if (row.contains(document.activeElement)) (row.nextElementSibling ?? row.previousElementSibling)?.focus()
    row.remove()
  }

  #trim() {
    while (this.#list.children.length > MOST_ROWS) {
      this.#list.lastElementChild.remove()
      this.#older.href = `?before=${publishedOf(this.#list.lastElementChild)}`
      this.#older.hidden = false
    }
  }

  #settle() {
    this.#empty.hidden = this.#list.children.length > 0
    this.#newcomers.tell()
    this.#expire()
  }

  #setRead(row) {
    if (isRead(row)) return
    setRead(row)
    this.#unread.left(publishedOf(row))
  }

  /** Take away what has expired, and look again when the next one does. */
  #expire = () => {
    clearTimeout(this.#expiryTimer)
    const now = Date.now()
    for (const row of [...this.#list.children]) if (expiresOf(row) <= now) this.#remove(row)
    const next = Math.min(...[...this.#list.children].map((row) => expiresOf(row) || Infinity))
    if (next < Infinity) {
      this.#expiryTimer = setTimeout(this.#expire, Math.min(next - now, LONGEST_TIMER_MS))
    }
  }

  // What a person does

  #clicked = (event) => {
    const row = event.target.closest(".notice")
    if (!row || event.target.closest("button")) return
    const link = event.target.closest("a[href]")
    if (event.type === "auxclick" && !(link && event.button === 1)) return
    if (!link && !getSelection().isCollapsed) return // selecting words is not opening
    this.#read(row, { leaving: Boolean(link) })
  }

  #markPressed = (event) => {
    event.preventDefault()
    const row = event.submitter.closest(".notice")
    // The button goes; the focus must not go with it.
    if (row.contains(document.activeElement)) row.focus()
    this.#read(row)
  }

  #readAllPressed = (event) => {
    event.preventDefault()
    this.dispatchEvent(new Event("readall"))
  }

  #read(row, { leaving = false } = {}) {
    if (isRead(row)) return
    this.markRead([idOf(row)])
    this.dispatchEvent(new CustomEvent("read", { detail: { id: idOf(row), leaving } }))
  }
}
