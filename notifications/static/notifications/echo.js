/** The echo page: does the whole path work, and how fast is it? Above the form, step by step: self_help.js. */

import { LastingSocket, socketUrl } from "./lasting_socket.js"
import { ALL_BYTES, isAllBytes, SelfHelp } from "./self_help.js"
import { Announcer, Connection } from "./status.js"
import { language, phrase } from "./words.js"

const FRAMES_SHOWN = 20
const CHARACTERS_SHOWN = 500 // of a frame in the log; the answer is shown whole

const element = (id) => document.getElementById(id)
const form = element("echo-form")
const url = socketUrl(form.dataset.socket)
const socket = new LastingSocket({ address: () => url })
const announcer = new Announcer(element("announcer"))
const connection = new Connection(element("connection"), announcer)
const sentAt = [] // one moment in ms for each frame under way: answers come in the order of the questions

socket.addEventListener("open", () => socket.live())
socket.addEventListener("state", ({ detail }) => {
  connection.show(detail)
  for (const button of form.querySelectorAll("button")) button.disabled = !socket.isLive
})
socket.addEventListener("close", () => sentAt.splice(0))
socket.addEventListener("message", ({ detail }) => receive(detail.data))
connection.addEventListener("retry", () => socket.retryNow())

form.addEventListener("submit", (event) => {
  event.preventDefault()
  send(element("echo-input").value)
})
element("echo-binary").addEventListener("click", () => send(ALL_BYTES))

function send(data) {
  if (!socket.send(data)) return
  sentAt.push(performance.now())
  log("sent", data)
}

function receive(data) {
  element("rtt").textContent = `${(performance.now() - sentAt.shift()).toFixed(1)} ms`
  log("received", data)
  if (typeof data === "string") element("answer").textContent = data
  else element("binary-answer").textContent = phrase(isAllBytes(data) ? "bytesSame" : "bytesDiffer")
}

function log(direction, data) {
  const row = element("echo-row").content.firstElementChild.cloneNode(true)
  const text = typeof data === "string" ? data : phrase("bytes").replace("{n}", data.byteLength)
  row.dataset.direction = direction
  row.querySelector(".echo-direction").textContent = phrase(direction)
  row.querySelector("time").dateTime = new Date().toISOString()
  row.querySelector("time").textContent = new Date().toLocaleTimeString(language)
  row.querySelector(".echo-text").textContent =
    text.length > CHARACTERS_SHOWN ? `${text.slice(0, CHARACTERS_SHOWN)}…` : text
  element("echo-log").prepend(row)
  while (element("echo-log").children.length > FRAMES_SHOWN) element("echo-log").lastElementChild.remove()
}

socket.start()
new SelfHelp(announcer).run()
