// Who should own a stream: rendezvous hashing (highest random weight) over the live workers, so
// that one worker more or less moves only the streams it must. Pure.
import { crc32 } from 'node:zlib';

/** The worker with the highest weight for the stream; null when nobody is alive. */
export function desiredOwner(stream: string, alive: readonly string[]): string | null {
  let best: string | null = null;
  let bestWeight = -1;
  for (const worker of alive) {
    const weight = mix(crc32(`${worker}\n${stream}`));
    if (weight > bestWeight || (weight === bestWeight && best !== null && worker < best)) {
      best = worker;
      bestWeight = weight;
    }
  }
  return best;
}

/** CRC-32 is linear: similar names give similar values. This is the finalizer of MurmurHash3. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
