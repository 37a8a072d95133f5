/** How does a page keep one line to the server for as long as it is open? */

const OPEN_WITHIN_MS = 15_000 // who is not served by then tries again; browsers alone would wait for minutes
const LOOK_EVERY_MS = 5_000 // timers stand still while a laptop sleeps: this is how soon it is noticed afterwards
const STEADY_AFTER_MS = 5_000 // live for this long, and the next outage begins with a short wait again

/** Close codes after which coming back by itself would be refused again, or would not be right. */
const STOP_REASONS = new Map([
  [4005, "signed-out"],
  [4501, "signed-out"],
  [4503, "withdrawn"],
  [4504, "crowded"],
])

function stopReason(code) {
  return STOP_REASONS.get(code) ?? (code >= 4500 && code <= 4999 ? "refused" : null)
}

/** The address for `path` on this page's host. Older browsers take only an absolute ws: or wss: address. */
export function socketUrl(path) {
  const url = new URL(path, location.href)
  url.protocol = url.protocol.replace("http", "ws")
  return url
}

/**
 * Opens a socket, opens it again whenever it is lost, and says how it stands.
 *
 * Events: `state` {state, reason, retryAt} with state connecting | live | reconnecting | offline | stopped; stopped has
 * a reason, and live may have one; `retryAt` is when the next attempt begins, or null;
 * `open`, `message` {data}, `close` {code, heard}: whether anything was heard since it was opened.
 */
export class LastingSocket extends EventTarget {
  /** Silence after which an open socket is taken for dead. Without heartbeats there is nothing to expect. */
  silenceMs = Infinity

  #dial
  #random
  #socket = null // null from a loss to the next attempt
  #state = "connecting"
  #reason = ""
  #retryAt = null
  #wanted = false // false: nothing but `start` opens it again
  #attempt = 0
  #comeBackMs = null // the wait that the server asked for
  #liveSince = null
  #liveReason = ""
  #heardAt = 0
  #heard = false // anything, since the socket was opened
  #retryTimer = 0
  #silenceTimer = 0

  /** `address` is asked for each attempt. `dial` opens another kind of line, which looks like a WebSocket. */
  constructor({ address, dial = () => new WebSocket(address()), random = Math.random }) {
    super()
    this.#dial = dial
    this.#random = random
    window.addEventListener("online", this.#online)
    window.addEventListener("offline", this.#offline)
    window.addEventListener("pagehide", this.#hide)
    window.addEventListener("pageshow", this.#look)
    document.addEventListener("visibilitychange", this.#look)
  }

  get isLive() {
    return this.#liveSince !== null
  }

  start() {
    this.#wanted = true
    this.#connect()
  }

  /** Let go of the socket until `start`. */
  leave() {
    this.#wanted = false
    this.#drop()
    this.#setState("reconnecting")
  }

  /** Give up for `reason`, until a person asks for another try. */
  stop(reason) {
    this.#wanted = true
    this.#drop()
    this.#setState("stopped", reason)
  }

  /** Do not wait any longer. */
  retryNow() {
    if (this.#wanted && !this.#socket) this.#connect()
  }

  /** Whether it is still alive: a timer that would ask may have stood still, in a hidden page or while a laptop slept. */
  check() {
    if (this.#socket) this.#listenForSilence()
  }

  /** Let another line take the place of this one. */
  renew() {
    if (!this.#wanted) return
    this.#drop()
    this.#connect()
  }

  /** The server is about to close, and expects us in `ms` milliseconds. */
  comeBackIn(ms) {
    this.#comeBackMs = ms
  }

  /** The other side has shown that it serves us, perhaps with a `reason` to say more; an open socket alone does not. */
  live(reason = "") {
    this.#liveSince ??= Date.now()
    this.#liveReason = reason
    this.#setState("live", reason)
  }

  /** Returns whether the socket took it; whether it arrives, only an answer can tell. */
  send(data) {
    // Some other lines take nothing, and say so.
    return this.#socket?.readyState === WebSocket.OPEN && this.#socket.send(data) !== false
  }

  #connect() {
    clearTimeout(this.#retryTimer)
    if (this.#state === "stopped") this.#setState("connecting")
    else this.#setState(this.#state, this.#reason)
    const socket = this.#dial()
    socket.binaryType = "arraybuffer"
    // A socket that was dropped may still speak: only the present one is listened to.
    const present = (handler) => (event) => socket === this.#socket && handler(event)
    socket.onopen = present(this.#opened)
    socket.onmessage = present(this.#received)
    socket.onclose = present(({ code }) => this.#lost(code))
    this.#socket = socket
    this.#heard = false
    this.#heardAt = Date.now()
    this.#listenForSilence()
  }

  #opened = () => {
    this.#heardAt = Date.now()
    this.#emit("open")
  }

  #received = ({ data }) => {
    this.#heard = true
    this.#heardAt = Date.now()
    // What the browser believes about the network counts less than a frame that came through it.
    if (this.isLive) this.#setState("live", this.#liveReason)
    this.#emit("message", { data })
  }

  #lost(code) {
    const steady = this.isLive && Date.now() - this.#liveSince >= STEADY_AFTER_MS
    this.#drop()
    if (steady) this.#attempt = 0
    const reason = stopReason(code)
    if (reason) this.#setState("stopped", reason)
    else if (this.#wanted) this.#retryLater()
    this.#emit("close", { code, heard: this.#heard })
  }

  #retryLater() {
    const wait = this.#comeBackMs ?? backoff(this.#attempt, this.#random)
    this.#comeBackMs = null
    this.#attempt += 1
    this.#setState(navigator.onLine ? "reconnecting" : "offline", "", Date.now() + wait)
    this.#retryTimer = setTimeout(() => this.retryNow(), wait)
  }

  /** Forget the socket at once: on a dead network its own `close` event may be minutes away. */
  #drop() {
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#silenceTimer)
    const socket = this.#socket
    this.#socket = null
    this.#liveSince = null
    socket?.close()
  }

  #listenForSilence = () => {
    clearTimeout(this.#silenceTimer)
    const limit = this.isLive ? this.silenceMs : OPEN_WITHIN_MS
    const left = limit - (Date.now() - this.#heardAt)
    if (left <= 0) this.#lost(1006)
    else this.#silenceTimer = setTimeout(this.#listenForSilence, Math.min(left, LOOK_EVERY_MS))
  }

  #offline = () => {
    if (this.#state !== "stopped") this.#setState("offline")
  }

  #online = () => {
    if (!this.#wanted || this.#state === "stopped") return
    // After a change of network an open socket is often a corpse. A new one costs little: it resumes.
    if (this.#state === "offline") this.#drop()
    if (!this.isLive) this.#setState("reconnecting")
    this.retryNow()
  }

  /** Somebody looks at the page again. */
  #look = () => {
    if (document.visibilityState === "hidden") return
    if (this.#state === "stopped" && this.#reason !== "signed-out") return
    if (this.#socket) this.#listenForSilence()
    else this.retryNow()
  }

  /** A page with an open socket is not kept for the Back button; the socket resumes when the page is shown again. */
  #hide = () => {
    this.#drop()
    if (this.#state !== "stopped") this.#setState("reconnecting")
  }

  #setState(state, reason = "", retryAt = null) {
    if (state === this.#state && reason === this.#reason && retryAt === this.#retryAt) return
    this.#state = state
    this.#reason = reason
    this.#retryAt = retryAt
    this.#emit("state", { state, reason, retryAt })
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

// Trying again

const FIRST_MS = 500
const LONGEST_MS = 3_000 // with a slow handshake still within the 5 s that a person may have to wait for a server that is back

/**
 * Milliseconds before attempt number `attempt` (the first is 0): doubling, with full jitter, so that a thousand
 * pages that lost one server do not all come back in the same moment. `random` gives a number in [0, 1).
 */
export function backoff(attempt, random) {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt)
}
