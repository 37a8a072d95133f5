/** How many notices are unread, and where is that shown? */

import { phraseFor } from "./words.js"

const MOST_UNREAD = 1000 // the server stops counting here: then it means as many, or more

/**
 * The server's count, true as of a position in the log, and what has happened since. A notice that arrives before
 * the count that leaves it out is still counted, and never twice: `published` tells on which side of it it lies.
 */
export class Tally {
  #unread
  #position // the server's count is true as of here
  #later = new Set() // `published` of the unread notices that came after it

  constructor(unread, position) {
    this.#unread = unread
    this.#position = position
  }

  get count() {
    return Math.min(this.#unread + this.#later.size, MOST_UNREAD)
  }

  /** Whether there may be more than `count`. */
  get isMore() {
    return this.count === MOST_UNREAD
  }

  /** The server has counted anew; not if it counted before it did the last time, and two answers have crossed. */
  rebase(unread, position) {
    if (position < this.#position) return
    this.#unread = unread
    this.#position = position
    for (const published of this.#later) if (published <= position) this.#later.delete(published)
  }

  arrived(published) {
    if (published > this.#position) this.#later.add(published)
  }

  /** An unread notice was read, or has ended. What ended at a position up to the count is out of it already. */
  left(published, position = Infinity) {
    const counted = !this.#later.delete(published) && published <= this.#position && position > this.#position
    // One less than "as many, or more" may be as many still: only the server can tell.
    if (counted && this.#unread < MOST_UNREAD) this.#unread = Math.max(0, this.#unread - 1)
  }

  /** A notice that the page does not show has ended. Whether an older one was unread, only the server knows. */
  withdrawn(published) {
    this.#later.delete(published)
  }

  readThrough(through) {
    if (through >= this.#position) this.#unread = 0
    for (const published of this.#later) if (published <= through) this.#later.delete(published)
  }
}

export class Unread {
  #badge
  #tally = tallyOf(document)

  constructor(badge) {
    this.#badge = badge
    this.#tell()
  }

  arrived(published) {
    this.#change((tally) => tally.arrived(published))
  }

  left(published, position) {
    this.#change((tally) => tally.left(published, position))
  }

  withdrawn(published) {
    this.#change((tally) => tally.withdrawn(published))
  }

  readThrough(through) {
    this.#change((tally) => tally.readThrough(through))
  }

  /** The server has counted anew. */
  rebase({ unread, position }) {
    this.#tally.rebase(unread, position)
    this.#tell()
  }

  /** Begin again from what the server has written into `page`. */
  takeOver(page) {
    this.#tally = tallyOf(page)
    this.#tell()
  }

  #change(change) {
    change(this.#tally)
    this.#tell()
  }

  #tell() {
    this.#badge.show(this.#tally.count, this.#tally.isMore)
  }
}

function tallyOf(page) {
  const { cursor } = page.getElementById("inbox").dataset
  const position = Number(cursor.slice(cursor.lastIndexOf(":") + 1))
  return new Tally(Number(page.getElementById("unread").dataset.count), position)
}

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

// Everywhere else: the tab's icon, and the icon of the installed app

// Drawn with its own ground and ring, so that the dot is seen on a light and on a dark row of tabs.
const ICON_WITH_DOT = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="8" fill="#3b4fd8"/>
<path d="M16 6a6 6 0 0 0-6 6v3.9l-1.7 3.3c-.4.8.2 1.8 1.1 1.8h13.2c.9 0 1.5-1 1.1-1.8L22 15.9V12a6 6 0 0 0-6-6Zm-2.6 16.5a2.7 2.7 0 0 0 5.2 0Z" fill="#fff"/>
<circle cx="24.5" cy="7.5" r="6.5" fill="#e5243b" stroke="#fff" stroke-width="2"/></svg>`
const TELL_SYSTEM_AFTER_MS = 200 // a burst is one number

let plainIcon = ""
let systemTimer = 0

/** Show on the tab's icon that something is unseen, and on the app's icon how much. */
export function showEverywhere(unseen) {
  const icon = document.querySelector('link[rel="icon"]')
  if (icon) {
    plainIcon ||= icon.getAttribute("href")
    const href = unseen > 0 ? `data:image/svg+xml,${encodeURIComponent(ICON_WITH_DOT)}` : plainIcon
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href)
  }
  if (!navigator.setAppBadge) return
  clearTimeout(systemTimer)
  systemTimer = setTimeout(() => {
    const told = unseen > 0 ? navigator.setAppBadge(unseen) : navigator.clearAppBadge()
    told.catch(() => {}) // a system without badges, or an app that is not installed
  }, TELL_SYSTEM_AFTER_MS)
}
