/** How long to wait before trying again? */

const FIRST_MS = 500
const LONGEST_MS = 3_000 // with a slow handshake still within the 5 s that a person may have to wait for a server that is back

/**
 * Milliseconds before attempt number `attempt` (the first is 0): doubling, with full jitter, so that a thousand
 * pages that lost one server do not all come back in the same moment. `random` gives a number in [0, 1).
 */
export function backoff(attempt, random) {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt)
}
