/** The self-help page: runs the steps one after the other, and says how each went. */

import { socketUrl } from "./lasting_socket.js"
import { ask, openEvents, openSocket } from "./probes.js"
import {
  judgeClock,
  judgeEcho,
  judgeFallback,
  judgeNotice,
  judgePage,
  judgeSession,
  judgeSocket,
  STEPS,
  summary,
  whyNot,
} from "./steps.js"
import { language, phraseFor } from "./words.js"

const TEXT = "Grüße 你好 👋"
const PREFIX = "Server: " // what an echo begins with
export const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte)

export function isAllBytes(buffer) {
  const bytes = new Uint8Array(buffer)
  return bytes.length === ALL_BYTES.length && bytes.every((byte, index) => byte === ALL_BYTES[index])
}

const element = (id) => document.getElementById(id)
const milliseconds = new Intl.NumberFormat(language, { style: "unit", unit: "millisecond", maximumFractionDigits: 0 })

/** One run: what the steps find out is kept for those that come after them. */
class Run {
  #place // the data-… of the section
  #echo = null // {socket, line}
  #notices = null // the line by which a notice would come
  #delayed = false

  constructor(place) {
    this.#place = place
  }

  page() {
    return judgePage(performance.getEntriesByType("navigation")[0]?.responseEnd ?? performance.now())
  }

  async socket() {
    const { socket, line, timedOut } = await openSocket(socketUrl(this.#place.echo), (data) => data)
    this.#echo = { socket, line }
    if (line.opened) return judgeSocket({ opened: true })
    const [plain, ready] = await Promise.all([ask(this.#place.echo), ask(this.#place.ready)])
    return judgeSocket({
      opened: false,
      timedOut,
      online: navigator.onLine,
      status: plain.status,
      draining: ready.json?.hub?.state === "draining",
      page: location.origin,
      server: this.#place.server,
    })
  }

  async text() {
    const answer = await this.#answerTo(TEXT, (data) => typeof data === "string")
    return judgeEcho({ ...answer, asExpected: answer.data === PREFIX + TEXT })
  }

  async binary() {
    const answer = await this.#answerTo(ALL_BYTES, (data) => typeof data !== "string")
    return judgeEcho({ ...answer, asExpected: answer.answered && isAllBytes(answer.data) })
  }

  async #answerTo(data, fits) {
    const { socket, line } = this.#echo
    socket.send(data)
    const answer = await line.find(fits)
    return { answered: answer !== null, data: answer, code: line.code }
  }

  async session() {
    const { status, redirected } = await ask(this.#place.session)
    const known = status === null ? null : status === 200 && !redirected
    return judgeSession({ status, known, socket: known && this.#echo.line.opened ? await this.#welcome() : null })
  }

  async #welcome() {
    const { line } = await openSocket(socketUrl(this.#place.notices), JSON.parse)
    const welcome = await line.find(({ type }) => type === "welcome")
    if (welcome) this.#notices = line
    this.#delayed = Boolean(welcome?.delayed)
    return { welcome, code: line.code }
  }

  async clock() {
    const before = Date.now()
    const { date } = await ask(this.#place.ready)
    return judgeClock({ before, after: Date.now(), server: date })
  }

  async fallback() {
    const line = openEvents(this.#place.events)
    const heard = Boolean(await line.find(({ type }) => type === "welcome"))
    if (heard && !this.#notices) this.#notices = line
    else line.close()
    return judgeFallback({ heard, opened: line.opened })
  }

  async notice() {
    const body = new URLSearchParams(new FormData(element("self-help-form")))
    const began = performance.now()
    const { status, json } = await ask(element("self-help-form").action, { method: "POST", body })
    const id = json?.id
    const came = status === 200 && (await this.#notices.find(({ type, notice }) => type === "notice" && notice.id === id))
    const ms = came ? performance.now() - began : null
    return judgeNotice({ status, rung: json?.heard_by != null, ms, delayed: this.#delayed })
  }

  end() {
    this.#echo?.line.close()
    this.#notices?.close()
  }
}

export class SelfHelp {
  #place = element("self-help").dataset
  #announcer
  #summary = element("self-help-summary")
  #again = element("run-again")
  #rows = new Map(STEPS.map(({ name }) => [name, new Row(document.querySelector(`[data-step="${name}"]`))]))

  constructor(announcer) {
    this.#announcer = announcer
    element("self-help-form").addEventListener("submit", (event) => {
      event.preventDefault()
      if (this.#again.getAttribute("aria-disabled") !== "true") this.run()
    })
    element("copy-report").addEventListener("click", this.#copy)
  }

  async run() {
    // Not `disabled`: whoever pressed it with the keyboard would lose their place.
    this.#again.setAttribute("aria-disabled", "true")
    this.#summary.textContent = this.#summary.dataset.running
    delete this.#summary.dataset.finding
    for (const row of this.#rows.values()) row.show("waiting")
    const judged = {}
    const run = new Run(this.#place)
    for (const step of STEPS) judged[step.name] = await this.#try(step, run, judged)
    run.end()
    this.#conclude(Object.values(judged))
    this.#again.removeAttribute("aria-disabled")
  }

  async #try(step, run, judged) {
    const row = this.#rows.get(step.name)
    const skipped = whyNot(step, judged, { signedIn: this.#place.reader !== "" })
    if (skipped) {
      row.show("skipped", skipped)
      return skipped
    }
    row.show("running")
    const began = performance.now()
    const judgement = await run[step.name]()
    row.show(judgement.state, judgement, judgement.ms ?? performance.now() - began)
    return judgement
  }

  #conclude(judgements) {
    const { finding, n } = summary(judgements)
    const { dataset } = this.#summary
    const words = finding === "failed" ? phraseFor("failed", n, undefined, dataset) : dataset[finding]
    dataset.finding = finding
    this.#summary.textContent = words
    this.#announcer.say(words)
    element("report").value = this.#report(words)
  }

  /** Plain text, for a mail. */
  #report(conclusion) {
    const { heading, browser, time } = element("report").dataset
    return [
      heading.replace("{page}", location.href),
      time.replace("{time}", new Date().toISOString()),
      browser.replace("{browser}", navigator.userAgent),
      "",
      ...[...this.#rows.values()].map((row) => row.asText),
      "",
      conclusion,
    ].join("\n")
  }

  #copy = async () => {
    const report = element("report")
    const words = element("copy-report").dataset
    try {
      await navigator.clipboard.writeText(report.value)
      this.#announcer.say(words.copied)
      this.#summary.textContent = words.copied
    } catch {
      // Not over plain http, or not allowed: then by hand.
      report.closest("details").open = true
      report.focus()
      report.select()
      this.#announcer.say(words.byHand)
    }
  }
}

class Row {
  #element
  #states // the words for each state

  constructor(element) {
    this.#element = element
    this.#states = element.parentElement.dataset
  }

  /** Show how it stands, with the sentence that the judgement names, and how many ms it took. */
  show(state, { finding = "", values = {} } = {}, ms = null) {
    this.#element.dataset.state = state
    this.#part("icon").firstElementChild.setAttribute("href", `#step-${state}`)
    this.#part("state").textContent = this.#states[state]
    this.#part("time").textContent = ms === null ? "" : milliseconds.format(ms)
    for (const sentence of this.#element.querySelectorAll("[data-finding]")) {
      const holds = sentence.dataset.finding === finding
      sentence.toggleAttribute("data-holds", holds)
      if (holds) fillIn(sentence, values)
    }
  }

  get asText() {
    const sentence = this.#element.querySelector("[data-holds]")?.textContent.trim() ?? ""
    const time = this.#part("time").textContent
    const head = `${this.#part("state").textContent}: ${this.#part("title").textContent}`
    return `${head}${time && ` (${time})`}\n    ${sentence}`
  }

  #part(name) {
    return this.#element.querySelector(`.step-${name}`)
  }
}

/** Write the values into a sentence; how it was written first is kept for the next run. */
function fillIn(sentence, values) {
  if (sentence.firstElementChild) return // a link: nothing to fill in
  sentence.dataset.words ??= sentence.textContent
  let words = sentence.dataset.words
  for (const [name, value] of Object.entries(values)) words = words.replaceAll(`{${name}}`, shown(name, value))
  sentence.textContent = words
}

const shown = (name, value) => (name === "by" ? duration(value) : String(value))

/** "3 minutes": of the largest unit that is full. */
function duration(ms) {
  const [unit, size] = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1_000],
  ].find(([name, size]) => ms >= size || name === "second")
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 })
  return format.format(ms / size)
}
