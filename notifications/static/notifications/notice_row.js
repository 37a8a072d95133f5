/** How is one notice shown? The markup is templates/notifications/_notice.html, for the server and for us. */

import { phrase, tellTimes } from "./words.js"

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

// Long bodies: only layout knows which of them CSS has cut

/** Gives each cut body a button, for rows that are here and rows that come. */
export function foldLongBodies(list) {
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) offer(target)
  })
  const watch = (row) => sizes.observe(row.querySelector(".notice-body"))

  for (const row of list.children) watch(row)
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(watch)
  }).observe(list, { childList: true })

  list.addEventListener("click", ({ target }) => {
    const button = target.closest(".notice-more")
    if (!button) return
    const open = button.getAttribute("aria-expanded") !== "true"
    button.setAttribute("aria-expanded", open)
    button.textContent = open ? button.dataset.less : button.dataset.more
  })
}

function offer(body) {
  const button = body.parentElement.querySelector(".notice-more")
  if (button.getAttribute("aria-expanded") === "true") return
  button.hidden = body.scrollHeight <= body.clientHeight + 1 // fractions of a pixel are not a line
}
