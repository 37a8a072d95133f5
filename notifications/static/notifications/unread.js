/** Where do our own count of unread notices and the server's meet? Keeps it, and shows it on badge and title. */

import { Tally } from "./tally.js"

export class Unread {
  #badge
  #tally = tallyOf(document)

  constructor(badge) {
    this.#badge = badge
    this.#tell()
  }

  arrived(published) {
    this.#change((tally) => tally.arrived(published))
  }

  left(published, position) {
    this.#change((tally) => tally.left(published, position))
  }

  withdrawn(published) {
    this.#change((tally) => tally.withdrawn(published))
  }

  readThrough(through) {
    this.#change((tally) => tally.readThrough(through))
  }

  /** The server has counted anew. */
  rebase({ unread, position }) {
    this.#tally.rebase(unread, position)
    this.#tell()
  }

  /** Begin again from what the server has written into `page`. */
  takeOver(page) {
    this.#tally = tallyOf(page)
    this.#tell()
  }

  #change(change) {
    change(this.#tally)
    this.#tell()
  }

  #tell() {
    this.#badge.show(this.#tally.count, this.#tally.isMore)
  }
}

function tallyOf(page) {
  const { cursor } = page.getElementById("inbox").dataset
  const position = Number(cursor.slice(cursor.lastIndexOf(":") + 1))
  return new Tally(Number(page.getElementById("unread").dataset.count), position)
}
