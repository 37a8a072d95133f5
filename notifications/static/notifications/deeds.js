/** How does what a person has read reach the server, even when the connection is away? */

/** Keeps each read until the server's `inbox` frame confirms it, and says it again on every new connection. */
export class Reads {
  #socket
  #readForm
  #readAllForm
  #ids = new Set() // said, not yet confirmed
  #through = 0 // the same for "mark all read"; 0: nothing to confirm

  constructor({ socket, readForm, readAllForm }) {
    this.#socket = socket
    this.#readForm = readForm
    this.#readAllForm = readAllForm
  }

  get ids() {
    return [...this.#ids]
  }

  /** `leaving`: the page is about to go, and its socket with it, so the request must outlive both. */
  read(id, { leaving = false } = {}) {
    this.#ids.add(id)
    if (leaving || !this.#socket.read([id])) this.#post(this.#readForm, "id", id)
  }

  readAll(through) {
    this.#through = Math.max(this.#through, through)
    if (!this.#socket.readAll(through)) this.#post(this.#readAllForm, "through", through)
  }

  confirmed({ read, read_through: through }) {
    for (const id of read ?? []) this.#ids.delete(id)
    if (through >= this.#through) this.#through = 0
  }

  sayAgain() {
    if (this.#ids.size > 0) this.#socket.read(this.ids)
    if (this.#through > 0) this.#socket.readAll(this.#through)
  }

  /** What the page's own form would send. A failure is made good by `sayAgain`. */
  async #post(form, name, value) {
    const body = new URLSearchParams(new FormData(form))
    body.set(name, value)
    const headers = { Accept: "application/json" }
    try {
      const response = await fetch(form.action, { method: "POST", body, headers, keepalive: true })
      if (!response.ok || response.redirected) return // redirected: to the sign-in page
      if (name === "id") this.#ids.delete(value)
      else this.#through = 0
    } catch {
      // Offline: the next connection says it.
    }
  }
}
