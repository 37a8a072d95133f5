/** The site as an installed app: its service worker, which shows desktop alerts and the last inbox while offline. */

const ADDRESS = "/sw.js"
const STORE_AT_MOST_EVERY_MS = 60_000

/** Its registration, once it works; null where there is none to be had. */
export async function serviceWorker() {
  if (!navigator.serviceWorker) return null
  const registration = await navigator.serviceWorker.register(ADDRESS).catch(() => null)
  return registration ? navigator.serviceWorker.ready : null
}

/** `changed()` is whatever is another value once the inbox has changed. */
export async function keepForOffline(changed) {
  const registration = await serviceWorker()
  if (!registration) return
  let kept = changed()
  let keptAt = 0
  store()

  document.addEventListener("visibilitychange", () => {
    const due = document.hidden && changed() !== kept && Date.now() - keptAt > STORE_AT_MOST_EVERY_MS
    if (due) store()
  })

  /** As somebody turns away, what they have seen last is what they will find without a network. */
  function store() {
    kept = changed()
    keptAt = Date.now()
    registration.active?.postMessage("store")
  }
}
