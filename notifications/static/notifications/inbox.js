/** How does the list of notices stand on the page? DOM only: what arrives here came through main.js. */

import { Pace } from "./newcomers.js"
import {
  expiresOf, fill, idOf, isArchived, isRead, isSeen, linkify, mark, positionOf, publishedOf, rowFor, rowOf, tellDay, tellExactTime,
} from "./notice_row.js"

const MOST_ROWS = 100 // at the top; a page that is left open for weeks must not grow for ever
const LONGEST_TIMER_MS = 3_600_000 // browsers overflow beyond 24.8 days, and fire at once

/**
 * Events, from a person: `deed` {verb, ids, leaving}, `readall`, `why` {id, href}; from what happens: `stale` (only the
 * server knows what belongs here now), `uncounted` (only the server knows how many there are now).
 */
export class Inbox extends EventTarget {
  #list
  #counts
  #newcomers
  #empty = document.getElementById("inbox-empty")
  #older = document.getElementById("older")
  #tab
  #isFiltered
  #through // what was published up to here and is not shown is not new: it had left, or is somewhere else
  #takesNew // an older page stays as it is; only what was done with its notices follows
  #unbuilt = new Map() // newcomers by id, for which there is no row yet
  // The newest first: what is on the screen stands after the first slice, and the rest comes below.
  #pace = new Pace((id) => this.#build(id), () => this.#built())
  #expiryTimer = 0
  #nextExpiry = Infinity
  #numbering = false

  /** `through`: the position that the page was made at. */
  constructor({ list, counts, newcomers, through }) {
    super()
    this.#list = list
    this.#counts = counts
    this.#newcomers = newcomers
    this.#through = through
    this.#tab = list.dataset.tab
    this.#isFiltered = list.dataset.filtered === "true"
    this.#takesNew = list.dataset.newest === "true" && this.#tab !== "archived"
    list.addEventListener("click", this.#clicked)
    list.addEventListener("auxclick", this.#clicked)
    for (const attention of ["pointerover", "focusin"]) list.addEventListener(attention, this.#attended)
    document.getElementById("read-all-form").addEventListener("submit", this.#readAllPressed)
    newcomers.addEventListener("release", ({ detail }) => this.#release(detail))
    this.tellDays()
    this.#expire()
  }

  /** The row of a notice, built now if it is still to be. */
  #rowOf(id) {
    if (this.#unbuilt.has(id)) this.#build(id)
    return rowOf(id)
  }

  get rows() {
    return [...this.#list.children]
  }

  get isFiltered() {
    return this.#isFiltered
  }

  // What happens

  /** Show what a `notice` frame says. Returns whether this page hears of the notice for the first time. */
  show(frame) {
    const { position, notice } = frame
    const row = this.#rowOf(notice.id)
    const waiting = this.#newcomers.get(notice.id)
    const known = row ? positionOf(row) : (waiting?.position ?? 0)
    if (position <= known) return false
    const over = notice.recalled || Date.parse(notice.expires_at) <= Date.now()
    if (over) this.#end(frame, row)
    else if (row) this.#change(row, frame)
    else if (waiting) this.#newcomers.hold(newcomerOf(frame))
    else this.#arrive(frame)
    this.#settle()
    return !row && !waiting && !over
  }

  #arrive(frame) {
    const { position, notice } = frame
    this.#counts.arrived(notice.published)
    if (!this.#takesNew) return
    // What changed after it was published may have left this inbox meanwhile, or match the filter now.
    if (this.#isFiltered || position !== notice.published) this.#say("stale")
    else if (this.#belongsToNextPage(notice.published)) return
    else {
      this.#through = Math.max(this.#through, notice.published)
      if (this.#newcomers.mustWait) this.#hold(newcomerOf(frame))
      else this.#buildSoon({ ...newcomerOf(frame), isFresh: true })
    }
  }

  #change(row, frame) {
    fill(row, frame)
    this.#mind(row)
    if (this.#isFiltered) this.#say("stale")
  }

  #end({ position, notice }, row) {
    if (row) {
      this.#left(row, position)
      this.#take(row)
    } else {
      this.#newcomers.drop(notice.id)
      // Whether an older one was unread, only the server knows.
      if (!this.#counts.withdrawn(notice.published)) this.#say("uncounted")
    }
  }

  /** Somebody did something here or in another tab: take over the `inbox` frame. */
  update(frame) {
    const { read, marked_unread: unread, archived, unarchived, seen, read_through: through, seen_through: sight } = frame
    if (sight != null) this.markSeenThrough(sight)
    for (const [verb, ids] of Object.entries({ seen, read, unread, archive: archived, unarchive: unarchived })) {
      if (ids?.length) this.apply(verb, ids)
    }
    if (through != null) this.markReadThrough(through)
    const isHere = (id) => this.#rowOf(id) || this.#newcomers.get(id)
    const appears = { all: unarchived, unread: [...(unread ?? []), ...(unarchived ?? [])], archived }[this.#tab] ?? []
    if (this.#list.dataset.newest === "true" && appears.some((id) => !isHere(id))) this.#say("stale")
    if (archived?.length || unarchived?.length) this.#say("uncounted")
  }

  /** Do `verb` to those of the notices that are here. Returns what takes it back, which returns the first row. */
  apply(verb, ids) {
    const before = []
    for (const id of ids) {
      const row = this.#rowOf(id)
      if (row) before.push({ row, read: isRead(row), archived: isArchived(row) })
      else if (verb === "archive" && this.#newcomers.get(id)) this.#dropWaiting(id)
      if (row) this.#do(verb, row)
    }
    this.#settle()
    return () => this.#takeBack(before)
  }

  #dropWaiting(id) {
    this.#counts.left(this.#newcomers.get(id).published, { unread: true, unseen: true })
    this.#newcomers.drop(id)
  }

  #do(verb, row) {
    switch (verb) {
      case "seen":
        this.#setSeen(row)
        break
      case "read":
        this.#setRead(row)
        break
      case "unread": // what is archived comes back with it
        if (isArchived(row)) this.#do("unarchive", row)
        this.#setUnread(row)
        break
      case "archive":
        this.#setRead(row)
        if (!isArchived(row)) this.#counts.archived(1)
        mark(row, "archived", true)
        if (this.#tab !== "archived") this.#take(row)
        break
      case "unarchive":
        if (isArchived(row)) this.#counts.archived(-1)
        mark(row, "archived", false)
        if (this.#tab === "archived") this.#take(row)
        break
      default:
        throw new Error(`unknown deed: ${verb}`)
    }
  }

  #takeBack(before) {
    for (const { row, read, archived } of before) {
      if (rowOf(idOf(row)) && !row.isConnected) continue // a fresh page has brought it back already
      if (isArchived(row) !== archived) this.#counts.archived(archived ? 1 : -1)
      mark(row, "archived", archived)
      if (!row.isConnected) this.#insert(row)
      if (read) this.#setRead(row)
      else this.#setUnread(row)
    }
    this.#settle()
    return before[0]?.row
  }

  markReadThrough(through) {
    for (const row of this.rows) {
      if (publishedOf(row) > through) continue
      mark(row, "read", true)
      mark(row, "seen", true)
    }
    this.#counts.readThrough(through)
  }

  markSeenThrough(through) {
    for (const row of this.rows) if (publishedOf(row) <= through) this.#setSeen(row)
    if (!this.#counts.seenThrough(through)) this.#say("uncounted")
  }

  /** The same as `markReadThrough` for a page that is filtered: what it does not show, only the server knows. */
  markShownRead(through) {
    return this.apply("read", this.rows.filter((row) => publishedOf(row) <= through).map(idOf))
  }

  /** Up to where "mark all read" may go: `position`, but nothing that waits to be shown. */
  shownThrough(position) {
    this.#pace.finish()
    const newest = this.#list.firstElementChild
    const through = Math.max(position, newest ? publishedOf(newest) : 0)
    return Math.min(through, this.#newcomers.oldestWaiting - 1)
  }

  /**
   * Take over the same page, fetched afresh, which holds everything up to `position`. `asked`: what is new need not wait.
   * Returns the levels of the notices that are new and unread here.
   */
  replace(page, position, asked = false) {
    this.#pace.finish()
    const mustWait = !asked && this.#newcomers.mustWait && this.rows.length > 0
    const waited = this.#newcomers.dropAll()
    const known = new Set(waited.map(({ id }) => id))
    const fresh = [...page.getElementById("inbox").children]
    const ids = new Set(fresh.map((row) => row.id))
    const levels = []
    for (const row of this.rows) if (!ids.has(row.id) && positionOf(row) <= position) this.#take(row)
    let below = this.#list.firstElementChild
    for (const row of fresh) {
      const old = document.getElementById(row.id)
      const isWaiting = known.has(idOf(row))
      const isNew = !old && (isWaiting || publishedOf(row) > this.#through)
      if (isNew && !isWaiting && !isRead(row)) levels.push(row.dataset.level)
      if (old) below = this.#renew(old, row).nextElementSibling
      else if (isNew && mustWait) this.#hold(newcomerFrom(document.adoptNode(row)))
      else this.#insert(document.adoptNode(row), false, below)
    }
    for (const newcomer of waited) if (newcomer.position > position) this.#hold(newcomer)
    this.#through = Math.max(this.#through, position)
    this.setOlder(page)
    this.tellDays()
    this.#settle()
    return levels
  }

  /** The row itself stays: somebody may have its focus. */
  #renew(row, fresh) {
    for (const name of ["read", "seen", "archived"]) mark(row, name, fresh.dataset[name] === "true")
    if (positionOf(row) >= positionOf(fresh)) return row
    const hadFocus = row.contains(document.activeElement)
    row.replaceWith(document.adoptNode(fresh))
    if (hadFocus) fresh.focus({ preventScroll: true })
    return fresh
  }

  /** The rows of the next older page go below. */
  append(page) {
    const rows = [...page.getElementById("inbox").children].filter((row) => !document.getElementById(row.id))
    this.#list.append(...rows.map((row) => document.adoptNode(row)))
    this.setOlder(page)
    rows.forEach((row) => this.#mind(row))
    this.#number()
  }

  setOlder(page) {
    this.#older.href = page.getElementById("older").getAttribute("href")
    this.#older.hidden = page.getElementById("older").hidden
  }

  tellDays() {
    const now = Date.now()
    for (const row of this.#list.children) tellDay(row, now)
  }

  focusFirst() {
    window.scrollTo({ top: 0 }) // smooth or not: CSS decides, with the reader's preference
    this.#list.firstElementChild?.focus({ preventScroll: true })
  }

  // Rows

  #hold(newcomer) {
    this.#newcomers.hold(newcomer)
    this.#expectEnd(newcomer.expires)
  }

  #release({ newcomers, asked }) {
    for (const newcomer of newcomers.reverse()) this.#buildSoon(newcomer)
    if (asked && newcomers.length > 0) {
      this.#rowOf(newcomers.at(-1).id)
      this.focusFirst()
    }
    this.#settle()
  }

  #buildSoon(newcomer) {
    this.#unbuilt.set(newcomer.id, newcomer)
    this.#pace.add(newcomer.id)
    // Of a hidden page, the count is what is seen; and it makes no frames in which rows could come.
    if (this.#pace.isBusy && document.visibilityState === "visible") this.#counts.wait()
  }

  #built() {
    this.#counts.goOn()
    this.#numberSoon()
  }

  #build(id) {
    const newcomer = this.#unbuilt.get(id)
    if (!newcomer) return // it was needed sooner
    this.#unbuilt.delete(id)
    const last = this.#list.lastElementChild
    if (this.#list.childElementCount >= MOST_ROWS && newcomer.published < publishedOf(last)) this.#endWith(last)
    else this.#insert(newcomer.row ?? rowFor(newcomer.frame), newcomer.isFresh && !this.#pace.isBusy)
  }

  /** Older than all we show, and there is more behind them. */
  #belongsToNextPage(published) {
    const last = this.#list.lastElementChild
    return last && !this.#older.hidden && published < publishedOf(last)
  }

  /** `isFresh`: it may catch the eye; a hundred at once must not. */
  #insert(row, isFresh = false, from = this.#list.firstElementChild) {
    if (document.getElementById(row.id)) return
    if (isFresh) row.dataset.fresh = ""
    let next = from
    while (next && publishedOf(next) >= publishedOf(row)) next = next.nextElementSibling
    this.#list.insertBefore(row, next)
    tellDay(row)
    tellDay(row.nextElementSibling)
    this.#mind(row)
    this.#trim()
  }

  #mind(row) {
    linkify(row.querySelector(".notice-body"))
    this.#expectEnd(expiresOf(row))
  }

  #take(row) {
    // Whoever is in the row with the keyboard goes on with the next one.
    const next = row.nextElementSibling
    if (row.contains(document.activeElement)) (next ?? row.previousElementSibling)?.focus()
    row.remove()
    if (next) tellDay(next)
    this.#numberSoon()
  }

  /** Old rows leave at the end, but never while somebody may be reading them. */
  #trim() {
    if (this.#newcomers.mustWait) return
    if (this.#list.childElementCount <= MOST_ROWS) return
    while (this.#list.childElementCount > MOST_ROWS) this.#list.lastElementChild.remove()
    this.#endWith(this.#list.lastElementChild)
  }

  /** What is older than `last` is behind the link. */
  #endWith(last) {
    const query = new URLSearchParams(this.#list.dataset.query)
    query.set("before", publishedOf(last))
    this.#older.href = `?${query}`
    this.#older.hidden = false
  }

  #settle() {
    const isEmpty = !this.#list.firstElementChild
    if (this.#empty.hidden === isEmpty) {
      this.#empty.hidden = !isEmpty
      this.#list.hidden = isEmpty
      document.querySelector(".select-all").hidden = isEmpty
    }
    if (!isEmpty && this.#empty.dataset.case === "never") this.#empty.dataset.case = "done"
    this.#numberSoon()
  }

  /** Each place in the list, for those who hear it: too dear for each arrival. */
  #numberSoon() {
    if (this.#numbering) return
    this.#numbering = true
    this.#list.setAttribute("aria-busy", "true")
    requestAnimationFrame(() => {
      this.#numbering = false
      this.#number()
    })
  }

  #number() {
    if (this.#pace.isBusy) return // it is called again when that is done
    const size = this.#older.hidden ? this.#list.childElementCount : -1
    let place = 0
    for (const row of this.#list.children) {
      place += 1
      if (row.getAttribute("aria-posinset") !== `${place}`) row.setAttribute("aria-posinset", place)
      if (row.getAttribute("aria-setsize") !== `${size}`) row.setAttribute("aria-setsize", size)
    }
    this.#list.setAttribute("aria-busy", "false")
  }

  #setSeen(row) {
    if (isSeen(row)) return
    mark(row, "seen", true)
    this.#counts.left(publishedOf(row), { unseen: true })
  }

  #setRead(row) {
    this.#setSeen(row)
    if (isRead(row)) return
    mark(row, "read", true)
    this.#counts.left(publishedOf(row), { unread: true })
  }

  #setUnread(row) {
    if (!isRead(row)) return
    mark(row, "read", false)
    this.#counts.returned(publishedOf(row))
  }

  #left(row, position) {
    this.#counts.left(publishedOf(row), { unread: !isRead(row), unseen: !isSeen(row), all: !isArchived(row) }, position)
  }

  /** Take away what has expired, and look again when the next one does. */
  #expire = () => {
    clearTimeout(this.#expiryTimer)
    this.#nextExpiry = Infinity
    const now = Date.now()
    for (const { id, published } of this.#newcomers.expired(now)) {
      this.#counts.withdrawn(published)
      this.#newcomers.drop(id)
    }
    for (const row of this.rows) {
      if (expiresOf(row) > now) this.#expectEnd(expiresOf(row))
      else if (expiresOf(row) <= now) {
        this.#left(row)
        this.#take(row)
      }
    }
    this.#settle()
  }

  #expectEnd(moment) {
    if (!(moment < this.#nextExpiry)) return // also when it never ends: NaN
    clearTimeout(this.#expiryTimer)
    this.#nextExpiry = moment
    this.#expiryTimer = setTimeout(this.#expire, Math.min(Math.max(0, moment - Date.now()), LONGEST_TIMER_MS))
  }

  // What a person does

  #clicked = (event) => {
    const row = event.target.closest(".notice")
    const button = event.target.closest(".notice-mark, .notice-archive")
    if (button && event.type === "click") this.#say("deed", { verb: verbOf(button), ids: [idOf(row)] })
    if (!row || event.target.closest("button, label, input")) return
    const link = event.target.closest("a[href]")
    if (event.type === "auxclick" && !(link && event.button === 1)) return
    if (link?.matches(".notice-why")) {
      if (isPlain(event)) this.#say("why", { id: idOf(row), href: link.href, event })
      return
    }
    if (!link && !getSelection().isCollapsed) return // selecting words is not opening
    if (!isRead(row)) this.#say("deed", { verb: "read", ids: [idOf(row)], leaving: Boolean(link) })
  }

  #readAllPressed = (event) => {
    event.preventDefault()
    this.#say("readall")
  }

  #attended = ({ target }) => {
    const row = target.closest?.(".notice")
    if (row) tellExactTime(row)
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/** What the button of a row does, as the row stands. */
function verbOf(button) {
  const row = button.closest(".notice")
  if (button.matches(".notice-mark")) return isRead(row) ? "unread" : "read"
  return isArchived(row) ? "unarchive" : "archive"
}

function isPlain({ button, ctrlKey, metaKey, shiftKey, altKey }) {
  return button === 0 && !ctrlKey && !metaKey && !shiftKey && !altKey
}

function newcomerOf(frame) {
  const { id, published, expires_at: expires } = frame.notice
  return { id, published, position: frame.position, expires: Date.parse(expires), frame }
}

function newcomerFrom(row) {
  return { id: idOf(row), published: publishedOf(row), position: positionOf(row), expires: expiresOf(row), row }
}
