/** Which bodies are too long to be shown whole at first? Those that CSS has cut; only layout knows. */

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
