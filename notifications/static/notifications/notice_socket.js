/**
 * How do notices reach this page, each once, in order, whatever the connection does, and with one connection for all
 * tabs of a browser? (docs/protocol.md)
 */

import { LastingSocket } from "./lasting_socket.js"

/** Why a line stopped for good (4005, 4501, 4503): the inbox that was kept for offline is for nobody here any more. */
const LOST_ACCESS = ["signed-out", "withdrawn"]
const SILENCE_MS = 35_000 // until the server has said how often its heart beats
const HEARTBEAT_GRACE_MS = 10_000 // a heartbeat may be this late
const THROTTLED_MS = 60_000 // browsers let a timer of a hidden page, such as one that polls, run once in so long
const ANSWER_MS = 2_000 // a leader that is asked answers within this, or another tab takes its place
const IDS_A_FRAME = 200 // well below the 4 KiB that the server takes
const RING_FRAMES = 300 // as many as the server replays
const BLOCKED_AFTER = 2 // attempts in a row that nothing came of, while the server answers requests
const CUT_OFF = 1006 // nobody has said goodbye
const READY = "/readyz" // not /healthz: a server that is about to stop still lives, but takes no sockets
const READY_WITHIN_MS = 5_000
const VERSION = 1 // of what tabs say to each other; a page from before an update keeps to its own kind

// Where a tab stands ------------------------------------------------------------------------------------------------

/** A cursor and a stamp, taken apart: `audiences` stands for who the reader is. */
export function placeOf({ cursor, stamp }) {
  const colon = cursor.lastIndexOf(":")
  const [changes, audiences] = stamp.split("-")
  return { epoch: cursor.slice(0, colon), position: Number(cursor.slice(colon + 1)), changes: Number(changes), audiences }
}

export const cursorOf = ({ epoch, position }) => `${epoch}:${position}`
export const stampOf = ({ changes, audiences }) => `${changes}-${audiences}`

/** Where `frame` leads from `place`. It travels behind all notices up to its position, so everything up to there is here. */
export function after(place, frame) {
  switch (frame.type) {
    case "welcome":
      return placeOf(frame)
    case "notice":
    case "heartbeat":
      return { ...place, position: Math.max(place.position, frame.position) }
    case "inbox":
      return { ...place, changes: Math.max(place.changes, frame.changes) }
    default:
      return place
  }
}

/**
 * What a tab at `place` makes of a frame that reached another one at `before`: "take", "known" (it holds that already),
 * or "gap" (it misses something that came before).
 */
export function judge(place, frame, before) {
  if (["welcome", "reset"].includes(frame.type)) return "take"
  if (place.epoch !== before.epoch || place.audiences !== before.audiences) return "gap"
  if (frame.type === "inbox" ? frame.changes < place.changes : frame.position <= place.position) return "known"
  if (before.position > place.position || (frame.changes ?? 0) > place.changes + 1) return "gap"
  return "take"
}

/** What a tab has taken lately, so that it can bring the others up to date when it comes to lead. */
export class Ring {
  #begins // the ring holds every notice and change after this
  #frames = []
  #most

  constructor(place, most = RING_FRAMES) {
    this.#begins = place
    this.#most = most
  }

  push(frame) {
    if (!["notice", "inbox"].includes(frame.type)) return
    this.#frames.push(frame)
    if (this.#frames.length > this.#most) this.#begins = after(this.#begins, this.#frames.shift())
  }

  /** The frames that lead from `place` to where this tab stands; null when these do not. */
  from(place) {
    const { epoch, audiences, position, changes } = this.#begins
    if (place.epoch !== epoch || place.audiences !== audiences) return null
    if (place.position < position || place.changes < changes) return null
    return this.#frames.filter((frame) =>
      frame.type === "notice" ? frame.position > place.position : frame.changes > place.changes,
    )
  }
}

// The tabs of one browser -------------------------------------------------------------------------------------------

/**
 * Who leads, and how the tabs talk: a lock of that name, which the browser hands on when a tab is closed or crashes, and a
 * channel. Where there is neither, each tab leads itself.
 */
class Tabs {
  #name
  #lead
  #follow
  #hear
  #channel = null
  #waiting = null // aborts the wait for the lock
  #release = null // while we lead: lets go of the lock

  constructor(name, { lead, follow, hear }) {
    this.#name = name
    this.#lead = lead
    this.#follow = follow
    this.#hear = hear
  }

  get isLeader() {
    return this.#release !== null
  }

  join() {
    if (!navigator.locks || !window.BroadcastChannel) {
      this.#begin()
      return
    }
    if (this.#channel) return
    this.#channel = new BroadcastChannel(this.#name)
    this.#channel.onmessage = ({ data }) => this.#hear(data)
    this.#wait()
  }

  /** Another tab may lead now; this one hears nothing any more. */
  leave() {
    this.#waiting?.abort()
    this.#channel?.close()
    this.#channel = null
    const release = this.#release
    this.#end()
    release?.()
  }

  say(message) {
    this.#channel?.postMessage(message)
  }

  /** Lead in the place of a tab that holds the lock, and does nothing with it. */
  depose() {
    if (!this.#channel) return
    this.#waiting.abort()
    this.#request({ steal: true })
  }

  #wait() {
    this.#waiting = new AbortController()
    this.#request({ signal: this.#waiting.signal })
  }

  async #request(options) {
    try {
      await navigator.locks.request(this.#name, options, () => new Promise((resolve) => this.#begin(resolve)))
    } catch (error) {
      if (error.name !== "AbortError") throw error
      if (options.signal?.aborted) return // we do not want it any more
      this.#end() // another tab took it from us
      this.#wait()
    }
  }

  #begin(release = () => {}) {
    this.#release = release
    this.#lead()
  }

  #end() {
    if (!this.isLeader) return
    this.#release = null
    this.#follow()
  }
}

/**
 * Events, in every tab, whoever holds the connection:
 * `state` (see LastingSocket; live by another line has the reason `events` or `polling`) with `asOf`, when the page was
 * up to date for the last time; `welcome`, `notice`, `inbox` with the frame; and `reset`. A notice is `replayed` when it
 * was missed, rather than that it came just now. `saw` {sights, through} is what another tab has shown.
 */
export class NoticeSocket extends EventTarget {
  #id = crypto.getRandomValues(new Uint32Array(2)).join("-")
  #url
  #events
  #place // everything up to here was handed to the page
  #ring
  #isResetting = false // what comes means nothing until `continueFrom`
  #asOf
  #state = { state: "connecting", reason: "", retryAt: null }

  #tabs
  #hasFollowers = false
  #hasAsked = false // the leader, since this tab began to follow
  #leaderHeardAt = 0
  #leaderTimer = 0

  #line
  #kind = "socket" // or "events", "polling"; of a follower: what its leader uses
  #others = null // other_lines.js, once it is needed
  #wayBack = null
  #failures = 0
  #missedThrough = 0 // notices up to here were missed

  constructor({ url, events, reader, cursor, stamp, at, random }) {
    super()
    this.#url = url
    this.#events = events && new URL(events, location.href)
    this.#asOf = Date.parse(at) || Date.now()
    this.#stand({ cursor, stamp })
    this.#line = new LastingSocket({ dial: () => this.#dial(), random })
    this.#line.silenceMs = SILENCE_MS
    this.#line.addEventListener("state", ({ detail }) => this.#tabs.isLeader && this.#tell(detail))
    this.#line.addEventListener("message", ({ detail }) => this.#receive(JSON.parse(detail.data)))
    this.#line.addEventListener("close", ({ detail }) => this.#lost(detail))
    this.#tabs = new Tabs(`notices:${VERSION}:${reader}`, { lead: this.#lead, follow: this.#follow, hear: this.#hear })
    window.addEventListener("pagehide", () => this.#hide())
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.start())
    document.addEventListener("visibilitychange", () => this.#look())
  }

  get position() {
    return this.#place.position
  }

  get isLeader() {
    return this.#tabs.isLeader
  }

  start() {
    this.#tabs.join()
    if (!this.isLeader) this.#ask()
  }

  retryNow() {
    if (this.isLeader) this.#line.retryNow()
    else this.#tabs.say({ type: "retry" })
  }

  stop(reason) {
    if (this.isLeader) this.#line.stop(reason)
    else this.#tabs.say({ type: "stop", reason })
  }

  /** After a reset: the page was fetched afresh, and holds what `cursor` and `stamp` stand for. */
  continueFrom({ cursor, stamp }) {
    this.#stand({ cursor, stamp })
    this.#isResetting = false
    if (!this.isLeader) {
      this.#ask()
      return
    }
    this.#line.start()
    this.#tabs.say({ type: "lead", ...this.#standing() })
  }

  /** Returns whether it could be sent. */
  read(ids) {
    let sent = true
    for (let from = 0; from < ids.length; from += IDS_A_FRAME) {
      sent = this.#say({ type: "read", ids: ids.slice(from, from + IDS_A_FRAME) }) && sent
    }
    return sent
  }

  /** The same for what was on the screen. */
  see(ids, through) {
    let sent = true
    for (let from = 0; from === 0 || from < ids.length; from += IDS_A_FRAME) {
      sent = this.#say({ type: "seen", ids: ids.slice(from, from + IDS_A_FRAME), through }) && sent
    }
    return sent
  }

  /** Let the other tabs show it at once: the server says so up to 10 s later. */
  saw(sights, through) {
    this.#tabs.say({ type: "saw", epoch: this.#place.epoch, sights, through })
  }

  readAll(through) {
    return this.#say({ type: "read_all", through })
  }

  #say(frame) {
    if (this.isLeader) return this.#line.send(JSON.stringify(frame))
    const isHeard = this.#state.state === "live" && this.#kind === "socket"
    if (isHeard) this.#tabs.say({ type: "say", frame })
    return isHeard
  }

  #stand(place) {
    this.#place = placeOf(place)
    this.#ring = new Ring(this.#place)
  }

  /** The page learns what `frame` says. */
  #take(frame) {
    this.#place = after(this.#place, frame)
    this.#ring.push(frame)
    if (frame.type === "reset") this.#isResetting = true
    if (["welcome", "notice", "inbox", "reset"].includes(frame.type)) this.#emit(frame.type, frame)
  }

  #show(state) {
    this.#state = state
    if (LOST_ACCESS.includes(state.reason)) navigator.serviceWorker?.controller?.postMessage("forget")
    this.#emit("state", { ...state, asOf: this.#asOf })
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }

  // While this tab leads ---------------------------------------------------------------------------------------------

  #lead = async () => {
    clearTimeout(this.#leaderTimer)
    this.#tabs.say({ type: "lead", ...this.#standing() })
    if (this.#kind !== "socket") await this.#use(this.#kind) // what the one before us had to do with
    if (this.isLeader && !this.#isResetting) this.#line.start()
  }

  #standing() {
    return { state: this.#state, kind: this.#kind }
  }

  #tell(state) {
    if (state.state === "live") this.#failures = 0
    this.#show(state)
    this.#tabs.say({ type: "state", ...this.#standing() })
  }

  /** Another tab has said something. */
  #serve(message) {
    switch (message.type) {
      case "hello":
        this.#hasFollowers = true
        this.#answer(message)
        this.#line.check()
        break
      case "say":
        this.#line.send(JSON.stringify(message.frame))
        break
      case "retry":
        this.#line.retryNow()
        break
      case "stop":
        this.#line.stop(message.reason)
        break
    }
  }

  /** Without `frames`, that tab has to begin afresh; while we do so ourselves, it has to wait. */
  #answer({ from, place }) {
    const frames = this.#isResetting ? [] : this.#ring.from(place)?.concat({ type: "heartbeat", position: this.position })
    this.#tabs.say({ type: "answer", to: from, frames, ...this.#standing() })
  }

  #receive(frame) {
    const before = this.#place
    this.#asOf = Date.now()
    if (frame.type === "welcome") this.#missedThrough = frame.position
    if (frame.type === "notice") frame.replayed = frame.position <= this.#missedThrough
    switch (frame.type) {
      case "welcome":
        this.#line.silenceMs = frame.heartbeat * 1000 + HEARTBEAT_GRACE_MS + (this.#kind === "polling" ? THROTTLED_MS : 0)
        this.#live(frame)
        break
      case "heartbeat":
        this.#live(frame)
        break
      case "reset":
        this.#line.leave()
        break
      case "notice":
      case "inbox":
        break
      case "bye":
        this.#line.comeBackIn(frame.retry_ms)
        return
      case "error":
        console.warn(`The server refused: ${frame.code}: ${frame.detail}`)
        return
      default:
        throw new Error(`unknown frame type: ${frame.type}`)
    }
    if (this.#hasFollowers) this.#tabs.say({ type: "frame", frame, before })
    this.#take(frame)
    if (frame.type === "heartbeat") this.#line.send(JSON.stringify({ type: "alive", position: this.position }))
  }

  #live({ delayed }) {
    if (this.#kind === "socket") this.#line.live(delayed ? "delayed" : "")
    else this.#line.live(this.#kind)
  }

  // While another tab leads ------------------------------------------------------------------------------------------

  #follow = () => {
    this.#wayBack?.stop()
    this.#line.leave()
    this.#ask()
  }

  #hear = (message) => {
    if (message.type === "saw") this.#hearSight(message)
    else if (this.isLeader) this.#serve(message)
    else if (["lead", "state", "frame", "answer"].includes(message.type)) this.#hearLeader(message)
  }

  #hearSight({ epoch, ...sight }) {
    if (epoch === this.#place.epoch && !this.#isResetting) this.#emit("saw", sight)
  }

  #hearLeader(message) {
    this.#leaderHeardAt = Date.now()
    this.#listenForSilence()
    switch (message.type) {
      case "lead":
        this.#hearState(message)
        this.#ask()
        break
      case "state":
        this.#hearState(message)
        break
      case "frame":
        this.#asOf = Date.now()
        if (!this.#isResetting) this.#hearFrame(message)
        break
      case "answer":
        if (message.to === this.#id) this.#hearAnswer(message)
        break
    }
  }

  #hearFrame({ frame, before }) {
    const judgement = judge(this.#place, frame, before)
    if (frame.type === "welcome") this.#emit("welcome", frame) // it says where the leader stands, and we know where we do
    else if (judgement === "take") this.#take(frame)
    else if (judgement === "gap") this.#ask()
  }

  #hearAnswer({ frames, ...standing }) {
    this.#hearState(standing)
    // A page that was just opened, or is looked at, knows nothing of why the others gave up.
    if (standing.state.state !== "live" && !this.#hasAsked) this.retryNow()
    this.#hasAsked = true
    if (this.#isResetting) return
    if (!frames) this.#take({ type: "reset" })
    for (const frame of frames ?? []) {
      // Meanwhile some of it may have come by itself.
      if (judge(this.#place, frame, this.#place) === "take") this.#take({ ...frame, replayed: true })
    }
  }

  #hearState({ state, kind }) {
    if (state.state === "live") this.#asOf = Date.now()
    this.#kind = kind
    this.#show(state)
  }

  #ask() {
    this.#tabs.say({ type: "hello", from: this.#id, place: this.#place })
    this.#listenForSilence()
  }

  #listenForSilence() {
    clearTimeout(this.#leaderTimer)
    this.#leaderTimer = setTimeout(this.#doubt, this.#line.silenceMs)
  }

  #doubt = () => {
    if (this.isLeader) return
    const asked = Date.now()
    this.#ask()
    clearTimeout(this.#leaderTimer)
    this.#leaderTimer = setTimeout(() => {
      if (this.#leaderHeardAt < asked && !this.isLeader) this.#tabs.depose()
    }, ANSWER_MS)
  }

  /** A page that holds a lock, or waits for one, is not kept for the Back button. */
  #hide() {
    this.#tabs.leave()
    clearTimeout(this.#leaderTimer)
  }

  /** Somebody looks at the page again. The leader has looked for itself, if it is the one. */
  #look() {
    if (document.visibilityState === "hidden" || this.isLeader) return
    const { state, reason } = this.#state
    this.#doubt()
    if (state !== "live" && (state !== "stopped" || reason === "signed-out")) this.retryNow()
  }

  // Which line -------------------------------------------------------------------------------------------------------

  #address(url) {
    const address = new URL(url)
    address.searchParams.set("cursor", cursorOf(this.#place))
    address.searchParams.set("stamp", stampOf(this.#place))
    return address
  }

  #dial() {
    if (this.#kind === "socket") return new WebSocket(this.#address(this.#url))
    const Line = this.#kind === "events" ? this.#others.EventLine : this.#others.PollingLine
    return new Line(() => this.#address(this.#events))
  }

  /** Nothing comes of this kind of line, although the server answers requests: take one that is no more than those. */
  async #lost({ code, heard }) {
    const isOff = !heard && code === CUT_OFF && navigator.onLine && this.#kind !== "polling" && this.#events
    if (!isOff || !(await isReady())) {
      this.#failures = 0
      return
    }
    this.#failures += 1
    if (this.#failures < BLOCKED_AFTER || !this.isLeader) return
    await this.#use(this.#kind === "socket" ? "events" : "polling")
    this.#line.renew()
  }

  async #use(kind) {
    try {
      this.#others ??= await import("./other_lines.js")
    } catch {
      this.#kind = "socket" // offline: there is nothing to be had anyway
      return
    }
    this.#kind = kind
    this.#failures = 0
    this.#wayBack ??= new this.#others.WayBack(() => this.#address(this.#url), () => {
      this.#kind = "socket"
      this.#line.renew()
    })
    this.#wayBack.start()
  }
}

/** Whether the server could serve a page just now. */
async function isReady() {
  try {
    const response = await fetch(READY, { cache: "no-store", signal: AbortSignal.timeout(READY_WITHIN_MS) })
    return response.ok
  } catch {
    return false
  }
}
