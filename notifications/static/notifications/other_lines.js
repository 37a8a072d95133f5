/**
 * What takes the place of a WebSocket where the network lets none through? Lines that look like one to LastingSocket, but
 * only bring; what the page says goes by requests of its own.
 */

const FIRST_WITHIN_MS = 5_000 // who hears nothing of a stream by then sits behind something that holds it back
const POLL_MS = 5_000
const JITTER_MS = 2_000
const POLL_WITHIN_MS = 15_000
const CODES = new Map([ // status of a refusal → what a socket would be closed with
  [401, 4501],
  [403, 4567],
  [429, 4504],
  [503, 1013],
])
const LOST = 1006

/** A stream of server-sent events. `address` is asked for once. */
export class EventLine {
  readyState = WebSocket.CONNECTING
  onopen
  onmessage
  onclose
  #source
  #address
  #timer

  constructor(address) {
    this.#address = address()
    this.#source = new EventSource(this.#address)
    this.#source.onmessage = ({ data }) => this.#hear(data)
    this.#source.addEventListener("close", ({ data }) => this.#end(JSON.parse(data).code))
    this.#source.onerror = () => this.#fail()
    this.#timer = setTimeout(() => this.#end(LOST), FIRST_WITHIN_MS)
  }

  send() {
    return false
  }

  close() {
    this.readyState = WebSocket.CLOSED
    clearTimeout(this.#timer)
    this.#source.close()
  }

  #hear(data) {
    if (this.readyState === WebSocket.CONNECTING) {
      clearTimeout(this.#timer)
      this.readyState = WebSocket.OPEN
      this.onopen()
    }
    this.onmessage({ data })
  }

  /** An EventSource does not say why. It would come back by itself, but with the place and stamp it began with. */
  async #fail() {
    const wasRefused = this.readyState === WebSocket.CONNECTING
    this.#source.close()
    this.#end(wasRefused ? await whyRefused(this.#address) : LOST)
  }

  #end(code) {
    if (this.readyState === WebSocket.CLOSED) return
    this.close()
    this.onclose({ code })
  }
}

/** Asks every few seconds. `address` is asked for each time: the cursor in it moves. */
export class PollingLine {
  readyState = WebSocket.CONNECTING
  onopen
  onmessage
  onclose
  #address
  #timer = 0

  constructor(address) {
    this.#address = address
    this.#poll()
  }

  send() {
    return false
  }

  close() {
    this.readyState = WebSocket.CLOSED
    clearTimeout(this.#timer)
  }

  async #poll() {
    const code = await this.#ask()
    if (this.readyState === WebSocket.CLOSED) return
    if (code) {
      this.close()
      this.onclose({ code })
    } else {
      this.#timer = setTimeout(() => this.#poll(), POLL_MS + (Math.random() - 0.5) * JITTER_MS)
    }
  }

  /** Returns a close code, or nothing when the line stays. */
  async #ask() {
    try {
      const response = await ask(this.#address())
      if (!response.ok) return CODES.get(response.status) ?? LOST
      return this.#hear(await response.text())
    } catch {
      return LOST
    }
  }

  #hear(text) {
    const isFirst = this.readyState === WebSocket.CONNECTING
    if (this.readyState === WebSocket.CLOSED) return undefined
    let isWhole = false
    this.readyState = WebSocket.OPEN
    if (isFirst) this.onopen()
    for (const { kind, data } of eventsIn(text)) {
      const frame = JSON.parse(data)
      if (kind === "close") return frame.code
      if (frame.type === "welcome") isWhole = true
      if (frame.type !== "welcome" || isFirst) this.onmessage({ data })
      if (this.readyState === WebSocket.CLOSED) return undefined // the page begins afresh
    }
    return isWhole ? undefined : LOST
  }
}

/** The events of a response that has ended: their kind, and their data. */
export function eventsIn(text) {
  const events = text.split("\n\n").map((event) => {
    const fields = event.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)])
    const { event: kind = "message", data } = Object.fromEntries(fields)
    return { kind, data }
  })
  return events.filter(({ data }) => data !== undefined)
}

function ask(address) {
  const once = new URL(address)
  once.searchParams.set("once", "1")
  return fetch(once, { cache: "no-store", signal: AbortSignal.timeout(POLL_WITHIN_MS) })
}

async function whyRefused(address) {
  try {
    return CODES.get((await ask(address)).status) ?? LOST
  } catch {
    return LOST
  }
}

// The way back

const FIRST_TRY_MS = 60_000
const LATER_TRIES_MS = 300_000
const WELCOME_WITHIN_MS = 15_000

/** Tries WebSocket now and then, and says when it works again. */
export class WayBack {
  #address
  #found
  #timer = 0
  #isOn = false

  constructor(address, found) {
    this.#address = address
    this.#found = found
    window.addEventListener("online", () => this.#isOn && this.#try())
  }

  start() {
    this.stop()
    this.#isOn = true
    this.#timer = setTimeout(() => this.#try(), FIRST_TRY_MS)
  }

  stop() {
    this.#isOn = false
    clearTimeout(this.#timer)
  }

  async #try() {
    clearTimeout(this.#timer)
    const works = await isWelcome(this.#address())
    if (!this.#isOn) return
    if (works) {
      this.stop()
      this.#found()
    } else {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#try(), LATER_TRIES_MS)
    }
  }
}

/** Whether a WebSocket to `address` is served. It is for trying only: what it brings comes again on the next one. */
function isWelcome(address) {
  return new Promise((resolve) => {
    const socket = new WebSocket(address)
    const answer = (works) => {
      clearTimeout(timer)
      socket.close()
      resolve(works)
    }
    const timer = setTimeout(() => answer(false), WELCOME_WITHIN_MS)
    socket.onmessage = ({ data }) => answer(JSON.parse(data).type === "welcome")
    socket.onclose = () => answer(false)
  })
}
