/** May this page show alerts outside the browser, and how does one look? The service worker hears the clicks. */

import { serviceWorker } from "./app.js"
import { phrase } from "./words.js"

const LONGEST_BODY = 200 // characters; systems cut even this

/** One of granted, denied, default (nobody was asked yet), insecure, install (iOS: first to the home screen), missing. */
export function permission() {
  if (!window.isSecureContext) return "insecure"
  if ("Notification" in window && navigator.serviceWorker) return Notification.permission
  return navigator.standalone === false ? "install" : "missing" // only iOS and iPadOS know `standalone`
}

/** Ask the person. Browsers want this to come from a click. */
export async function ask() {
  await Notification.requestPermission()
  return permission()
}

// Chrome forgets an alert when it is asked for those that stand before this one does: its click would lead nowhere.
let showing = Promise.resolve()

/** Silent: the sound, if it is wanted, is the page's own. The same notice twice is one alert, by its tag. */
export function show(notice) {
  const shown = showNow(notice)
  showing = Promise.allSettled([showing, shown])
  return shown
}

async function showNow({ id, level, title, body }) {
  const registration = await serviceWorker()
  const words = phrase(`level${level}`) ?? level
  await registration?.showNotification(title, {
    tag: tagOf(id),
    body: body ? `${words} · ${body.slice(0, LONGEST_BODY)}` : words,
    icon: phrase("icon"),
    lang: document.documentElement.lang,
    dir: "auto",
    silent: true,
    data: { path: id ? `/notices/${id}/` : "/preferences/" },
  })
}

export async function close(ids) {
  await showing
  const registration = await navigator.serviceWorker.getRegistration()
  if (!registration) return
  const tags = new Set(ids.map(tagOf))
  for (const alert of await registration.getNotifications()) if (tags.has(alert.tag)) alert.close()
}

const tagOf = (id) => `notice-${id}`
