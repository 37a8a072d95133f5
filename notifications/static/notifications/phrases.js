/** Which words does the page use? They stand in the template, so that translators find them all in one place. */

const language = document.documentElement.lang || "en"
const plural = new Intl.PluralRules(language)
const capital = (word) => word[0].toUpperCase() + word.slice(1)

/** The phrase `data-<name>` of `<template id="phrases">`. */
export function phrase(name) {
  return document.getElementById("phrases").dataset[name]
}

/** The phrase for `n` things: `data-<name>-one`, `-few`, …, and `-other` where the language needs no more. */
export function phraseFor(name, n, shown = n.toLocaleString(language)) {
  const words = phrase(name + capital(plural.select(n))) ?? phrase(name + "Other")
  return words.replace("{n}", shown)
}
