/** How is one notice shown? The markup is templates/notifications/_notice.html, for the server and for us. */

import { phrase } from "./phrases.js"
import { tellTimes } from "./times.js"

/** Hrefs that a click may follow. The server refuses the others too; a page should not have to trust that. */
const SAFE_PROTOCOLS = ["http:", "https:", "mailto:"]

export const publishedOf = (row) => Number(row.dataset.published)
export const positionOf = (row) => Number(row.dataset.position)
export const idOf = (row) => Number(row.dataset.id)
export const isRead = (row) => row.dataset.read === "true"
export const expiresOf = (row) => Date.parse(row.dataset.expires) // NaN: never

export function setRead(row) {
  row.dataset.read = "true"
}

/** Write the notice of a `notice` frame into `row`; whether it is read stays as it is. */
export function fill(row, { position, notice }) {
  const part = (name) => row.querySelector(`.notice-${name}`)
  row.id = `notice-${notice.id}`
  row.dataset.id = notice.id
  row.dataset.position = position
  row.dataset.published = notice.published
  row.dataset.level = notice.level
  row.dataset.expires = notice.expires_at ?? ""

  part("icon").firstElementChild.setAttribute("href", `#level-${notice.level}`)
  part("level").textContent = phrase(`level${notice.level}`) ?? notice.level
  part("link").textContent = notice.title
  part("link").id = `notice-${notice.id}-title`
  link(part("link"), notice.url)
  part("body").textContent = notice.body
  part("body").hidden = !notice.body
  part("time").dateTime = notice.published_at
  part("sender").textContent = notice.sender
  part("mark").value = notice.id
  part("mark").setAttribute("aria-describedby", `notice-${notice.id}-title`)
  tellTimes(row)
}

function link(anchor, url) {
  const safe = url && URL.canParse(url, location.href) && SAFE_PROTOCOLS.includes(new URL(url, location.href).protocol)
  if (safe) anchor.href = url
  else anchor.removeAttribute("href")
}
