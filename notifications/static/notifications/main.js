/** The notification page: when this happens, then that. What is not needed at once is imported when it is. */

import { Counts } from "./counts.js"
import { Deeds } from "./deeds.js"
import { Inbox } from "./inbox.js"
import { socketUrl } from "./lasting_socket.js"
import { Newcomers, Sight } from "./newcomers.js"
import { foldLongBodies, idOf, linkify, publishedOf, watchRows, withoutForms } from "./notice_row.js"
import { NoticeSocket } from "./notice_socket.js"
import { Announcer, Connection } from "./status.js"
import { phrase, phraseFor } from "./words.js"

const element = (id) => document.getElementById(id)
/** What was imported in vain, because the server is away, is imported when it is wanted again. */
const once = (load) => {
  let made
  return () => (made ??= load().catch((error) => {
    made = undefined
    throw error
  }))
}
const isAway = () => null
const READY = "/readyz"
const IMPORT_AGAIN_MS = 1_000

const list = element("inbox")
const { cursor, stamp, reader, events, at, query } = list.dataset
const socket = new NoticeSocket({ url: socketUrl(list.dataset.socket), cursor, stamp, reader, events, at })
const newcomers = new Newcomers({ list, button: element("new-notices"), pause: element("pause") })
const counts = new Counts({
  unread: element("unread"), unseen: element("unseen"), all: element("count-all"), archived: element("count-archived"),
})
const inbox = new Inbox({ list, counts, newcomers, through: socket.position })
const deeds = new Deeds({ socket, form: element("row-form") })
const sight = new Sight()
const announcer = new Announcer(element("announcer"))
const connection = new Connection(element("connection"), announcer)

// The server speaks

socket.addEventListener("state", ({ detail }) => connection.show(detail))
socket.addEventListener("welcome", ({ detail }) => {
  if (detail.unread !== undefined) counts.rebase(detail)
  deeds.sayAgain()
})
socket.addEventListener("notice", ({ detail }) => showNotice(detail))
socket.addEventListener("inbox", ({ detail }) => showDeeds(detail))
socket.addEventListener("reset", async () => (await catchUp()).reset())
connection.addEventListener("retry", () => socket.retryNow())
newcomers.addEventListener("paused", ({ detail }) => connection.pause(detail))

function showNotice(frame) {
  const { id, recalled } = frame.notice
  if (recalled) fetchedIsOld()
  if (inbox.show(frame)) attend((attention) => attention.arrived(frame))
  else if (recalled) noLongerAttend([id])
}

function showDeeds(frame) {
  fetchedIsOld()
  deeds.confirmed(frame)
  const wanted = deeds.stillWanted(frame)
  inbox.update(wanted)
  counts.rebase(frame)
  noLongerAttend([...(wanted.read ?? []), ...(wanted.archived ?? [])])
}

// Attention, as far as the person has said

const settings = () => JSON.parse(list.dataset.attention)
const attention = once(async () => {
  const { Attention } = await surely(() => import("./attention.js"))
  const attention = new Attention({ announcer, settings, isRowVisible })
  attention.addEventListener("seen", ({ detail }) => see(detail, socket.isLeader))
  return attention
})
let isAttended = false

async function attend(use) {
  isAttended = true
  use(await attention())
}

/** What was read or is gone needs none; before anything has arrived, there is nothing that points to it. */
function noLongerAttend(ids) {
  if (isAttended && ids.length > 0) attend((attention) => attention.gone(ids))
}

function isRowVisible(id) {
  const box = element(`notice-${id}`)?.getBoundingClientRect()
  return box !== undefined && box.bottom > 0 && box.top < innerHeight
}

// The page takes itself afresh

let caughtUp = null
const catchUp = once(async () => {
  const { CatchUp } = await surely(() => import("./catch_up.js"))
  caughtUp = new CatchUp({ socket, inbox, counts, deeds })
  caughtUp.addEventListener("missed", ({ detail }) => attend((attention) => attention.caughtUp(detail)))
  return caughtUp
})
const refresh = async () => (await catchUp()).refreshSoon()
const fetchedIsOld = () => caughtUp?.changed()

inbox.addEventListener("stale", refresh)
inbox.addEventListener("uncounted", () => counts.askSoon())
newcomers.addEventListener("overflow", async ({ detail }) => {
  const isHere = await (await catchUp()).refreshNow(detail)
  if (isHere && detail.asked) inbox.focusFirst()
})

/**
 * A module that the page cannot do without, however long the server is away. Only a server that answers and does not
 * have it makes the page load again: the server was renewed, and the module is no more.
 */
async function surely(load) {
  for (let isMissing = false; ;) {
    try {
      return await load()
    } catch {
      if (isMissing) location.reload()
      isMissing = await fetch(READY, { cache: "no-store" }).then(({ ok }) => ok, () => false)
      await new Promise((resolve) => setTimeout(resolve, IMPORT_AGAIN_MS))
    }
  }
}

// A person does something

sight.addEventListener("seen", ({ detail }) => see(detail.map((row) => ({ id: idOf(row), published: publishedOf(row) }))))
socket.addEventListener("saw", ({ detail }) => {
  inbox.apply("seen", detail.sights.map(({ id }) => id))
  if (detail.through) inbox.markSeenThrough(detail.through)
})

/** `isToSay`: not what every tab of the browser knows without having been looked at. */
function see(notices, isToSay = true) {
  inbox.apply("seen", notices.map(({ id }) => id))
  const sights = notices.map(({ id, published }) => ({ id, published }))
  if (isToSay) deeds.see(sights, counts.isAllSeen ? socket.position : 0)
}

inbox.addEventListener("deed", ({ detail }) => act(detail))
inbox.addEventListener("readall", () => {
  const through = inbox.shownThrough(socket.position)
  fetchedIsOld()
  if (!inbox.isFiltered) inbox.markReadThrough(through)
  else inbox.markShownRead(through)
  offer("read", deeds.do("read-all", { through, matching: inbox.isFiltered ? query : undefined }), () => {})
})
deeds.addEventListener("refused", ({ detail }) => {
  announcer.say(detail || phrase("refused"))
  refresh()
})

function act({ verb, ids, matching, through, leaving }) {
  fetchedIsOld()
  if (matching) through ??= inbox.shownThrough(socket.position)
  const here = ids ?? inbox.rows.filter((row) => publishedOf(row) <= through).map(idOf)
  const takeBack = inbox.apply(verb, here)
  const deed = deeds.do(verb, matching ? { matching: query, through } : { ids }, { leaving })
  const isReversible = here.length === 1 && ["read", "unread"].includes(verb) // by the same key
  // The server takes back only the last deed.
  if (isReversible && !matching) undoBarNow?.withdraw()
  else offer(verb, deed, takeBack, matching ? undefined : here.length)
}

let undoBarNow = null
const undoBar = once(async () => (undoBarNow = new (await import("./undo.js")).UndoBar(element("undo"))))

/** Say what was done, and let it be taken back; how many they were, only the server may know. */
async function offer(verb, deed, takeBack, count) {
  const bar = await undoBar().catch(isAway)
  const tell = (n) => {
    const words = phraseFor(`done${verb}`, n)
    announcer.say(words)
    bar?.offer(words, async ({ focus }) => {
      const row = takeBack()
      if (focus) row?.focus()
      const worked = await deeds.undo(deed)
      announcer.say(phrase(worked ? "undone" : "notUndone"))
      if (!worked) refresh()
    })
  }
  if (count !== undefined) tell(count)
  const answer = await deed.answer
  if (answer && count === undefined) tell(answer.count)
  if (answer?.more) act({ verb, matching: true, through: answer.through }) // from where the server stopped
  if (!answer) bar?.withdraw()
}

// Selecting several, keys, dialogs

const all = element("select-all")
const selection = once(async () => {
  const { Selection } = await import("./selection.js")
  const selection = new Selection({ list, bar: element("deed-form"), all })
  selection.addEventListener("deed", ({ detail }) => act(detail))
  return selection
})
list.addEventListener("click", async ({ target, shiftKey }) => {
  if (target.matches(".notice-check input")) (await selection().catch(isAway))?.clicked(target, { range: shiftKey })
})
all.addEventListener("change", async () => (await selection().catch(isAway))?.setAll(all.checked))

const dialogs = once(() => import("./dialogs.js"))
const hasLetters = () => settings().shortcuts
const help = async () => (await dialogs().catch(isAway))?.showHelp({ hasLetters: hasLetters() })
element("help-button").addEventListener("click", help)
inbox.addEventListener("why", async ({ detail }) => {
  detail.event.preventDefault()
  ;(await dialogs().catch(isAway))?.showWhy(detail)
})

let keys = null
let keysAreComing = false
const loadKeys = once(async () => {
  keysAreComing = true
  const { Keys } = await import("./keys.js")
  const others = {
    select: async (row, options) => (await selection().catch(isAway))?.toggle(row, options),
    clear: async () => (await selection().catch(isAway))?.clear(),
    undo: async () => (await undoBar().catch(isAway))?.undo(),
    help,
  }
  return (keys = new Keys({ list, inbox, others }))
})
list.addEventListener("focusin", () => loadKeys().catch(isAway))
document.addEventListener("keydown", async (event) => {
  if (event.target.closest("dialog, textarea, select, input:not([type=checkbox])")) return
  if (keys) {
    if (keys.press(event, hasLetters())) event.preventDefault()
  } else if (isForKeys(event)) {
    event.preventDefault()
    ;(await loadKeys().catch(isAway))?.press(event, hasLetters())
  }
})

/** The first key comes sooner than the module that knows all of them. */
function isForKeys({ key, target, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return false
  if (list.contains(target) && /^Page(Down|Up)$/.test(key)) return true
  return hasLetters() && (keysAreComing ? key.length === 1 : /^[jkz/?]$/.test(key))
}

// Rows come and go

const folds = foldLongBodies(list)
watchRows(list, (rows) => rows.forEach((row) => {
  withoutForms(row)
  linkify(row.querySelector(".notice-body"))
  folds.watch(row)
  sight.watch(row)
}), (rows) => rows.forEach((row) => {
  folds.leave(row)
  sight.leave(row)
}))

const older = once(async () => new (await import("./older.js")).Older({ inbox, link: element("older") }))
const end = new IntersectionObserver(async ([{ isIntersecting }]) => {
  if (!isIntersecting || !(await (await older().catch(isAway))?.load())) return
  end.unobserve(element("older"))
  end.observe(element("older")) // it may still be near
}, { rootMargin: "800px" })
end.observe(element("older"))

// What is not chosen does not stand in the address.
element("filter").addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name)
})

// Whoever signs in again may be somebody else: their page begins from the start.
let signedOut = false
socket.addEventListener("state", ({ detail }) => {
  if (detail.reason === "signed-out") signedOut = true
  else if (detail.state === "live" && signedOut) location.reload()
})

// The app, once all is here that the page needs: the first load is over

const SETTLED_AFTER_MS = 3_000
let settling = 0
const whenSettled = ({ detail }) => {
  clearTimeout(settling)
  if (detail.state === "live") settling = setTimeout(keep, SETTLED_AFTER_MS)
}
socket.addEventListener("state", whenSettled)

async function keep() {
  socket.removeEventListener("state", whenSettled)
  const app = navigator.onLine ? await import("./app.js").catch(isAway) : null
  if (app) app.keepForOffline(() => socket.position)
  else socket.addEventListener("state", whenSettled)
}

socket.start()
