/** Which words does the page use, and how does it tell times? Phrases stand in the template, so that translators find them in one place. */

export const language = document.documentElement.lang || "en"

// Phrases

const plural = new Intl.PluralRules(language)
const capital = (word) => word[0].toUpperCase() + word.slice(1)

/** The phrase `data-<name>` of `<template id="phrases">`. */
export function phrase(name) {
  return pagePhrases()[name]
}

const pagePhrases = () => document.getElementById("phrases").dataset

/**
 * The phrase for `n` things: `data-<name>-one`, `-few`, …, and `-other` where the language needs no more. `phrases`:
 * the `dataset` of an element that brings its own.
 */
export function phraseFor(name, n, shown = n.toLocaleString(language), phrases = pagePhrases()) {
  const words = phrases[name + capital(plural.select(n))] ?? phrases[name + "Other"]
  return words.replace("{n}", shown)
}

// Times

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" })
const absolute = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" })
const date = new Intl.DateTimeFormat(language, { dateStyle: "medium" })

/** "now", "5 minutes ago", "yesterday", and after a week the date. A clock that is behind makes no future. */
export function howLongAgo(moment, now) {
  const past = Math.max(0, now - moment)
  if (past < MINUTE_MS) return relative.format(0, "second")
  if (past < HOUR_MS) return relative.format(-Math.floor(past / MINUTE_MS), "minute")
  if (past < DAY_MS) return relative.format(-Math.floor(past / HOUR_MS), "hour")
  const days = Math.round((midnightBefore(now) - midnightBefore(moment)) / DAY_MS) // rounded: some days have 23 hours
  return days < 7 ? relative.format(-days, "day") : date.format(moment)
}

const midnightBefore = (moment) => new Date(moment).setHours(0, 0, 0, 0)

/** Write one `<time>` anew. Cheap enough for two hundred at once: what it says is compared, and no layout is asked for. */
export function tellTime(element, now = Date.now()) {
  const moment = Date.parse(element.dateTime)
  if (Number.isNaN(moment)) return
  const words = howLongAgo(moment, now)
  if (element.textContent !== words) element.textContent = words
}

/** "Monday, November 23, 2026 at 12:00 PM" */
export function exactTime(moment) {
  return absolute.format(moment)
}

/** Write every `<time>` inside `root` anew; the exact time shows on hover. */
export function tellTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    tellTime(element)
    if (element.dateTime) element.title = exactTime(new Date(element.dateTime))
  }
}

export function keepTelling(root) {
  tellTimes(root)
  setInterval(() => tellTimes(root), MINUTE_MS)
}

// Days, as the reader's clock has them

const weekday = new Intl.DateTimeFormat(language, { weekday: "long", month: "long", day: "numeric" })
const longDate = new Intl.DateTimeFormat(language, { dateStyle: "full" })

/** The midnight at which the day of `moment` begins: the same for all of a day. */
export function dayOf(moment) {
  return midnightBefore(moment)
}

/** "Today", "Yesterday", "Monday, November 23"; the year only when it is another one. */
export function dayWords(day, now) {
  const days = Math.round((midnightBefore(now) - day) / DAY_MS)
  if (days < 2) {
    const words = relative.format(-Math.max(0, days), "day")
    return words.charAt(0).toLocaleUpperCase(language) + words.slice(1)
  }
  return (new Date(day).getFullYear() === new Date(now).getFullYear() ? weekday : longDate).format(day)
}
