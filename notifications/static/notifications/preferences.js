/** The preferences page: what only this browser knows, can play and can allow. The form works without. */

import { ask, permission, show } from "./desktop.js"
import { play } from "./sound.js"

const element = (id) => document.getElementById(id)

// The time zone of this browser

const zones = element("id_time_zone")
const suggestion = element("use-zone")
const here = Intl.DateTimeFormat().resolvedOptions().timeZone

const isOffered = [...zones.options].some(({ value }) => value === here)
const tellZone = () => (suggestion.hidden = !isOffered || zones.value === here)
suggestion.textContent = suggestion.dataset.words.replace("{zone}", here)
suggestion.addEventListener("click", () => {
  zones.value = here
  zones.focus() // the button goes away
  tellZone()
})
zones.addEventListener("change", tellZone)
tellZone()

// The sound

element("play").addEventListener("click", () => play(Number(element("id_volume").value)))

// Desktop alerts

const state = element("desktop")

function tell(now) {
  state.dataset.state = now
  for (const words of state.children) words.hidden = words.dataset.for !== now
  element("test-alert").hidden = now !== "granted"
  if (now === "granted" && document.activeElement === element("ask")) element("test-alert").focus()
  element("ask").hidden = now !== "default"
}

element("ask").addEventListener("click", async () => tell(await ask()))
element("test-alert").addEventListener("click", ({ target: { dataset } }) =>
  show({ id: 0, level: "info", title: dataset.title, body: dataset.body }),
)
// The person may change it in the browser's own settings, while this page is open.
navigator.permissions
  ?.query({ name: "notifications" })
  .then((status) => status.addEventListener("change", () => tell(permission())))
  .catch(() => {}) // a browser that does not tell
tell(permission())
