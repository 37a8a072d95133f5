/** How do older notices come below, while somebody scrolls? The link that leads to them stays for all others. */

const MOST_ROWS = 1_000 // then the link is a link again: the end of the page can be reached

export class Older {
  #inbox
  #link
  #loading = false

  constructor({ inbox, link }) {
    this.#inbox = inbox
    this.#link = link
  }

  /** Returns whether there was something to load. */
  async load() {
    if (this.#loading || this.#link.hidden || this.#inbox.rows.length >= MOST_ROWS) return false
    this.#loading = true
    this.#link.ariaBusy = "true"
    const { href } = this.#link
    try {
      const response = await fetch(href, { headers: { Accept: "text/html" }, cache: "no-store" })
      if (!response.ok || response.redirected) return false
      const page = new DOMParser().parseFromString(await response.text(), "text/html")
      // Rows that left meanwhile make the link another one: the next try asks for that.
      if (this.#link.href === href) this.#inbox.append(page)
      return true
    } catch {
      return false // offline: the link is still there to press
    } finally {
      this.#loading = false
      this.#link.ariaBusy = null
    }
  }
}
