/** The bell: how many notices are unseen, and the newest ten, on any page of the site. The markup is templates/notifications/_bell.html. */

import { Tally } from "./counts.js"
import { Sightings } from "./deeds.js"
import { socketUrl } from "./lasting_socket.js"
import { NoticeSocket } from "./notice_socket.js"
import { phraseFor, tellTimes } from "./words.js"

const FETCH_WITHIN_MS = 10_000
const TOGETHER_MS = 300 // what changes within this is fetched together
const SPREAD_MS = 700 // and not by all open bells at the same moment
const SAY_AFTER_MS = 1_000
const LONGEST_TIMER_MS = 3_600_000 // browsers overflow beyond 24.8 days, and fire at once
const EDGE_PX = 8 // the panel stays so far from the window's edge
const LEAST_HEIGHT_PX = 240 // with less room than this below the bell, the page has to be scrolled instead

class NoticeBell extends HTMLElement {
  #socket
  #sightings
  #tally
  #epoch // of the log that the tally counts in
  #arrived = 0 // not yet said
  #stale = true // what the panel holds is not what the server would say now
  #fetching = null
  #refreshTimer = 0
  #expiryTimer = 0
  #sayTimer = 0

  connectedCallback() {
    if (this.shadowRoot) return
    this.attachShadow({ mode: "open" }).append(this.querySelector("template").content.cloneNode(true))
    this.#tally = new Tally(Number(this.dataset.unseen), positionIn(this.dataset.cursor))
    this.#epoch = epochIn(this.dataset.cursor)
    // Until its style is here the plain link stays; should it never come, for good.
    this.#part("link").addEventListener("load", this.#appear)
    this.#part(".bell-button").addEventListener("click", () => (this.isOpen ? this.close() : this.open()))
    this.#part(".again").addEventListener("click", this.#refresh)
    this.#part(".read-all").addEventListener("submit", this.#readAllPressed)
    this.#part(".panel").addEventListener("click", this.#noticePressed)
    this.#part(".panel").addEventListener("auxclick", this.#noticePressed)
    this.addEventListener("keydown", this.#keyPressed)
    this.addEventListener("focusout", this.#focusLeft)
    document.addEventListener("pointerdown", this.#pressedElsewhere)
    window.addEventListener("resize", this.#place)
    this.#listen()
  }

  get isOpen() {
    return !this.#part(".panel").hidden
  }

  open() {
    this.#setOpen(true)
    this.#place()
    tellTimes(this.shadowRoot)
    if (this.#stale) this.#refresh()
    else this.#markSeen()
  }

  close() {
    this.#setOpen(false)
  }

  #setOpen(open) {
    this.#part(".panel").hidden = !open
    this.#part(".bell-button").setAttribute("aria-expanded", open)
  }

  #appear = () => {
    this.#part("slot").hidden = true
    this.#part(".bell").hidden = false
    this.#tell()
  }

  // The socket

  #listen() {
    const { socket, cursor, stamp, reader, events } = this.dataset
    this.#socket = new NoticeSocket({ url: socketUrl(socket), cursor, stamp, reader, events })
    this.#sightings = new Sightings({ socket: this.#socket, post: (what) => this.#say(this.dataset.seen, fieldsOf(what)) })
    this.#socket.addEventListener("welcome", ({ detail }) => {
      this.#recount(detail)
      this.#sightings.sayAgain()
    })
    this.#socket.addEventListener("inbox", ({ detail }) => {
      this.#sightings.confirmed(detail)
      this.#recount(detail)
      this.#left([], detail.seen_through)
      this.#changed()
    })
    this.#socket.addEventListener("saw", ({ detail }) => {
      this.#left(detail.sights, detail.through)
      this.#changed()
    })
    this.#socket.addEventListener("notice", ({ detail }) => this.#heard(detail))
    this.#socket.addEventListener("reset", this.#reset)
    this.#socket.start()
  }

  #recount({ unseen, position }) {
    if (unseen === undefined) return
    this.#tally.rebase(unseen, position)
    this.#tell()
  }

  #heard({ position, replayed, notice }) {
    if (position === notice.published && !isOver(notice)) {
      this.#expireAt(Date.parse(notice.expires_at))
      this.#receive(notice, replayed)
    } else {
      // It was recalled. Whether it was counted, only the server knows.
      this.#tally.withdrawn(notice.published)
      this.#refreshSoon()
    }
    this.#changed()
  }

  /** As far as this person wants such notices to go: docs/page.md, "Attention". The bell itself never goes beyond words. */
  async #receive({ id, level, published }, replayed) {
    const settings = JSON.parse(this.dataset.attention)
    if (settings.levels[level] === "nothing") {
      this.#tally.arrived(published)
      this.#see([{ id, published }], this.#socket.isLeader)
      return
    }
    this.#tally.arrived(published)
    this.#tell()
    if (replayed || settings.muted) return
    const attention = await import("./attention.js").catch(() => null) // offline again: the number has to do
    const rung = attention?.rungFor(settings, level, Date.now()) ?? "row"
    if (!["nothing", "row"].includes(rung)) this.#sayArrival()
  }

  /** Too much was missed: begin again from what the server says now, however long it takes to get it. */
  #reset = async () => {
    const page = await this.#refresh()
    if (page) this.#socket.continueFrom(page.dataset)
    else setTimeout(this.#reset, FETCH_WITHIN_MS * Math.random())
  }

  // The count

  #tell() {
    const { count, isMore } = this.#tally
    const shown = isMore ? `${count - 1}+` : `${count}`
    this.#part(".bell-count").textContent = shown
    this.#part(".bell-count").hidden = count === 0
    this.#part(".bell-name").textContent =
      count === 0 ? this.dataset.noneUnseen : phraseFor("unseen", count, shown, this.dataset)
  }

  /** For those who do not see the number change; a burst is one sentence. */
  #sayArrival() {
    this.#arrived += 1
    if (this.#sayTimer) return
    const status = this.#part("[role=status]")
    status.textContent = "" // the same sentence twice in a row would not be heard the second time
    this.#sayTimer = setTimeout(() => {
      status.textContent = phraseFor("new", this.#arrived, undefined, this.dataset)
      this.#arrived = this.#sayTimer = 0
    }, SAY_AFTER_MS)
  }

  /** At this moment a notice ends, and the server counts one less. */
  #expireAt(moment) {
    if (!(moment > Date.now())) return
    clearTimeout(this.#expiryTimer)
    this.#expiryTimer = setTimeout(this.#refresh, Math.min(moment - Date.now(), LONGEST_TIMER_MS))
  }

  // The newest notices

  #changed() {
    this.#stale = true
    if (this.isOpen) this.#refreshSoon()
  }

  #refreshSoon() {
    this.#refreshTimer ||= setTimeout(this.#refresh, TOGETHER_MS + SPREAD_MS * Math.random())
  }

  /** Fetch them afresh, and the count with them; gives what came, or null. Asked meanwhile, it fetches once more. */
  #refresh = () => {
    clearTimeout(this.#refreshTimer)
    this.#refreshTimer = 0
    if (this.#fetching) this.#stale = true // its answer may be of before
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = null))
    return this.#fetching
  }

  async #fetch() {
    this.#stale = false // what changes from here on may not be in the answer
    const list = this.#part(".notices")
    list.setAttribute("aria-busy", "true")
    const page = await this.#ask()
    list.removeAttribute("aria-busy")
    this.#part(".trouble").hidden = page !== null
    this.#part(".loading").hidden = true
    if (page === null) {
      this.#stale = true
      return null
    }
    this.#takeOver(page)
    if (this.#stale) this.#refreshSoon()
    return page
  }

  async #ask() {
    try {
      const signal = AbortSignal.timeout(FETCH_WITHIN_MS)
      const response = await fetch(this.dataset.newest, { headers: { Accept: "text/html" }, cache: "no-store", signal })
      if (!response.ok || response.redirected) return null // redirected: to the sign-in page
      const page = new DOMParser().parseFromString(await response.text(), "text/html")
      return page.querySelector(".notices")
    } catch {
      return null // offline, or the server is away
    }
  }

  #takeOver(page) {
    const { unseen, unread, through, cursor } = page.dataset
    this.dataset.attention = page.dataset.attention
    if (epochIn(cursor) === this.#epoch) this.#keepRows(page)
    else this.#tally = new Tally(Number(unseen), positionIn(cursor)) // the database was restored: other notices
    this.#epoch = epochIn(cursor)
    const list = this.#part(".notices")
    list.replaceChildren(...page.childNodes)
    this.#part(".read-all").hidden = Number(unread) === 0
    this.#part(".read-all").through.value = through
    this.#recount({ unseen: Number(unseen), position: positionIn(cursor) })
    this.#showPending()
    tellTimes(list)
    this.#place()
    const ends = [...list.querySelectorAll(".notice")].map((row) => Date.parse(row.dataset.expires) || Infinity)
    this.#expireAt(Math.min(...ends.filter((end) => end > Date.now() && end < Infinity)))
    if (this.isOpen) this.#markSeen()
  }

  /** A row that somebody is in with the keyboard stays the same element, so that its focus stays with it. */
  #keepRows(page) {
    const focused = this.shadowRoot.activeElement?.closest(".notice")
    const same = focused && page.querySelector(`#${focused.id}`)
    if (!same) return
    focused.dataset.read = same.dataset.read
    focused.dataset.seen = same.dataset.seen
    const link = this.shadowRoot.activeElement
    same.replaceWith(document.adoptNode(focused))
    queueMicrotask(() => link.focus({ preventScroll: true }))
  }

  #markSeen() {
    const unseen = this.#unseenRows
    if (unseen.length === 0) return
    for (const row of unseen) row.dataset.seen = "true"
    this.#see(unseen.map(({ dataset }) => ({ id: Number(dataset.id), published: Number(dataset.published) })))
  }

  get #unseenRows() {
    return [...this.shadowRoot.querySelectorAll('.notice[data-seen="false"]')]
  }

  /** Count them out at once, and say so within 20 s, unless another tab does. */
  #see(sights, isToSay = true) {
    this.#left(sights)
    if (isToSay) this.#sightings.note(sights, this.#tally.count === 0 ? this.#socket.position : 0)
  }

  /** These, and everything up to `through`, are unseen no more. */
  #left(sights, through = 0) {
    for (const { published } of sights) this.#tally.left(published)
    if (through && !this.#tally.readThrough(through)) this.#refreshSoon()
    this.#tell()
  }

  /** What was just fetched does not know yet what we have not said. */
  #showPending() {
    const { ids, through } = this.#sightings.pending
    const rows = this.#unseenRows.filter(({ dataset }) => ids.includes(Number(dataset.id)))
    for (const row of rows) row.dataset.seen = "true"
    this.#left(rows.map(({ dataset }) => ({ published: Number(dataset.published) })), through)
  }

  // What a person does

  #noticePressed = (event) => {
    const row = event.target.closest(".notice")
    const link = event.target.closest("a[href]")
    if (!row || !link || event.button > 1 || row.dataset.read === "true") return
    row.dataset.read = "true"
    this.#post(this.dataset.read, [["id", row.dataset.id]])
  }

  #readAllPressed = async (event) => {
    event.preventDefault()
    const form = event.target
    this.#part(".all").focus({ preventScroll: true }) // the button goes; whoever pressed it stays in the panel
    await this.#post(form.getAttribute("action"), [["through", form.through.value]])
    this.#refresh()
  }

  /** It outlives the page, which may be about to go. */
  async #post(address, fields) {
    try {
      await this.#say(address, fields)
    } catch {
      this.#stale = true // offline: the server is asked again when the panel is opened
    }
  }

  #say(address, fields) {
    const token = this.#part("[name=csrfmiddlewaretoken]").value
    const body = new URLSearchParams([["csrfmiddlewaretoken", token], ...fields])
    return fetch(address, { method: "POST", body, headers: { Accept: "application/json" }, keepalive: true })
  }

  #keyPressed = (event) => {
    if (event.key !== "Escape" || !this.isOpen) return
    event.stopPropagation()
    this.close()
    this.#part(".bell-button").focus()
  }

  #focusLeft = ({ relatedTarget }) => {
    if (relatedTarget && relatedTarget !== this && !this.contains(relatedTarget)) this.close()
  }

  #pressedElsewhere = (event) => {
    if (this.isOpen && !event.composedPath().includes(this)) this.close()
  }

  /** Wherever the bell stands, its panel is within the window. */
  #place = () => {
    if (!this.isOpen) return
    const panel = this.#part(".panel")
    panel.style.translate = panel.style.maxHeight = ""
    const { left, right, top } = panel.getBoundingClientRect()
    const { clientWidth: width, clientHeight: height } = document.documentElement
    if (left < EDGE_PX) panel.style.translate = `${EDGE_PX - left}px`
    else if (right > width - EDGE_PX) panel.style.translate = `${width - EDGE_PX - right}px`
    const room = height - EDGE_PX - top
    if (room > LEAST_HEIGHT_PX && room < panel.offsetHeight) panel.style.maxHeight = `${room}px`
  }

  #part(selector) {
    return this.shadowRoot.querySelector(selector)
  }
}

const positionIn = (cursor) => Number(cursor.slice(cursor.lastIndexOf(":") + 1))
const epochIn = (cursor) => cursor.slice(0, cursor.lastIndexOf(":"))
const fieldsOf = ({ ids, through }) => [...ids.map((id) => ["id", id]), ["through", through]]
const isOver = (notice) => notice.recalled || Date.parse(notice.expires_at) <= Date.now()

customElements.define("notice-bell", NoticeBell)
