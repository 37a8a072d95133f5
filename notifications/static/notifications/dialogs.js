/** What do the dialogs say? They are opened by a person only, and give the focus back when they close. */

const help = document.getElementById("help")
const why = document.getElementById("why")

for (const dialog of [help, why]) {
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()) // beside it
}

export function showHelp({ hasLetters }) {
  document.getElementById("keys-off").hidden = hasLetters
  help.showModal()
}

/** Why this notice came, and how to hear less of its kind; when that cannot be fetched, the notice's own page says it. */
export async function showWhy({ id, href }) {
  try {
    await fill(id)
  } catch {
    location.assign(href)
    return
  }
  if (!why.open) why.showModal()
}

async function fill(id) {
  const response = await fetch(`/notices/${id}/why/`, { headers: { Accept: "text/html" }, cache: "no-store" })
  if (!response.ok || response.redirected) throw new Error(`status ${response.status}`)
  const page = new DOMParser().parseFromString(await response.text(), "text/html")
  const place = document.getElementById("why-words")
  place.replaceChildren(...page.body.childNodes)
  for (const form of place.querySelectorAll("form")) form.addEventListener("submit", (event) => submit(event, id))
}

/** Mute, or not any more: the dialog says how it stands afterwards. */
async function submit(event, id) {
  event.preventDefault()
  const { target: form, submitter } = event
  const body = new URLSearchParams(new FormData(form, submitter))
  try {
    const action = submitter?.getAttribute("formaction") ?? form.action
    const response = await fetch(action, { method: "POST", body, headers: { Accept: "application/json" } })
    if (!response.ok || response.redirected) throw new Error(`status ${response.status}`)
    await fill(id)
    why.querySelector("#why-words button, .dialog-head button").focus()
  } catch {
    form.submit() // the browser says what is wrong
  }
}
