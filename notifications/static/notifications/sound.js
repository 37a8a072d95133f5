/** Two soft notes, made on the spot: no file to load. */

const NOTES = [
  { hertz: 660, at: 0 },
  { hertz: 880, at: 0.12 },
]
const SECONDS = 0.45 // how long each of them rings
const LOUDEST = 0.3 // of full scale, at a volume of 100

/** Browsers let a page sound only once somebody has clicked or typed in it, and complain about one that tries. */
export function canPlay() {
  return "AudioContext" in window && (navigator.userActivation?.hasBeenActive ?? true)
}

/** `volume`: 0 to 100. */
export async function play(volume) {
  if (volume <= 0) return
  const context = new AudioContext()
  await context.resume()
  const notes = NOTES.map((note) => ring(context, note, volume))
  notes.at(-1).addEventListener("ended", () => context.close())
}

function ring(context, { hertz, at }, volume) {
  const begin = context.currentTime + at
  const note = new OscillatorNode(context, { frequency: hertz, type: "sine" })
  const gain = new GainNode(context, { gain: 0 })
  gain.gain.setValueAtTime(0, begin)
  gain.gain.linearRampToValueAtTime((LOUDEST * volume) / 100, begin + 0.02)
  gain.gain.exponentialRampToValueAtTime(0.0001, begin + SECONDS)
  note.connect(gain).connect(context.destination)
  note.start(begin)
  note.stop(begin + SECONDS)
  return note
}
