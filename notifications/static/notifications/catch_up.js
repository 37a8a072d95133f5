/** How does the page get back in step with the server when frames do not lead there? */

import { backoff } from "./lasting_socket.js"

const FETCH_WITHIN_MS = 15_000
const FORGET_RESETS_MS = 30_000 // resets that come faster than this wait longer and longer

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Events: `arrived` with the levels of the notices that only the fresh page brought. */
export class CatchUp extends EventTarget {
  #socket
  #inbox
  #reads
  #attempt = 0
  #resetAt = 0

  constructor({ socket, inbox, reads }) {
    super()
    this.#socket = socket
    this.#inbox = inbox
    this.#reads = reads
  }

  /** The server cannot tell us what we missed: begin again from the page, as if it had just been opened. */
  async reset() {
    if (Date.now() - this.#resetAt > FORGET_RESETS_MS) this.#attempt = 0
    this.#resetAt = Date.now()
    for (;;) {
      if (this.#attempt > 0) await pause(backoff(this.#attempt, Math.random))
      this.#attempt += 1
      try {
        const place = await this.#takeFreshPage()
        if (place) this.#socket.continueFrom(place)
        return
      } catch (error) {
        console.warn(`The inbox could not be fetched afresh: ${error.message}`)
      }
    }
  }

  /** Returns the fresh page's {cursor, stamp}, or null when there is no page for us. */
  async #takeFreshPage() {
    const signal = AbortSignal.timeout(FETCH_WITHIN_MS)
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal })
    if (response.redirected) {
      this.#socket.stop("signed-out")
      return null
    }
    if (!response.ok) throw new Error(`status ${response.status}`)
    const page = new DOMParser().parseFromString(await response.text(), "text/html")
    const levels = this.#inbox.replace(page)
    this.#inbox.markRead(this.#reads.ids)
    this.dispatchEvent(new CustomEvent("arrived", { detail: levels }))
    return page.getElementById("inbox").dataset
  }
}
