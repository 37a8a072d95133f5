/** How many notices are unread? */

const MOST_UNREAD = 1000 // the server stops counting here: then it means as many, or more

/**
 * The server's count, true as of a position in the log, and what has happened since. A notice that arrives before
 * the count that leaves it out is still counted, and never twice: `published` tells on which side of it it lies.
 */
export class Tally {
  #unread
  #position // the server's count is true as of here
  #later = new Set() // `published` of the unread notices that came after it

  constructor(unread, position) {
    this.#unread = unread
    this.#position = position
  }

  get count() {
    return Math.min(this.#unread + this.#later.size, MOST_UNREAD)
  }

  /** Whether there may be more than `count`. */
  get isMore() {
    return this.count === MOST_UNREAD
  }

  /** The server has counted anew; not if it counted before it did the last time, and two answers have crossed. */
  rebase(unread, position) {
    if (position < this.#position) return
    this.#unread = unread
    this.#position = position
    for (const published of this.#later) if (published <= position) this.#later.delete(published)
  }

  arrived(published) {
    if (published > this.#position) this.#later.add(published)
  }

  /** An unread notice was read, or has ended. What ended at a position up to the count is out of it already. */
  left(published, position = Infinity) {
    const counted = !this.#later.delete(published) && published <= this.#position && position > this.#position
    // One less than "as many, or more" may be as many still: only the server can tell.
    if (counted && this.#unread < MOST_UNREAD) this.#unread = Math.max(0, this.#unread - 1)
  }

  /** A notice that the page does not show has ended. Whether an older one was unread, only the server knows. */
  withdrawn(published) {
    this.#later.delete(published)
  }

  readThrough(through) {
    if (through >= this.#position) this.#unread = 0
    for (const published of this.#later) if (published <= through) this.#later.delete(published)
  }
}
