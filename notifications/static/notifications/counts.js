/** How many notices are there of each kind, and where is that shown? */

import { phraseFor } from "./words.js"

const MOST_COUNTED = 1000 // the server stops counting here: then it means as many, or more

/**
 * The server's count, true as of a position in the log, and what has happened since. A notice that arrives before
 * the count that leaves it out is still counted, and never twice: `published` tells on which side of it it lies.
 */
export class Tally {
  #counted
  #position // the server's count is true as of here
  #later = new Set() // `published` of the notices that came after it

  constructor(counted, position) {
    this.#counted = counted
    this.#position = position
  }

  get count() {
    return Math.min(this.#counted + this.#later.size, MOST_COUNTED)
  }

  /** Whether there may be more than `count`. */
  get isMore() {
    return this.count === MOST_COUNTED
  }

  /** The server has counted anew; not if it counted before it did the last time, and two answers have crossed. */
  rebase(counted, position) {
    if (position < this.#position) return
    this.#counted = counted
    this.#position = position
    for (const published of this.#later) if (published <= position) this.#later.delete(published)
  }

  arrived(published) {
    if (published > this.#position) this.#later.add(published)
  }

  /** One was read, archived or seen, or has ended. What ended at a position up to the count is out of it already. */
  left(published, position = Infinity) {
    const counted = !this.#later.delete(published) && published <= this.#position && position > this.#position
    // One less than "as many, or more" may be as many still: only the server can tell.
    if (counted && this.#counted < MOST_COUNTED) this.#counted = Math.max(0, this.#counted - 1)
  }

  /** One that had left is there again. */
  returned(published) {
    if (published > this.#position) this.#later.add(published)
    else if (this.#counted < MOST_COUNTED) this.#counted += 1
  }

  /** A notice that the page does not show has ended. Returns whether it was counted here; an older one perhaps there. */
  withdrawn(published) {
    return this.#later.delete(published)
  }

  /** Everything up to there has left. Returns whether what is counted now is exact. */
  readThrough(through) {
    if (through >= this.#position) this.#counted = 0
    for (const published of this.#later) if (published <= through) this.#later.delete(published)
    return this.#counted === 0
  }

  add(number) {
    if (this.#counted < MOST_COUNTED) this.#counted = Math.max(0, this.#counted + number)
  }
}

const ASK_AFTER_MS = [1_000, 3_000] // at random between: a notice for everyone that is recalled makes all pages ask

/** What the page tells: unread, unseen, all and archived. */
export class Counts {
  #places
  #title
  #tallies
  #shown = {}
  #isTelling = false
  #isWaiting = false
  #soon = new MessageChannel()
  #isArchive = document.getElementById("inbox").dataset.tab === "archived"
  #timer = 0

  /** `places`: the elements by name; each carries what the server counted. */
  constructor(places) {
    this.#places = places
    this.#title = places.unseen.dataset.title
    this.#soon.port1.onmessage = this.#show
    this.takeOver(document)
  }

  arrived(published) {
    const { unread, unseen, all } = this.#tallies
    for (const tally of [unread, unseen, all]) tally.arrived(published)
    this.#tell()
  }

  /** It is not unread, unseen or there any more, whichever is true. */
  left(published, kinds, position) {
    for (const [name, has] of Object.entries(kinds)) if (has) this.#tallies[name].left(published, position)
    this.#tell()
  }

  returned(published) {
    this.#tallies.unread.returned(published)
    this.#tell()
  }

  /** Returns whether it was counted here; if not, only the server knows. */
  withdrawn(published) {
    const { unread, unseen, all } = this.#tallies
    const known = [unread, unseen, all].map((tally) => tally.withdrawn(published)).some(Boolean)
    this.#tell()
    return known
  }

  get isAllSeen() {
    return this.#tallies.unseen.count === 0
  }

  /** Returns whether that is exact: if not, only the server knows. */
  seenThrough(through) {
    const isExact = this.#tallies.unseen.readThrough(through)
    this.#tell()
    return isExact
  }

  archived(number) {
    this.#tallies.all.add(-number)
    this.#tallies.archived.add(number)
    this.#tell()
  }

  readThrough(through) {
    this.#tallies.unread.readThrough(through)
    this.#tallies.unseen.readThrough(through)
    this.#tell()
  }

  /** The server has counted anew; frames tell of some, `GET /counts/` of all. */
  rebase({ position, ...counted }) {
    for (const [name, tally] of Object.entries(this.#tallies)) {
      if (counted[name] !== undefined) tally.rebase(counted[name], position)
    }
    this.#tell()
  }

  /** Ask the server soon, once for all that makes it necessary until then. */
  askSoon() {
    const [shortest, longest] = ASK_AFTER_MS
    this.#timer ||= setTimeout(this.#ask, shortest + Math.random() * (longest - shortest))
  }

  #ask = async () => {
    this.#timer = 0
    try {
      const response = await fetch("/counts/", { headers: { Accept: "application/json" }, cache: "no-store" })
      if (response.ok && !response.redirected) this.rebase(await response.json())
    } catch {
      // Offline: whoever comes back is told how many there are.
    }
  }

  /** Begin again from what the server has written into `page`. */
  takeOver(page) {
    const tallyOf = ({ id }) => new Tally(Number(page.getElementById(id).dataset.count), positionOf(page))
    this.#tallies = Object.fromEntries(Object.entries(this.#places).map(([name, place]) => [name, tallyOf(place)]))
    this.#tell()
  }

  /** The same when frames have gone on meanwhile: what came after `page` is not in its counts. */
  rebaseOn(page) {
    const counted = Object.entries(this.#places).map(([name, { id }]) => [name, Number(page.getElementById(id).dataset.count)])
    this.rebase({ position: positionOf(page), ...Object.fromEntries(counted) })
  }

  /** Many rows are about to be shown: what they change in the heading would make their first frame half as long again. */
  wait() {
    this.#isWaiting = true
  }

  goOn() {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    this.#tell()
  }

  /** Once for all that happens until the browser has a moment: to change the title two hundred times is not free. */
  #tell() {
    if (this.#isTelling) return
    this.#isTelling = true
    this.#soon.port2.postMessage("")
  }

  #show = () => {
    this.#isTelling = false
    if (this.#isWaiting) return
    for (const [name, tally] of Object.entries(this.#tallies)) {
      const { count, isMore } = tally
      if (this.#shown[name] === count) continue
      this.#shown[name] = count
      this.#places[name].dataset.count = count
      this.#places[name].hidden = count === 0
      const shown = isMore ? `${count - 1}+` : count.toLocaleString(document.documentElement.lang || "en")
      this.#places[name].textContent = name === "unseen" ? phraseFor("unseen", count, shown) : shown
      if (name === "unread") document.getElementById("read-all-form").hidden = count === 0 || this.#isArchive
      if (name === "unseen") this.#showUnseen(count, shown)
    }
  }

  #showUnseen(count, shown) {
    document.title = count > 0 ? `(${shown}) ${this.#title}` : this.#title
    showEverywhere(count)
  }
}

/** The position that everything on `page` is true as of. */
export function positionOf(page) {
  const { cursor } = page.getElementById("inbox").dataset
  return Number(cursor.slice(cursor.lastIndexOf(":") + 1))
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
