/** How long to wait before trying again? */

const FIRST_MS = 500
const LONGEST_MS = 10_000 // what a person may be made to wait after the server is back

/**
 * Milliseconds before attempt number `attempt` (the first is 0): doubling, with full jitter, so that a thousand
 * pages that lost one server do not all come back in the same moment. `random` gives a number in [0, 1).
 */
export function backoff(attempt, random) {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt)
}
