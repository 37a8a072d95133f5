/** How does the page get in step with the server when frames do not lead there? */

import { positionOf } from "./counts.js"
import { backoff } from "./lasting_socket.js"

const RELOADED = "notices-reloaded-for" // in sessionStorage: the epoch that this tab was loaded afresh for
const FETCH_WITHIN_MS = 15_000
const FORGET_RESETS_MS = 30_000 // resets that come faster than this wait longer and longer
const REFRESH_APART_MS = 1_000
const PAGE_SIZE = 50
const MOST_ROWS = 500 // that the server gives at once

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Event: `missed` with the levels of the notices that only the fresh page brought. */
export class CatchUp extends EventTarget {
  #socket
  #inbox
  #counts
  #deeds
  #attempt = 0
  #resetAt = 0
  #refreshing = false
  #isStale = false
  #changes = 0

  constructor({ socket, inbox, counts, deeds }) {
    super()
    this.#socket = socket
    this.#inbox = inbox
    this.#counts = counts
    this.#deeds = deeds
    document.addEventListener("visibilitychange", () => this.#refresh())
    socket.addEventListener("state", ({ detail }) => detail.state === "live" && this.#refresh())
  }

  /** Something that a page which is on its way to us cannot know yet. */
  changed() {
    this.#changes += 1
  }

  /** The server cannot tell us what we missed: begin again from the page, as if it had just been opened. */
  async reset() {
    if (Date.now() - this.#resetAt > FORGET_RESETS_MS) this.#attempt = 0
    this.#resetAt = Date.now()
    for (;;) {
      if (this.#attempt > 0) await pause(backoff(this.#attempt, Math.random))
      this.#attempt += 1
      try {
        const page = await this.#fetch()
        if (!page) return
        this.#counts.takeOver(page)
        const levels = this.#takeOver(page)
        this.dispatchEvent(new CustomEvent("missed", { detail: levels }))
        this.#socket.continueFrom(page.getElementById("inbox").dataset)
        return
      } catch (error) {
        console.warn(`The inbox could not be fetched afresh: ${error.message}`)
      }
    }
  }

  /** Only the server knows what belongs on this page now: once a second at the most, and only while somebody looks. */
  refreshSoon() {
    this.#isStale = true
    return this.#refresh()
  }

  /**
   * The same at once. `asked`: by a person, who wants to see what is new, whatever else they do.
   *
   * Returns whether the fresh page is here. It is not when the server is away.
   */
  async refreshNow({ asked }) {
    try {
      while (!(await this.#refreshOnce(asked))) await pause(REFRESH_APART_MS)
      return true
    } catch {
      this.#isStale = true
      return false
    } finally {
      this.#refresh()
    }
  }

  async #refresh() {
    if (this.#refreshing || !this.#isStale || document.visibilityState === "hidden") return
    this.#refreshing = true
    try {
      while (this.#isStale && document.visibilityState !== "hidden") {
        this.#isStale = false
        await this.#refreshOnce()
        await pause(REFRESH_APART_MS)
      }
    } catch {
      this.#isStale = true // offline: asked again when the page is live
    } finally {
      this.#refreshing = false
    }
  }

  /** Returns whether the page was taken over. What is done or recalled while it is on its way may be missing in it. */
  async #refreshOnce(asked = false) {
    const changes = this.#changes
    const page = await this.#fetch()
    if (page && changes !== this.#changes) {
      this.#isStale = true
      return false
    }
    if (page) {
      this.#counts.rebaseOn(page)
      this.#takeOver(page, asked)
    }
    return true
  }

  #takeOver(page, asked = false) {
    const levels = this.#inbox.replace(page, positionOf(page), asked)
    for (const { verb, ids, through } of this.#deeds.pending) {
      if (ids) this.#inbox.apply(verb, ids)
      if (verb === "seen" && through) this.#inbox.markSeenThrough(through)
      else if (verb === "read-all") this.#inbox.markShownRead(through)
    }
    document.getElementById("inbox").dataset.attention = page.getElementById("inbox").dataset.attention
    return levels
  }

  /** Returns the same page as the server would make it now, or null when there is none for us. */
  async #fetch() {
    const signal = AbortSignal.timeout(FETCH_WITHIN_MS)
    const response = await fetch(this.#address(), { headers: { Accept: "text/html" }, cache: "no-store", signal })
    if (response.redirected) {
      this.#socket.stop("signed-out")
      return null
    }
    if (!response.ok) throw new Error(`status ${response.status}`)
    const page = new DOMParser().parseFromString(await response.text(), "text/html")
    const readerOf = (document) => document.getElementById("inbox").dataset.reader
    if (readerOf(page) === readerOf(document) && !isOfAnotherLog(page)) return page
    location.reload() // somebody else has signed in meanwhile, or the log is another: the page begins from the start
    return null
  }

  /** As many rows as are here, so that nobody loses their place; a reader further down is given room for what is new. */
  #address() {
    const address = new URL(location.href)
    address.hash = ""
    const rows = this.#inbox.rows.length + (window.scrollY > 0 ? PAGE_SIZE : 0)
    if (rows > PAGE_SIZE) address.searchParams.set("rows", Math.min(rows, MOST_ROWS))
    return address
  }
}

/**
 * Whether the database was restored since this page was made: other notices may have the ids and positions of those that
 * are shown. Once for each epoch, so that a page which goes on coming from a cache is not loaded again and again.
 */
function isOfAnotherLog(page) {
  const epoch = epochOf(page)
  if (epoch === epochOf(document) || sessionStorage.getItem(RELOADED) === epoch) return false
  sessionStorage.setItem(RELOADED, epoch)
  return true
}

const epochOf = (page) => page.getElementById("inbox").dataset.cursor.split(":")[0]
