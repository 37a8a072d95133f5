/** How does what a person does with notices reach the server, even when the connection is away? */

const ANSWER_WITHIN_MS = 10_000
const AGAIN_AFTER_MS = 5_000 // while the socket lives and a request failed all the same
const SAY_SEEN_WITHIN_MS = 20_000 // at random: everybody sees a broadcast in the same moment
const MOST_IDS = 500 // in one request
const TOLD_AS = { read: ["read"], unread: ["marked_unread", "unarchived"], archive: ["archived"], unarchive: ["unarchived"] }

/**
 * Keeps each deed until the server has confirmed it, and says it again on every new connection; one after the other,
 * because read and then unread is not unread and then read.
 *
 * A deed is {verb, ids} or {verb, matching, through}. Its `answer` is what the server said, or null where it said that
 * it will not. Events: `refused` with the server's sentence.
 */
export class Deeds extends EventTarget {
  #socket
  #form
  #queue = []
  #current = null // the one that is under way
  #takenBack = new Set() // until the server knows it, too
  #timer = 0
  #sightings

  /** `form`: one with the page's token; every request is what it would send. */
  constructor({ socket, form }) {
    super()
    this.#socket = socket
    this.#form = form
    this.#sightings = new Sightings({ socket, post: (what) => this.#request({ verb: "seen", ...what }) })
    window.addEventListener("pagehide", () => this.#leave())
  }

  /** What is not confirmed yet, in order. */
  get pending() {
    return [...this.#queue.map(({ verb, ids, through }) => ({ verb, ids, through })), { verb: "seen", ...this.#sightings.pending }]
  }

  /** `leaving`: the page is about to go, and its socket with it, so the request must outlive both. */
  do(verb, what, { leaving = false } = {}) {
    const deed = { verb, ...what, sent: false }
    deed.answer = new Promise((resolve) => (deed.answered = resolve))
    this.#queue.push(deed)
    if (leaving) this.#leave()
    else this.#next()
    return deed
  }

  /** `sights` {id, published} were on the screen; and everything up to `through`, where nothing is unseen any more. */
  see(sights, through) {
    this.#sightings.note(sights, through)
  }

  /** Take `deed` back: if it has not left yet, it never does. Returns whether that worked. */
  async undo(deed) {
    if (!deed.sent) {
      this.#queue = this.#queue.filter((other) => other !== deed)
      deed.answered(null)
      return true
    }
    this.#takenBack.add(deed)
    const done = await deed.answer
    const undone = done && (await this.do("undo", { change: done.change }).answer)
    this.#takenBack.delete(deed)
    return Boolean(undone)
  }

  /** An `inbox` frame without what was taken back before the server told of it; a `reset` will follow. */
  stillWanted(frame) {
    const wanted = { ...frame }
    for (const { verb, ids = [] } of this.#takenBack) {
      for (const name of TOLD_AS[verb] ?? []) wanted[name] = wanted[name]?.filter((id) => !ids.includes(id))
    }
    return wanted
  }

  /** An `inbox` frame: the answer to what was said through the socket. */
  confirmed(frame) {
    this.#sightings.confirmed(frame)
    const { read, changes: change } = frame
    const deed = this.#current
    if (deed?.said && deed.ids.every((id) => read?.includes(id))) this.#done(deed, { count: deed.ids.length, change })
  }

  sayAgain() {
    this.#sightings.sayAgain()
    this.#retry()
  }

  #retry() {
    this.#current = null
    this.#next()
  }

  #next() {
    if (this.#current || this.#queue.length === 0) return
    const deed = (this.#current = this.#queue[0])
    deed.said = deed.verb === "read" && Boolean(deed.ids) && this.#socket.read(deed.ids)
    deed.sent = true
    clearTimeout(this.#timer)
    if (deed.said) this.#timer = setTimeout(() => this.#post(deed), ANSWER_WITHIN_MS)
    else this.#post(deed)
  }

  #done(deed, answer) {
    clearTimeout(this.#timer)
    this.#queue = this.#queue.filter((other) => other !== deed)
    if (this.#current === deed) this.#current = null
    deed.answered(answer)
    this.#next()
  }

  /** A failure is made good by `sayAgain`, or by trying again. */
  async #post(deed) {
    try {
      const response = await this.#request(deed)
      if (response.redirected) return // to the sign-in page
      if (response.ok) this.#done(deed, await answerOf(response))
      else if (response.status < 500) this.#refuse(deed, await sentenceOf(response))
      else this.#tryAgain(deed)
    } catch {
      this.#tryAgain(deed)
    }
  }

  #request({ verb, ids, ...what }) {
    const body = new URLSearchParams()
    body.set("csrfmiddlewaretoken", this.#form.elements.csrfmiddlewaretoken.value)
    for (const id of ids ?? []) body.append("id", id)
    for (const name of ["matching", "through", "change"]) if (what[name] !== undefined) body.set(name, what[name])
    const headers = { Accept: "application/json" }
    return fetch(`/${verb}/`, { method: "POST", body, headers, keepalive: true })
  }

  #refuse(deed, sentence) {
    this.#done(deed, null)
    this.dispatchEvent(new CustomEvent("refused", { detail: sentence }))
  }

  #tryAgain(deed) {
    if (this.#current !== deed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#retry(), AGAIN_AFTER_MS)
  }

  /** The page may be gone in a moment: everything at once. To be said twice does no harm. */
  #leave() {
    for (const deed of this.#queue) {
      if (deed === this.#current && !deed.said) continue
      deed.sent = true
      this.#post(deed)
    }
  }
}

/**
 * Says what was on the screen: together, within 20 s, or at once when nobody looks any more; and again on each new
 * connection, until a frame names it. Through the socket where there is one: a request is a transaction of its own.
 */
export class Sightings {
  #socket
  #post
  #seen = new Map() // id → published
  #through = 0
  #isSaid = true // all of it; whether it arrived, only a frame can tell
  #timer = 0

  /** `post({ids, through})` says it by a request, which outlives the page. */
  constructor({ socket, post }) {
    this.#socket = socket
    this.#post = post
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.#say())
    window.addEventListener("pagehide", () => this.#isEmpty || this.#request())
  }

  /** What the server may not know yet. */
  get pending() {
    return { ids: [...this.#seen.keys()], through: this.#through }
  }

  get #isEmpty() {
    return this.#seen.size === 0 && this.#through === 0
  }

  note(sights, through = 0) {
    for (const { id, published } of sights) this.#seen.set(id, published)
    this.#through = Math.max(this.#through, through)
    this.#forgetThrough(through)
    this.#socket.saw(sights, through)
    this.sayAgain()
  }

  /** An `inbox` frame, whoever made the server say it. */
  confirmed(frame) {
    for (const name of ["seen", "read", "marked_unread", "archived", "unarchived"]) {
      for (const id of frame[name] ?? []) this.#seen.delete(id)
    }
    const through = Math.max(frame.seen_through ?? 0, frame.read_through ?? 0)
    if (this.#through <= through) this.#through = 0
    this.#forgetThrough(through)
  }

  sayAgain() {
    if (this.#isEmpty) return
    this.#isSaid = false
    this.#timer ||= setTimeout(this.#say, SAY_SEEN_WITHIN_MS * Math.random())
  }

  #forgetThrough(through) {
    for (const [id, published] of this.#seen) if (published <= through) this.#seen.delete(id)
  }

  #say = () => {
    clearTimeout(this.#timer)
    this.#timer = 0
    if (this.#isSaid || this.#isEmpty) return
    this.#isSaid = true
    const { ids, through } = this.pending
    if (!this.#socket.see(ids, through)) this.#request()
  }

  async #request() {
    const { ids, through } = this.pending
    for (let from = 0; from === 0 || from < ids.length; from += MOST_IDS) {
      const some = ids.slice(from, from + MOST_IDS)
      const response = await this.#post({ ids: some, through }).catch(() => null)
      if (!response || response.status >= 500) this.sayAgain()
      else if (!response.redirected) this.confirmed({ seen: some, seen_through: through })
    }
  }
}

async function answerOf(response) {
  const isJson = response.headers.get("Content-Type")?.includes("json")
  return isJson ? response.json() : {}
}

async function sentenceOf(response) {
  try {
    return (await response.json()).error ?? ""
  } catch {
    return ""
  }
}
