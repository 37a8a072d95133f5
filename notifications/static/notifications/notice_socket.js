/** How do notices reach this page, each once, in order, whatever the connection does? (docs/protocol.md) */

import { LastingSocket } from "./lasting_socket.js"

const SILENCE_MS = 35_000 // until the server has said how often its heart beats
const HEARTBEAT_GRACE_MS = 10_000 // a heartbeat may be this late
const IDS_A_FRAME = 200 // well below the 4 KiB that the server takes

/** Events: `state` (see LastingSocket), `welcome`, `notice`, `inbox` with the frame, and `reset`. */
export class NoticeSocket extends EventTarget {
  #line
  #epoch
  #position // everything up to here was handed to the page
  #stamp // of what is not in the log: who the reader is, and what they have read

  constructor({ url, cursor, stamp, random }) {
    super()
    this.#takeCursor(cursor)
    this.#stamp = stamp
    this.#line = new LastingSocket({ address: () => this.#addressFrom(url), random })
    this.#line.silenceMs = SILENCE_MS
    this.#line.addEventListener("state", ({ detail }) => this.#emit("state", detail))
    this.#line.addEventListener("message", ({ detail }) => this.#receive(JSON.parse(detail.data)))
  }

  get position() {
    return this.#position
  }

  start() {
    this.#line.start()
  }

  retryNow() {
    this.#line.retryNow()
  }

  stop(reason) {
    this.#line.stop(reason)
  }

  /** After a reset: the page was fetched afresh, and holds what `cursor` and `stamp` stand for. */
  continueFrom({ cursor, stamp }) {
    this.#takeCursor(cursor)
    this.#stamp = stamp
    this.#line.start()
  }

  /** Returns whether it could be sent. */
  read(ids) {
    let sent = true
    for (let from = 0; from < ids.length; from += IDS_A_FRAME) {
      sent = this.#say({ type: "read", ids: ids.slice(from, from + IDS_A_FRAME) }) && sent
    }
    return sent
  }

  readAll(through) {
    return this.#say({ type: "read_all", through })
  }

  #receive(frame) {
    switch (frame.type) {
      case "welcome":
        this.#takeCursor(frame.cursor)
        this.#stamp = frame.stamp
        this.#line.silenceMs = frame.heartbeat * 1000 + HEARTBEAT_GRACE_MS
        this.#line.live(frame.delayed ? "delayed" : "")
        this.#emit("welcome", frame)
        break
      case "notice":
        this.#emit("notice", frame)
        this.#reached(frame.position)
        break
      case "inbox":
        this.#stamp = `${frame.changes}-${this.#stamp.split("-")[1]}`
        this.#emit("inbox", frame)
        break
      case "heartbeat":
        // It travels behind the notices, so everything up to it is here.
        this.#reached(frame.position)
        this.#line.live(frame.delayed ? "delayed" : "")
        this.#say({ type: "alive", position: this.#position })
        break
      case "reset":
        this.#line.leave()
        this.#emit("reset")
        break
      case "bye":
        this.#line.comeBackIn(frame.retry_ms)
        break
      case "error":
        console.warn(`The server refused: ${frame.code}: ${frame.detail}`)
        break
      default:
        throw new Error(`unknown frame type: ${frame.type}`)
    }
  }

  #reached(position) {
    this.#position = Math.max(this.#position, position)
  }

  #takeCursor(cursor) {
    const colon = cursor.lastIndexOf(":")
    this.#epoch = cursor.slice(0, colon)
    this.#position = Number(cursor.slice(colon + 1))
  }

  #addressFrom(url) {
    const address = new URL(url)
    address.searchParams.set("cursor", `${this.#epoch}:${this.#position}`)
    address.searchParams.set("stamp", this.#stamp)
    return address
  }

  #say(frame) {
    return this.#line.send(JSON.stringify(frame))
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
