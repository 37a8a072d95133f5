/** The self-help page: how is each step tried? What the answers mean is in steps.js. */

const OPEN_WITHIN_MS = 10_000
const ANSWER_WITHIN_MS = 5_000

/** What has come over a socket or an event stream, and what is still awaited. */
export class Line {
  code = 0 // the close code
  opened = false
  #frames = []
  #waiting = []
  #close

  constructor(close) {
    this.#close = close
  }

  hear(frame) {
    this.#frames.push(frame)
    for (const look of [...this.#waiting]) look()
  }

  lost(code) {
    this.code = code
    for (const look of [...this.#waiting]) look()
  }

  close() {
    this.#close()
  }

  /** The first frame that `fits`, also one that has come already; null when the line is lost or the time is over. */
  find(fits, withinMs = ANSWER_WITHIN_MS) {
    return new Promise((resolve) => {
      const look = () => {
        const frame = this.#frames.find(fits)
        if (frame !== undefined || this.code) settle(frame ?? null)
      }
      const settle = (frame) => {
        clearTimeout(timer)
        this.#waiting = this.#waiting.filter((each) => each !== look)
        resolve(frame)
      }
      const timer = setTimeout(settle, withinMs, null)
      this.#waiting.push(look)
      look()
    })
  }
}

/** Opens a socket: {socket, line, timedOut}; the line has `opened` if it did. `read` makes a frame of what comes. */
export function openSocket(url, read) {
  const socket = new WebSocket(url)
  socket.binaryType = "arraybuffer"
  const line = new Line(() => socket.close())
  socket.onmessage = ({ data }) => line.hear(read(data))
  return new Promise((resolve) => {
    const settle = (timedOut) => {
      clearTimeout(timer)
      resolve({ socket, line, timedOut })
    }
    const timer = setTimeout(settle, OPEN_WITHIN_MS, true)
    socket.onopen = () => {
      line.opened = true
      settle(false)
    }
    socket.onclose = ({ code }) => {
      line.lost(code)
      settle(false)
    }
  })
}

/** The same for server-sent events; each event is a frame. It does not come back by itself. */
export function openEvents(url) {
  const source = new EventSource(url)
  const line = new Line(() => source.close())
  source.onopen = () => (line.opened = true)
  source.onmessage = ({ data }) => line.hear(JSON.parse(data))
  source.onerror = () => {
    source.close()
    line.lost(1006)
  }
  return line
}

/** A plain request: {status, redirected, date, json}; `status` is null when nobody answers. */
export async function ask(address, options = {}) {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
  try {
    const headers = { Accept: "application/json", ...options.headers }
    const response = await fetch(address, { cache: "no-store", signal, ...options, headers })
    const json = response.headers.get("Content-Type")?.includes("json") ? await response.json() : null
    const date = Date.parse(response.headers.get("Date"))
    return { status: response.status, redirected: response.redirected, date, json }
  } catch {
    return { status: null, redirected: false, date: NaN, json: null }
  }
}
