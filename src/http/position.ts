// Reads that must see a write: `?at_least=<position>` waits a little for the ledger.
// Invariant: an answer that is given has seen the position; otherwise there is none (503).
import { topics } from '../../schemas/events.ts';
import type { Settlement } from '../stream/settlement.ts';
import { type Position, parsePosition } from '../stream/topology.ts';
import { problem, unavailable } from './problem.ts';

const WAIT_MS = 1_000;

/** Throws a problem when the position is not one of ours, or is not reached in time. */
export async function reach(settlement: Settlement, atLeast: string | undefined): Promise<void> {
  if (atLeast === undefined) return;
  const position = positionOf(atLeast);
  if (!position) throw problem(400, 'malformed_request', 'at_least is not a position of ours.');
  if (await settlement.waitSettled(position, WAIT_MS)) return;
  throw unavailable('position_not_reached', `Waited ${WAIT_MS} ms for it.`);
}

export function positionOf(text: string): Position | null {
  return parsePosition(text, topics);
}
