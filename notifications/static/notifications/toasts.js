/** Small messages in a corner, for notices whose row nobody sees. They never take the focus, and speak by no means. */

import { phrase, phraseFor } from "./words.js"

const MOST_SHOWN = 3 // the others are a number
const SHOWN_MS = 8_000 // but an error stays until it is dismissed

const idOf = (toast) => Number(toast.dataset.id)

export class Toasts {
  #section = section()
  #list = this.#section.querySelector("ol")
  #more = this.#section.querySelector(".toasts-more")
  #waiting = [] // notices that found no room
  #timers = new Map() // toast → its Countdown
  #before = null // where the focus was before it came here

  constructor() {
    this.#section.addEventListener("pointerenter", this.#settle)
    this.#section.addEventListener("pointerleave", this.#settle)
    this.#section.addEventListener("focusin", this.#focused)
    this.#section.addEventListener("focusout", () => setTimeout(this.#settle)) // by then the focus is elsewhere
    this.#section.addEventListener("keydown", this.#pressed)
    document.addEventListener("visibilitychange", this.#settle)
  }

  show(notice) {
    if (this.#list.children.length < MOST_SHOWN || this.#makeRoomFor(notice)) this.#add(notice)
    else this.#waiting.push(notice)
    this.#settle()
  }

  close(id) {
    this.#waiting = this.#waiting.filter((notice) => notice.id !== id)
    const toast = this.#list.querySelector(`[data-id="${id}"]`)
    if (toast) this.#remove(toast)
    this.#settle()
  }

  closeWhere(isShown) {
    for (const toast of [...this.#list.children]) if (isShown(idOf(toast))) this.close(idOf(toast))
  }

  /** An error takes the place of what would go by itself. */
  #makeRoomFor({ level }) {
    const passing = level === "error" && [...this.#list.children].find((toast) => this.#timers.has(toast))
    if (!passing) return false
    this.#waiting.push({ id: idOf(passing), level: passing.dataset.level })
    this.#take(passing)
    return true
  }

  #add(notice) {
    const toast = toastOf(notice)
    toast.querySelector("button").addEventListener("click", () => this.#dismiss(toast))
    this.#list.append(toast)
    if (notice.level !== "error") this.#timers.set(toast, new Countdown(SHOWN_MS, () => this.#expire(toast)))
  }

  #expire(toast) {
    this.#remove(toast)
    this.#settle()
  }

  /** By the person. The focus does not fall into nothing: it goes to the next toast, or back to where it was. */
  #dismiss(toast) {
    const hadFocus = toast.contains(document.activeElement)
    this.#remove(toast)
    this.#settle()
    if (!hadFocus) return
    const next = this.#list.querySelector("button") ?? this.#before
    next?.focus()
  }

  #take(toast) {
    this.#timers.get(toast)?.stop()
    this.#timers.delete(toast)
    toast.remove()
  }

  #remove(toast) {
    this.#take(toast)
    const error = this.#waiting.findIndex(({ level }) => level === "error")
    if (error >= 0) this.#add(this.#waiting.splice(error, 1)[0])
    if (this.#list.children.length === 0) this.#waiting = []
  }

  /** Time stands still while somebody points at the toasts, is in them, or sees another page. */
  #settle = () => {
    this.#section.hidden = this.#list.children.length === 0
    this.#more.hidden = this.#waiting.length === 0
    this.#more.textContent = phraseFor("more", this.#waiting.length)
    const held = document.hidden || this.#section.matches(":hover") || this.#section.contains(document.activeElement)
    for (const timer of this.#timers.values()) held ? timer.stop() : timer.go()
  }

  #focused = ({ relatedTarget }) => {
    if (!this.#section.contains(relatedTarget)) this.#before = relatedTarget
    this.#settle()
  }

  #pressed = (event) => {
    const toast = event.key === "Escape" && event.target.closest(".toast")
    if (toast) this.#dismiss(toast)
  }
}

/** A timer that can be stopped, and goes on from there. */
class Countdown {
  #left
  #done
  #timer = 0
  #since = 0

  constructor(ms, done) {
    this.#left = ms
    this.#done = done
  }

  go() {
    if (this.#timer) return
    this.#since = Date.now()
    this.#timer = setTimeout(this.#done, this.#left)
  }

  stop() {
    if (!this.#timer) return
    clearTimeout(this.#timer)
    this.#timer = 0
    this.#left = Math.max(0, this.#left - (Date.now() - this.#since))
  }
}

// How they look: the page may be any page of the site, so the style comes along.

function section() {
  const style = document.createElement("link")
  style.rel = "stylesheet"
  style.href = phrase("toastStyle")
  document.head.append(style)
  const section = make("section", "toasts")
  section.hidden = true
  section.setAttribute("aria-label", phrase("toasts"))
  const more = make("a", "toasts-more")
  more.href = "/"
  section.append(make("ol", "toasts-list"), more)
  document.body.append(section)
  return section
}

function toastOf({ id, level, title, body }) {
  const toast = make("li", "toast")
  toast.dataset.id = id
  toast.dataset.level = level
  const link = make("a", "toast-title", title)
  link.href = `/notices/${id}/`
  link.id = `toast-${id}`
  link.dir = "auto"
  const words = make("div", "toast-words")
  words.append(make("span", "toast-level", phrase(`level${level}`) ?? level), link)
  if (body) words.append(make("p", "toast-body", body))
  const dismiss = make("button", "toast-dismiss", "×")
  dismiss.type = "button"
  dismiss.setAttribute("aria-label", phrase("dismiss"))
  dismiss.setAttribute("aria-describedby", link.id)
  toast.append(words, dismiss)
  return toast
}

function make(name, className, text = "") {
  const element = document.createElement(name)
  element.className = className
  element.textContent = text
  return element
}
