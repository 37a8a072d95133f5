/** How is one notice shown? The markup is templates/notifications/_notice.html, for the server and for us. */

import { dayOf, dayWords, exactTime, phrase, tellTime } from "./words.js"

/**
 * Links that a click may follow: web addresses and paths on this site (`//host` and `/\host` are neither, and browsers
 * pass over a tab in between). The same rule as `Notice.is_link`. The server refuses the others too; a page should not
 * have to trust that.
 */
const LINK = /^(https?:\/\/|\/(?![/\\]))[^\0-\x20]*$/i
export const isLink = (url) => LINK.test(url)

export const publishedOf = (row) => Number(row.dataset.published)
export const positionOf = (row) => Number(row.dataset.position)
export const idOf = (row) => Number(row.dataset.id)
export const isRead = (row) => row.dataset.read === "true"
export const isSeen = (row) => row.dataset.seen === "true"
export const isArchived = (row) => row.dataset.archived === "true"
export const expiresOf = (row) => Date.parse(row.dataset.expires) // NaN: never

export function rowOf(id) {
  return document.getElementById(`notice-${id}`)
}

let template

/** A row for the notice of a `notice` frame: unread, and not seen yet. */
export function rowFor(frame) {
  template ??= withoutForms(document.getElementById("notice-template").content.firstElementChild)
  const row = document.importNode(template, true)
  fill(row, frame)
  return row
}

/** Set `data-read`, `data-seen` or `data-archived`, and what the buttons are called with it. */
export function mark(row, name, value) {
  row.dataset[name] = value
  if (name === "read") row.querySelector(".notice-mark").ariaLabel = phrase(value ? "markUnread" : "markRead")
  if (name === "archived") row.querySelector(".notice-archive").ariaLabel = phrase(value ? "unarchive" : "archive")
}

/**
 * Forms are for pages without a script. Each button that belongs to one makes the browser look for the form's default
 * button when it comes or goes: twenty times the cost of all the rest of the row.
 */
export function withoutForms(row) {
  for (const control of row.querySelectorAll("[form]")) {
    control.removeAttribute("form")
    if (control.localName === "button") control.type = "button"
  }
  return row
}

/** Write the notice of a `notice` frame into `row`; whether it is read stays as it is. */
export function fill(row, { position, notice }) {
  const part = (name) => row.querySelector(`.notice-${name}`)
  const id = `notice-${notice.id}`
  row.id = id
  row.setAttribute("aria-labelledby", `${id}-title`)
  row.setAttribute("aria-describedby", `${id}-body`)
  Object.assign(row.dataset, {
    id: notice.id,
    position,
    published: notice.published,
    level: notice.level,
    expires: notice.expires_at ?? "",
  })

  const check = row.querySelector("input")
  check.value = notice.id
  check.setAttribute("aria-labelledby", `select-word ${id}-title`)
  part("level").textContent = phrase(`level${notice.level}`) ?? notice.level
  part("title").id = `${id}-title`
  part("link").textContent = notice.title
  link(part("link"), notice.url)
  const body = part("body")
  body.id = `${id}-body`
  body.textContent = notice.body
  body.hidden = !notice.body
  linkify(body)
  part("more").setAttribute("aria-describedby", `${id}-title`)
  const time = part("time")
  time.dateTime = notice.published_at
  tellTime(time)
  part("moment").textContent = ""
  delete part("when").dataset.told
  part("sender").textContent = notice.sender
  for (const name of ["mark", "archive", "why"]) part(name).setAttribute("aria-describedby", `${id}-title`)
  part("mark").value = part("archive").value = notice.id
  part("when").href = part("why").href = `/notices/${notice.id}/`
}

// Links

function link(anchor, url) {
  if (isLink(url)) anchor.href = url
  else anchor.removeAttribute("href")
}

const ADDRESS = /https?:\/\/[^\s<>"“”„«»（）【】「」，。、；]+/giu
const TRAILING = /[.,;:!?'’…*_]+$/u // ends the sentence, not the address

/** Addresses in plain text become links; every character stays where it was. */
export function linkify(body) {
  for (const text of [...body.childNodes]) {
    if (text.nodeType !== Node.TEXT_NODE || !text.data.includes("://")) continue
    const parts = []
    let from = 0
    for (const { 0: match, index } of text.data.matchAll(ADDRESS)) {
      const address = withoutTail(match)
      if (!URL.canParse(address)) continue
      parts.push(text.data.slice(from, index), anchorFor(address))
      from = index + address.length
    }
    if (parts.length > 0) text.replaceWith(...parts, text.data.slice(from))
  }
}

function withoutTail(match) {
  const address = match.replace(TRAILING, "")
  // "(see https://example.org/a)" ends before the bracket, ".../wiki/Bell_(device)" does not.
  const [closing, opening] = [/[)\]}]$/u, /[([{]/u]
  return closing.test(address) && !opening.test(address) ? withoutTail(address.slice(0, -1)) : address
}

function anchorFor(address) {
  const anchor = document.createElement("a")
  anchor.href = anchor.textContent = address
  anchor.rel = "noopener noreferrer nofollow"
  return anchor
}

// Days: the first row of each says which it is

const midnights = new WeakMap()

function dayOfRow(row) {
  const time = row.querySelector(".notice-time")
  const known = midnights.get(row)
  if (known?.dateTime === time.dateTime) return known.day
  const day = dayOf(Date.parse(time.dateTime))
  midnights.set(row, { dateTime: time.dateTime, day })
  return day
}

/** Rows came or went above `row`: does it begin a day now? */
export function tellDay(row, now = Date.now()) {
  if (!row) return
  const before = row.previousElementSibling
  const label = row.querySelector(".notice-day")
  const begins = !before || dayOfRow(before) !== dayOfRow(row)
  if (begins) {
    const words = dayWords(dayOfRow(row), now)
    if (label.textContent !== words) label.textContent = words
  }
  if (label.hidden === begins) label.hidden = !begins
}

/** The exact time, where somebody points at a row or goes through it with the keyboard. */
export function tellExactTime(row) {
  const moment = row.querySelector(".notice-moment")
  if (moment.textContent) return
  moment.textContent = exactTime(new Date(row.querySelector(".notice-time").dateTime))
  moment.parentElement.dataset.told = ""
}

// Rows that come and go, whoever brings them

export function watchRows(list, came, gone) {
  came([...list.children])
  new MutationObserver((changes) => {
    const rows = new Set()
    for (const { addedNodes, removedNodes } of changes) {
      addedNodes.forEach((row) => rows.add(row))
      removedNodes.forEach((row) => rows.add(row))
    }
    const here = [...rows].filter((row) => row.parentNode === list)
    const away = [...rows].filter((row) => row.parentNode !== list)
    if (away.length > 0) gone(away)
    if (here.length > 0) came(here)
  }).observe(list, { childList: true })
}

// Long bodies: only layout knows which of them CSS has cut

const SURELY_SHORT = 40 // characters that fit into three lines on any screen

/** Gives each cut body a button. Returns what is to be done with rows that come and go. */
export function foldLongBodies(list) {
  const sizes = new ResizeObserver((entries) => {
    // First all that is read, then all that is written: one layout for all of them.
    const cut = entries.map(({ target }) => target.scrollHeight > target.clientHeight + 1) // fractions are not a line
    entries.forEach(({ target }, index) => offer(target, cut[index]))
  })
  list.addEventListener("click", ({ target }) => {
    const button = target.closest(".notice-more")
    if (!button) return
    const open = button.getAttribute("aria-expanded") !== "true"
    button.setAttribute("aria-expanded", open)
    button.parentElement.querySelector(".notice-body").toggleAttribute("data-open", open)
    button.textContent = open ? button.dataset.less : button.dataset.more
  })
  const bodyOf = (row) => row.querySelector(".notice-body")
  const mayBeLong = ({ textContent: text }) => text.length > SURELY_SHORT || text.includes("\n")
  return {
    watch: (row) => mayBeLong(bodyOf(row)) && sizes.observe(bodyOf(row)),
    leave: (row) => sizes.unobserve(bodyOf(row)),
  }
}

function offer(body, isCut) {
  const button = body.parentElement.querySelector(".notice-more")
  if (button.getAttribute("aria-expanded") !== "true" && button.hidden === isCut) button.hidden = !isCut
}
