/**
 * What happens without a page, and without a network? /sw.js loads this file, after it has said:
 *
 * VERSION  changes with any of the static files
 * SHELL    their addresses, as far as the inbox needs them
 * DOORS    the addresses where people sign in and out
 * INBOX    the address of the inbox
 *
 * The network comes first, always. What is kept is the shell, and one page: the last inbox of whoever is signed in.
 */

"use strict"

const { VERSION, SHELL, DOORS, INBOX } = self.NOTICES
const SHELL_CACHE = `shell-${VERSION}`
const PAGE_CACHE = "inbox"
let departures = 0 // a page that was asked for before somebody left must not be kept after it

self.addEventListener("install", (event) => {
  self.skipWaiting() // nothing that an older page does depends on the older worker
  event.waitUntil(caches.open(SHELL_CACHE).then((cache) => cache.addAll(SHELL)))
})

self.addEventListener("activate", (event) => event.waitUntil(takeOver()))

async function takeOver() {
  for (const name of await caches.keys()) {
    if (name.startsWith("shell-") && name !== SHELL_CACHE) await caches.delete(name)
  }
  await self.clients.claim()
}

self.addEventListener("fetch", (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (origin !== self.location.origin) return
  if (request.mode === "navigate" && DOORS.includes(pathname)) event.waitUntil(forget())
  else if (request.method !== "GET") return
  else if (request.mode === "navigate" && pathname === INBOX) event.respondWith(inbox(request))
  else if (SHELL.includes(pathname)) event.respondWith(shell(request))
})

self.addEventListener("message", (event) => {
  if (event.data === "store") event.waitUntil(store().catch(() => {})) // offline: what was kept before stays
  else if (event.data === "forget") event.waitUntil(forget())
})

// The inbox

/** The page as the server gives it; without a network the last one, which says of when it is. */
async function inbox(request) {
  const before = departures
  let answer
  try {
    answer = await fetch(request)
  } catch (error) {
    const kept = await caches.match(INBOX, { cacheName: PAGE_CACHE })
    if (!kept) throw error
    return new URL(request.url).search ? Response.redirect(INBOX) : kept
  }
  if (!new URL(request.url).search) await keep(answer, before)
  return answer
}

async function store() {
  const before = departures
  await keep(await fetch(INBOX, { headers: { Accept: "text/html" }, cache: "no-store" }), before)
}

/** Only the inbox itself: not the page to sign in that another address has led to, and no failure. */
async function keep(answer, before) {
  if (answer.redirected) return forget()
  if (!answer.ok || before !== departures) return
  const cache = await caches.open(PAGE_CACHE)
  await cache.put(INBOX, answer.clone())
  if (before !== departures) await forget()
}

/** Somebody signs in or out, or has lost their session or access: what the last person could read is nobody's any more. */
function forget() {
  departures += 1
  return caches.delete(PAGE_CACHE)
}

// The shell

async function shell(request) {
  try {
    return await fetch(request) // mostly out of the browser's own cache: the names change with the content
  } catch (error) {
    const kept = await caches.match(request.url, { cacheName: SHELL_CACHE })
    if (!kept) throw error
    return kept
  }
}

// Desktop alerts

self.addEventListener("notificationclick", (event) => {
  event.notification.close()
  event.waitUntil(open(event.notification.data.path))
})

/** In a page that has nothing to lose, or a new one: somebody may be writing in the others. */
async function open(path) {
  const pages = await self.clients.matchAll({ type: "window" })
  const idle = pages.filter(({ url }) => new URL(url).pathname === INBOX || new URL(url).pathname === path)
  const page = idle.find(({ focused }) => focused) ?? idle[0]
  if (!page) return self.clients.openWindow(path)
  await page.focus().catch(() => {}) // some systems refuse; the notice is opened all the same
  return page.navigate(path)
}
