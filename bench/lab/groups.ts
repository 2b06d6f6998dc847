// The variants, by the question that they answer.
import { batches, parameters, statements } from './statements.ts';
import { ids, indexes, pages, partitions, room, rows, verification } from './tables.ts';
import type { Variant } from './variant.ts';

export const groups: Record<string, readonly Variant[]> = {
  statements,
  parameters,
  batches,
  ids,
  indexes,
  verification,
  partitions,
  rows,
  room,
  pages,
};
