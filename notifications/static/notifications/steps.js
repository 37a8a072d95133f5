/** The self-help page: what is tested in which order, and what do the answers mean? No page and no network in here. */

export const LATE_MS = 1_000 // a notice whose bell was heard takes a few milliseconds; without it, up to 2 s
const CLOCK_MAY_DIFFER_MS = 10_000 // less is seen by nobody: times are told in minutes

/**
 * `needs`: steps that must have worked before this one can be tried. `forReaders`: only somebody who is signed in can
 * try it.
 */
export const STEPS = [
  { name: "page", needs: [] },
  { name: "socket", needs: [] },
  { name: "text", needs: ["socket"] },
  { name: "binary", needs: ["socket"] },
  { name: "session", needs: [], forReaders: true },
  { name: "clock", needs: [] },
  { name: "fallback", needs: ["session"], forReaders: true },
  { name: "notice", needs: ["session"], forReaders: true },
]

/** A judgement: the step's `state` (worked, late, failed, skipped), the `finding`: which sentence is shown, its `values`. */
const worked = { state: "worked", finding: "worked", values: {} }
const late = { state: "late", finding: "late", values: {} }
const failed = (finding, values = {}) => ({ state: "failed", finding, values })
const skipped = (finding) => ({ state: "skipped", finding, values: {} })

/** Why `step` cannot be tried, as a judgement, or null. `judged` holds the judgements so far, by name. */
export function whyNot(step, judged, { signedIn }) {
  if (step.forReaders && !signedIn) return skipped("signIn")
  const has = (name) => judged[name]?.state === "worked"
  if (!step.needs.every(has)) return skipped("before")
  if (step.name === "notice" && !has("socket") && !has("fallback")) return skipped("before")
  return null
}

/** `ms`: how long the browser waited for it. */
export const judgePage = (ms) => ({ ...worked, ms })

/**
 * `opened`: whether it opened. Otherwise `timedOut`, and what the same address and `/readyz` answer to plain requests
 * (`status`: null when nobody answers; `draining`), and as what the server was asked (`page` and `server`: origins).
 */
export function judgeSocket({ opened, timedOut, online, status, draining, page, server }) {
  if (opened) return worked
  if (!online) return failed("offline")
  if (status === null) return failed("unreachable")
  if (status === 503 || draining) return failed("draining")
  if (page !== server) return failed("origin", { page, server })
  if (status !== 426) return failed("elsewhere", { status })
  return failed(timedOut ? "silent" : "upgrade")
}

/** `code`: the close code, if the socket closed instead of answering; neither: it stayed silent. */
export function judgeEcho({ asExpected, answered, code }) {
  if (answered) return asExpected ? worked : failed("changed")
  return code ? failed("lost", { code }) : failed("silent")
}

const CLOSED_BECAUSE = new Map([
  [1011, "busy"],
  [1012, "draining"],
  [1013, "busy"],
  [4005, "cookies"],
  [4501, "cookies"],
  [4503, "withdrawn"],
  [4504, "crowded"],
])

/**
 * `known`: whether a plain request finds us signed in; its `status` is null when nobody answers. `socket`: what a
 * notice socket said, or null if none can be opened: {welcome, code}.
 */
export function judgeSession({ status, known, socket }) {
  if (status === null) return failed("unreachable")
  if (status >= 500) return failed("busy")
  if (!known) return failed("ended")
  if (!socket || socket.welcome) return worked
  if (CLOSED_BECAUSE.has(socket.code)) return failed(CLOSED_BECAUSE.get(socket.code))
  return socket.code ? failed("lost", { code: socket.code }) : failed("silent")
}

/** `server`: the server's time in ms, cut to the second, or NaN; it was noted between `before` and `after` of ours. */
export function judgeClock({ before, after, server }) {
  if (Number.isNaN(server)) return skipped("unknown")
  const ahead = before - (server + 1_000)
  const behind = server - after
  if (ahead > CLOCK_MAY_DIFFER_MS) return failed("ahead", { by: ahead })
  if (behind > CLOCK_MAY_DIFFER_MS) return failed("behind", { by: behind })
  return worked
}

/** `heard`: whether the first event came. `opened`: the answer began, but nothing came. */
export function judgeFallback({ heard, opened }) {
  if (heard) return worked
  return failed(opened ? "buffered" : "refused")
}

/**
 * `status` of the request that sends it (null: no answer), whether the doorbell was `rung`, and after how many ms the
 * notice was here (null: not at all).
 */
export function judgeNotice({ status, rung, ms, delayed }) {
  if (status === null) return failed("unreachable")
  if (status === 429) return skipped("limit")
  if (status === 403) return failed("refused")
  if (status !== 200) return failed("notStored", { status })
  if (ms === null) return failed("lost")
  return rung && !delayed && ms <= LATE_MS ? worked : late
}

/** How it went altogether: `finding` and how many steps it is about. */
export function summary(judgements) {
  const count = (state) => judgements.filter((each) => each.state === state).length
  if (count("failed") > 0) return { finding: "failed", n: count("failed") }
  if (count("late") > 0) return { finding: "late", n: count("late") }
  return { finding: count("skipped") > 0 ? "tested" : "worked", n: count("worked") }
}
