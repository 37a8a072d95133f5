/** How far may a notice that has just arrived go to get somebody's attention, and which tab of the browser does it? */

import { Toasts } from "./toasts.js"
import { phrase, phraseFor } from "./words.js"

const LADDER = ["nothing", "row", "announce", "toast", "sound", "desktop"] // each rung includes those below it
const TOGETHER_MS = 50 // arrivals within this are decided together: a burst asks once which of them are muted
const HELD_MS = 10_000 // longer than the slowest tab needs to hear of the same notice
const BETWEEN_SOUNDS_MS = 1_000
const SAID_TOGETHER_MS = 1_000 // what comes in several pieces is one sentence
const STILL_AFTER_MS = 150 // not scrolled for so long
const ASK_WITHIN_MS = 2_000 // at random: a broadcast makes everybody ask who mutes something
const MOST_ASKED = 500 // notices in one question to the server, which keeps the address short enough

const reaches = (rung, other) => LADDER.indexOf(rung) >= LADDER.indexOf(other)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const isInFront = () => document.visibilityState === "visible" && document.hasFocus()

// What the preferences say

/** The rung for a notice of `level` at `now`. An unknown level is one that this page is too old to know. */
export function rungFor({ levels, quiet }, level, now) {
  const rung = levels[level] ?? "announce"
  return quiet && isQuiet(quiet, now) && reaches(rung, "row") ? "row" : rung
}

/** Whether `now` is within the quiet hours, by the clock of their own zone; attention.py says the same. */
export function isQuiet({ from, until, zone }, now) {
  const clock = clockOf(zone).format(now) // "07:05", which compares like the time it is
  return from < until ? from <= clock && clock < until : clock >= from || clock < until
}

const clocks = new Map() // by zone: to make one takes longer than the rest of what a notice needs

function clockOf(timeZone) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }
  if (!clocks.has(timeZone)) clocks.set(timeZone, new Intl.DateTimeFormat("en", { timeZone, ...parts }))
  return clocks.get(timeZone)
}

// Which tab

/** How long a tab waits before it claims something: the one in front of the person comes first. */
function delayMs() {
  if (document.visibilityState !== "visible") return 300
  return document.hasFocus() ? 0 : 150
}

/** Whether this tab, of all tabs of the browser, is the one to do `name`. Without Web Locks each tab is. */
export async function claim(name, heldMs = HELD_MS) {
  if (!navigator.locks) return true
  await pause(delayMs())
  return new Promise((resolve) => {
    const held = (lock) => {
      resolve(lock !== null)
      return lock && pause(heldMs)
    }
    navigator.locks.request(`notices-attention:${name}`, { ifAvailable: true }, held).catch(() => resolve(true))
  })
}

// Attention

/** Event: `seen` with those notices that were never to be more than a row and need not be counted. */
export class Attention extends EventTarget {
  #announcer
  #settings
  #isRowVisible
  #toasts = new Toasts()
  #alarm = new Alarm()
  #arrivals = []
  #timer = 0
  #missed = 0
  #missedTimer = 0
  #scrollTimer = 0

  /** `settings()` is what `data-attention` says now; `isRowVisible(id)`: whether that row is within the window. */
  constructor({ announcer, settings, isRowVisible = () => false }) {
    super()
    this.#announcer = announcer
    this.#settings = settings
    this.#isRowVisible = isRowVisible
    document.addEventListener("visibilitychange", this.#dropShown)
    document.addEventListener("scroll", this.#scrolled, { passive: true })
  }

  /** A `notice` frame that this page hears for the first time; not one that ends a notice. */
  arrived(frame) {
    this.#arrivals.push(frame)
    this.#timer ||= setTimeout(this.#decide, TOGETHER_MS)
  }

  /** The levels of what a page fetched afresh has brought. */
  caughtUp(levels) {
    const settings = this.#settings()
    const told = levels.filter((level) => reaches(rungFor(settings, level, Date.now()), "announce"))
    this.#tellMissed(told.length)
  }

  /** These notices were read, archived or recalled, here or elsewhere: nothing need point to them any more. */
  async gone(ids) {
    for (const id of ids) this.#toasts.close(id)
    if (globalThis.Notification?.permission === "granted") (await import("./desktop.js")).close(ids)
  }

  #decide = async () => {
    this.#timer = 0
    const settings = this.#settings()
    const notices = this.#arrivals.splice(0).map(({ notice, replayed }) => ({ ...notice, replayed }))
    const rung = ({ level }) => rungFor(settings, level, Date.now())
    const never = notices.filter(({ level }) => settings.levels[level] === "nothing")
    if (never.length > 0) this.dispatchEvent(new CustomEvent("seen", { detail: never }))
    let told = notices.filter((notice) => reaches(rung(notice), "announce"))
    if (settings.muted && told.length > 0) told = await withoutMuted(told)
    this.#tellMissed(told.filter(({ replayed }) => replayed).length)
    for (const notice of told) if (!notice.replayed) this.#climb(notice, rung(notice), settings)
  }

  /** Each page announces what it shows: a screen reader speaks only for the one in front. The rest is done once. */
  #climb(notice, rung, { volume }) {
    if (notice.level === "error") this.#alarm.arrived(notice.title)
    else this.#announcer.arrived(notice.level)
    if (reaches(rung, "toast")) this.#toast(notice)
    if (reaches(rung, "sound")) this.#play(notice, volume)
    if (reaches(rung, "desktop")) this.#alert(notice)
  }

  #tellMissed(n) {
    if (n === 0) return
    this.#missed += n
    this.#missedTimer ||= setTimeout(() => {
      this.#announcer.say(phraseFor("missed", this.#missed))
      this.#missed = this.#missedTimer = 0
    }, SAID_TOGETHER_MS)
  }

  async #toast(notice) {
    if (!(await claim(`toast-${notice.id}`))) return
    if (document.visibilityState === "visible" && this.#isRowVisible(notice.id)) return
    this.#toasts.show(notice)
  }

  async #play(notice, volume) {
    const { canPlay, play } = await import("./sound.js")
    if (!canPlay()) return // another tab may be allowed to
    if ((await claim(`sound-${notice.id}`)) && (await claim("sound", BETWEEN_SOUNDS_MS))) play(volume)
  }

  async #alert(notice) {
    if (globalThis.Notification?.permission !== "granted") return
    const { show } = await import("./desktop.js")
    if (!(await claim(`desktop-${notice.id}`))) return
    if (isInFront() && this.#isRowVisible(notice.id)) return
    show(notice)
  }

  #scrolled = () => {
    clearTimeout(this.#scrollTimer)
    this.#scrollTimer = setTimeout(this.#dropShown, STILL_AFTER_MS)
  }

  /** Somebody is where they see the rows themselves. */
  #dropShown = () => {
    if (document.visibilityState === "visible") this.#toasts.closeWhere((id) => this.#isRowVisible(id))
  }
}

/** Those that no topic muted by this person was meant for. Who cannot be asked mutes nothing. */
async function withoutMuted(notices) {
  await pause(ASK_WITHIN_MS * Math.random())
  const ids = new URLSearchParams(notices.slice(-MOST_ASKED).map(({ id }) => ["id", id]))
  try {
    const response = await fetch(`/muted/?${ids}`, { headers: { Accept: "application/json" } })
    if (!response.ok || response.redirected) return notices
    const muted = new Set((await response.json()).muted)
    return notices.filter(({ id }) => !muted.has(id))
  } catch {
    return notices
  }
}

/** Interrupts what a screen reader says, for errors only; all else waits its turn with the announcer. */
class Alarm {
  #element = document.createElement("p")
  #titles = []
  #timer = 0

  constructor() {
    this.#element.id = "alarm"
    this.#element.className = "visually-hidden"
    this.#element.setAttribute("role", "alert") // there before it speaks, or nobody would hear it
    document.body.append(this.#element)
  }

  arrived(title) {
    this.#titles.push(title)
    if (this.#timer) return
    this.#element.textContent = "" // the same words twice in a row would not be heard the second time
    this.#timer = setTimeout(this.#speak, SAID_TOGETHER_MS)
  }

  #speak = () => {
    const [title, ...others] = this.#titles.splice(0)
    this.#timer = 0
    this.#element.textContent =
      others.length === 0 ? phrase("alarm").replace("{title}", () => title) : phraseFor("error", others.length + 1)
  }
}
