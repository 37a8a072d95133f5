/** Does our own count of unread notices agree with the server's? Keeps it, and shows it on badge and title. */

import { Tally } from "./tally.js"

export class Unread {
  #badge
  #tally = tallyOf(document)
  #before = null // our own count from before the connection was back, to compare with the server's

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

  /** The connection is there; what was missed follows, and should lead our own count to the server's. */
  welcome({ unread, position }) {
    this.#before ??= this.#tally
    this.#tally = new Tally(unread, position)
    this.#tell()
  }

  /** Whether our own count has come to the server's since `welcome`. Asked once. */
  agrees() {
    const agrees = this.#before === null || this.#before.count === this.#tally.count
    this.#before = null
    return agrees
  }

  /** Begin again from what the server has written into `page`. */
  takeOver(page) {
    this.#tally = tallyOf(page)
    this.#before = null
    this.#tell()
  }

  #change(change) {
    change(this.#tally)
    if (this.#before) change(this.#before)
    this.#tell()
  }

  #tell() {
    this.#badge.show(this.#tally.count)
  }
}

function tallyOf(page) {
  const { cursor } = page.getElementById("inbox").dataset
  const position = Number(cursor.slice(cursor.lastIndexOf(":") + 1))
  return new Tally(Number(page.getElementById("unread").dataset.count), position)
}
