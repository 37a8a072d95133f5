/** Which keys move through the list? Only while the focus is in it (WCAG 2.1.4), and they are told below it. */

export function moveByKeys(list) {
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const row = event.target.closest(".notice")
    const act = row && ACTIONS[event.key]
    if (!act) return
    event.preventDefault()
    act(row)
  })
}

const ACTIONS = {
  j: (row) => next(row, "nextElementSibling")?.focus(),
  k: (row) => next(row, "previousElementSibling")?.focus(),
  o: (row) => row.querySelector(".notice-link[href]")?.click(),
  r: (row) => row.dataset.read === "false" && row.querySelector(".notice-mark").click(),
}

/** The nearest row in that direction that is shown. */
function next(row, direction) {
  let other = row[direction]
  while (other?.hidden) other = other[direction]
  return other
}
