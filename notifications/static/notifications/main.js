/** The notification page: when this happens, then that. */

import { CatchUp } from "./catch_up.js"
import { Badge, Unread } from "./counts.js"
import { Reads } from "./deeds.js"
import { Inbox } from "./inbox.js"
import { moveByKeys } from "./keys.js"
import { socketUrl } from "./lasting_socket.js"
import { Newcomers } from "./newcomers.js"
import { foldLongBodies } from "./notice_row.js"
import { NoticeSocket } from "./notice_socket.js"
import { Announcer, Connection } from "./status.js"
import { keepTelling, phrase } from "./words.js"

const element = (id) => document.getElementById(id)
const list = element("inbox")

const { cursor, stamp } = list.dataset
const socket = new NoticeSocket({ url: socketUrl(list.dataset.socket), cursor, stamp })
const newcomers = new Newcomers({ list, button: element("new-notices"), pause: element("pause") })
const unread = new Unread(new Badge(element("unread"), element("read-all-form")))
const inbox = new Inbox({ list, unread, newcomers })
const reads = new Reads({ socket, readForm: element("read-form"), readAllForm: element("read-all-form") })
const catchUp = new CatchUp({ socket, inbox, reads })
const announcer = new Announcer(element("announcer"))
const connection = new Connection(element("connection"), announcer)

socket.addEventListener("state", ({ detail }) => connection.show(detail))
socket.addEventListener("welcome", ({ detail }) => {
  if (detail.unread !== undefined) unread.rebase(detail)
  reads.sayAgain()
})
socket.addEventListener("notice", ({ detail }) => {
  const { id, recalled } = detail.notice
  if (inbox.show(detail)) attend((attention) => attention.arrived(detail))
  else if (recalled) noLongerAttend([id])
})
socket.addEventListener("inbox", ({ detail }) => {
  reads.confirmed(detail)
  inbox.update(detail)
  unread.rebase(detail)
  noLongerAttend(detail.read ?? [])
})
socket.addEventListener("reset", () => catchUp.reset())
catchUp.addEventListener("arrived", ({ detail }) => attend((attention) => attention.caughtUp(detail)))
connection.addEventListener("retry", () => socket.retryNow())

inbox.addEventListener("read", ({ detail }) => reads.read(detail.id, detail))
inbox.addEventListener("readall", () => {
  const through = inbox.shownThrough(socket.position)
  inbox.markReadThrough(through)
  reads.readAll(through)
  announcer.say(phrase("allRead"))
})

// Whoever signs in again may be somebody else: their page begins from the start.
let signedOut = false
socket.addEventListener("state", ({ detail }) => {
  if (detail.reason === "signed-out") signedOut = true
  else if (detail.state === "live" && signedOut) location.reload()
})

// Attention, once something asks for it

let attention

function attend(use) {
  attention ??= import("./attention.js").then(({ Attention }) => new Attention({ announcer, settings, isRowVisible }))
  attention.then(use)
}

const noLongerAttend = (ids) => attention?.then((attention) => attention.gone(ids))
const settings = () => JSON.parse(list.dataset.attention)

function isRowVisible(id) {
  const box = document.getElementById(`notice-${id}`)?.getBoundingClientRect()
  return box !== undefined && box.height > 0 && box.bottom > 0 && box.top < innerHeight
}

// The app, once the page has nothing better to do

const whenIdle = window.requestIdleCallback ?? ((act) => setTimeout(act, 1_000))
const becameLive = ({ detail }) => {
  if (detail.state !== "live") return
  socket.removeEventListener("state", becameLive)
  whenIdle(async () => (await import("./app.js")).keepForOffline(() => socket.position))
}
socket.addEventListener("state", becameLive)

keepTelling(document)
foldLongBodies(list)
moveByKeys(list)
socket.start()
