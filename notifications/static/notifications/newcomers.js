/** What of the list is before somebody's eyes, and may it change there? */

import { isSeen } from "./notice_row.js"
import { phraseFor, tellTime } from "./words.js"

// Arrivals that wait

const AT_TOP_PX = 40 // scrolled further down than this, the reader is reading
const STILL_AFTER_MS = 2_000 // a pointer that has not moved in the list for so long is not about to press there
const MOST_HELD = 200 // of more than this only the number is kept: showing them takes the page afresh
const MOST_TOLD = 99

/**
 * Holds what must not be shown yet, because somebody is reading or has paused the page; a button says how many there are.
 *
 * What it holds is `{id, position, published, expires, frame | row}`. Events: `release` with what may be shown now,
 * newest first; `overflow` when that is too much to have been kept; `changed` with what `mustWait` says now.
 */
export class Newcomers extends EventTarget {
  #list
  #button
  #held = new Map() // by the notice's id
  #paused = false
  #scrolled = window.scrollY > AT_TOP_PX
  #selecting = false
  #movedAt = -Infinity
  #timer = 0

  constructor({ list, button, pause }) {
    super()
    this.#list = list
    this.#button = button
    button.addEventListener("click", () => this.#release(true))
    pause.addEventListener("click", () => {
      this.#paused = !this.#paused
      pause.setAttribute("aria-pressed", this.#paused)
      this.dispatchEvent(new CustomEvent("paused", { detail: this.#paused }))
      this.#look()
    })
    // Kept in fields, because to ask the browser for them at each arrival would cost a layout each.
    window.addEventListener("scroll", this.#scroll, { passive: true })
    document.addEventListener("selectionchange", this.#select)
    for (const move of ["pointermove", "pointerdown", "wheel", "keydown"]) {
      list.addEventListener(move, () => (this.#movedAt = performance.now()), { passive: true })
    }
    list.addEventListener("focusout", () => setTimeout(this.#look))
  }

  get isPaused() {
    return this.#paused
  }

  get mustWait() {
    return this.#paused || this.#scrolled || this.isTouched
  }

  /** Whether somebody does something in the list: with the keyboard, with words that they select, or with a pointer. */
  get isTouched() {
    const focus = document.activeElement
    const byKeyboard = focus !== document.body && this.#list.contains(focus) && focus.matches(":focus-visible")
    return byKeyboard || this.#selecting || performance.now() - this.#movedAt < STILL_AFTER_MS
  }

  /** The `published` of the oldest one that waits, or Infinity. */
  get oldestWaiting() {
    return Math.min(...[...this.#held.values()].map(({ published }) => published))
  }

  get count() {
    return this.#held.size
  }

  get(id) {
    return this.#held.get(id)
  }

  hold(newcomer) {
    const isFull = this.#held.size >= MOST_HELD
    this.#held.set(newcomer.id, isFull ? { ...newcomer, frame: undefined, row: undefined } : newcomer)
    this.#tell()
    this.#look()
  }

  /** Recalled, read away or expired before anybody saw it. Returns whether it was waiting. */
  drop(id) {
    const was = this.#held.delete(id)
    if (was) this.#tell()
    return was
  }

  /** Returns what it held. */
  dropAll() {
    const held = [...this.#held.values()]
    this.#held.clear()
    this.#tell()
    return held
  }

  expired(now) {
    return [...this.#held.values()].filter(({ expires }) => expires <= now)
  }

  #tell() {
    const waiting = this.#held.size
    if (waiting > 0) {
      const shown = waiting > MOST_TOLD ? `${MOST_TOLD}+` : undefined
      const words = phraseFor("new", waiting, shown)
      const place = this.#button.firstElementChild
      if (place.textContent !== words) place.textContent = words
    }
    if (this.#button.hidden === waiting > 0) this.#button.hidden = waiting === 0
  }

  #scroll = () => {
    this.#scrolled = window.scrollY > AT_TOP_PX
    this.#look()
  }

  #select = () => {
    const selection = getSelection()
    this.#selecting = !selection.isCollapsed && this.#list.contains(selection.anchorNode)
    this.#look()
  }

  /** Show what waits if nothing speaks against it any more; if only a moving pointer does, look again when it rests. */
  #look = () => {
    clearTimeout(this.#timer)
    if (this.#held.size === 0 || this.#paused || this.#scrolled) return
    if (this.isTouched) this.#timer = setTimeout(this.#look, STILL_AFTER_MS)
    else this.#release(false)
  }

  #release(asked) {
    const newcomers = this.dropAll().sort((one, other) => other.published - one.published)
    const isWhole = newcomers.every(({ frame, row }) => frame || row)
    const detail = { newcomers: isWhole ? newcomers : [], asked }
    this.dispatchEvent(new CustomEvent(isWhole ? "release" : "overflow", { detail }))
  }
}

// Many at once

const SLICE_MS = 8 // of each frame; a slow browser needs 30 more for layout and paint, and 50 are felt
const FIRST_SLICES = [3, 5] // things: they come on the screen, where each costs 3 ms more for layout and paint
const LONGEST_WAIT_MS = 100 // for what else comes in the same burst
const NO_FRAME_MS = 250 // a window that is covered is not painted, and still has to go on

/**
 * Does things, the last first: one that comes alone at once; of many that come together, as soon as all are here, as
 * many in each frame as it has time for. To begin before would make a frame for every second one of them.
 */
export class Pace {
  #act
  #settle
  #waiting = []
  #seen = 0 // how many waited when it was looked at last
  #since = 0
  #isScheduled = false
  #slices = 0 // of this burst
  #frame = 0
  #timer = 0
  #soon = new MessageChannel() // behind what the browser has received already; not held up as timers are

  /** `settle` is called when all is done: for what is too dear to be done each time. */
  constructor(act, settle) {
    this.#act = act
    this.#settle = settle
    this.#soon.port1.onmessage = this.#look
  }

  get isBusy() {
    return this.#waiting.length > 0
  }

  add(thing) {
    if (!this.#isScheduled) {
      this.#act(thing)
      this.#since = performance.now()
      this.#seen = 0
      this.#lookSoon()
    } else this.#waiting.push(thing)
  }

  /** Do what is left now, however long it takes. */
  finish() {
    while (this.#waiting.length > 0) this.#act(this.#waiting.pop())
    this.#settle()
  }

  #lookSoon() {
    this.#isScheduled = true
    this.#soon.port2.postMessage("")
  }

  #look = () => {
    const grows = this.#waiting.length > this.#seen
    this.#seen = this.#waiting.length
    if (grows && performance.now() - this.#since < LONGEST_WAIT_MS) this.#lookSoon()
    else this.#go()
  }

  #go = () => {
    cancelAnimationFrame(this.#frame)
    clearTimeout(this.#timer)
    const start = performance.now()
    let left = FIRST_SLICES[this.#slices] ?? Infinity
    while (this.#waiting.length > 0 && left > 0 && performance.now() - start < SLICE_MS) {
      this.#act(this.#waiting.pop())
      left -= 1
    }
    this.#slices += 1
    this.#isScheduled = this.#waiting.length > 0
    if (!this.#isScheduled) {
      this.#slices = 0
      this.#settle()
    } else {
      this.#frame = requestAnimationFrame(this.#go)
      this.#timer = setTimeout(this.#go, NO_FRAME_MS)
    }
  }
}

// What is on the screen

const DWELL_MS = 1_000 // on the screen for so long is seen
const MINUTE_MS = 60_000
const STEPS = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1]

/** Events: `seen` with the rows that were on the screen for long enough to be noticed. */
export class Sight extends EventTarget {
  #onScreen = new Set()
  #since = new Map() // unseen rows that can be seen now, and since when
  #timer = 0
  #observer = new IntersectionObserver((entries) => this.#looked(entries), { threshold: STEPS })

  constructor() {
    super()
    document.addEventListener("visibilitychange", this.#turned)
    setInterval(() => this.tellTimes(), MINUTE_MS)
  }

  watch(row) {
    this.#observer.observe(row)
  }

  leave(row) {
    this.#observer.unobserve(row)
    this.#onScreen.delete(row)
    this.#since.delete(row)
  }

  /** Only where somebody can see it; the others are told anew when they come on the screen. */
  tellTimes() {
    for (const row of this.#onScreen) tellTime(row.querySelector(".notice-time"))
  }

  #looked(entries) {
    for (const entry of entries) {
      const row = entry.target
      if (!entry.isIntersecting) {
        this.#onScreen.delete(row)
        this.#since.delete(row)
        continue
      }
      if (!this.#onScreen.has(row)) tellTime(row.querySelector(".notice-time"))
      this.#onScreen.add(row)
      if (!isMostlyThere(entry)) this.#since.delete(row)
      else if (!isSeen(row) && !this.#since.has(row)) this.#since.set(row, performance.now())
    }
    this.#wait()
  }

  #turned = () => {
    const now = performance.now()
    for (const row of this.#since.keys()) this.#since.set(row, now) // begins anew: nobody saw it meanwhile
    if (document.visibilityState === "visible") this.tellTimes()
    this.#wait()
  }

  #wait() {
    if (this.#timer || this.#since.size === 0 || document.visibilityState === "hidden") return
    this.#timer = setTimeout(this.#dwelt, DWELL_MS)
  }

  #dwelt = () => {
    this.#timer = 0
    if (document.visibilityState === "hidden") return
    const now = performance.now()
    const rows = [...this.#since].filter(([, since]) => now - since >= DWELL_MS).map(([row]) => row)
    for (const row of rows) this.#since.delete(row)
    const seen = rows.filter((row) => !isSeen(row))
    if (seen.length > 0) this.dispatchEvent(new CustomEvent("seen", { detail: seen }))
    this.#wait()
  }
}

function isMostlyThere({ intersectionRatio, intersectionRect, rootBounds }) {
  return intersectionRatio >= 0.5 || (rootBounds && intersectionRect.height >= rootBounds.height / 2)
}
